//! kill -9 with windows open, delays of alarms pending and totals standing: what is delivered must be what one run
//! without any interruption would have made of the same log.

use crate::kill::{stamp, terminate};
use crate::run;
use gwp_tests::{gwp, until};
use rusqlite::types::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const KILLS: u64 = 20;

/// 400 tags every 20 ms, 20,000 values/s, and everything that remembers.
fn program() -> String {
    with_memory(390, "scan = 20 ms", "db", "rows.db")
}

/// Everything that remembers, over so many counters, at least 10, and 13 other tags, read as `settings` say.
pub fn with_memory(counters: u32, settings: &str, sink: &str, database: &str) -> String {
    let tags: String = (0..counters)
        .map(|tag| format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : dint\n"))
        .collect();
    let calcs: String = (0..10)
        .map(|n| {
            format!(
                "  tag x{n} at \"random 0..{}\" : real\n  calc sum{n} = integral(x{n})\n  \
                 calc gone{n} = delta(t{n:03})\n  calc mean{n} : real = moving_avg(x{n}, 3 s)\n",
                n + 1
            )
        })
        .collect();
    let window = "mean = avg(x1), low = min(x2), high = max(x3), n = count(x4), area = integral(x5), \
                  gain = increase(served), p = percentile(x6, 90)";
    format!(
        "source s : simulator {{ {settings}\n{tags}{calcs}\
         \x20 tag served at \"counter 0..1000000 step 3\" : dint counter\n\
         \x20 tag runs at \"square 0..1 every 3 s\" : bool\n\
         \x20 tag level at \"sine 0..10 every 7 s\" : real\n\
         \x20 calc starts = count_up(runs, false)\n\
         \x20 calc late = on_delay(runs, 1 s)\n\
         \x20 alarm high when level > 4 for 2 s {{ clear = level < 3, clear_for = 500 ms }}\n\
         \x20 alarm running when runs for 1 s {{ message = \"{{level}} after {{starts}}\" }}\n}}\n\
         sink {sink} : sqlite {{ path = \"{database}\", synchronous = normal }}\n\
         flow raw = s -> {sink}\nflow events = s.alarms -> {sink}\n\
         flow seconds = s -> every 1 s {{ {window} }} -> {sink}\n\
         flow sliding = s -> every 1 s over 5 s {{ {window} }} -> {sink}\n\
         flow batches = s -> while runs {{ {window} }} -> {sink}\n"
    )
}

/// What tells a sample apart, and what it is: (path, time, repeat) and (value, quality).
pub type Samples = BTreeMap<(String, String, u32), (String, String)>;

/// What `gwp journal recompute` makes of the log, with these arguments.
pub fn recomputed(folder: &Path, args: &[&str]) -> Samples {
    let mut command = Command::new(gwp());
    let out = command.current_dir(folder).args(["journal", "recompute"]).args(args).output().unwrap();
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && complaints.is_empty(), "{complaints}");
    let mut samples = Samples::new();
    // No field has a comma or a quote.
    for line in String::from_utf8(out.stdout).unwrap().lines().skip(1) {
        let [time, path, value, quality, _unit, repeat, _flow] =
            line.split(',').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{line}"));
        let key = (path.to_owned(), time.to_owned(), repeat.parse().unwrap());
        let twice = samples.insert(key, (value.to_owned(), quality.to_owned()));
        assert_eq!(twice, None, "{line}");
    }
    samples
}

/// What the database holds, written as in a CSV file; `like` tells how a number is meant.
pub fn delivered(database: &Path, like: &Samples) -> Samples {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut query = connection.prepare("select path, time, repeat, value, quality from samples").unwrap();
    let mut rows = query.query([]).unwrap();
    let mut samples = Samples::new();
    while let Some(row) = rows.next().unwrap() {
        let key = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        let text = match row.get(3).unwrap() {
            Value::Null => String::new(),
            Value::Real(value) => format!("{value:?}"),
            Value::Text(text) => text,
            Value::Integer(value) => match like.get(&key).map(|(value, _)| value.as_str()) {
                Some("true") if value == 1 => "true".to_owned(),
                Some("false") if value == 0 => "false".to_owned(),
                // The start and the end of a window.
                Some(time) if time.ends_with('Z') => stamp(value),
                _ => value.to_string(),
            },
            Value::Blob(_) => "blob".to_owned(),
        };
        samples.insert(key, (text, row.get(4).unwrap()));
    }
    samples
}

