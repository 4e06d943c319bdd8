//! One run: builds a plant, waits until it is redundant, does the steps of a scenario, waits until all is whole
//! again, ends everything in order and has the logs checked.

use crate::checker::{Evidence, Mark, Sink, check};
use crate::clock;
use crate::device::read_truth;
use crate::faults::Held;
use crate::net::Troubles;
use crate::plant::Plant;
use crate::program;
use crate::random::Random;
use crate::report::Outcome;
use crate::scenario::{Scenario, Step, Who};
use crate::stalls::Stalls;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long anything that must come is waited for; it only ends runs that hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// New samples at the destinations: so much newer.
const NEWER_NS: i64 = 400_000_000;
/// Slots just before a fault can be lost with what was read and not yet copied.
const BEFORE_NS: i64 = 500_000_000;

/// A sync of the disk that took this long is told of by itself, nanoseconds; so many of them.
const SLOW_SYNC_NS: i64 = 100_000_000;
const SLOW_SYNCS_TOLD: usize = 10;

pub struct Runner {
    pub plant: Plant,
    pub random: Random,
    /// Who was active when it was looked at last.
    pub active: usize,
    pub troubles: Troubles,
    pub held: Option<Held>,
    /// Faults whose time until new samples is measured.
    pub marks: Vec<Mark>,
    first: Option<Mark>,
    pub patience: Duration,
    stalls: Stalls,
    /// Of syncs of the disk that the nodes have theirs on.
    syncs: Stalls,
    /// Clocks of nodes were moved.
    clocks_moved: bool,
    pub notes: Vec<String>,
}

impl Runner {
    pub fn new(plant: Plant, seed: u64) -> Result<Runner, String> {
        let syncs = Stalls::of_disk(&plant.folder).map_err(|error| format!("watching the disk: {error}"))?;
        Ok(Runner {
            plant,
            random: Random::new(seed),
            active: 0,
            troubles: Troubles::new(),
            held: None,
            marks: Vec::new(),
            first: None,
            patience: PATIENCE,
            stalls: Stalls::of_processor(),
            syncs,
            clocks_moved: false,
            notes: Vec::new(),
        })
    }

    /// What the disk did, as far as it explains what was slow.
    fn syncs(&self) -> (u64, Vec<String>) {
        let mut slow: Vec<(i64, i64)> =
            self.syncs.all().into_iter().map(|(from, upto)| (upto - from, from)).collect();
        slow.sort_unstable_by(|a, b| b.cmp(a));
        let slowest = slow.first().map_or(0, |(took, _)| took / 1_000_000);
        let told = slow.iter().take_while(|(took, _)| *took >= SLOW_SYNC_NS).take(SLOW_SYNCS_TOLD);
        let told = told.map(|(took, from)| {
            format!(
                "the disk took {} ms for a sync of another file at {} UTC",
                took / 1_000_000,
                clock::of_day(*from)
            )
        });
        (slowest.unsigned_abs(), told.collect())
    }

