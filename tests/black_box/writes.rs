//! mosquitto -> gwp -> pymodbus: a command changes the device once, within its limits, or not at all.

use crate::{Row, try_rows};
use gwp_tests::{Process, gwp, peers_wanted, until, workspace};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = gwp_tests::PATIENCE;

/// A broker, a PLC, a program that writes to it, and the gateway in between.
struct Plant {
    folder: PathBuf,
    broker: String,
    _peers: Process,
    gateway: Option<Process>,
}

const PROGRAM: &str = r#"
source plc : modbus_tcp {
  address = node("plc"), unit_id = 1, scan = 100 ms
  tag limit at "hr 10" : uint kW  scale 0.1  range 0..500 kW  writable
  tag level at "hr 11" : uint     writable
}
source control : mqtt { broker = node("broker") }
sink db : sqlite { path = "audit.db" }
write set_limit to plc.limit from control at "set/{device}/limit" { allow = 50..400 kW, verify = 5 s }
write set_level to plc.level from control at "set/level" { allow = 1..60000 }
flow all = plc, set_limit, set_level, control.connected -> db
"#;

impl Plant {
    fn start(folder: &Path) -> Plant {
        let script = workspace().join("tests/peers/modbus_mqtt.sh");
        let peers = Process::start(Command::new("bash").arg(script).arg(folder));
        assert!(peers.line().starts_with("READY"));
        std::fs::write(folder.join("p.gwp"), PROGRAM).unwrap();
        let broker = std::fs::read_to_string(folder.join("broker.port")).unwrap().trim().to_owned();
        Plant { folder: folder.into(), broker, _peers: peers, gateway: None }
    }

    fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        self.gateway = Some(Process::start(
            Command::new(gwp())
                .current_dir(&self.folder)
                .args(["run", "p.gwp", "--node", "node.toml", "--quiet"])
                .stderr(Stdio::from(log)),
        ));
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let mut command = Command::new("mosquitto_pub");
        command
            .args(["-h", "127.0.0.1", "-p", &self.broker, "-q", "1", "-t", topic, "-m", payload])
            .args(more);
        assert!(command.status().unwrap().success());
    }

    fn rows(&self) -> Vec<Row> {
        try_rows(&self.folder.join("audit.db")).unwrap_or_default()
    }

    /// Texts of a write's outcomes, in order.
    fn outcomes(&self, path: &str) -> Vec<String> {
        let rows = self.rows().into_iter().filter(|row| row.path == path);
        rows.filter_map(|row| match row.value {
            rusqlite::types::Value::Text(text) => Some(text),
            _ => None,
        })
        .collect()
    }

    fn wait_outcomes(&self, path: &str, count: usize) -> Vec<String> {
        until(&format!("{count} outcomes of {path}"), LIMIT, || self.outcomes(path).len() >= count);
        self.outcomes(path)
    }

    /// The newest value of a tag.
    fn newest(&self, path: &str) -> Option<f64> {
        let mut rows = self.rows().into_iter().filter(|row| row.path == path && row.quality == "good");
        rows.next_back().map(|row| crate::number(&row.value))
    }

    /// Writes that the PLC says it has seen.
    fn written(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.join("served.jsonl")).unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries.filter(|entry| entry.get("written").is_some()).count()
    }

    /// What a gateway had sent before it died is with the PLC and in its record: it answers a request that came after it.
    fn settled(&self) {
        let node = std::fs::read_to_string(self.folder.join("node.toml")).unwrap();
        let plc = node.lines().find_map(|line| line.strip_prefix("plc = \"")?.strip_suffix('"')).unwrap();
        let mut stream = TcpStream::connect(plc).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // Read holding register 10 of unit 1.
        stream.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 1]).unwrap();
        stream.read_exact(&mut [0; 9]).unwrap();
    }

    /// Commands of `set_level` get through: those before the subscription are lost, as they must be.
    fn wait_ready(&self) {
        let before = self.outcomes("set_level.plc").len();
        until("the subscription", LIMIT, || {
            self.publish("set/level", "0", &[]);
            std::thread::sleep(Duration::from_millis(200));
            self.outcomes("set_level.plc").len() > before
        });
    }
}

