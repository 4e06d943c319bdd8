use super::*;
use crate::commands::import::problems;
use proptest::prelude::*;

const PLANT: &str = include_str!("fixtures/plant.conf");

/// Compares with a file beside; `GWP_WRITE_GOLDEN=1` writes it.
fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/commands/import/telegraf/fixtures")
        .join(name);
    if std::env::var_os("GWP_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn a_configuration_becomes_a_program_that_compiles() {
    let found = import(PLANT, "plant.conf").unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert!(
        !found.text.contains("hunter2") && !found.report.to_string().contains("hunter2"),
        "a password came over"
    );
    golden("plant.gwp", &found.text);
    golden("plant.report", &found.report.to_string());
}

#[test]
fn what_is_no_configuration_is_refused_with_its_place() {
    let error = import("[agent]\ninterval = \n", "x").unwrap_err().to_string();
    assert!(error.starts_with("line 2: this is no TOML"), "{error}");
    assert!(import("", "x").unwrap_err().to_string().contains("no inputs"));
    assert!(import("a = 1\n", "x").is_err());
}

#[test]
fn every_byte_order_has_its_place() {
    let text = |order: &str, kind: &str| {
        format!(
            "[[inputs.modbus]]\nname = \"d\"\ncontroller = \"tcp://h:502\"\nconfiguration_type = \"request\"\n[[inputs.modbus.request]]\nslave_id = 1\n\
         byte_order = \"{order}\"\nregister = \"holding\"\nfields = [ {{ address = 5, name = \"x\", type = \"{kind}\" }} ]\n"
        )
    };
    for (order, words, bytes) in
        [("ABCD", false, false), ("CDAB", true, false), ("BADC", false, true), ("DCBA", true, true)]
    {
        for kind in ["FLOAT32", "INT64"] {
            let found = import(&text(order, kind), "x").unwrap();
            assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
            assert_eq!(found.text.contains("words"), words, "{order}: {}", found.text);
            assert_eq!(found.text.contains("bytes"), bytes, "{order}: {}", found.text);
        }
    }
    let found = import(&text("ACBD", "INT32"), "x").unwrap();
    assert_eq!(found.report.remarks(), ["line 7: `ACBD` is no byte order; taken as ABCD"]);
}

#[test]
fn mixed_orders_in_one_unit_are_told_apart() {
    let found = import(PLANT, "plant.conf").unwrap().text;
    assert!(found.contains("device bus_2 : bus_2_tags() on bus { unit_id = 2 }"), "{found}");
    assert!(
        found.contains(
            "device bus_2_swapped : bus_2_swapped_tags() on bus { unit_id = 2, bytes = low_first }"
        ),
        "{found}"
    );
}

#[test]
fn inputs_on_one_serial_port_are_devices_of_one_source() {
    let one = |slave: u8, order: &str| {
        format!(
            "[[inputs.modbus]]\nname = \"m{slave}\"\ncontroller = \"file:///dev/ttyS0\"\nslave_id = {slave}\n\
             holding_registers = [ {{ name = \"a\", byte_order = \"{order}\", data_type = \"INT32\", scale = 1.0, address = [0, 1] }} ]\n"
        )
    };
    let found = import(&format!("{}{}", one(1, "ABCD"), one(2, "CDAB")), "x").unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert_eq!(found.text.matches("source ").count(), 1, "{}", found.text);
    let device = "device m2 : m2_tags() on m1 { scan = 10 s, unit_id = 2, words = low_first }";
    assert!(found.text.contains(device), "{}", found.text);
    assert!(
        found.report.remarks()[0].starts_with("line 6: it is read as a device of `m1`"),
        "{}",
        found.report
    );
}

#[test]
fn two_clients_with_one_id_are_not_both_taken() {
    let one = "[[inputs.mqtt_consumer]]\nservers = [\"tcp://h:1883\"]\nclient_id = \"a\"\ntopics = [\"t\"]\ndata_format = \"value\"\n";
    let found = import(&format!("{one}{one}"), "x").unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert!(found.text.contains("// To be mended:") && found.report.tags == 1, "{}", found.text);
}

#[test]
fn what_the_driver_refuses_becomes_a_comment_with_the_reason() {
    let text = "[[inputs.modbus]]\nname = \"d\"\ncontroller = \"file:///dev/ttyS0\"\nslave_id = 0\n\
                coils = [ { name = \"a\", address = [0] } ]\n[[outputs.file]]\nfiles = [\"stdout\", \"stdout\"]\n";
    let found = import(text, "x").unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert!(found.text.contains("// To be mended: unit 0 is the broadcast address"), "{}", found.text);
    assert_eq!((found.report.tags, found.report.comments), (0, 1));
    assert_eq!(found.text.matches("console").count(), 1, "{}", found.text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_damaged_configuration_is_imported_or_refused(cuts in prop::collection::vec((0usize..9_000, "[ -~]"), 1..6)) {
        let mut text = PLANT.to_owned();
        for (at, with) in cuts {
            let at = at % text.len();
            text.replace_range(at..at + 1, &with);
        }
        if let Ok(found) = import(&text, "plant.conf") {
            prop_assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
        }
    }

    #[test]
    fn lines_can_be_missing(missing in prop::collection::btree_set(0usize..220, 0..8)) {
        let lines = PLANT.lines().enumerate().filter(|(at, _)| !missing.contains(at));
        let text: String = lines.map(|(_, line)| format!("{line}\n")).collect();
        if let Ok(found) = import(&text, "plant.conf") {
            prop_assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
        }
    }
}
