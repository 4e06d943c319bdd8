//! The servers of a plant: its devices, its broker, and a subscriber there that sees each message arrive.

use crate::net::End;
use crate::plant::{Plant, spawn};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

impl Plant {
    pub fn start_devices(&mut self) -> Result<(), String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        for device in 1..=2 {
            let mut command = self.net.command(End::Plant, me.as_os_str());
            command.args(["device", "--listen", &self.net.server(device).to_string()]);
            command.args(["--device", &device.to_string()]).arg("--truth").arg(self.truth(device));
            self.others.push(spawn(&mut command)?);
        }
        Ok(())
    }

    fn truth(&self, device: u16) -> PathBuf {
        self.path(&format!("truth-{device}.log"))
    }

    pub fn truths(&self) -> Vec<PathBuf> {
        vec![self.truth(1), self.truth(2)]
    }

    pub fn start_broker(&mut self) -> Result<(), String> {
        let address = self.net.server(0);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let text = format!(
            "listener {port} {host}\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nuser root\n"
        );
        self.write("mosquitto.conf", &text)?;
        let mut command = self.net.command(End::Plant, OsStr::new("mosquitto"));
        command.args(["-c", "mosquitto.conf"]).current_dir(&self.folder);
        command
            .stdout(Stdio::from(self.log("mosquitto.log")?))
            .stderr(Stdio::from(self.log("mosquitto.log")?));
        self.broker = Some(spawn(&mut command)?);
        let deadline = Instant::now() + Duration::from_secs(20);
        let log = self.path("mosquitto.log");
        let runs = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("running"));
        while !runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut command = self.net.command(End::Plant, OsStr::new("stdbuf"));
        command.args([
            "-oL",
            "mosquitto_sub",
            "-h",
            &host,
            "-p",
            &port,
            "-q",
            "1",
            "-t",
            "gwp/#",
            "-F",
            "%p",
        ]);
        let mut child = spawn(command.stdout(Stdio::piped()))?;
        if let Some(lines) = child.stdout.take() {
            self.arrivals.listen(lines)?;
        }
        self.others.push(child);
        Ok(())
    }
}