#[test]
fn commands_change_the_device_once_within_limits_or_not_at_all() {
    if !peers_wanted("commands_change_the_device_once_within_limits_or_not_at_all") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::start(folder.path());
    // Kept by the broker from before: no command.
    plant.publish("set/plc/limit", "70", &["-r"]);
    plant.run();
    let outcomes = plant.wait_outcomes("set_limit.plc", 1);
    assert_eq!(outcomes, ["refused: a retained or repeated message is no command"]);
    plant.wait_ready();
    assert_eq!(plant.written(), 0);
    // The rule of the server: unit 1, register 10.
    until("the first value", LIMIT, || plant.newest("plc.limit") == Some(101.0));

    plant.publish("set/plc/limit", "300", &[]);
    assert_eq!(plant.wait_outcomes("set_limit.plc", 2)[1], "confirmed: 300 kW");
    until("the value to be read", LIMIT, || plant.newest("plc.limit") == Some(300.0));
    plant.publish("set/plc/limit", "900", &[]);
    plant.publish("set/plc/limit", "high", &[]);
    let outcomes = plant.wait_outcomes("set_limit.plc", 4);
    assert_eq!(outcomes[2], "refused: 900 kW is outside 50 kW..400 kW");
    assert_eq!(outcomes[3], "refused: the value is bad(not_a_number)");
    assert_eq!((plant.newest("plc.limit"), plant.written()), (Some(300.0), 1));

    // Killed with commands under way, several times: nothing is carried out twice or again.
    let mut sent = 0;
    for kill in 0..5 {
        for number in 1..=20 {
            sent += 1;
            plant.publish("set/level", &(kill * 100 + number).to_string(), &[]);
        }
        plant.gateway.take().unwrap().kill();
        plant.settled();
        let before = plant.written();
        // Published while it is away: nobody may carry that out later.
        plant.publish("set/level", "59999", &[]);
        plant.run();
        plant.wait_ready();
        assert_eq!(plant.written(), before, "after kill {kill}");
    }
    assert!(plant.written() <= 1 + sent, "{} writes for {sent} commands", plant.written() - 1);
    assert!(plant.written() > 1 + 20, "some were carried out");
    assert!(plant.newest("plc.level").is_some_and(|level| level < 1_000.0));
    // Each command in the log has exactly one outcome.
    until("all outcomes", LIMIT, || {
        let outcomes = plant.outcomes("set_level.plc");
        let done = outcomes.iter().filter(|outcome| outcome.starts_with("done")).count();
        let unknown = outcomes.iter().filter(|outcome| outcome.starts_with("unknown")).count();
        done < plant.written() && done + unknown + 1 >= plant.written()
    });
    let mut gateway = plant.gateway.take().unwrap();
    assert!(Command::new("kill").arg(gateway.child.id().to_string()).status().unwrap().success());
    assert!(gateway.wait(LIMIT).success());
}

/// Numbers published while the gateway is killed again and again: none is lost.
#[test]
fn messages_published_while_the_gateway_is_killed_arrive() {
    if !peers_wanted("messages_published_while_the_gateway_is_killed_arrive") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let broker =
        Process::start(Command::new("bash").arg(workspace().join("tests/peers/mosquitto.sh")).arg(folder));
    let port = broker.line().trim_start_matches("READY ").to_owned();
    let program = format!(
        "source s : mqtt {{ broker = \"mqtt://127.0.0.1:{port}\"\n  tag n at \"n\" : dint\n}}\n\
         sink db : sqlite {{ path = \"rows.db\" }}\nflow f = s, s.connected -> db\n"
    );
    std::fs::write(folder.join("p.gwp"), program).unwrap();
    let start = || {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        Process::start(
            Command::new(gwp())
                .current_dir(folder)
                .args(["run", "p.gwp", "--quiet"])
                .stderr(Stdio::from(log)),
        )
    };
    let publish = |numbers: &str| {
        let command = format!("seq {numbers} | mosquitto_pub -h 127.0.0.1 -p {port} -q 1 -t n -l");
        assert!(Command::new("bash").args(["-c", &command]).status().unwrap().success());
    };
    let numbers = || -> Vec<i64> {
        let rows = try_rows(&folder.join("rows.db")).unwrap_or_default();
        let own = rows.into_iter().filter(|row| row.path == "s.n" && row.quality == "good");
        own.map(|row| crate::number(&row.value) as i64).collect()
    };
    let mut gateway = start();
    until("the session", LIMIT, || {
        publish("0 0");
        numbers().contains(&0)
    });
    for kill in 0..6 {
        let first = kill * 500;
        publish(&format!("{} {}", first + 1, first + 200));
        gateway.kill();
        publish(&format!("{} {}", first + 201, first + 500));
        gateway = start();
    }
    until("all numbers", LIMIT, || numbers().contains(&3_000));
    let mut all = numbers();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    all.retain(|number| *number > 0);
    assert_eq!(all, (1..=3_000).collect::<Vec<_>>(), "none is lost");
    // Only what the broker had sent and nobody had acknowledged may come twice: at most its window per kill.
    assert!(count <= 3_000 + 6 * 100 + 50, "{count} samples");
    let mut gateway_end = gateway;
    assert!(Command::new("kill").arg(gateway_end.child.id().to_string()).status().unwrap().success());
    assert!(gateway_end.wait(LIMIT).success());
}
