use super::*;
use crate::plan::tests::plan;
use gwp_core::TagInfo;

fn line(kind: MovedKind, old: (&str, &str), new: (&str, &str)) -> Moved {
    Moved { kind, old: Place::member(old.0, old.1), new: Place::member(new.0, new.1) }
}

fn item(kind: MovedKind, old: &str, new: &str) -> Moved {
    line(kind, (old, ""), (new, ""))
}

/// A tag of an older plan: device and the rest of its path.
fn tag(device: &str, rest: &str) -> Tag {
    let mut tag = plan(1).tags.remove(0);
    tag.info = TagInfo {
        path: format!("{device}.{rest}").into(),
        device: device.into(),
        tag: rest.into(),
        ..tag.info
    };
    tag
}

fn column(device: &str, row: &str, name: &str) -> Tag {
    let mut tag = tag(device, &format!("{row}.{name}"));
    tag.info.row = row.into();
    tag.origin = Origin::Column;
    tag
}

#[test]
fn devices_and_members_move_along_chains() {
    use MovedKind::{Device, Member};
    let renames = Renames::new(&[
        item(Device, "press", "press1"),
        item(Device, "press1", "line.press"),
        line(Member, ("press", "temp"), ("press", "oil")),
        line(Member, ("line.press", "oil"), ("line.press", "oil_temp")),
    ]);
    let path = |device, rest| renames.path(&tag(device, rest));
    assert_eq!(path("press", "power").as_deref(), Some("line.press.power"));
    assert_eq!(path("press1", "power").as_deref(), Some("line.press.power"));
    assert_eq!(path("press", "temp").as_deref(), Some("line.press.oil_temp"));
    assert_eq!(path("press1", "oil").as_deref(), Some("line.press.oil_temp"));
    assert_eq!(path("press1", "temp").as_deref(), Some("line.press.temp"), "only `press.temp` was called so");
    assert_eq!(path("line.press", "power"), None);
    assert_eq!(path("pres", "temp"), None);
    assert_eq!(renames.path(&column("press", "alarms", "state")).as_deref(), Some("line.press.alarms.state"));
}

#[test]
fn families_move_with_their_numbers() {
    use MovedKind::{Device, Family, FamilyMember};
    let renames = Renames::new(&[
        item(Family, "m", "meter"),
        line(FamilyMember, ("meter", "p"), ("meter", "power")),
        item(Device, "m07", "spare"),
        item(Family, "unit2_", "cell"),
    ]);
    let path = |device, rest| renames.path(&tag(device, rest));
    assert_eq!(path("m01", "p").as_deref(), Some("meter01.power"));
    assert_eq!(path("m12", "u").as_deref(), Some("meter12.u"));
    assert_eq!(path("meter3", "p").as_deref(), Some("meter3.power"));
    assert_eq!(path("m07", "p").as_deref(), Some("spare.p"), "a device of its own comes first");
    assert_eq!(path("unit2_05", "x").as_deref(), Some("cell05.x"));
    assert_eq!(path("m", "p"), None, "a family has numbers");
    assert_eq!(path("mx1", "p"), None);
}

#[test]
fn rows_follow_their_flow_and_their_device() {
    use MovedKind::{Device, Flow};
    let renames = Renames::new(&[item(Flow, "hourly", "per_hour"), item(Device, "m1", "meter1")]);
    let path = |device, row| renames.path(&column(device, row, "kwh"));
    assert_eq!(path("m1", "hourly").as_deref(), Some("meter1.per_hour.kwh"));
    assert_eq!(path("m2", "hourly").as_deref(), Some("m2.per_hour.kwh"));
    assert_eq!(path("m1", "daily").as_deref(), Some("meter1.daily.kwh"));
    assert_eq!(
        path("hourly", "hourly").as_deref(),
        Some("per_hour.per_hour.kwh"),
        "a row over several devices"
    );
    assert_eq!(path("m2", "daily"), None);
    assert_eq!(renames.flow("hourly").as_deref(), Some("per_hour"));
    assert_eq!(renames.flow("m1"), None);
}

#[test]
fn outcomes_follow_their_write_and_their_target() {
    use MovedKind::Device;
    let renames = Renames::new(&[item(Device, "set", "set_limit"), item(Device, "m1", "meter1")]);
    let outcome = |write, target| renames.path(&Tag { origin: Origin::Outcome, ..tag(write, target) });
    assert_eq!(outcome("set", "m1").as_deref(), Some("set_limit.meter1"));
    assert_eq!(outcome("set", "m2").as_deref(), Some("set_limit.m2"));
    assert_eq!(outcome("other", "m1").as_deref(), Some("other.meter1"));
    assert_eq!(outcome("other", "m2"), None);
}

#[test]
fn sinks_know_all_their_names_and_rings_end() {
    use MovedKind::{Device, Sink};
    let renames = Renames::new(&[item(Sink, "a", "b"), item(Sink, "b", "c"), item(Device, "x", "c")]);
    assert_eq!(renames.former_names_of_sink("c"), ["b".into(), "a".into()]);
    assert_eq!(renames.former_names_of_sink("b"), ["a".into()]);
    assert!(renames.former_names_of_sink("a").is_empty());
    let ring = Renames::new(&[
        item(Sink, "a", "b"),
        item(Sink, "b", "a"),
        item(Device, "x", "y"),
        item(Device, "y", "x"),
    ]);
    assert_eq!(ring.former_names_of_sink("a"), ["b".into()]);
    assert_eq!(ring.device("x"), None);
}
