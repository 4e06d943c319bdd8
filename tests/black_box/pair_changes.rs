//! The program of a pair changes while it runs: both nodes have the same one, whoever dies when.

use crate::pair_hot::faults_of_order;
use crate::pair_plant::{BACKUP, PRIMARY, PROGRAM, Plant};
use crate::{refused, said};
use gwp_tests::{PATIENCE, until};
use serde_json::Value;
use std::time::Instant;

const BOTH: [usize; 2] = [PRIMARY, BACKUP];

/// The program with so many devices.
fn program(devices: u32) -> String {
    PROGRAM.replace("m[1..3]", &format!("m[1..{devices}]"))
}

impl Plant {
    /// The plan a node runs, or would.
    pub fn plan(&self, node: usize) -> String {
        self.status(node)["plan"].as_str().unwrap_or_default().to_owned()
    }

    /// The plan that a program makes.
    fn plan_of(&self, file: &str) -> String {
        said(&self.ask(&["check", file])).rsplit("plan ").next().expect("a plan").trim().to_owned()
    }

    /// Applies a program at a node; gives the plan of it.
    pub fn apply(&self, node: usize, program: &str, more: &[&str]) -> String {
        self.write("new.gwp", program);
        said(&self.ask_node(node, &[&["apply", "new.gwp"], more].concat()));
        self.plan_of("new.gwp")
    }

    /// The same, and it is refused; gives why.
    fn apply_refused(&self, node: usize, program: &str, more: &[&str], code: i32) -> String {
        self.write("new.gwp", program);
        refused(&self.ask_node(node, &[&["apply", "new.gwp"], more].concat()), code)
    }

    fn history(&self, node: usize) -> Value {
        let out = self.ask_node(node, &["history", "--json"]);
        serde_json::from_str(&said(&out)).expect("JSON")
    }

    /// Values of a tag arrive that are newer than what is there.
    fn wait_for_tag(&self, path: &str) {
        let count = || self.delivered().keys().filter(|(known, ..)| known == path).count();
        let before = count();
        until(&format!("values of {path}"), PATIENCE, || count() > before);
    }
}

#[test]
fn a_change_is_in_force_at_both_and_outlives_its_active() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let first = plant.plan(active);
    let told = plant.apply_refused(1 - active, &program(4), &[], 2);
    assert!(told.contains("not active") && told.contains(["primary", "backup"][active]), "{told}");

    let four = plant.apply(active, &program(4), &["--message", "a fourth"]);
    assert_ne!(four, first);
    plant.wait_for_tag("m4.x");
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(BOTH.map(|node| plant.plan(node)), [four.clone(), four.clone()]);
    assert_eq!(plant.history(1 - active)["current"], plant.history(active)["current"]);
    let epoch = plant.epoch(active);
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    // Its own file says another.
    let active = 1 - active;
    plant.wait_for_tag("m4.x");
    assert_eq!(plant.plan(active), four);
    let history = plant.history(active);
    assert_eq!(history["configurations"][0]["message"], "a fourth", "{history}");
    assert_eq!(history["configurations"].as_array().unwrap().len(), 2, "{history}");
    plant.start(1 - active);
    assert_eq!(plant.wait_until_redundant(), active);

    // Back, by the history that came with the copy.
    let oldest = history["configurations"][1]["id"].as_str().unwrap().to_owned();
    said(&plant.ask_node(active, &["rollback", &oldest[..8]]));
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(BOTH.map(|node| plant.plan(node)), [first.clone(), first]);

    // By a signal: at the active as without a peer, at the standby it is said that it is none.
    let names = ["primary.gwp", "backup.gwp"];
    plant.write(names[active], &program(5));
    plant.signal(1 - active, "-HUP");
    until("the standby to say so", PATIENCE, || {
        plant.log(1 - active).contains("SIGHUP: this node is not active")
    });
    plant.signal(active, "-HUP");
    plant.wait_for_tag("m5.x");
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(plant.plan(1 - active), plant.plan_of(names[active]));
    plant.finish(active);
}

