//! A redundant pair loses its nodes one way after the other: what was delivered is whole, in order and there once, and
//! the pair is redundant again afterwards.

use crate::pair_hot::faults_of_order;
use crate::pair_plant::{BACKUP, PRIMARY, Plant, newest_of};
use gwp_tests::{PATIENCE, until};
use std::time::Duration;

const BOTH: [usize; 2] = [PRIMARY, BACKUP];

/// A pseudo-random duration below a limit; another one at each call.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below_ms: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % below_ms)
    }
}

#[test]
fn a_pair_is_redundant_and_stays_so_without_its_standby_or_its_witness() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    for node in BOTH {
        let (code, text) = plant.shown(node);
        assert_eq!(code, Some(0), "{text}");
    }
    let epoch = plant.epoch(active);

    // Without its standby it goes on alone, in its epoch.
    plant.kill(1 - active);
    plant.wait_for_state(active, "active, alone");
    assert_eq!(plant.shown(active).0, Some(1), "it could not lose another one");
    plant.wait_for_rows();
    plant.start(1 - active);
    assert_eq!(plant.wait_until_redundant(), active);
    plant.wait_for_rows();

    // Without the witness nothing changes.
    plant.kill_witness();
    until("the loss of the witness to be seen", PATIENCE, || {
        plant.log(active).contains("the witness is not heard")
    });
    plant.wait_for_rows();
    assert_eq!((plant.state(active), plant.epoch(active)), ("active, paired".to_owned(), epoch));
    assert_eq!(plant.state(1 - active), "standby");
    plant.start_witness();
    until("the witness", PATIENCE, || plant.log(active).contains("the witness is heard again"));
    plant.wait_for_rows();
    assert_eq!(plant.epoch(active), epoch);
    plant.finish(active);
}

#[test]
fn the_active_is_killed_three_times_and_its_peer_takes_over() {
    let mut plant = Plant::redundant("default");
    let mut moments = Moments(u64::from(std::process::id()) | 1);
    let mut active = plant.wait_until_redundant();
    for _ in 0..3 {
        let (old, new) = (active, 1 - active);
        let (epoch, before) = (plant.epoch(old), plant.log(old).len());
        plant.wait_for_rows();
        std::thread::sleep(moments.next(400));
        plant.kill(old);
        let read = plant.logged(old);
        let taken_over = plant.wait_for_takeover(new, epoch);
        plant.wait_for_rows();
        assert!(plant.peer_says(new).starts_with("active, epoch"), "it has not said farewell");

        // What the destination lacks of what the killed one had read is what its peer did not have: the last of it.
        let delivered = plant.delivered();
        let (had, lost): (Vec<_>, Vec<_>) = read.keys().partition(|key| delivered.contains_key(*key));
        let newest = had.iter().map(|(_, time, _)| time).max().expect("something was delivered");
        assert!(lost.iter().all(|(_, time, _)| time >= newest), "{lost:?} lost, {newest} delivered");

        plant.start(old);
        active = plant.wait_until_redundant();
        assert_eq!(active, new, "who comes back does not take over");
        // Its log is the beginning of the active's and goes on, or it is kept beside a new copy. A whole copy without
        // that there is only when its peer has needed more than one epoch to take over.
        let log = plant.logged_since(old, before);
        let is_copied = log.contains("copying the whole store");
        let is_aside = log.contains("they are kept beside");
        assert!(is_aside || lost.is_empty(), "{lost:?}\n{log}");
        assert!(is_copied || (!is_aside && log.contains("following the active")), "{log}");
        assert!(is_aside || !is_copied || taken_over > epoch + 1, "{log}");
        // What was kept beside is handed over to the active, and delivered.
        until("what was set aside to be handed over", PATIENCE, || {
            !is_aside || plant.logged_since(old, before).contains("it is deleted")
        });
        assert_eq!(plant.asides(old), 0);
        until("what only the killed one had", PATIENCE, || {
            let delivered = plant.delivered();
            lost.iter().all(|key| delivered.contains_key(*key))
        });
    }
    plant.finish_by(active, faults_of_order);
}

