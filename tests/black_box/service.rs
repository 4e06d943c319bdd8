//! What a service manager hears of the gateway (systemd's notify protocol).
#![cfg(unix)]

use gwp_tests::{Process, gwp, until};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

const WAIT: Duration = gwp_tests::PATIENCE;

#[test]
fn a_service_manager_hears_that_it_is_ready_alive_reloading_and_stopping() {
    hears(&[]);
}

#[test]
fn it_hears_the_same_of_the_worker_of_a_guard() {
    hears(&["--guard"]);
}

fn hears(more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = "source s : simulator { scan = 100 ms\n  tag a at \"constant 1\" : int\n}\nsink o : csv { path = \"o.csv\" }\nflow f = s -> o\n";
    std::fs::write(folder.join("p.gwp"), program).unwrap();
    let socket = folder.join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(WAIT)).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let count = manager.recv(&mut bytes).expect("a message in time");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut gateway = Process::start(
        Command::new(gwp())
            .current_dir(folder)
            .args(["run", "p.gwp", "--quiet"])
            .args(more)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "400000")
            .stderr(Stdio::null()),
    );
    assert_eq!(heard(), "READY=1");
    assert_eq!([heard(), heard()], ["WATCHDOG=1", "WATCHDOG=1"]);
    let pid = gateway.child.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    let next_of = |wanted: &str| {
        until(wanted, WAIT, || {
            let message = heard();
            assert!(message == wanted || message == "WATCHDOG=1", "{message}");
            message == wanted
        });
    };
    signal("-HUP");
    next_of("RELOADING=1");
    next_of("READY=1");
    signal("-TERM");
    next_of("STOPPING=1");
    assert!(gateway.wait(WAIT).success());
}
