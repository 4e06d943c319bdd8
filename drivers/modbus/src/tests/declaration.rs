//! Declarations: errors at their places, load figures, drivers by name.

use super::rig::declare;
use crate::DRIVERS;
use gwp_core::manifest::{Place, SettingValue};
use gwp_core::source::{Driver, GroupLoad, PlcType};

fn driver(name: &str) -> &'static dyn Driver {
    DRIVERS.iter().find(|driver| driver.manifest().name == name).unwrap()
}

fn text(text: &str) -> SettingValue {
    SettingValue::Text(text.into())
}

#[test]
fn all_errors_are_reported_at_once_each_at_its_place() {
    let declaration = declare(
        &[("address", text("plc"))],
        &[
            (1, 100, &[("100", PlcType::Int), ("hr 5", PlcType::Int), ("hr 5", PlcType::Bool)]),
            (2, 100, &[("co 5", PlcType::Real), ("hr 65535", PlcType::Lreal)]),
        ],
    );
    let errors = driver("modbus_tcp").check(&declaration);
    let found: Vec<_> = errors.iter().map(|error| (error.place.clone(), error.code)).collect();
    assert_eq!(
        found,
        [
            (Place::Setting("address"), None),
            (Place::Address { group: 0, point: 0 }, Some("E401")),
            (Place::Address { group: 0, point: 2 }, Some("E401")),
            (Place::Type { group: 1, point: 0 }, None),
            (Place::Address { group: 1, point: 1 }, Some("E401")),
        ]
    );
    assert!(errors.iter().all(|error| !error.help.is_empty() && !error.message.is_empty()));
    let again = driver("modbus_tcp").prepare(declaration).err().unwrap();
    assert_eq!(again, errors);
}

#[test]
fn a_reference_is_taken_as_right_until_it_has_to_be_used() {
    let settings = [("port", SettingValue::NodeRef("serial_a".into()))];
    let declaration = declare(&settings, &[(1, 100, &[("hr 5", PlcType::Int)])]);
    assert_eq!(driver("modbus_rtu").check(&declaration), []);
    let errors = driver("modbus_rtu").prepare(declaration).err().unwrap();
    assert_eq!(errors[0].message, "`port` has no value on this node");
}

#[test]
fn nobody_answers_for_the_broadcast_address_of_a_line() {
    let settings = [("address", text("10.0.0.5:502")), ("unit_id", SettingValue::Int(0))];
    let mut declaration = declare(&settings, &[(0, 100, &[("hr 5", PlcType::Int)])]);
    assert_eq!(driver("modbus_tcp").check(&declaration), []);
    let errors = driver("modbus_rtu_tcp").check(&declaration);
    assert_eq!(errors[0].place, Place::DeviceSetting { group: 0, name: "unit_id" });
    declaration.groups[0].device_settings = Default::default();
    let errors = driver("modbus_rtu_tcp").check(&declaration);
    assert_eq!(errors[0].place, Place::Setting("unit_id"));
}

#[test]
fn the_load_counts_requests_bytes_and_the_time_on_a_line() {
    let points: Vec<String> = (0..200).map(|start| format!("hr {start}")).collect();
    let points: Vec<_> = points.iter().map(|address| (address.as_str(), PlcType::Int)).collect();
    let declaration = declare(
        &[
            ("address", text("10.0.0.5:502")),
            ("port", text("/dev/ttyS0")),
            ("baud", SettingValue::Int(9_600)),
        ],
        &[(1, 100, &points), (2, 100, &[("co 3", PlcType::Bool), ("co 40", PlcType::Bool)])],
    );
    let tcp = driver("modbus_tcp").load(&declaration);
    assert_eq!(
        tcp,
        [
            GroupLoad { requests: 2, bytes: 2 * 21 + 400, link_ns: 0 },
            GroupLoad { requests: 1, bytes: 21 + 5, link_ns: 0 },
        ]
    );
    let rtu = driver("modbus_rtu").load(&declaration);
    assert_eq!((rtu[0].requests, rtu[0].bytes), (2, 2 * 13 + 400));
    // 426 characters of 11 bits at 9,600 baud, and four silences of 3.5 characters.
    let expected_ns = (426.0 + 4.0 * 3.5) * 11.0 / 9_600.0 * 1e9;
    assert!((rtu[0].link_ns as f64 - expected_ns).abs() < 1e-5 * expected_ns, "{}", rtu[0].link_ns);
}