#[test]
fn who_takes_over_while_a_change_is_made_runs_the_old_program_or_the_new_one() {
    let kills = if gwp_tests::peers_wanted("12 kills while a change is made (4 are made)") { 12 } else { 4 };
    let mut plant = Plant::redundant("default");
    let mut active = plant.wait_until_redundant();
    let (mut old_runs, mut new_runs) = (0, 0);
    let began = Instant::now();
    plant.apply(active, &program(2), &[]);
    let took = began.elapsed();
    assert_eq!(plant.wait_until_redundant(), active);
    for round in 0..kills {
        // Another program in each round, else one could not tell old from new.
        plant.write("new.gwp", &program(4 + round));
        let (before, wanted, epoch) = (plant.plan(active), plant.plan_of("new.gwp"), plant.epoch(active));
        let mut apply = plant.begin_to_ask(active, &["apply", "new.gwp"]);
        // From the first moment of a change to its last, as long as one takes here.
        std::thread::sleep(took * round / kills);
        plant.kill(active);
        let _ = apply.wait(PATIENCE);
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        let runs = plant.plan(1 - active);
        assert!(runs == before || runs == wanted, "neither {before} nor {wanted}: {runs}");
        old_runs += usize::from(runs == before);
        new_runs += usize::from(runs == wanted);
        let history = plant.history(1 - active);
        assert_eq!(history["configurations"][0]["plan"], runs.as_str(), "{history}");
        plant.start(active);
        active = plant.wait_until_redundant();
        assert_eq!(plant.plan(1 - active), runs);
    }
    eprintln!("old {old_runs}, new {new_runs}");
    assert_eq!(old_runs + new_runs, kills as usize);
    // What only a killed node had comes back with it, late and flagged.
    plant.finish_by(active, faults_of_order);
}

#[test]
fn with_its_peer_away_a_change_is_made_on_demand_only_and_taken_over_later() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let standby = 1 - active;
    let first = plant.plan(active);
    plant.kill(standby);
    plant.wait_for_state(active, "active, alone");
    let told = plant.apply_refused(active, &program(4), &[], 1);
    assert!(told.contains("--single"), "{told}");
    assert_eq!(plant.plan(active), first);
    let oldest = plant.history(active)["current"].as_str().unwrap().to_owned();
    let four = plant.apply(active, &program(4), &["--single"]);
    let told = refused(&plant.ask_node(active, &["rollback", &oldest[..8]]), 1);
    assert!(told.contains("--single"), "{told}");
    plant.wait_for_tag("m4.x");
    plant.start(standby);
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(BOTH.map(|node| plant.plan(node)), [four.clone(), four]);
    assert_eq!(plant.shown(standby).0, Some(0));
    plant.finish(active);
}

#[test]
fn a_node_that_starts_with_another_program_takes_that_of_the_active_over() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let (other, plan) = (1 - active, plant.plan(active));
    plant.kill(other);
    plant.wait_for_state(active, "active, alone");
    let name = ["primary.gwp", "backup.gwp"][other];
    plant.write(name, &program(6));
    let before = plant.log(other).len();
    plant.start(other);
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(BOTH.map(|node| plant.plan(node)), [plan.clone(), plan.clone()]);
    let log = plant.logged_since(other, before);
    let kept = log.split("kept_as=").nth(1).unwrap_or_else(|| panic!("{log}"));
    let kept = said(&plant.ask_node(other, &["history", &kept[..12]]));
    assert!(kept.contains("m[1..6]"), "{kept}");

    // One without any file, on an empty disk.
    plant.kill(other);
    plant.wait_for_state(active, "active, alone");
    std::fs::remove_dir_all(plant.path(["data-primary", "data-backup"][other])).unwrap();
    plant.start_bare(other);
    assert_eq!(plant.wait_until_redundant(), active);
    let epoch = plant.epoch(active);
    plant.kill(active);
    plant.wait_for_takeover(other, epoch);
    plant.wait_for_rows();
    assert_eq!(plant.plan(other), plan);
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), other);
    plant.finish(other);
}