    /// Waits for a condition, and looks after the nodes meanwhile.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&Runner) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        while !condition(self) {
            self.plant.supervise()?;
            if Instant::now() > deadline {
                let states = [0, 1].map(|node| self.plant.status(node).to_string());
                return Err(format!("waited too long for {what}: {} {}", states[0], states[1]));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn pause(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.plant.supervise()?;
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        Ok(())
    }

    /// A fault is made now.
    pub fn mark(&mut self, is_failover: bool) {
        let mark = Mark { boot: clock::boot(), utc: clock::utc() };
        self.first.get_or_insert(mark);
        if is_failover {
            self.marks.push(mark);
        }
    }

    pub fn clocks_move(&mut self) {
        self.clocks_moved = true;
    }

    pub fn wait_until_redundant(&mut self) -> Result<(), String> {
        let mut active = 0;
        self.until("a redundant pair", |runner| {
            runner.plant.redundant().inspect(|node| active = *node).is_some()
        })?;
        self.active = active;
        Ok(())
    }

    /// New samples at all destinations.
    pub fn wait_until_delivered(&mut self) -> Result<(), String> {
        let before = self.plant.newest();
        self.until("new samples at the destinations", |runner| runner.plant.newest() > before + NEWER_NS)
    }

    /// The nodes that are meant.
    pub fn nodes(&self, who: Who) -> Vec<usize> {
        match who {
            Who::Active => vec![self.active],
            Who::Standby => vec![1 - self.active],
            Who::Both => vec![0, 1],
        }
    }

    /// Starts everything and waits until it is redundant and delivers.
    pub fn begin(&mut self) -> Result<(), String> {
        self.plant.start_all()?;
        if self.plant.build.is_single {
            std::thread::sleep(Duration::from_secs(3));
        } else {
            self.wait_until_redundant()?;
        }
        let database = self.plant.database();
        self.until("the database", |_| {
            let rows = rusqlite::Connection::open(&database)
                .and_then(|it| it.query_row("select count(*) from samples", [], |row| row.get::<_, i64>(0)));
            rows.is_ok_and(|rows| rows > 0)
        })?;
        self.plant.watch_database()?;
        self.wait_until_delivered()?;
        self.pause(Duration::from_millis(500))
    }

    pub fn steps(&mut self, steps: &[Step], is_failover: bool) -> Result<(), String> {
        for step in steps {
            self.step(step, is_failover).map_err(|error| format!("{step:?}: {error}"))?;
        }
        Ok(())
    }

    /// All is whole again before the next fault, and the standby reads what it is to read.
    pub fn rest(&mut self) -> Result<(), String> {
        self.wait_until_redundant()?;
        let standby = 1 - self.active;
        if self.plant.build.hot {
            self.until("the standby to read", |runner| {
                let reads = &runner.plant.status(standby)["standby_reads"];
                reads["is_compared"] == true && reads["unconnected"].as_array().is_some_and(Vec::is_empty)
            })?;
        }
        self.wait_until_delivered()?;
        let moment = self.random.between(0, 500);
        self.pause(Duration::from_millis(moment))
    }

    /// All is whole again, and stays so for a moment; then all ends in order, the active last.
    pub fn settle(&mut self) -> Result<i64, String> {
        if self.plant.build.is_single {
            self.wait_until_delivered()?;
        } else {
            self.wait_until_redundant()?;
            self.wait_until_delivered()?;
        }
        let whole = clock::utc();
        self.pause(Duration::from_millis(700))?;
        for node in [1 - self.active, self.active] {
            let code = self.plant.end(node)?;
            if code != Some(0) {
                return Err(format!("node {node} ended with {code:?} when it was told to end"));
            }
        }
        self.pause(Duration::from_millis(100))?;
        Ok(whole)
    }

    /// What the run has shown.
    pub fn outcome(&self, scenario: &Scenario, whole: i64) -> Result<Outcome, String> {
        let (database, arrivals) = (self.plant.database(), &self.plant.arrivals);
        let (mut rows, mut messages) = (arrivals.rows(&database)?, arrivals.messages());
        // Both from where the database was watched; what is older may have come before.
        rows.retain(|row| row.time_ns > arrivals.begin);
        messages.retain(|message| message.time_ns > arrivals.begin);
        let commits = arrivals.commits(&database)?;
        let truth = read_truth(&self.plant.truths());
        let stalls = self.stalls.all();
        let from = self.first.map(|mark| mark.utc - BEFORE_NS);
        let mut sinks = vec![Sink { name: "database", arrivals: &rows, is_transactional: true }];
        let streams = program::streams(scenario.load);
        if self.plant.build.mqtt {
            sinks.push(Sink { name: "broker", arrivals: &messages, is_transactional: false });
        }
        let known: BTreeSet<&str> = messages.iter().map(|it| it.stream.as_str()).collect();
        let mut findings = check(&Evidence {
            streams: &streams,
            truth: &truth,
            sinks: vec![sinks[0]],
            commits: &commits,
            marks: &self.marks,
            disturbed: from.map(|from| (from, whole)),
            stalls: &stalls,
            clocks_moved: self.clocks_moved,
        });
        if self.plant.build.mqtt {
            let live: Vec<_> = streams.iter().filter(|it| known.contains(&*it.name)).cloned().collect();
            if live.is_empty() {
                return Err("nothing has come to the broker".into());
            }
            let both = check(&Evidence {
                streams: &live,
                truth: &truth,
                sinks: vec![Sink { arrivals: &of(&rows, &known), ..sinks[0] }, sinks[1]],
                commits: &commits,
                marks: &self.marks,
                disturbed: from.map(|from| (from, whole)),
                stalls: &stalls,
                clocks_moved: self.clocks_moved,
            });
            findings = findings.worst(both);
        }
        let samples = (rows.len() + messages.len()) as u64;
        let (slowest_sync_ms, notes) = self.syncs();
        Ok(Outcome { findings, samples, slowest_sync_ms, notes, ..Outcome::default() })
    }
}

fn of(rows: &[crate::arrivals::Arrival], streams: &BTreeSet<&str>) -> Vec<crate::arrivals::Arrival> {
    rows.iter().filter(|row| streams.contains(&*row.stream)).cloned().collect()
}
