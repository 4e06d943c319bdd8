//! The program changes while it runs: what is not touched goes on as if nothing had been, and nothing is lost.

use crate::kill::terminate;
use crate::programs;
use crate::{ask, number, run, try_rows};
use gwp_tests::modbus::Device;
use gwp_tests::{Process, gwp, until};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const WAIT: Duration = gwp_tests::PATIENCE;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn apply(folder: &Path, program: &str, more: &[&str]) -> Output {
    std::fs::write(folder.join("p.gwp"), program).unwrap();
    ask(folder, &[&["apply", "p.gwp"], more].concat())
}

fn status(folder: &Path) -> serde_json::Value {
    let out = ask(folder, &["status", "--json"]);
    serde_json::from_slice(&out.stdout).unwrap_or_default()
}

fn running_plan(folder: &Path) -> Option<String> {
    status(folder)["plan"].as_str().map(str::to_owned)
}

fn logged(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// What no edit touches: 20,000 values/s and a counting device, as samples and as windows, in a destination that takes
/// each sample once.
fn untouched(device: &Device) -> String {
    let tags: String = (0..1_000)
        .map(|tag| format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : dint\n"))
        .collect();
    format!(
        "source load : simulator {{ scan = 50 ms\n{tags}}}\n\
         source plc : modbus_tcp {{ address = \"{}\", scan = 100 ms\n  tag served at \"hr 0\" : udint\n}}\n\
         sink witness : sqlite {{ path = \"witness.db\" }}\n\
         flow raw = load except load.connected -> witness\n\
         flow device = plc except plc.connected -> witness\n\
         flow sums = load -> every 1 s in \"UTC\" {{ n = count(t000), s = sum(t000) }} -> witness\n",
        device.address
    )
}

/// Slots of a tag and their values, in order of time.
type Series = BTreeMap<String, Vec<(i64, f64)>>;

fn series(database: &Path) -> Series {
    let mut all = Series::new();
    for row in try_rows(database).unwrap() {
        if row.quality.starts_with("good") && !matches!(row.value, rusqlite::types::Value::Text(_)) {
            all.entry(row.path).or_default().push((row.time_ns, number(&row.value)));
        }
    }
    all
}

/// Every count of a counter that counts its slots, or says how many of them were skipped.
fn assert_counts(path: &str, samples: &[(i64, f64)], slot_ns: i64) {
    for pair in samples.windows(2) {
        let slots = (pair[1].0 - pair[0].0) / slot_ns;
        assert!(slots >= 1, "{path}: doubled or out of order at {}", pair[1].0);
        assert_eq!(slots as f64, pair[1].1 - pair[0].1, "{path}: at {}", pair[1].0);
    }
}

/// The windows that are whole hold what the raw samples say.
fn assert_windows(all: &Series) -> usize {
    let raw = &all["load.t000"];
    let (first, last) = (raw[0].0, raw[raw.len() - 1].0);
    let column = |name: &str| {
        let found = all.iter().find(|(path, _)| path.starts_with("load.sums") && path.ends_with(name));
        found.map(|(_, rows)| rows).unwrap_or_else(|| panic!("no {name} in {:?}", all.keys().last()))
    };
    let (counts, sums) = (column(".n"), column(".s"));
    assert_eq!(counts.len(), sums.len());
    let mut whole = 0;
    for ((start, count), (_, sum)) in counts.iter().zip(sums) {
        let end = start + 1_000_000_000;
        if *start <= first || end >= last {
            continue;
        }
        let within: Vec<f64> =
            raw.iter().filter(|(time, _)| (*start..end).contains(time)).map(|(_, value)| *value).collect();
        assert_eq!((*count, *sum), (within.len() as f64, within.iter().sum()), "window at {start}");
        whole += 1;
    }
    whole
}

/// Applies random edits to a running program; the destination `witness.db` refuses a third of the time. Gives how many
/// kinds of edits there were.
fn edit_at_random(
    folder: &Path,
    edits: usize,
    fixed: &str,
    mut program: programs::Program,
    seed: u64,
) -> usize {
    let witness = folder.join("witness.db");
    let mut outage = None;
    let mut kinds = std::collections::BTreeSet::new();
    for edit in 0..edits {
        if edit == edits / 3 {
            let connection = Connection::open(&witness).unwrap();
            connection.busy_timeout(Duration::from_secs(10)).unwrap();
            connection.execute_batch("begin exclusive").unwrap();
            outage = Some(connection);
        }
        if edit == edits * 2 / 3 {
            outage = None;
        }
        let kind;
        (program, kind) = programs::edit(&program, seed + edit as u64);
        kinds.insert(kind);
        let text_of = format!("{}{fixed}", program.text());
        let out = apply(folder, &text_of, &["--message", &format!("{kind:?}")]);
        let said = text(&out.stderr);
        assert!(out.status.success(), "edit {edit} ({kind:?}):\n{said}\n{text_of}\n{}", logged(folder));
    }
    drop(outage);
    kinds.len()
}

#[test]
fn two_hundred_random_edits_touch_only_what_they_say() {
    // Without installed peers a part of them, so that the test suite of every day stays short.
    let edits = if gwp_tests::peers_wanted("200 random edits (40 are made)") { 200 } else { 40 };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let device = Device::start();
    let fixed = untouched(&device);
    let seed = 11;
    let program = programs::program(seed);
    std::fs::write(folder.join("p.gwp"), format!("{}{fixed}", program.text())).unwrap();
    let mut gateway = run(folder, &[]);
    let witness = folder.join("witness.db");
    until("samples", WAIT, || try_rows(&witness).is_ok_and(|rows| !rows.is_empty()));
    let kinds = edit_at_random(folder, edits, &fixed, program, seed);
    assert!(kinds > 20, "{kinds} kinds of edits");
    let waits = |name: &str| {
        let status = status(folder);
        let sinks = status["sinks"].as_array().cloned().unwrap_or_default();
        sinks.iter().find(|sink| sink["name"] == name).and_then(|sink| sink["waiting"].as_u64())
    };
    until("the backlog to be delivered", WAIT, || waits("witness").is_some_and(|waits| waits < 20_000));
    let at_end = status(folder);
    for sink in at_end["sinks"].as_array().unwrap() {
        assert_eq!(sink["dropped"], 0, "{sink}");
    }
    for source in at_end["sources"].as_array().unwrap() {
        assert_eq!(source["restarts"], 0, "{source}");
    }
    let history: serde_json::Value =
        serde_json::from_slice(&ask(folder, &["history", "--json"]).stdout).unwrap();
    // The newest hundred are listed.
    assert!(history["configurations"].as_array().unwrap().len() >= (edits / 2).min(100));
    terminate(&mut gateway);

    assert_eq!(device.connections(), 1, "the connection of an untouched source is kept");
    let all = series(&witness);
    assert_eq!(all.keys().filter(|path| path.starts_with("load.t")).count(), 1_000);
    for (path, samples) in all.iter().filter(|(path, _)| path.starts_with("load.t")) {
        assert_counts(path, samples, 50_000_000);
    }
    // What the device served has arrived, but for what was on its way at the end.
    let served: Vec<f64> = all["plc.served"].iter().map(|(_, number)| *number).collect();
    let expected: Vec<f64> = (0..served.len()).map(|index| served[0] + index as f64).collect();
    assert_eq!(served, expected);
    assert!(device.requests() as f64 - served[served.len() - 1] < 5.0);
    let windows = assert_windows(&all);
    assert!(windows > 5, "{windows} windows");
    let verify = ask(folder, &["journal", "verify"]);
    assert!(verify.status.success(), "{}", text(&verify.stdout));
}

/// The untouched part with a part that has a number.
fn numbered(device: &Device, number: u64) -> String {
    let sink = format!("sink extra : csv {{ path = \"extra{number}.csv\" }}\nflow more = plc -> extra\n");
    let tags: String =
        (0..number % 3).map(|tag| format!("  tag x{tag} at \"hr {}\" : int\n", tag + 2)).collect();
    untouched(device).replace("  tag served", &format!("{tags}  tag served")) + &sink
}

/// What is wrong in ways that only this machine can tell: nothing changes.
fn refuse(folder: &Path, device: &Device) {
    let first = running_plan(folder).unwrap();
    let program = |number| numbered(device, number);
    // A driver that refuses, a secret that is missing, a folder that is a file: nothing changes.
    let refused = [
        program(1).replace("hr 0", "hr 99999999"),
        program(1).replace("witness.db\" }", "witness.db\" }\nsink m : mqtt { broker = \"mqtt://127.0.0.1:1\", password = secret(\"none\") }\nflow z = plc -> m\n"),
        program(1).replace("extra1.csv", "p.gwp/extra.csv"),
    ];
    for wrong in refused {
        let out = apply(folder, &wrong, &[]);
        assert!(!out.status.success() && !out.stderr.is_empty(), "{}", text(&out.stdout));
        assert_eq!(running_plan(folder).as_ref(), Some(&first), "{}", text(&out.stderr));
    }
    // A destination that is away is no reason: its journal keeps what comes.
    let away = program(0) + "sink away : mqtt { broker = \"mqtt://127.0.0.1:1\" }\nflow a = plc -> away\n";
    let out = apply(folder, &away, &[]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("its journal keeps everything"), "{}", text(&out.stderr));
}

#[test]
fn a_change_that_is_refused_or_killed_leaves_the_old_plan_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let device = Device::start();
    let program = |number| numbered(&device, number);
    std::fs::write(folder.join("p.gwp"), program(0)).unwrap();
    let mut gateway = run(folder, &[]);
    until("the gateway", WAIT, || running_plan(folder).is_some());
    refuse(folder, &device);

    let (mut old_runs, mut new_runs) = (0, 0);
    let began = Instant::now();
    assert!(apply(folder, &program(98), &[]).status.success());
    let took = began.elapsed();
    for round in 1..=12 {
        let before = running_plan(folder).unwrap();
        std::fs::write(folder.join("p.gwp"), program(round)).unwrap();
        let check = ask(folder, &["check", "p.gwp"]);
        let wanted = text(&check.stdout).rsplit("plan ").next().unwrap().trim().to_owned();
        let mut apply = Process::start(
            Command::new(gwp()).current_dir(folder).args(["apply", "p.gwp"]).stderr(Stdio::null()),
        );
        // From the first moment of a change to its last, as long as one takes here.
        std::thread::sleep(took * (round as u32 - 1) / 12);
        gateway.kill();
        let _ = apply.wait(WAIT);
        // Without files: what was in force last.
        let log = std::fs::File::options().append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(gwp());
        command.current_dir(folder).args(["run", "--quiet"]).stderr(Stdio::from(log));
        gateway = Process::start(&mut command);
        until("the gateway", WAIT, || running_plan(folder).is_some());
        let runs = running_plan(folder).unwrap();
        assert!(runs == before || runs == wanted, "neither the old nor the new plan: {runs}");
        old_runs += usize::from(runs == before);
        new_runs += usize::from(runs == wanted);
        let sinks = status(folder)["sinks"].as_array().unwrap().len();
        assert!(sinks >= 2, "{sinks}");
    }
    assert!(old_runs > 0, "old {old_runs}, new {new_runs}");
    let last = program(99);
    assert!(apply(folder, &last, &[]).status.success());
    terminate(&mut gateway);
    let verify = ask(folder, &["journal", "verify"]);
    assert!(verify.status.success(), "{}", text(&verify.stdout));
    let all = series(&folder.join("witness.db"));
    for (path, samples) in all.iter().filter(|(path, _)| path.starts_with("load.t")) {
        let doubled = samples.windows(2).find(|pair| pair[1].0 <= pair[0].0);
        assert!(doubled.is_none(), "{path}: {doubled:?}");
    }
}

#[test]
fn a_million_samples_go_to_another_place_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tags: String = (0..1_000)
        .map(|tag| format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : dint\n"))
        .collect();
    let program = |sink: &str| {
        format!(
            "source load : simulator {{ scan = 20 ms\n{tags}}}\nsink out : {sink}\nflow raw = load except load.connected -> out\n"
        )
    };
    let waiting = || status(folder)["sinks"][0]["waiting"].as_u64().unwrap_or(0);
    std::fs::write(folder.join("p.gwp"), program("mqtt { broker = \"mqtt://127.0.0.1:1\" }")).unwrap();
    let mut gateway = run(folder, &[]);
    until("a million samples that wait", WAIT, || waiting() > 1_000_000);
    // Another topic, still nobody there; then another driver.
    let topic = program("mqtt { broker = \"mqtt://127.0.0.1:1\", topic = \"other/{path}\" }");
    assert!(apply(folder, &topic, &[]).status.success());
    let waited = waiting();
    assert!(waited > 1_000_000, "{waited}");
    let out = apply(folder, &program("sqlite { path = \"rows.db\" }"), &[]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    until("all of it", WAIT, || waiting() < 200_000);
    assert_eq!(status(folder)["sinks"][0]["dropped"], 0);
    terminate(&mut gateway);
    let all = series(&folder.join("rows.db"));
    let count: usize = all.values().map(Vec::len).sum();
    assert!(count as u64 >= waited, "{count} of {waited}");
    assert_eq!(all.len(), 1_000);
    for (path, samples) in &all {
        assert_counts(path, samples, 20_000_000);
    }
}

#[test]
fn saved_files_signals_and_probation_change_the_program_and_bring_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = |limit: u32| {
        format!(
            "source s : simulator {{ scan = 100 ms\n  tag a at \"ramp 0..10 every 10 s\" : real\n}}\n\
             sink o : csv {{ path = \"o.csv\" }}\nflow f = s -> where s.a > {limit} -> o\n"
        )
    };
    std::fs::write(folder.join("p.gwp"), program(1)).unwrap();
    let mut gateway = run(folder, &["--watch"]);
    until("the gateway", WAIT, || running_plan(folder).is_some());
    let first = running_plan(folder).unwrap();
    std::fs::write(folder.join("p.gwp"), program(2)).unwrap();
    until("a saved file to be in force", WAIT, || running_plan(folder).is_some_and(|plan| plan != first));
    let second = running_plan(folder).unwrap();
    std::fs::write(folder.join("p.gwp"), program(3).replace("-> o", "-> nowhere")).unwrap();
    let notice = || status(folder)["notice"].as_str().unwrap_or_default().to_owned();
    until("the errors of a broken file", WAIT, || notice().contains("nowhere"));
    assert_eq!(running_plan(folder).as_ref(), Some(&second));
    std::fs::write(folder.join("p.gwp"), program(2)).unwrap();
    until("a mended file", WAIT, || notice().is_empty());

    // Not confirmed: the one before comes back. Confirmed: it stays.
    let other = folder.join("q.gwp");
    std::fs::write(&other, program(4)).unwrap();
    let out = ask(folder, &["apply", "q.gwp", "--confirm-within", "10s"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let fourth = running_plan(folder).unwrap();
    assert_ne!(fourth, second);
    let refused = ask(folder, &["apply", "p.gwp"]);
    assert!(text(&refused.stderr).contains("confirm"), "{}", text(&refused.stderr));
    until("the plan before", WAIT, || running_plan(folder).as_ref() == Some(&second));
    assert!(ask(folder, &["apply", "q.gwp", "--confirm-within", "60s"]).status.success());
    assert!(ask(folder, &["confirm"]).status.success());
    assert!(!ask(folder, &["confirm"]).status.success());
    assert_eq!(running_plan(folder).as_ref(), Some(&fourth));

    // By the history, and by what would change.
    let history: serde_json::Value =
        serde_json::from_slice(&ask(folder, &["history", "--json"]).stdout).unwrap();
    let oldest =
        history["configurations"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    let against = ask(folder, &["plan", "p.gwp", "--against", "data"]);
    assert_eq!(against.status.code(), Some(3), "{}", text(&against.stderr));
    assert!(text(&against.stdout).contains("flow/f"), "{}", text(&against.stdout));
    let same = ask(folder, &["plan", "q.gwp", "--against", "data"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    assert!(ask(folder, &["rollback", &oldest[..8]]).status.success());
    assert_eq!(running_plan(folder).as_ref(), Some(&first));
    terminate(&mut gateway);

    // What was in force last runs again, whatever the unchanged file says; a changed file counts.
    let mut gateway = run(folder, &[]);
    until("the gateway", WAIT, || running_plan(folder).is_some());
    assert_eq!(running_plan(folder).as_ref(), Some(&first));
    assert!(logged(folder).contains("is newer than the files"));
    std::fs::write(folder.join("p.gwp"), program(5)).unwrap();
    let hangup = Command::new("kill").args(["-HUP", &gateway.child.id().to_string()]).status();
    assert!(hangup.unwrap().success());
    until("SIGHUP to be obeyed", WAIT, || running_plan(folder).is_some_and(|plan| plan != first));
    terminate(&mut gateway);
}
