//! kill -9 at random moments: nothing that was journaled is missing, nothing is doubled.

use crate::{Row, number, rows, run};
use gwp_tests::{Process, gwp, until};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const KILLS: u64 = 20;

/// 500 tags every 10 ms: 50,000 values/s.
fn program() -> String {
    let tags: String =
        (0..500).map(|tag| format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : dint\n")).collect();
    format!(
        "source s : simulator {{ scan = 10 ms\n{tags}}}\n\
         sink db : sqlite {{ path = \"rows.db\" }}\nflow all = s except s.connected -> db\n"
    )
}

/// What waits in the journal of `db`: (path, time).
fn journaled(folder: &Path) -> Vec<(String, String)> {
    let output = Command::new(gwp()).current_dir(folder).args(["journal", "export", "db"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    fields.map(|mut fields| (fields.swap_remove(1), fields.swap_remove(0))).collect()
}

/// RFC 3339 of a row's time, as the export writes it.
pub(crate) fn stamp(time_ns: i64) -> String {
    let (days, rest) = (time_ns.div_euclid(86_400_000_000_000), time_ns.rem_euclid(86_400_000_000_000));
    // Civil date of a day number, by counting years and months: slow and plain on purpose.
    let (mut year, mut left) = (1970i64, days);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let second = rest / 1_000_000_000;
    format!(
        "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        month + 1,
        left + 1,
        second / 3600,
        second / 60 % 60,
        second % 60,
        rest % 1_000_000_000 / 1_000_000
    )
}

/// What is wrong with the destination, given what was seen in the journals after each kill.
fn faults(rows: &[Row], journaled: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut by_tag: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| by_tag.entry(&row.path).or_default().push(row));
    for (path, rows) in &by_tag {
        for pair in rows.windows(2) {
            if pair[1].time_ns <= pair[0].time_ns {
                faults.push(format!("{path}: doubled or out of order at {}", pair[1].time_ns));
            }
            let slots = (pair[1].time_ns - pair[0].time_ns) / 10_000_000;
            let counted = number(&pair[1].value) - number(&pair[0].value);
            if slots as f64 != counted {
                faults.push(format!("{path}: {counted} counts in {slots} slots"));
            }
        }
    }
    let there: BTreeSet<(String, String)> =
        rows.iter().map(|row| (row.path.clone(), stamp(row.time_ns))).collect();
    let missing = journaled.difference(&there).count();
    if missing > 0 {
        faults.push(format!("{missing} journaled samples are missing"));
    }
    faults
}

#[test]
fn twenty_kills_under_50_000_values_a_second_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.gwp"), program()).unwrap();
    let mut seen = BTreeSet::new();
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut control = None;
    for kill in 0..KILLS {
        let mut running = run(folder, &[]);
        let database = folder.join("rows.db");
        let before = size(&database);
        until("rows", gwp_tests::PATIENCE, || size(&database) > before);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(random % 700));
        running.kill();
        if kill == KILLS / 2 {
            control = Some(tempfile::tempdir().unwrap());
            copy(&folder.join("data"), &control.as_ref().unwrap().path().join("data"));
        }
        seen.extend(journaled(folder));
    }
    assert!(!seen.is_empty(), "no kill ever met a journal with something in it");
    let began = now_ns();
    let mut last = run(folder, &[]);
    until("rows of the last run", gwp_tests::PATIENCE, || {
        rows_newest(&folder.join("rows.db")) > began + 1_000_000_000
    });
    terminate(&mut last);
    let found = rows(&folder.join("rows.db"));
    assert_eq!(faults(&found, &seen), Vec::<String>::new());
    assert!(found.len() > 100_000, "{} rows", found.len());

    // Negative control: with the second half's commits taken out (the store as it was half
    // way), the same check must find samples missing.
    let control = control.expect("kept half way");
    let mut half: Vec<Row> = found.clone();
    let newest = newest_in(control.path());
    half.retain(|row| stamp(row.time_ns) <= newest);
    assert!(!faults(&half, &seen).is_empty(), "the check finds nothing when commits are taken out");
}

/// The newest journaled time in a copied data directory.
fn newest_in(folder: &Path) -> String {
    journaled(folder).into_iter().map(|(_, time)| time).max().unwrap_or_default()
}

fn now_ns() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn rows_newest(database: &Path) -> i64 {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.query_row("select max(time_ns) from samples", [], |row| row.get(0)).unwrap_or(0)
}

fn size(database: &Path) -> i64 {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.query_row("select count(*) from samples", [], |row| row.get(0)).unwrap_or(0)
}

/// Stops it as a service manager does; it must end in order.
pub fn terminate(process: &mut Process) {
    let status = Command::new("kill").arg(process.child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert!(process.wait(gwp_tests::PATIENCE).success());
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
