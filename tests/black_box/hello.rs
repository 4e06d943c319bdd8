//! The first thing a new user does.

use crate::{number, rows};
use gwp_tests::{gwp, workspace};
use std::collections::BTreeMap;
use std::process::Command;

#[test]
fn hello_runs_without_a_server_and_its_files_agree_with_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(gwp())
        .current_dir(folder.path())
        .arg("run")
        .arg(workspace().join("pipelines/hello.gwp"))
        .args(["--for", "5s"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let shown = String::from_utf8_lossy(&status.stdout);
    assert!(shown.contains("demo.level"), "{shown}");

    let from_sql = rows(&folder.path().join("out/demo.db"));
    let mut levels = 0;
    for row in &from_sql {
        let seconds = row.time_ns as f64 / 1e9;
        match row.path.as_str() {
            "demo.level" => {
                levels += 1;
                assert_eq!(row.time_ns % 1_000_000_000, 0, "samples are stamped by slot");
                let expected = 50.0 + 30.0 * (std::f64::consts::TAU * seconds / 60.0).sin();
                assert!((number(&row.value) - expected).abs() < 1e-3, "{row:?}, expected {expected}");
            }
            "demo.inflow" => assert!((8.0..=12.0).contains(&number(&row.value)), "{row:?}"),
            "demo.pump" => {
                let on = seconds.rem_euclid(10.0) >= 5.0;
                assert_eq!(number(&row.value) != 0.0, on, "{row:?}");
            }
            "demo.free" => assert!((20.0..=80.0).contains(&number(&row.value)), "{row:?}"),
            _ => {}
        }
    }
    // Near its turning points the level stays within its deadband; the inflow has none.
    assert!((1..=6).contains(&levels), "{levels} levels in 5 s");
    let inflows = from_sql.iter().filter(|row| row.path == "demo.inflow").count();
    assert!((3..=6).contains(&inflows), "{inflows} inflows in 5 s");

    let csv = std::fs::read_dir(folder.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .expect("a CSV file");
    let text = std::fs::read_to_string(csv).unwrap();
    let mut from_csv: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines().skip(1) {
        *from_csv.entry(line.split(',').nth(1).unwrap()).or_default() += 1;
    }
    for path in ["demo.level", "demo.inflow", "demo.pump", "demo.free"] {
        let in_sql = from_sql.iter().filter(|row| row.path == path).count();
        assert_eq!(from_csv.get(path).copied().unwrap_or(0), in_sql, "{path} in CSV and SQLite");
    }
}
