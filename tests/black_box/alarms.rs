//! Operators and alarms: orders from the command line and over MQTT, kept over kills.

use crate::broker::Broker;
use crate::{ask, run, said, try_rows};
use gwp_tests::{peers_wanted, until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = gwp_tests::PATIENCE;

const PROGRAM: &str = r#"
source s : simulator {
  scan = 100 ms
  tag x at "constant 80" : real degC
  alarm hot when x > 70 degC { severity = high, message = "at {x}" }
  alarm cold when x < 10 degC
}
sink db : sqlite { path = "alarms.db" }
flow all = s.alarms -> db
"#;

fn state(folder: &Path, alarm: &str) -> Option<String> {
    let output = ask(folder, &["alarm", "ls", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let alarms = answer["alarms"].as_array()?.clone();
    let found = alarms.into_iter().find(|one| one["device"] == "s" && one["alarm"] == alarm)?;
    Some(found["state"].as_str()?.to_owned())
}

fn wait_state(folder: &Path, alarm: &str, wanted: &str) {
    until(&format!("{alarm} to be {wanted}"), LIMIT, || state(folder, alarm).as_deref() == Some(wanted));
}

#[test]
fn what_operators_did_is_kept_over_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.gwp"), PROGRAM).unwrap();
    let mut gateway = run(folder, &[]);
    wait_state(folder, "hot", "unacknowledged");
    assert_eq!(state(folder, "cold").as_deref(), Some("normal"));
    let done = said(&ask(folder, &["alarm", "ack", "s.hot", "--by", "anna"]));
    assert_eq!(done, "s.hot: acknowledged, now acknowledged\n");
    for (args, why) in [
        (&["alarm", "ack", "s.hot"][..], "s.hot: the alarm is acknowledged already"),
        (&["alarm", "ack", "s.nothing"], "s has no alarm `nothing`"),
        (&["alarm", "ack", "t.hot"], "`t` is no device"),
        (&["alarm", "unshelve", "s.cold"], "s.cold: the alarm is not shelved"),
        (&["alarm", "shelve", "s.cold", "--for", "400d"], "`400d` is no time to shelve for"),
    ] {
        let refused = ask(folder, args);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.contains(why), "{args:?}: {text}");
    }
    // The order was in the log before the command answered.
    gateway.kill();
    let gone = ask(folder, &["status"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("does it still run?"));

    // Also in a program that has one alarm more; the board shows that at once.
    std::fs::write(
        folder.join("p.gwp"),
        PROGRAM.replace("  alarm cold", "  alarm chill when x < 20 degC\n  alarm cold"),
    )
    .unwrap();
    let _gateway = run(folder, &[]);
    wait_state(folder, "hot", "acknowledged");
    wait_state(folder, "chill", "normal");
    said(&ask(folder, &["alarm", "shelve", "s.*", "--for", "30min", "--by", "bert"]));
    wait_state(folder, "hot", "shelved");
    assert!(said(&ask(folder, &["status"])).contains("0 alarms active"));
    let operators = || {
        let rows = try_rows(&folder.join("alarms.db")).unwrap_or_default();
        let operators = rows.into_iter().filter(|row| row.path.ends_with("operator"));
        operators.map(|row| format!("{:?}", row.value)).collect::<String>()
    };
    until("the record of who did it", LIMIT, || operators().contains("anna") && operators().contains("bert"));
}

#[test]
fn messages_acknowledge_alarms() {
    if !peers_wanted("messages_acknowledge_alarms") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let broker = Broker::start(folder);
    let port = &broker.port;
    std::fs::write(folder.join("node.toml"), format!("[vars]\nbroker = \"mqtt://127.0.0.1:{port}\"\n"))
        .unwrap();
    let operate = r#"
source control : mqtt { broker = node("broker") }
write operate to s.alarms from control at "operate/{device}" { allow = ["acknowledge"] }
flow outcomes = operate -> db
"#;
    std::fs::write(folder.join("p.gwp"), format!("{PROGRAM}{operate}")).unwrap();
    let _gateway = run(folder, &["--node", "node.toml"]);
    let outcomes = || {
        let rows = try_rows(&folder.join("alarms.db")).unwrap_or_default();
        let own = rows.into_iter().filter(|row| row.path == "operate.s");
        own.map(|row| format!("{:?}", row.value)).collect::<String>()
    };
    let publish = |text: &str| {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", port, "-q", "1", "-t", "operate/s", "-m", text]);
        assert!(command.status().unwrap().success());
    };
    until("the subscription", LIMIT, || {
        publish("shelve hot for 5 min");
        outcomes().contains("refused: shelve is not allowed")
    });
    // The first sample may be later than the subscription, and an alarm that is not there is not acknowledged.
    wait_state(folder, "hot", "unacknowledged");
    publish(r#"{"command": "acknowledge", "alarm": "hot", "by": "scada"}"#);
    until("the outcome", LIMIT, || outcomes().contains("done: acknowledge hot by scada"));
    wait_state(folder, "hot", "acknowledged");
}
