//! What runs with a guard: a worker that dies is started again, and in a pair its peer need not wait for its lease.

use crate::pair_plant::{BACKUP, PRIMARY, Plant, tell};
use gwp_tests::{PATIENCE, Process, gwp, until};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_worker_that_is_killed_gives_its_votes_back_and_comes_again_as_standby() {
    let plant = Plant::new("default").started(&["--guard"]);
    let mut active = plant.wait_until_redundant();
    for _ in 0..2 {
        let (old, new, epoch, worker) = (active, 1 - active, plant.epoch(active), plant.worker(active));
        plant.wait_for_rows();
        tell(&worker, "-KILL");
        let took = plant.wait_for_commit(epoch);
        eprintln!("from kill -9 of the worker to the first delivery of its peer: {} ms", took.as_millis());
        plant.wait_for_takeover(new, epoch);
        active = plant.wait_until_redundant();
        assert_eq!(active, new, "who comes back does not take over");
        assert_ne!(plant.worker(old), worker);
        assert!(plant.log(old).contains("the worker has died"), "{}", plant.log(old));
        plant.wait_for_rows();
    }
    for node in [PRIMARY, BACKUP] {
        assert_eq!(plant.log(node).matches("the worker runs").count(), 2, "each was killed once");
    }
    // Told to end, the guards end with their workers, in order.
    plant.finish(active);
}

/// A guard of the program `p.gwp` of a folder.
fn guarded(folder: &Path) -> Process {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(gwp());
    Process::start(
        command.current_dir(folder).args(["run", "p.gwp", "-q", "--guard"]).stderr(Stdio::from(log)),
    )
}

#[test]
fn a_gateway_alone_is_started_again_until_it_is_told_to_end_or_its_files_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = "source s : simulator { scan = 100 ms\n  tag a at \"constant 1\" : int\n}\nsink o : csv { path = \"o.csv\" }\nflow f = s -> o\n";
    std::fs::write(folder.join("p.gwp"), program).unwrap();
    let log = || std::fs::read_to_string(folder.join("log")).unwrap();
    let mut guard = guarded(folder);
    let workers = || log().matches("INFO running").count();
    until("a worker", PATIENCE, || workers() == 1);
    let text = log();
    let worker = text.split_once("worker=").unwrap().1.lines().next().unwrap();
    tell(worker, "-KILL");
    until("another worker", PATIENCE, || workers() == 2);
    std::fs::write(folder.join("p.gwp"), program.replace("constant 1", "constant 2")).unwrap();
    tell(&guard.child.id().to_string(), "-HUP");
    until("the files to be taken again", PATIENCE, || log().contains("the change is in force"));
    tell(&guard.child.id().to_string(), "-INT");
    assert!(guard.wait(PATIENCE).success());
    assert!(log().contains("interrupted"), "{}", log());

    std::fs::write(folder.join("p.gwp"), "flow f = nothing -> nowhere\n").unwrap();
    let mut guard = guarded(folder);
    assert_eq!(guard.wait(PATIENCE).code(), Some(1), "{}", log());
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_ends_in_order_when_its_guard_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = "source s : simulator { scan = 100 ms\n  tag a at \"constant 1\" : int\n}\nsink o : csv { path = \"o.csv\" }\nflow f = s -> o\n";
    std::fs::write(folder.join("p.gwp"), program).unwrap();
    let log = || std::fs::read_to_string(folder.join("log")).unwrap();
    let mut guard = guarded(folder);
    until("a worker", PATIENCE, || log().contains("INFO running"));
    let text = log();
    let worker = text.split_once("worker=").unwrap().1.lines().next().unwrap();
    guard.kill();
    until("its end", PATIENCE, || {
        std::fs::read(format!("/proc/{worker}/cmdline")).is_ok_and(|name| name.is_empty())
            || !Path::new(&format!("/proc/{worker}")).exists()
    });
    assert!(log().contains("terminated"), "{}", log());
    // Its data directory is free for the next one.
    let mut next = guarded(folder);
    until("the next one", PATIENCE, || log().matches("INFO running").count() == 2);
    tell(&next.child.id().to_string(), "-TERM");
    assert!(next.wait(PATIENCE).success());
}
