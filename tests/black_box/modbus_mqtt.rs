//! pymodbus -> gwp -> mosquitto: what subscribers get is what the server held.

use gwp_tests::{Process, gwp, peers_wanted, until, workspace};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Counters of the answers that the server says it gave, in order.
fn served(file: &Path) -> Vec<i64> {
    let text = std::fs::read_to_string(file).unwrap();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries
        .filter(|entry| {
            let (first, count) = (entry["address"].as_i64().unwrap(), entry["count"].as_i64().unwrap());
            first <= 1000 && first + count > 1000
        })
        .map(|entry| entry["counter"].as_i64().unwrap())
        .collect()
}

/// Milliseconds since 1970 of a message's `time`, whichever form it has.
fn millis(time: &Value) -> i64 {
    if let Some(number) = time.as_i64() {
        return number;
    }
    let text = time.as_str().unwrap();
    let out = Command::new("date").args(["-u", "-d", text, "+%s%3N"]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()
}

#[test]
fn subscribers_get_what_the_server_held_value_by_value() {
    if !peers_wanted("subscribers_get_what_the_server_held_value_by_value") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let peers =
        Process::start(Command::new("bash").arg(workspace().join("tests/peers/modbus_mqtt.sh")).arg(folder));
    assert!(peers.line().starts_with("READY"));
    let port = std::fs::read_to_string(folder.join("broker.port")).unwrap();
    // Kept by the broker, so who has subscribed is told of it at once.
    let kept = ["-h", "127.0.0.1", "-p", port.trim(), "-r", "-t", "gwp/subscribed", "-m", "yes"];
    assert!(Command::new("mosquitto_pub").args(kept).status().unwrap().success());
    let subscriber = Process::start(Command::new("mosquitto_sub").args([
        "-h",
        "127.0.0.1",
        "-p",
        port.trim(),
        "-q",
        "1",
        "-t",
        "gwp/#",
        "-F",
        "%t %p",
    ]));
    assert_eq!(subscriber.line(), "gwp/subscribed yes");
    let status = Command::new(gwp())
        .current_dir(folder)
        .arg("run")
        .arg(workspace().join("pipelines/modbus_mqtt.gwp"))
        .arg("--node")
        .arg(folder.join("node.toml"))
        .args(["--for", "6s", "--quiet"])
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    assert!(status.success());

    let mut messages: Vec<Value> = Vec::new();
    let expected = served(&folder.join("served.jsonl"));
    assert!(expected.len() > 40, "{} answers in 6 s at 100 ms", expected.len());
    until("all messages", gwp_tests::PATIENCE, || {
        if messages.len() < expected.len() {
            let line = subscriber.line();
            let (topic, payload) = line.split_once(' ').unwrap();
            assert_eq!(topic, "gwp/plc");
            let message: Value = serde_json::from_str(payload).unwrap();
            if message["values"].as_object().is_some_and(|values| values.len() > 1) {
                messages.push(message);
            }
        }
        messages.len() >= expected.len()
    });
    same_values(&messages, &expected);
    slots_100_ms_apart(&messages);
}

/// Every message holds what the server served for it, scaled and typed.
fn same_values(messages: &[Value], expected: &[i64]) {
    let value = |message: &Value, tag: &str| message["values"][format!("plc.{tag}")].clone();
    let counts: Vec<i64> = messages.iter().map(|message| value(message, "count").as_i64().unwrap()).collect();
    assert_eq!(counts, expected, "delivered against served");
    for message in messages {
        assert!((value(message, "level").as_f64().unwrap() - 50.55).abs() < 1e-9);
        assert_eq!(value(message, "batch"), 1020);
        assert_eq!(value(message, "valve"), true);
        assert_eq!(value(message, "balance"), -2);
        assert_eq!(value(message, "flow"), 25.5);
        assert_eq!(value(message, "name"), "PUMP 07");
        assert!(message.get("quality").is_none_or(|quality| quality.as_object().unwrap().is_empty()));
    }
}

fn slots_100_ms_apart(messages: &[Value]) {
    let times: Vec<i64> = messages.iter().map(|message| millis(&message["time"])).collect();
    let apart = times.windows(2).filter(|pair| pair[1] - pair[0] == 100).count();
    assert!(times.iter().all(|time| time % 100 == 0), "slot time stamps");
    assert!(times.windows(2).all(|pair| pair[1] > pair[0]));
    assert!(apart * 10 >= (times.len() - 1) * 9, "{apart} of {} messages are 100 ms apart", times.len());
}
