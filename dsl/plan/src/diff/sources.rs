//! Sources and what is read from them: what reconnects, and what counts from the next sample on.

use super::changes::{Connection, Detail, Effect, State};
use super::describe::{Described, Pair};
use super::items::groups_of;
use super::same::same_source;
use super::words::{self, compared, counted};
use crate::plan::{Group, Origin, Plan, Tag};
use gwp_core::manifest::{Settings, written_duration};
use gwp_core::{TagId, TagInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A source that is stopped and started connects anew within about this time, if its devices answer.
const RECONNECT_MS: u32 = 300;

pub(super) fn changed(pair: &Pair<'_>, i: usize, j: usize) -> Described {
    let (old, new) = (&pair.called.sources[i], &pair.new.sources[j]);
    let mut details = Vec::new();
    compared(&mut details, "driver", (&old.driver, &new.driver), |driver| driver.to_string());
    words::settings(&mut details, "", &old.settings, &new.settings);
    compared(&mut details, "standby", (&old.standby, &new.standby), |standby| words::standby(*standby));
    compared(&mut details, "late", (&old.late_ns, &new.late_ns), |ns| written_duration(*ns));
    compared(&mut details, "time", (&old.device_time, &new.device_time), |of_device| {
        if *of_device { "device" } else { "gateway" }.to_owned()
    });
    let at = (&old.on_disconnect, &new.on_disconnect);
    compared(&mut details, "on_disconnect", at, |what| words::on_disconnect(*what));
    groups(&mut details, pair, (&groups_of(pair.called, i), &groups_of(pair.new, j)));
    (details, effect(same_source(pair.old, i, pair.new, j)), old.driver != new.driver)
}

fn effect(same: bool) -> Effect {
    if same {
        return Effect {
            connection: Some(Connection::Kept),
            state: Some(State::Kept),
            words: vec!["no reconnect".to_owned()],
            ..Effect::default()
        };
    }
    Effect {
        connection: Some(Connection::Reconnects),
        gap_ms: Some(RECONNECT_MS),
        state: Some(State::Kept),
        words: vec![format!("reconnects, about {RECONNECT_MS} ms without samples")],
        ..Effect::default()
    }
}

/// A tag with the period at which it is read.
type Read = (Tag, i64);

/// Devices, scan classes and tags of a source.
fn groups(details: &mut Vec<Detail>, pair: &Pair<'_>, (old, new): (&[&Group], &[&Group])) {
    let periods = |groups: &[&Group]| -> String {
        let periods: BTreeSet<i64> =
            groups.iter().map(|group| group.period_ns).filter(|ns| *ns > 0).collect();
        let periods: Vec<String> = periods.into_iter().map(written_duration).collect();
        words::or_none(&periods.join(", "))
    };
    let (before, after) = (periods(old), periods(new));
    if before != after {
        details.push(Detail::value("scan", before, after));
    }
    let devices = |groups: &[&'_ Group]| -> BTreeMap<Arc<str>, Settings> {
        groups.iter().map(|group| (group.device.clone(), group.device_settings.clone())).collect()
    };
    let (before, after) = (devices(old), devices(new));
    let names = |devices: &BTreeMap<Arc<str>, _>| -> BTreeSet<Arc<str>> { devices.keys().cloned().collect() };
    let (had, has) = (names(&before), names(&after));
    fewer_or_more(details, "device", (had.difference(&has).count(), has.difference(&had).count()));
    device_settings(details, &before, &after);
    let told = |plan: &Plan, groups: &[&Group]| -> BTreeMap<_, _> {
        let tags = groups.iter().flat_map(|group| group.tags.iter().map(move |tag| (*tag, group.period_ns)));
        tags.filter_map(|(id, period_ns)| {
            plan.tag(id).map(|tag| (tag.info.path.clone(), (tag.clone(), period_ns)))
        })
        .collect()
    };
    let (before, after) = (told(pair.called, old), told(pair.new, new));
    let gone = before.keys().filter(|path| !after.contains_key(*path)).count();
    let come = after.keys().filter(|path| !before.contains_key(*path)).count();
    fewer_or_more(details, "tag", (gone, come));
    let both = || before.iter().filter_map(|(path, old)| Some((old, after.get(path)?)));
    let differ = |what: &str, differs: &dyn Fn(&Read, &Read) -> bool| {
        let count = both().filter(|(old, new)| differs(old, new)).count();
        (count > 0).then(|| Detail::changed(&format!("{what} of {}", counted(count, "tag"))))
    };
    details.extend(differ("address or type", &|(old, _), (new, _)| old.origin != new.origin));
    details.extend(differ("scan class", &|(_, old), (_, new)| old != new));
    details.extend(differ("`writable`", &|(old, _), (new, _)| old.writable != new.writable));
}

/// Settings of devices that stay: of a few one by one, else how many devices each concerns.
fn device_settings(
    details: &mut Vec<Detail>,
    before: &BTreeMap<Arc<str>, Settings>,
    after: &BTreeMap<Arc<str>, Settings>,
) {
    const ONE_BY_ONE: usize = 3;
    let both = || before.iter().filter_map(|(device, old)| Some((device, old, after.get(device)?)));
    if both().filter(|(_, old, new)| old != new).count() <= ONE_BY_ONE {
        both().for_each(|(device, old, new)| words::settings(details, &format!("{device}."), old, new));
        return;
    }
    let mut devices: BTreeMap<String, usize> = BTreeMap::new();
    for (_, old, new) in both() {
        let mut found = Vec::new();
        words::settings(&mut found, "", old, new);
        for detail in found {
            if let Detail::Value { what, .. } = detail {
                *devices.entry(what).or_default() += 1;
            }
        }
    }
    details.extend(
        devices
            .into_iter()
            .map(|(what, count)| Detail::changed(&format!("`{what}` of {}", counted(count, "device")))),
    );
}

fn fewer_or_more(details: &mut Vec<Detail>, what: &str, (gone, come): (usize, usize)) {
    if come > 0 {
        details.push(Detail::Added { what: counted(come, what) });
    }
    if gone > 0 {
        details.push(Detail::Removed { what: counted(gone, what) });
    }
}

fn group_of(plan: &Plan, tag: TagId) -> Option<&Group> {
    plan.groups.iter().find(|group| group.tags.contains(&tag))
}

pub(super) fn tag_added(plan: &Plan, tag: TagId) -> Effect {
    match group_of(plan, tag).and_then(|group| plan.sources.get(group.source as usize)) {
        Some(source) => Effect::words(format!("read from `{}` with its next scan", source.name)),
        None => Effect::default(),
    }
}

pub(super) fn tag_changed(pair: &Pair<'_>, old_id: TagId, new_id: TagId) -> Described {
    let (Some(old), Some(new)) = (pair.called.tag(old_id), pair.new.tag(new_id)) else {
        return (Vec::new(), Effect::default(), false);
    };
    let mut details = Vec::new();
    let mut reread = false;
    if let (
        Origin::Point { address: before, plc_type: was },
        Origin::Point { address: after, plc_type: is },
    ) = (&old.origin, &new.origin)
    {
        compared(&mut details, "address", (before, after), |address| words::quoted(address));
        compared(&mut details, "type", (was, is), |of| of.to_string());
        reread = !details.is_empty();
    }
    let scan = |plan, id| group_of(plan, id).map_or(0, |group: &Group| group.period_ns);
    let periods = (&scan(pair.called, old_id), &scan(pair.new, new_id));
    reread |= periods.0 != periods.1 || old.writable != new.writable;
    compared(&mut details, "scan", periods, |ns| written_duration(*ns));
    tag_attributes(&mut details, old, new);
    let source = || group_of(pair.new, new_id).and_then(|group| pair.new.sources.get(group.source as usize));
    let words = match source().filter(|_| reread) {
        Some(source) => vec![format!("`{}` reconnects", source.name), "state kept".to_owned()],
        None if is_described_only(old, new) => vec!["nothing restarts".to_owned()],
        // What reads it goes on with the next value as if nothing had been.
        None => vec!["from its next sample on".to_owned(), "state kept".to_owned()],
    };
    let effect = Effect { state: Some(State::Kept), words, ..Effect::default() };
    (details, effect, old.kind != new.kind)
}

/// Only what people read is different.
fn is_described_only(old: &Tag, new: &Tag) -> bool {
    let mut old = old.clone();
    old.info = TagInfo { desc: new.info.desc.clone(), labels: new.info.labels.clone(), ..old.info };
    old == *new
}

/// What its samples are, whatever they come from.
pub(super) fn tag_attributes(details: &mut Vec<Detail>, old: &Tag, new: &Tag) {
    compared(details, "unit", (&old.info.unit, &new.info.unit), |unit| words::or_none(unit));
    compared(details, "scale", (&old.scale, &new.scale), |scale| words::scale(*scale));
    compared(details, "range", (&old.range, &new.range), |range| words::range(*range));
    if old.deadband != new.deadband {
        let shown = |tag: &Tag| words::with_unit(tag.deadband, &tag.info.unit);
        details.push(Detail::value("deadband", shown(old), shown(new)));
    }
    compared(details, "counter", (&old.counter, &new.counter), |counter| match counter {
        None => words::NONE.to_owned(),
        Some(None) => "counter".to_owned(),
        Some(wrap) => words::range(*wrap),
    });
    compared(details, "writable", (&old.writable, &new.writable), bool::to_string);
    compared(details, "kind", (&old.kind, &new.kind), |kind| words::choice(kind));
    compared(details, "description", (&old.info.desc, &new.info.desc), |desc| match &**desc {
        "" => words::NONE.to_owned(),
        desc => words::quoted(desc),
    });
    if old.info.labels != new.info.labels {
        details.push(Detail::changed("enum"));
    }
    compared(details, "family", (&old.family, &new.family), |member| {
        member.as_ref().map_or_else(|| words::NONE.to_owned(), |of| format!("{}[{}]", of.family, of.index))
    });
}