/// What differs, at most a few of each kind.
pub fn faults(delivered: &Samples, recomputed: &Samples) -> Vec<String> {
    let missing = recomputed.iter().filter(|(key, _)| !delivered.contains_key(key));
    let missing = missing.map(|(key, value)| format!("not delivered: {key:?} {value:?}")).take(5);
    let more = delivered.iter().filter(|(key, _)| !recomputed.contains_key(key));
    let more = more.map(|(key, value)| format!("only delivered: {key:?} {value:?}")).take(5);
    let other = delivered.iter().filter_map(|(key, value)| {
        let wanted = recomputed.get(key).filter(|wanted| *wanted != value)?;
        Some(format!("{key:?}: {value:?} instead of {wanted:?}"))
    });
    missing.chain(more).chain(other.take(5)).collect()
}

/// The newest time in the database, of one tag if it is given.
fn newest(folder: &Path, path: Option<&str>) -> i64 {
    newest_in(&folder.join("rows.db"), path)
}

/// The newest time in a database, of one tag if it is given.
pub fn newest_in(database: &Path, path: Option<&str>) -> i64 {
    let newest = |connection: rusqlite::Connection| match path {
        None => connection.query_row("select max(time_ns) from samples_data", [], |row| row.get(0)),
        Some(path) => {
            connection.query_row("select max(time_ns) from samples where path = ?1", [path], |row| row.get(0))
        }
    };
    rusqlite::Connection::open(database).and_then(newest).unwrap_or(0)
}

#[test]
fn twenty_kills_change_no_total_no_delay_and_no_window() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.gwp"), program()).unwrap();
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for _ in 0..KILLS {
        let before = newest(folder, None);
        let mut running = run(folder, &[]);
        until("rows", gwp_tests::PATIENCE, || newest(folder, None) > before);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(random % 1_200));
        running.kill();
    }
    // On until a run has begun and ended behind the last kill: with it the windows and delays that were open then.
    let before = newest(folder, None);
    let mut last = run(folder, &[]);
    until("the last windows", gwp_tests::PATIENCE, || newest(folder, Some("s.batches.area")) > before);
    terminate(&mut last);

    let wanted = recomputed(folder, &["db"]);
    let found = delivered(&folder.join("rows.db"), &wanted);
    assert_eq!(faults(&found, &wanted), Vec::<String>::new());
    let of = |path: &str| found.keys().filter(|(of, ..)| of.starts_with(path)).count();
    assert!(of("s.t000") > 500, "{} samples of a tag", of("s.t000"));
    for path in ["s.sum1", "s.alarms.event", "s.seconds.mean", "s.sliding.gain", "s.batches.area"] {
        assert!(of(path) > 0, "nothing of {path}");
    }

    // Negative controls: a total that begins anew at a restart, a row that is missing, one that is doubled.
    let (key, value) = found.iter().rfind(|((path, ..), _)| path == "s.starts").unwrap();
    let mut changed = found.clone();
    changed.insert(key.clone(), ("0".to_owned(), value.1.clone()));
    assert_eq!(faults(&changed, &wanted).len(), 1);
    let row = found.keys().find(|(path, ..)| path.starts_with("s.batches")).unwrap();
    let mut less = found.clone();
    less.remove(row);
    assert_eq!(faults(&less, &wanted).len(), 1);
    let mut more = found.clone();
    more.insert((row.0.clone(), row.1.clone(), row.2 + 1), value.clone());
    assert_eq!(faults(&more, &wanted).len(), 1);
}

#[test]
fn a_sink_that_has_moved_is_computed_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = |sink: &str, more: &str| {
        let text = format!(
            "source s : simulator {{ scan = 50 ms\n  tag x at \"constant 1\" : real\n  calc sum = integral(x)\n}}\n\
             sink {sink} : sqlite {{ path = \"rows.db\" }}\nflow all = s -> {sink}\n{more}"
        );
        std::fs::write(folder.join("p.gwp"), text).unwrap();
    };
    for (sink, more) in [("before", ""), ("db", "moved before -> db\n")] {
        program(sink, more);
        let seen = newest(folder, Some("s.sum"));
        let mut running = run(folder, &[]);
        until("rows", gwp_tests::PATIENCE, || newest(folder, Some("s.sum")) > seen);
        terminate(&mut running);
    }
    let wanted = recomputed(folder, &["db"]);
    let found = delivered(&folder.join("rows.db"), &wanted);
    assert!(found.len() > 2);
    assert_eq!(faults(&found, &wanted), Vec::<String>::new());
}
