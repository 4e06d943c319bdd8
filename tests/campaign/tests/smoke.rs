//! Every landing makes twenty runs with faults, and a few in which something is broken on purpose.

#![cfg(target_os = "linux")]

use gwp_tests::peers_wanted;
use std::process::{Command, Stdio};

/// Runs the campaign with debug builds beside other work, so bounds of time are wide.
fn campaign(args: &[&str]) {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/campaign");
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign"));
    command.args(["--slack", "10", "--folder", folder]).args(args).stdin(Stdio::null());
    let out = command.output().expect("the campaign runs");
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    // As root with all that .ci/run installs nothing may be left out.
    assert!(said.contains(" 0 not run"), "{said}");
}

fn wanted(test: &str) -> bool {
    if !peers_wanted(test) {
        return false;
    }
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED {test}: namespaces and mounts need root");
    }
    is_root
}

#[test]
fn twenty_runs_with_faults_hold() {
    if wanted("twenty_runs_with_faults_hold") {
        campaign(&["--smoke", "--jobs", "4"]);
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    if wanted("what_is_broken_on_purpose_is_found") {
        campaign(&["--controls", "--jobs", "2"]);
    }
}
