//! A mosquitto of one's own.

use gwp_tests::{Process, workspace};
use std::path::Path;
use std::process::Command;

pub struct Broker {
    pub process: Process,
    pub port: String,
}

impl Broker {
    /// One that keeps its files in a folder of this one.
    pub fn start(folder: &Path) -> Broker {
        let script = workspace().join("tests/peers/mosquitto.sh");
        let process = Process::start(Command::new("bash").arg(script).arg(folder.join("broker")));
        let port = process.line().strip_prefix("READY ").expect("a port").trim().to_owned();
        Broker { process, port }
    }

    /// A subscriber that writes what it is given into a file.
    pub fn subscribe(&self, file: &Path) -> Process {
        let mut command = Command::new("bash");
        command.args(["-c", "exec mosquitto_sub \"$@\" >\"$0\""]).arg(file);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-q", "1", "-t", "gwp/#", "-F", "%t %p"]);
        Process::start(&mut command)
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        crate::pair_plant::tell(&self.process.child.id().to_string(), signal);
    }
}
