//! Broken networks without root: proxies lose, cut, double and delay what the members of a pair say to each other.

#![cfg(target_os = "linux")]

use gwp_tests::peers_wanted;
use std::process::{Command, Stdio};

#[test]
fn a_pair_holds_what_it_promises_on_broken_networks() {
    // It needs nothing but mosquitto, and minutes.
    if !peers_wanted("a_pair_holds_what_it_promises_on_broken_networks") {
        return;
    }
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/campaign-proxies");
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign"));
    command.args(["--proxy", "--jobs", "2", "--slack", "10", "--folder", folder]);
    command.args(["--scenario", "S07,S08,S09,S10,S15,S16"]).stdin(Stdio::null());
    let out = command.output().expect("the campaign runs");
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("6 runs, 0 failed, 0 not run"), "{said}");
}
