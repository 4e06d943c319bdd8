//! How each step of a scenario is done.

use crate::net::{End, Net, Trouble, Way};
use crate::plant::{NAMES, tool};
use crate::runner::Runner;
use crate::scenario::{Part, Step, Who};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The destinations while they take nothing: the lock of the database, and the broker stopped.
pub struct Held {
    _lock: Connection,
    broker: Option<Pid>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(broker) = self.broker {
            let _ = kill_process(broker, Signal::CONT);
        }
    }
}

const ALL_WAYS: [Way; 8] = [
    (End::A, End::B, 0),
    (End::B, End::A, 0),
    (End::A, End::B, 1),
    (End::B, End::A, 1),
    (End::A, End::Witness, 0),
    (End::Witness, End::A, 0),
    (End::B, End::Witness, 0),
    (End::Witness, End::B, 0),
];

fn links() -> Vec<Way> {
    ALL_WAYS[..4].to_vec()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Runner {
    pub fn step(&mut self, step: &Step, moves: bool) -> Result<(), String> {
        match *step {
            Step::Pause(from, to) => {
                let time = self.random.between(from, to);
                self.pause(ms(time))
            }
            Step::Kill(who) => self.kill(who, moves),
            Step::KillWorker(who) => self.kill_worker(who, moves),
            Step::KillWitness => {
                self.mark(moves);
                self.plant.kill_witness();
                Ok(())
            }
            Step::StartAll => self.plant.start_all(),
            Step::Freeze(who, time) => self.freeze(who, time, moves),
            Step::Starve { who, percent, ms } => self.starve(who, percent, ms, moves),
            Step::Cut(part) => self.cut(part, moves),
            Step::Lose { percent } => {
                self.mark(moves);
                self.trouble(&links(), Trouble { loss_percent: percent, ..Trouble::default() })
            }
            Step::Mangle { twice_percent, late_ms } => {
                self.mark(moves);
                self.trouble(&links(), Trouble { twice_percent, late_ms, ..Trouble::default() })
            }
            Step::Heal => self.heal(),
            Step::Flap { seconds } => self.flap(seconds, moves),
            Step::Swizzle => self.swizzle(moves),
            Step::Clock { who, hours } => self.clock(who, hours, moves),
            Step::Fill(who) => self.fill(who, moves),
            Step::Empty(who) => {
                for node in self.nodes(who) {
                    let _ = std::fs::remove_file(self.plant.disk(node).join("filler"));
                }
                Ok(())
            }
            Step::FailSync(who) => self.fail_sync(who, moves),
            Step::PowerCut(who) => self.power_cut(who, moves),
            Step::Switchover { times } => (0..times).try_for_each(|_| self.switchover()),
            Step::CrashInMove { times } => (0..times).try_for_each(|_| self.crash_in_move()),
            Step::Hold => self.hold(),
            Step::Release => {
                self.held = None;
                Ok(())
            }
            Step::ForgetCursor => {
                let script = "update gwp_cursor set position_epoch = 0, position_seq = 0, part = 0";
                let text = |error: rusqlite::Error| error.to_string();
                let database = Connection::open(self.plant.database()).map_err(text)?;
                database.busy_timeout(ms(5_000)).map_err(text)?;
                database.execute_batch(script).map_err(text)
            }
            Step::Wipe(who) => {
                for node in self.nodes(who) {
                    std::fs::remove_dir_all(self.plant.data(node)).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
            Step::Forge { datagrams } => self.forge(datagrams, moves),
            Step::ApplyAndKill => self.apply_and_kill(),
            Step::Delivered => self.wait_until_delivered(),
            Step::Redundant => self.wait_until_redundant(),
        }
    }

    fn kill(&mut self, who: Who, moves: bool) -> Result<(), String> {
        let nodes = self.nodes(who);
        let moment = self.random.between(0, 300);
        self.pause(ms(moment))?;
        self.mark(moves);
        for node in nodes {
            self.plant.kill(node);
        }
        Ok(())
    }

    fn kill_worker(&mut self, who: Who, moves: bool) -> Result<(), String> {
        let nodes = self.nodes(who);
        let moment = self.random.between(0, 300);
        self.pause(ms(moment))?;
        self.mark(moves);
        nodes.into_iter().try_for_each(|node| self.plant.kill_worker(node))
    }

    /// The time until new samples counts from when all of it is cut.
    fn cut(&mut self, part: Part, moves: bool) -> Result<(), String> {
        let ways = self.ways(part);
        let moment = self.random.between(0, 300);
        self.pause(ms(moment))?;
        self.mark(false);
        self.trouble(&ways, Trouble { is_cut: true, ..Trouble::default() })?;
        self.mark(moves);
        Ok(())
    }

    fn freeze(&mut self, who: Who, time: u64, moves: bool) -> Result<(), String> {
        let nodes = self.nodes(who);
        let moment = self.random.between(0, 300);
        self.pause(ms(moment))?;
        for node in &nodes {
            self.plant.freeze(*node)?;
        }
        self.mark(moves);
        self.pause(ms(time))?;
        for node in nodes {
            self.plant.signal(node, Signal::CONT);
        }
        Ok(())
    }

    /// Stopped and let go in turn, as a quota of processor time does.
    fn starve(&mut self, who: Who, percent: u64, time: u64, moves: bool) -> Result<(), String> {
        const ROUND_MS: u64 = 100;
        let nodes = self.nodes(who);
        self.mark(moves);
        for _ in 0..time / ROUND_MS {
            for node in &nodes {
                self.plant.signal(*node, Signal::STOP);
            }
            self.pause(ms(ROUND_MS - ROUND_MS * percent / 100))?;
            for node in &nodes {
                self.plant.signal(*node, Signal::CONT);
            }
            self.pause(ms(ROUND_MS * percent / 100))?;
        }
        Ok(())
    }

    /// The ways of a part of the network, in both directions where both are meant.
    fn ways(&mut self, part: Part) -> Vec<Way> {
        let (active, standby) = (End::node(self.active), End::node(1 - self.active));
        let one = usize::from(self.random.percent(50));
        let touches = |end: End| -> Vec<Way> {
            let plant = [(end, End::Plant, 0), (End::Plant, end, 0)];
            ALL_WAYS.iter().filter(|way| way.0 == end || way.1 == end).chain(&plant).copied().collect()
        };
        match part {
            Part::Links => links(),
            Part::OneLink => links().into_iter().filter(|way| way.2 == one).collect(),
            Part::ActiveToStandby => links().into_iter().filter(|way| way.0 == active).collect(),
            Part::StandbyToActive => links().into_iter().filter(|way| way.0 == standby).collect(),
            Part::Active => touches(active),
            Part::Standby => touches(standby),
            Part::Witness => ALL_WAYS[4..].to_vec(),
            Part::WitnessAndLinks => ALL_WAYS.to_vec(),
        }
    }

    fn trouble(&mut self, ways: &[Way], trouble: Trouble) -> Result<(), String> {
        self.troubles.extend(ways.iter().map(|way| (*way, trouble)));
        self.plant.net.apply(&self.troubles)
    }

    fn heal(&mut self) -> Result<(), String> {
        self.troubles.clear();
        self.plant.net.apply(&self.troubles)
    }

    fn flap(&mut self, seconds: u64, moves: bool) -> Result<(), String> {
        self.mark(moves);
        for _ in 0..seconds {
            self.trouble(&links(), Trouble { is_cut: true, ..Trouble::default() })?;
            self.pause(ms(500))?;
            self.heal()?;
            self.pause(ms(500))?;
        }
        Ok(())
    }

    fn swizzle(&mut self, moves: bool) -> Result<(), String> {
        let mut order = ALL_WAYS.to_vec();
        self.mark(moves);
        for is_cut in [true, false] {
            self.random.shuffle(&mut order);
            for way in &order {
                let wait = self.random.between(100, 900);
                self.pause(ms(wait))?;
                self.trouble(&[*way], Trouble { is_cut, ..Trouble::default() })?;
            }
        }
        Ok(())
    }

    fn clock(&mut self, who: Who, hours: i64, moves: bool) -> Result<(), String> {
        let hours = if self.random.percent(50) { hours } else { -hours };
        self.clocks_move();
        let nodes = self.nodes(who);
        self.mark(moves);
        for node in nodes {
            let file = self.plant.path(&format!("{}.clock", NAMES[node]));
            std::fs::write(file, format!("{:+}\n", hours * 3_600)).map_err(|error| error.to_string())?;
            self.notes.push(format!("the clock of the {} goes {hours:+} h", NAMES[node]));
        }
        Ok(())
    }

    /// Somebody else fills the disk, to less than the reserve or to the last byte.
    fn fill(&mut self, who: Who, moves: bool) -> Result<(), String> {
        let to_the_end = self.random.percent(50);
        self.notes.push(if to_the_end { "not a byte left" } else { "below the reserve" }.into());
        let nodes = self.nodes(who);
        self.mark(moves);
        for node in nodes {
            let filler = self.plant.disk(node).join("filler");
            let bytes = if to_the_end { 400 << 20 } else { 210 << 20 };
            let _ = std::fs::write(filler, vec![0; bytes]);
        }
        Ok(())
    }

    /// One sync of each thread fails, until one has failed and the node had time to see it.
    fn fail_sync(&mut self, who: Who, moves: bool) -> Result<(), String> {
        let nth = self.random.between(1, 20);
        for node in self.nodes(who) {
            let (pid, log) =
                (self.plant.pid(node).to_string(), self.plant.path(&format!("{}.strace", NAMES[node])));
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "strace", "-f", "-q", "-p", &pid, "-o"]).arg(&log);
            command.args(["-e", "trace=fsync,fdatasync", "-e"]);
            command.arg(format!("inject=fsync,fdatasync:error=EIO:when={nth}"));
            self.mark(moves);
            let spawned = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut strace = spawned.map_err(|error| error.to_string())?;
            let failed = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("INJECTED"));
            let waited = self.until("a sync to fail", |_| failed()).and_then(|()| self.pause(ms(1_000)));
            let _ = strace.kill();
            let _ = strace.wait();
            waited?;
            self.notes.push(format!("sync number {nth} of a thread failed"));
        }
        Ok(())
    }

    /// The file system takes nothing more and forgets what it was not told to keep; then the process dies.
    fn power_cut(&mut self, who: Who, moves: bool) -> Result<(), String> {
        let nodes = self.nodes(who);
        self.mark(moves);
        for node in &nodes {
            let disk = self.plant.disk(*node);
            tool("xfs_io", &["-x", "-c", "shutdown", &disk.to_string_lossy()])?;
            self.plant.kill(*node);
        }
        for node in nodes {
            tool("umount", &[&self.plant.disk(node).to_string_lossy()])?;
            self.plant.mount_image(node)?;
        }
        Ok(())
    }

    /// An operator orders it again when the pair was not in step for a moment.
    fn order_switchover(&mut self) -> Result<(), String> {
        let mut refused = String::new();
        for _ in 0..5 {
            self.mark(true);
            let out = self.plant.ask(self.active, &["pair", "switchover"])?;
            if out.status.success() {
                return Ok(());
            }
            self.marks.pop();
            refused = String::from_utf8_lossy(&out.stderr).into_owned();
            self.notes.push(format!("refused: {}", refused.trim()));
            self.wait_until_redundant()?;
        }
        Err(refused)
    }

    fn switchover(&mut self) -> Result<(), String> {
        let before = self.active;
        let moment = self.random.between(0, 500);
        self.pause(ms(moment))?;
        self.order_switchover()?;
        self.wait_until_delivered()?;
        self.wait_until_redundant()?;
        if self.active == before { Err("the graph did not move".into()) } else { self.wait_until_delivered() }
    }

    /// The graph moves, in order or because the active dies; at a random moment of that a node dies.
    fn crash_in_move(&mut self) -> Result<(), String> {
        self.wait_until_redundant()?;
        self.wait_until_delivered()?;
        let (in_order, moment) = (self.random.percent(50), self.random.between(0, 1_500));
        let victim = usize::from(self.random.percent(50));
        if in_order {
            self.order_switchover()?;
        } else {
            self.mark(true);
            let active = self.active;
            self.plant.kill(active);
        }
        self.pause(ms(moment))?;
        let words = if in_order { "switchover" } else { "takeover" };
        self.notes.push(format!("{} dies {moment} ms into a {words}", NAMES[victim]));
        self.plant.kill(victim);
        self.pause(ms(200))?;
        self.plant.start_all()?;
        self.wait_until_delivered()
    }

    fn hold(&mut self) -> Result<(), String> {
        let text = |error: rusqlite::Error| error.to_string();
        let lock = Connection::open(self.plant.database()).map_err(text)?;
        lock.busy_timeout(Duration::from_secs(30)).map_err(text)?;
        lock.execute_batch("begin immediate").map_err(text)?;
        let broker =
            self.plant.broker.as_ref().and_then(|broker| Pid::from_raw(i32::try_from(broker.id()).ok()?));
        if let Some(broker) = broker {
            kill_process(broker, Signal::STOP).map_err(|error| error.to_string())?;
        }
        self.held = Some(Held { _lock: lock, broker });
        Ok(())
    }

    fn forge(&mut self, datagrams: usize, moves: bool) -> Result<(), String> {
        self.mark(moves);
        for _ in 0..datagrams / 500 {
            let Net::Proxies(proxies) = &self.plant.net else { return Err("only through proxies".into()) };
            proxies.forge(&mut self.random, 500)?;
            self.pause(ms(100))?;
        }
        let refused = |node: usize| self.plant.status(node)["datagrams_refused"].clone();
        let (one, two) = (refused(0), refused(1));
        self.notes.push(format!("refused: {one} {two}"));
        let counts = |of: &serde_json::Value| of.as_object().is_some_and(|all| !all.is_empty());
        if counts(&one) && counts(&two) { Ok(()) } else { Err("no datagram was refused".into()) }
    }

    /// One more device, and the active dies while that is applied. What no flow takes nobody misses.
    fn apply_and_kill(&mut self) -> Result<(), String> {
        let path = self.plant.path("plant.gwp");
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let device =
            format!("device n{} on sim {{ tag x at \"counter 0..9 step 1\" : dint }}\n", self.marks.len());
        std::fs::write(&path, text + &device).map_err(|error| error.to_string())?;
        let mut apply = self.plant.begin_to_ask(self.active, &["apply", "plant.gwp"])?;
        let moment = self.random.between(0, 500);
        self.pause(ms(moment))?;
        self.mark(true);
        self.plant.kill(self.active);
        let out = apply.wait().map_err(|error| error.to_string())?;
        self.notes.push(format!("killed {moment} ms after the command, which ended with {:?}", out.code()));
        self.wait_until_delivered()?;
        self.plant.start_all()
    }
}
