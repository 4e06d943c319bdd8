use super::*;
use crate::commands::import::{problems, text::decoded};
use proptest::prelude::*;

const PRESS: &str = include_str!("fixtures/press.csv");
const EXCEL: &[u8] = include_bytes!("fixtures/excel.csv");
const S7: &str = include_str!("fixtures/s7.csv");

fn imported(csv: &str) -> Imported {
    let options = Options { source: "plc".into(), driver: None, file: "press.csv".into() };
    import(csv, &options).unwrap()
}

/// Compares with a file beside; `GWP_WRITE_GOLDEN=1` writes it.
fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/commands/import/kepware/fixtures")
        .join(name);
    if std::env::var_os("GWP_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn a_modbus_export_becomes_a_program_that_compiles() {
    let found = imported(PRESS);
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    golden("press.gwp", &found.text);
    golden("press.report", &found.report.to_string());
}

#[test]
fn semicolons_decimal_commas_and_windows_1252_are_read() {
    let found = imported(&decoded(EXCEL));
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert!(found.text.contains("tag 'Öltemperatur' at \"40001\" : uint degC scale 0..1000 -> 0..99.5 degC desc \"Kühler – Rücklauf\""), "{}", found.text);
    assert_eq!(found.report.remarks(), ["line 3: Netz is no tag here: this is no Modbus address"]);
}

#[test]
fn a_siemens_export_becomes_a_program_that_compiles() {
    let found = imported(S7);
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    golden("s7.gwp", &found.text);
}

#[test]
fn what_the_driver_does_not_read_is_a_comment_and_costs_no_other_tag() {
    let csv = S7.replace("DB20.DBD0", "DB20.DBX0.0");
    let found = imported(&csv);
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    assert!(found.text.contains("// Good: DWord at DB20.DBX0.0: "), "{}", found.text);
    assert!(found.text.contains("tag Running at"), "{}", found.text);
}

#[test]
fn a_source_without_a_driver_is_a_comment_that_holds_the_right_text() {
    let options = Options { source: "plc".into(), driver: Some("eip".into()), file: "press.csv".into() };
    let found = import(S7, &options).unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    // what stands in the comment is a program itself
    let inner: String = found
        .text
        .lines()
        .skip_while(|line| !line.starts_with("// source"))
        .take_while(|line| line.starts_with("//"))
        .map(|line| format!("{}\n", line.trim_start_matches("//").strip_prefix(' ').unwrap_or_default()))
        .collect();
    assert!(
        inner.contains("source plc : eip {") && inner.contains("device Filler : Filler_tags() on plc"),
        "{inner}"
    );
    let file = gwp_syntax::SourceMap::default().add("x", inner.clone());
    assert_eq!(gwp_syntax::format(file, &inner).unwrap(), inner);
}

#[test]
fn the_driver_can_be_said_and_other_files_are_refused() {
    let options =
        Options { source: "line 1".into(), driver: Some("modbus_rtu".into()), file: "a.csv".into() };
    let found = import(PRESS, &options).unwrap();
    assert_eq!(problems(&found.text), Vec::<String>::new());
    assert!(
        found.text.contains("source 'line 1' : modbus_rtu {")
            && found.text.contains("port    = node(\"line 1\")")
            || found.text.contains("port = node(\"line 1\")"),
        "{}",
        found.text
    );
    assert!(import("hello\nworld\n", &options).is_err());
    assert!(import("", &options).is_err());
}

#[test]
fn every_word_of_the_language_can_be_the_name_of_a_tag_or_group() {
    let words = gwp_syntax::keywords();
    let rows: String = words
        .iter()
        .enumerate()
        .map(|(at, (word, _))| format!("{word},{},Word\n{word}.{word},{},Word\n", 40_001 + at, 30_001 + at))
        .collect();
    let more = [
        "value",
        "quality",
        "device",
        "path",
        "flow",
        "index",
        "connected",
        "alarms",
        "plc",
        "true",
        "x'y",
        "a*b",
        "ü",
        "a b",
    ];
    let more: String =
        more.iter().map(|word| format!("{word},40001,Word\n{word}.{word},40001,Word\n")).collect();
    let found = imported(&format!("Tag Name,Address,Data Type\n{rows}{more}"));
    assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
}

/// Cells that real rows hold, in columns where they do not belong.
fn cell() -> impl Strategy<Value = String> {
    let likely = prop::sample::select(vec![
        "",
        "40001",
        "400001.3",
        "40001[3]",
        "465535",
        "00001",
        "H40010",
        "40010.20H",
        "DB1.DBW0",
        "Word",
        "Float",
        "Boolean",
        "Double",
        "String",
        "Default",
        "Word Array",
        "BCD",
        "R/W",
        "RO",
        "WO",
        "100",
        "0",
        "-1",
        "1e300",
        "Linear",
        "Square Root",
        "None",
        "65535",
        "°C",
        "C",
        "%",
        "kW",
        "A.B.C",
        ".",
        "a.",
        "'",
        "\"",
        "\"\"",
        "{x}",
        "1",
        "// x",
        "tag",
        "\\",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => likely, 1 => "\\PC{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_cells_hold_the_program_compiles(rows in prop::collection::vec(prop::collection::vec(cell(), 17), 1..12)) {
        let header = PRESS.lines().find(|line| line.starts_with("Tag Name")).unwrap();
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let rows = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let found = imported(&format!("{header}\n{rows}"));
        prop_assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
    }

    #[test]
    fn a_damaged_file_is_imported_or_refused(cuts in prop::collection::vec((0usize..4_000, any::<u8>()), 1..8)) {
        let mut bytes = PRESS.as_bytes().to_vec();
        for (at, byte) in cuts {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let options = Options { source: "plc".into(), driver: None, file: "press.csv".into() };
        if let Ok(found) = import(&decoded(&bytes), &options) {
            prop_assert_eq!(problems(&found.text), Vec::<String>::new(), "{}", found.text);
        }
    }
}
