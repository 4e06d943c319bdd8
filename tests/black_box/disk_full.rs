//! A data directory that fills up: stop before it is full, lose nothing, go on with room.

use crate::{ask, number, refused, rows};
use gwp_tests::{Process, gwp, until};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small tmpfs, unmounted at the end.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Tmpfs> {
        std::fs::create_dir_all(at).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=300m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Tmpfs(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn newest(database: &Path) -> i64 {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.query_row("select max(time_ns) from samples", [], |row| row.get(0)).unwrap_or(0)
}

/// What is stored has been delivered, and nothing new is stored.
fn stands_still(folder: &Path) -> bool {
    let out = ask(folder, &["status", "--json", "--data", "small/data"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    status["disk_low"] == true && status["sinks"][0]["waiting"] == 0
}

/// A change of the program needs room, too: the old one runs on.
fn refuse_a_change(folder: &Path) {
    let program = std::fs::read_to_string(folder.join("p.gwp")).unwrap();
    std::fs::write(folder.join("q.gwp"), program.replace("t000 at", "other at")).unwrap();
    let said = refused(&ask(folder, &["apply", "q.gwp", "--data", "small/data"]), 1);
    assert!(said.contains("the data directory is nearly full") && said.contains("runs on"), "{said}");
}

#[test]
fn a_full_disk_stops_nothing_for_good_and_loses_nothing() {
    if !gwp_tests::peers_wanted("a_full_disk_stops_nothing_for_good_and_loses_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tmpfs = Tmpfs::mount(&folder.join("small")).expect("a tmpfs can be mounted (root)");
    let tags: String =
        (0..200).map(|tag| format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : dint\n")).collect();
    std::fs::write(
        folder.join("p.gwp"),
        format!(
            "source s : simulator {{ scan = 20 ms\n{tags}}}\n\
             sink db : sqlite {{ path = \"rows.db\" }}\nflow all = s except s.connected -> db\n"
        ),
    )
    .unwrap();
    std::fs::write(
        folder.join("node.toml"),
        "[node]\ndata = \"small/data\"\n[disk]\nreserve = \"96 MB\"\nballast = \"16 MB\"\n",
    )
    .unwrap();
    let log = folder.join("log");
    let mut running = Process::start(
        Command::new(gwp())
            .current_dir(folder)
            .args(["run", "p.gwp", "--node", "node.toml", "--quiet"])
            .stderr(Stdio::from(std::fs::File::create(&log).unwrap())),
    );
    let database = folder.join("rows.db");
    let wait = gwp_tests::PATIENCE;
    until("rows", wait, || database.exists() && newest(&database) > 0);

    // Something else fills the disk down to less than the reserve.
    let filler = tmpfs.0.join("filler");
    std::fs::write(&filler, vec![0u8; 200 << 20]).unwrap();
    let logged = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
    until("a clear error before the disk is full", wait, || logged("the data directory is nearly full"));
    until("nothing new to arrive", wait, || stands_still(folder));
    let stopped_at = newest(&database);
    assert!(running.child.try_wait().unwrap().is_none(), "it still runs");
    refuse_a_change(folder);

    std::fs::remove_file(&filler).unwrap();
    until("it to go on", wait, || newest(&database) > stopped_at + 1_000_000_000);
    assert!(logged("there is room in the data directory again"));
    assert!(Command::new("kill").arg(running.child.id().to_string()).status().unwrap().success());
    assert!(running.wait(wait).success());

    // Whatever was acknowledged before and after is there, once and in order; only slots
    // that were never taken while the disk was full are absent.
    let found = rows(&database);
    for pair in found.windows(2).filter(|pair| pair[0].path == pair[1].path) {
        assert!(pair[1].time_ns > pair[0].time_ns);
        let slots = (pair[1].time_ns - pair[0].time_ns) / 20_000_000;
        assert_eq!(slots as f64, number(&pair[1].value) - number(&pair[0].value));
    }
    let verify =
        Command::new(gwp()).args(["journal", "verify", "--data"]).arg(tmpfs.0.join("data")).output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}