#[test]
fn who_ends_in_order_says_farewell_and_has_delivered_everything() {
    let mut plant = Plant::redundant("wan");
    let active = plant.wait_until_redundant();
    let epoch = plant.epoch(active);
    plant.wait_for_rows();
    plant.signal(active, "-TERM");
    plant.ended(active);
    plant.wait_for_takeover(1 - active, epoch);
    // A peer that is killed is "active" as long as nothing else was heard of it.
    assert_eq!(plant.peer_says(1 - active), "not active");
    plant.wait_for_rows();
    let (read, delivered) = (plant.logged(active), plant.delivered());
    assert_eq!(read.keys().find(|key| !delivered.contains_key(*key)), None);
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), 1 - active);
    assert_eq!(plant.asides(active), 0);
    plant.finish(1 - active);
}

#[test]
fn whoever_dies_in_the_middle_of_a_switchover_the_other_one_goes_on() {
    let mut plant = Plant::redundant("default");
    let mut active = plant.wait_until_redundant();
    let mut dies = |dies: usize, active: usize, pause: u64| {
        let epoch = plant.epoch(active);
        plant.wait_for_rows();
        plant.order(active, "switchover");
        std::thread::sleep(Duration::from_millis(pause));
        plant.kill(dies);
        if dies == active {
            assert!(plant.wait_for_takeover(1 - active, epoch) > epoch);
        }
        plant.wait_for_rows();
        plant.start(dies);
        plant.wait_until_redundant()
    };
    for pause in [0, 2, 30] {
        active = dies(active, active, pause);
    }
    for pause in [2, 20] {
        active = dies(1 - active, active, pause);
    }
    plant.finish_by(active, faults_of_order);
}

#[test]
fn a_switchover_and_the_one_back_lose_nothing() {
    let plant = Plant::redundant("default");
    let mut active = plant.wait_until_redundant();
    let mut told = plant.order_refused(1 - active, "switchover");
    let other = ["primary", "backup"][active];
    assert!(told.contains("not active") && told.contains(&format!("ask its peer, {other}")), "{told}");
    for _ in 0..2 {
        let epoch = plant.epoch(active);
        plant.wait_for_rows();
        // By the backup, what moves the graph back is the same.
        plant.order(active, if active == BACKUP { "failback" } else { "switchover" });
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        assert_eq!(plant.wait_until_redundant(), 1 - active, "the roles have changed");
        told = plant.log(active);
        assert!(told.contains(&format!("epoch {epoch} is handed over")), "{told}");
        active = 1 - active;
    }
    // Nothing was set aside: the log of who handed over is the beginning of the other's, and all of that is delivered.
    assert_eq!(BOTH.map(|node| plant.asides(node)), [0, 0]);
    plant.finish(active);
}

#[test]
fn who_was_stopped_beyond_its_lease_delivers_nothing_more() {
    let plant = Plant::redundant("default");
    let old = plant.wait_until_redundant();
    let (epoch, before) = (plant.epoch(old), plant.log(old).len());
    plant.wait_for_rows();
    plant.freeze(old);
    plant.wait_for_takeover(1 - old, epoch);
    plant.wait_for_rows();
    plant.signal(old, "-CONT");
    plant.wait_for_rows();
    assert_eq!(plant.wait_until_redundant(), 1 - old);
    let log = plant.logged_since(old, before);
    assert!(log.contains("this node is not active any more"), "{log}");
    plant.wait_for_rows();
    plant.finish(1 - old);
}

#[test]
fn the_standby_alone_takes_over_and_delivers_what_it_has_copied() {
    let mut plant = Plant::redundant("default");
    let (active, epoch) = (plant.wait_until_redundant(), plant.epoch(plant.wait_until_redundant()));
    let standby = 1 - active;
    // The destination refuses, so that something waits; both have it.
    let outage = plant.outage();
    let copied = |plant: &Plant| {
        let text = plant.status(standby)["copy"].as_str().unwrap_or_default().to_owned();
        let seq = text.rsplit_once(':').map_or("", |(_, seq)| seq);
        seq.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap_or(0)
    };
    let before = copied(&plant);
    // What is copied next may be of before the outage; what comes after some slots is not.
    until("the copy to go on", PATIENCE, || copied(&plant) > before + 20);
    plant.kill(active);
    plant.kill(standby);
    let (copied, waiting) = (plant.logged(standby), plant.waiting(standby));
    assert!(!waiting.is_empty(), "nothing waits at the standby");
    drop(outage);

    plant.start(standby);
    plant.wait_for_takeover(standby, epoch);
    plant.wait_for_rows();
    let delivered = plant.delivered();
    assert_eq!(copied.keys().find(|key| !delivered.contains_key(*key)), None);
    assert!(newest_of(&delivered) > newest_of(&copied));
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), standby);
    plant.finish(standby);
}

