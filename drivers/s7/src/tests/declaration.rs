//! Declarations: errors at their places, load figures.

use crate::S7;
use gwp_core::manifest::{Place, SettingValue};
use gwp_core::source::{Driver, GroupLoad, PlcType};
use gwp_driver_contract::rig::declare;

fn text(text: &str) -> SettingValue {
    SettingValue::Text(text.into())
}

#[test]
fn all_errors_are_reported_at_once_each_at_its_place() {
    let declaration = declare(
        &[("address", text("a b")), ("tsap_remote", text("x"))],
        &[
            (100, &[("DB1.DBW2", PlcType::Int, false), ("hr 5", PlcType::Int, false)]),
            (100, &[("DB1.DBW2 date", PlcType::Int, false), ("I0.1", PlcType::Bool, true)]),
        ],
    );
    let errors = S7.check(&declaration);
    let found: Vec<_> = errors.iter().map(|error| (error.place.clone(), error.code)).collect();
    assert_eq!(
        found,
        [
            (Place::Setting("tsap_remote"), None),
            (Place::Setting("address"), None),
            (Place::Address { group: 0, point: 1 }, Some("E401")),
            (Place::Type { group: 1, point: 0 }, None),
            (Place::Address { group: 1, point: 1 }, Some("E401")),
        ]
    );
    assert!(errors.iter().all(|error| !error.help.is_empty() && !error.message.is_empty()));
    assert_eq!(S7.prepare(declaration).err().unwrap(), errors);
}

#[test]
fn a_reference_is_taken_as_right_until_it_has_to_be_used() {
    let settings = [("address", SettingValue::NodeRef("plc".into()))];
    let declaration = declare(&settings, &[(100, &[("DB1.DBW2", PlcType::Int, false)])]);
    assert_eq!(S7.check(&declaration), []);
    let errors = S7.prepare(declaration).err().unwrap();
    assert_eq!(errors[0].message, "`address` has no value on this node");
}

#[test]
fn the_load_counts_requests_and_bytes_for_a_small_plc() {
    let words: Vec<String> = (0..200).map(|at| format!("DB1.DBW{}", at * 2)).collect();
    let words: Vec<_> = words.iter().map(|address| (address.as_str(), PlcType::Int, false)).collect();
    let declaration = declare(
        &[("address", text("plc"))],
        &[(100, &words), (100, &[("M3.1", PlcType::Bool, false), ("T5", PlcType::Udint, false)])],
    );
    assert_eq!(
        S7.load(&declaration),
        [
            // Two requests of 24 bytes for 222 and 178 bytes of values, which have 18 in front.
            GroupLoad { requests: 2, bytes: 2 * (24 + 18 + 14) + 400, link_ns: 0 },
            GroupLoad { requests: 1, bytes: 12 + 24 + 14 + 6 + 6 + 14, link_ns: 0 },
        ]
    );
}
