//! A plant: two nodes, a witness, devices, a broker and a database, each a process of its own that dies with this one.

use crate::arrivals::{Arrivals, Feed};
use crate::net::{End, Net};
use crate::program;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const NAMES: [&str; 2] = ["primary", "backup"];

/// What a node's store lies on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// The disk of the folder.
    Plain,
    /// A small file system in memory, that can be filled.
    Small,
    /// A file system in a file, whose power can be cut.
    Image,
}

/// How a plant is built.
#[derive(Clone, Debug)]
pub struct Build {
    pub gwp: PathBuf,
    pub profile: String,
    pub load: bool,
    /// The standby reads, too.
    pub hot: bool,
    pub mqtt: bool,
    pub disk: Disk,
    /// Nodes run under a clock of their own, which a file moves.
    pub fake_clock: bool,
    /// A library that a node's process loads first.
    pub preload: Option<PathBuf>,
    /// A rule that is broken, if the gateway is built for that.
    pub mutant: Option<&'static str>,
    /// Nodes run below a guard. What is sent to a node then, such as a signal, goes to its guard alone; `kill` ends both.
    pub guarded: bool,
    /// Both nodes without the pair: each delivers on its own. For a control of the checker.
    pub is_single: bool,
}

/// A process of a node ended by itself.
#[derive(Clone, Debug)]
pub struct Exit {
    pub code: Option<i32>,
}

struct Node {
    process: Option<Child>,
    /// Started again then, as a service manager does.
    again: Option<Instant>,
}

pub struct Plant {
    pub folder: PathBuf,
    pub net: Net,
    pub build: Build,
    pub arrivals: Arrivals,
    /// What ended by itself.
    pub exits: Vec<Exit>,
    nodes: [Node; 2],
    witness: Option<Child>,
    pub broker: Option<Child>,
    /// Devices, and who listens at the broker.
    pub others: Vec<Child>,
}

