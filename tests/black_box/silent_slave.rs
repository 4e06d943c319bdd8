//! One silent slave among ten: the others keep their scan, it comes back by itself.

use crate::{Row, number, rows, try_rows};
use gwp_tests::{Process, gwp, until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

const SILENT: u8 = 7;

/// A Modbus TCP gateway with ten units behind it; register `n` of unit `u` holds `100 u + n`.
/// While `silent` is set, unit 7 does not answer.
fn gateway(silent: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let silent = silent.clone();
            std::thread::spawn(move || answer(stream, &silent));
        }
    });
    port
}

fn answer(mut stream: TcpStream, silent: &AtomicBool) {
    let mut request = [0u8; 12];
    while stream.read_exact(&mut request).is_ok() {
        let unit = request[6];
        if unit == SILENT && silent.load(SeqCst) {
            continue;
        }
        let first = u16::from_be_bytes([request[8], request[9]]);
        let count = u16::from_be_bytes([request[10], request[11]]);
        let mut out = request[..4].to_vec();
        out.extend((count * 2 + 3).to_be_bytes());
        out.extend([unit, request[7], (count * 2) as u8]);
        (first..first + count).for_each(|at| out.extend((u16::from(unit) * 100 + at).to_be_bytes()));
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn of<'r>(rows: &'r [Row], path: &str) -> Vec<&'r Row> {
    rows.iter().filter(|row| row.path == path).collect()
}

fn newest(folder: &Path, path: &str) -> Option<Row> {
    let rows = try_rows(&folder.join("rows.db")).ok()?;
    rows.into_iter().rfind(|row| row.path == path)
}

#[test]
fn one_silent_slave_disturbs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let silent = Arc::new(AtomicBool::new(false));
    let port = gateway(silent.clone());
    std::fs::write(
        folder.join("p.gwp"),
        format!(
            "template Unit() {{\n  tag a at \"hr 1\" : uint\n  tag b at \"hr 2\" : uint\n}}\n\
             source bus : modbus_tcp {{ address = \"127.0.0.1:{port}\", scan = 200 ms, timeout = 300 ms, probe = 1 s }}\n\
             device slave[1..10] : Unit() on bus {{ unit_id = index }}\n\
             sink db : sqlite {{ path = \"rows.db\" }}\nflow all = slave[*] -> db\n"
        ),
    )
    .unwrap();
    let _running = Process::start(
        Command::new(gwp())
            .current_dir(folder)
            .args(["run", "p.gwp", "--quiet"])
            .stderr(Stdio::from(std::fs::File::create(folder.join("log")).unwrap())),
    );
    let wait = gwp_tests::PATIENCE;
    until("ten slaves", wait, || {
        (1..=10)
            .all(|unit| newest(folder, &format!("slave{unit}.a")).is_some_and(|row| row.quality == "good"))
    });

    silent.store(true, SeqCst);
    let since = now_ns();
    until("its tags to turn bad", wait, || {
        newest(folder, "slave7.b").is_some_and(|row| row.quality.starts_with("bad"))
    });
    let turned = newest(folder, "slave7.b").unwrap().time_ns;
    // The slot in which it first did not answer, plus its one timeout.
    assert!(
        turned - since < 1_000_000_000,
        "turned bad {} ms after it fell silent",
        (turned - since) / 1_000_000
    );
    until("two seconds of the others", wait, || {
        newest(folder, "slave1.a").is_some_and(|row| row.time_ns > since + 3_000_000_000)
    });

    silent.store(false, SeqCst);
    let back = now_ns();
    until("it to come back by itself", wait, || {
        newest(folder, "slave7.a").is_some_and(|row| row.quality == "good" && row.time_ns > back)
    });

    let found = rows(&folder.join("rows.db"));
    for unit in (1..=10).filter(|unit| *unit != 7) {
        let all = of(&found, &format!("slave{unit}.a"));
        assert!(
            all.iter()
                .all(|row| row.quality.starts_with("good") == (row.value != rusqlite::types::Value::Null))
        );
        let quiet: Vec<i64> = all
            .iter()
            .map(|row| row.time_ns)
            .filter(|time| *time > since + 1_000_000_000 && *time < back)
            .collect();
        // Demoted, the silent one costs a probe a second at most: each other slave keeps nearly every slot.
        let slots = (quiet.last().unwrap() - quiet[0]) / 200_000_000 + 1;
        assert!(quiet.len() as i64 * 10 >= slots * 7, "slave{unit}: {} of {slots} slots", quiet.len());
        all.iter()
            .filter(|row| row.quality == "good")
            .for_each(|row| assert_eq!(number(&row.value), f64::from(unit * 100 + 1)));
    }
}