#[test]
fn what_was_not_confirmed_goes_back_with_a_takeover() {
    let mut plant = Plant::redundant("default");
    let mut active = plant.wait_until_redundant();
    let first = plant.plan(active);
    let four = plant.apply(active, &program(4), &["--confirm-within", "1h"]);
    assert_eq!(plant.wait_until_redundant(), active);
    let epoch = plant.epoch(active);
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    plant.wait_for_rows();
    assert_eq!(plant.plan(1 - active), first);
    plant.start(active);
    active = plant.wait_until_redundant();
    assert_eq!(plant.plan(1 - active), first);

    // What is confirmed stays.
    assert_eq!(plant.apply(active, &program(4), &["--confirm-within", "1h"]), four);
    said(&plant.ask_node(active, &["confirm"]));
    let epoch = plant.epoch(active);
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    plant.wait_for_tag("m4.x");
    assert_eq!(plant.plan(1 - active), four);
    assert!(plant.history(1 - active)["unconfirmed_until"].is_null());
    plant.start(active);
    active = plant.wait_until_redundant();
    // What only a killed node had comes back with it, late and flagged.
    plant.finish_by(active, faults_of_order);
}

#[test]
fn a_node_that_cannot_run_the_program_says_so_and_is_no_standby() {
    let mut plant = Plant::new("default");
    for name in ["primary", "backup"] {
        let file = format!("{name}.toml");
        let text = plant.read(&file) + &format!("[secrets]\nbroker = {{ file = \"{name}.secret\" }}\n");
        plant.write(&file, &text);
    }
    plant.start_witness();
    BOTH.into_iter().for_each(|node| plant.start(node));
    let active = plant.wait_until_redundant();
    plant.spy();
    let standby = 1 - active;
    let secret = |node: usize| format!("{}.secret", ["primary", "backup"][node]);
    plant.write(&secret(active), "s3cret");
    let text = program(3)
        + "sink broker : mqtt { broker = \"mqtt://127.0.0.1:1\", user = \"gw\", password = secret(\"broker\") }\n\
           flow more = m1 -> broker\n";
    let first = plant.plan(active);
    let told = plant.apply_refused(active, &text, &[], 1);
    assert!(told.contains("does not say that it can run") && told.contains("--single"), "{told}");
    assert_eq!(plant.plan(active), first);
    assert!(plant.log(standby).contains("about to be in force cannot run here"), "{}", plant.log(standby));
    assert_eq!(plant.wait_until_redundant(), active, "as before");
    let shown = plant.shown(standby).1;
    assert!(shown.contains("wanted to put in force") && shown.contains(&secret(standby)), "{shown}");

    let single = plant.ask_node(active, &["apply", "new.gwp", "--single"]);
    let told = String::from_utf8_lossy(&[&single.stdout[..], &single.stderr[..]].concat()).into_owned();
    assert!(single.status.success() && told.contains("does not run this program yet"), "{told}");
    let new = plant.plan_of("new.gwp");
    plant.wait_for_state(standby, "catching up");
    until("the reason", PATIENCE, || plant.shown(standby).1.contains(&secret(standby)));
    for node in BOTH {
        assert_eq!(plant.shown(node).0, Some(1), "{}", plant.shown(node).1);
    }
    assert!(plant.shown(active).1.contains(&new), "{}", plant.shown(active).1);
    until("the notice", PATIENCE, || {
        let status = plant.ask_node(standby, &["status"]).stdout;
        String::from_utf8_lossy(&status).contains("the program of the active cannot run here")
    });
    // It does not take the place of an active that dies either: it could not run.
    let epoch = plant.epoch(active);
    plant.kill(active);
    until("it to be asked why", PATIENCE, || {
        plant.status(standby)["does_not_stand"]
            .as_str()
            .is_some_and(|why| why.contains("cannot run the program"))
    });
    plant.start(active);
    assert_eq!(plant.wait_for_takeover(active, epoch) % 2, epoch % 2);
    plant.wait_for_rows();
    plant.wait_for_state(standby, "catching up");

    // Once it has what it lacks it takes the program over by itself.
    plant.write(&secret(standby), "s3cret");
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(plant.plan(standby), new);
    plant.wait_for_rows();
    plant.finish(active);
}