impl Plant {
    /// Makes files, devices and broker; nodes and witness do not run yet.
    pub fn new(folder: &Path, net: Net, build: Build) -> Result<Plant, String> {
        let nodes = [0, 1].map(|_| Node { process: None, again: None });
        let arrivals = Arrivals::new(folder)?;
        let mut plant = Plant {
            folder: folder.to_owned(),
            net,
            build,
            arrivals,
            exits: Vec::new(),
            nodes,
            witness: None,
            broker: None,
            others: Vec::new(),
        };
        plant.write_files()?;
        plant.start_devices()?;
        if plant.build.mqtt {
            plant.start_broker()?;
        }
        Ok(plant)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.path(name), text).map_err(|error| format!("{name}: {error}"))
    }

    pub fn database(&self) -> PathBuf {
        self.path("out.db")
    }

    /// The folder of a node's disk; its store is `data` in it.
    pub fn disk(&self, node: usize) -> PathBuf {
        self.path(&format!("disk-{}", NAMES[node]))
    }

    pub fn data(&self, node: usize) -> PathBuf {
        self.disk(node).join("data")
    }

    fn write_files(&self) -> Result<(), String> {
        let keys = ["pair", "keys", "pair.key", "--profile", &self.build.profile];
        let made = self.gwp(End::A, &keys).output().map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("pair keys: {}", String::from_utf8_lossy(&made.stderr)));
        }
        self.write(
            "plant.gwp",
            &program::text(&self.database(), self.build.load, self.build.mqtt, self.build.hot),
        )?;
        for (node, name) in NAMES.iter().enumerate() {
            self.make_disk(node)?;
            let small = self.build.disk == Disk::Small;
            let text = program::node_toml(name, &self.data(node), &self.net, self.net.links(node), small);
            let text = if self.build.is_single { without_pair(&text) } else { text };
            self.write(&format!("{name}.toml"), &text)?;
            self.write(&format!("{name}.clock"), "+0\n")?;
        }
        let witness = format!(
            "[node]\ndata = \"data-witness\"\n[witness]\nkey = \"pair.key\"\nlisten = [\"{}\"]\n",
            self.net.witness()
        );
        self.write("witness.toml", &witness)
    }

    fn make_disk(&self, node: usize) -> Result<(), String> {
        let disk = self.disk(node);
        std::fs::create_dir_all(&disk).map_err(|error| error.to_string())?;
        match self.build.disk {
            Disk::Plain => Ok(()),
            Disk::Small => {
                tool("mount", &["-t", "tmpfs", "-o", "size=300m", "tmpfs", &disk.to_string_lossy()])
            }
            Disk::Image => {
                let image = self.path(&format!("{}.img", NAMES[node]));
                let file = File::create(&image).map_err(|error| error.to_string())?;
                file.set_len(512 << 20).map_err(|error| error.to_string())?;
                tool("mkfs.ext4", &["-q", &image.to_string_lossy()])?;
                self.mount_image(node)
            }
        }
    }

    /// Mounts the image of a node's disk.
    pub fn mount_image(&self, node: usize) -> Result<(), String> {
        let image = self.path(&format!("{}.img", NAMES[node]));
        tool("mount", &["-o", "loop", &image.to_string_lossy(), &self.disk(node).to_string_lossy()])
    }

    pub fn log(&self, name: &str) -> Result<File, String> {
        let file = File::options().create(true).append(true).open(self.path(name));
        file.map_err(|error| format!("{name}: {error}"))
    }

    fn gwp(&self, end: End, args: &[&str]) -> Command {
        let mut command = self.net.command(end, self.build.gwp.as_os_str());
        command.current_dir(&self.folder).args(args).stdin(Stdio::null());
        command
    }

    pub fn start(&mut self, node: usize) -> Result<(), String> {
        let name = NAMES[node];
        let config = format!("{name}.toml");
        let mut command = self.gwp(End::node(node), &["run", "plant.gwp", "--node", &config, "--quiet"]);
        let log = self.log(&format!("{name}.log"))?;
        if self.build.guarded {
            command.arg("--guard");
        }
        // Of a guard and its worker, both.
        command.process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::from(log));
        if self.build.fake_clock {
            command
                .env("LD_PRELOAD", FAKETIME)
                .env("FAKETIME_TIMESTAMP_FILE", self.path(&format!("{name}.clock")));
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        if let Some(rule) = self.build.mutant {
            command.env("GWP_MUTANT", rule);
        }
        if let Some(library) = &self.build.preload {
            command.env("LD_PRELOAD", library);
        }
        self.nodes[node] = Node { process: Some(spawn(&mut command)?), again: None };
        Ok(())
    }

    pub fn start_witness(&mut self) -> Result<(), String> {
        let mut command = self.gwp(End::Witness, &["witness", "witness.toml"]);
        command.stdout(Stdio::null()).stderr(Stdio::from(self.log("witness.log")?));
        self.witness = Some(spawn(&mut command)?);
        Ok(())
    }

    /// Starts all members that do not run.
    pub fn start_all(&mut self) -> Result<(), String> {
        if self.witness.is_none() && !self.build.is_single {
            self.start_witness()?;
        }
        for node in 0..2 {
            if self.nodes[node].process.is_none() {
                self.start(node)?;
            }
        }
        Ok(())
    }

    /// As a service manager: notes what ended by itself, and starts it again after a second.
    pub fn supervise(&mut self) -> Result<(), String> {
        for node in 0..2 {
            let ended =
                self.nodes[node].process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.exits.push(Exit { code: status.code() });
                self.nodes[node] =
                    Node { process: None, again: Some(Instant::now() + Duration::from_secs(1)) };
            }
            if self.nodes[node].again.is_some_and(|again| again <= Instant::now()) {
                self.start(node)?;
            }
        }
        Ok(())
    }

    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].process.is_some()
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].again = None;
        if let Some(mut process) = self.nodes[node].process.take() {
            if let Some(group) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = process.wait();
        }
    }

    /// Kills what a guard has started.
    pub fn kill_worker(&self, node: usize) -> Result<(), String> {
        let guard = self.pid(node);
        let children = std::fs::read_to_string(format!("/proc/{guard}/task/{guard}/children"));
        let children = children.map_err(|error| error.to_string())?;
        let worker =
            children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        let worker = worker.ok_or("the guard has no worker")?;
        kill_process(worker, Signal::KILL).map_err(|error| error.to_string())
    }

    pub fn kill_witness(&mut self) {
        if let Some(mut process) = self.witness.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The process of a node; 0 when it does not run.
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].process.as_ref().map_or(0, Child::id)
    }

    pub fn signal(&self, node: usize, signal: Signal) {
        let pid = i32::try_from(self.pid(node)).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Stops a node where it stands, but not while it holds the lock of the database: in a real plant that is a
    /// server, which would end the session.
    pub fn freeze(&self, node: usize) -> Result<(), String> {
        let writer = Connection::open(self.database()).map_err(|error| error.to_string())?;
        writer.busy_timeout(Duration::from_millis(200)).map_err(|error| error.to_string())?;
        for _ in 0..200 {
            self.signal(node, Signal::STOP);
            if writer.execute_batch("begin immediate; rollback").is_ok() {
                return Ok(());
            }
            self.signal(node, Signal::CONT);
            std::thread::sleep(Duration::from_millis(7));
        }
        Err("the node holds the lock of the database all the time".into())
    }

    /// Begins to run `gwp` at a node, on its store; what it says is kept in a file.
    pub fn begin_to_ask(&self, node: usize, args: &[&str]) -> Result<Child, String> {
        let mut command = self.gwp(End::node(node), args);
        let log = self.log("asked.log")?;
        let copy = log.try_clone().map_err(|error| error.to_string())?;
        command.arg("--data").arg(self.data(node)).stdout(copy).stderr(log);
        spawn(&mut command)
    }

    /// Runs `gwp` at a node, on its store.
    pub fn ask(&self, node: usize, args: &[&str]) -> Result<std::process::Output, String> {
        let data = self.data(node);
        let mut command = self.gwp(End::node(node), args);
        command.arg("--data").arg(data).output().map_err(|error| error.to_string())
    }

    /// The status of a node; null when it does not answer.
    pub fn status(&self, node: usize) -> Value {
        if !self.runs(node) {
            return Value::Null;
        }
        let out = self.ask(node, &["pair", "status", "--json"]);
        out.ok().and_then(|out| serde_json::from_slice(&out.stdout).ok()).unwrap_or_default()
    }

    /// Which node is active and has its peer in step, if one has.
    pub fn redundant(&self) -> Option<usize> {
        let states = [0, 1].map(|node| self.status(node)["state"].as_str().unwrap_or("").to_owned());
        match states.each_ref().map(String::as_str) {
            ["active, paired", "standby"] => Some(0),
            ["standby", "active, paired"] => Some(1),
            _ => None,
        }
    }

    /// From now on arrivals at the database are kept.
    pub fn watch_database(&mut self) -> Result<(), String> {
        self.arrivals.watch(&self.database())
    }

    /// Newest slot that has arrived, where the least has.
    pub fn newest(&self) -> i64 {
        let database = self.arrivals.newest(Feed::Database);
        if self.build.mqtt { database.min(self.arrivals.newest(Feed::Broker)) } else { database }
    }

    /// Ends a node in order.
    pub fn end(&mut self, node: usize) -> Result<Option<i32>, String> {
        self.nodes[node].again = None;
        self.signal(node, Signal::CONT);
        self.signal(node, Signal::TERM);
        let Some(mut process) = self.nodes[node].process.take() else { return Ok(None) };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = process.try_wait().map_err(|error| error.to_string())? {
                return Ok(status.code());
            }
            if Instant::now() > deadline {
                let _ = process.kill();
                let _ = process.wait();
                return Err(format!("the {} did not end in order in 60 s", NAMES[node]));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        for node in 0..2 {
            self.kill(node);
        }
        self.kill_witness();
        for process in self.others.iter_mut().chain(&mut self.broker) {
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.build.disk != Disk::Plain {
            for node in 0..2 {
                let _ = Command::new("umount").arg("-l").arg(self.disk(node)).stderr(Stdio::null()).status();
            }
        }
    }
}

/// Where Debian has it.
pub const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Starts a process.
pub fn spawn(command: &mut Command) -> Result<Child, String> {
    command.stdin(Stdio::null()).spawn().map_err(|error| format!("{command:?}: {error}"))
}

/// Runs a tool to its end.
pub fn tool(program: &str, args: &[&str]) -> Result<(), String> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(format!("{program} {}: {said}", args.join(" "))) }
}

fn without_pair(text: &str) -> String {
    let begin = text.find("[pair]").unwrap_or(text.len());
    let end = text.find("[vars]").unwrap_or(text.len());
    format!("{}{}", &text[..begin], &text[end..])
}