#[test]
fn a_node_with_another_key_is_a_stranger_and_disturbs_nobody() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let (stranger, epoch) = (1 - active, plant.epoch(active));
    plant.kill(stranger);
    plant.wait_for_state(active, "active, alone");
    let name = ["primary.toml", "backup.toml"][stranger];
    let right = plant.read(name);
    plant.ask(&["pair", "keys", "other.key"]);
    plant.write(name, &right.replace("pair.key", "other.key"));
    let before = plant.log(active).len();
    plant.start(stranger);
    for node in BOTH {
        until("datagrams to be refused", PATIENCE, || {
            let status = plant.status(node);
            status["datagrams_refused"].as_object().is_some_and(|refused| !refused.is_empty())
        });
        until("the key to be told of", PATIENCE, || {
            plant.log(node).contains("copy one key file to all members")
        });
    }
    plant.wait_for_rows();
    assert_eq!((plant.state(active), plant.epoch(active)), ("active, alone".to_owned(), epoch));
    assert_eq!(plant.state(stranger), "isolated");
    assert_eq!(plant.shown(stranger).0, Some(1));
    assert!(!plant.logged_since(active, before).contains("the peer follows"));

    // With the right key it is a standby again.
    plant.kill(stranger);
    plant.write(name, &right);
    plant.start(stranger);
    assert_eq!(plant.wait_until_redundant(), active);
    plant.finish(active);
}

#[test]
fn a_second_primary_stays_out_and_the_first_one_goes_on() {
    let mut plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let (other, epoch) = (1 - active, plant.epoch(active));
    plant.kill(other);
    plant.wait_for_state(active, "active, alone");
    let names = ["primary", "backup"];
    let name = format!("{}.toml", names[other]);
    let right = plant.read(&name);
    let wrong = right.replace(&format!("me = \"{}\"", names[other]), &format!("me = \"{}\"", names[active]));
    plant.write(&name, &wrong);
    let before = plant.log(active).len();
    plant.start(other);
    // The two hear each other as themselves; the witness hears the first one alone, and says so.
    for node in BOTH {
        until("the double to be told of", PATIENCE, || plant.log(node).contains("look at `me` of both"));
    }
    until("the second one to be told why it stays out", PATIENCE, || {
        plant.log(other).contains("another process says it is")
    });
    for _ in 0..20 {
        plant.wait_for_rows();
    }
    assert_eq!((plant.state(active), plant.epoch(active)), ("active, alone".to_owned(), epoch));
    let log = plant.logged_since(active, before);
    assert!(!log.contains("the lease") && !log.contains("the witness is not heard"), "{log}");
    assert_ne!(plant.status(other)["is_active"], true);
    let (code, text) = plant.shown(other);
    assert!(code == Some(1) && text.contains("another process says it is"), "{text}");

    for node in BOTH {
        plant.kill(node);
    }
    plant.write(&name, &right);
    for node in BOTH {
        plant.start(node);
    }
    plant.wait_until_redundant();
    plant.wait_for_rows();
    plant.check_arrivals();
}

#[test]
fn the_graph_goes_back_to_the_primary_by_itself() {
    let mut plant = Plant::new("default");
    plant.tell_pair("failback = \"auto\"\nfailback_after = \"2 s\"\n");
    plant = plant.started(&[]);
    until("the primary to be the active", PATIENCE, || plant.wait_until_redundant() == PRIMARY);
    let refused = plant.order_refused(PRIMARY, "failback");
    assert!(refused.contains("nothing is to be moved back"), "{refused}");
    let epoch = plant.epoch(PRIMARY);
    plant.wait_for_rows();
    plant.kill(PRIMARY);
    let taken = plant.wait_for_takeover(BACKUP, epoch);
    let (_, text) = plant.shown(BACKUP);
    assert!(text.contains("when the primary has held everything"), "{text}");
    plant.wait_for_rows();
    plant.start(PRIMARY);
    plant.wait_for_takeover(PRIMARY, taken);
    let log = plant.log(BACKUP);
    assert!(log.contains("a switchover begins: failback"), "{log}");
    assert_eq!(plant.wait_until_redundant(), PRIMARY);
    plant.wait_for_rows();
    plant.finish(PRIMARY);
}
