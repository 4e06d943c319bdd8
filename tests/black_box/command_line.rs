//! What the commands say, and how they end.

use gwp_tests::{gwp, workspace};
use std::path::Path;
use std::process::{Command, Output};

fn run(args: &[&str], folder: &Path) -> (Output, String, String) {
    let output = Command::new(gwp()).args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

#[test]
fn a_command_ends_quietly_when_nobody_reads_on() {
    let mut child = Command::new(gwp())
        .arg("explain")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Before it has begun to print.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn check_reports_every_error_of_every_file_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("lib.gwp", "const limit : real kW = 5 apples\n");
    write(
        "main.gwp",
        "use \"lib.gwp\"\nsource a : modbus_tcp { address = \"10.0.0.1:502\", scan = 1 s\n  tag p at \"100\" : real kW\n  tag q at \"hr 4\" : i32\n}\n\
         sink db : sqlite { pth = \"x.db\" }\nflow f = a -> db\n",
    );
    let (output, _, stderr) = run(&["check", "main.gwp"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    for code in ["E005", "E201", "E402"] {
        assert!(stderr.contains(code), "{code} in:\n{stderr}");
    }
    let (_, stdout, _) = run(&["check", "main.gwp", "--json"], folder.path());
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(found.as_array().unwrap().len() >= 3);
    assert!(found[0]["place"]["line"].as_u64().unwrap() > 0);

    // An address that only the driver understands is checked, too.
    write(
        "address.gwp",
        "source a : modbus_tcp { address = \"10.0.0.1:502\", scan = 1 s\n  tag p at \"100\" : int\n}\nsink s : console {}\nflow f = a -> s\n",
    );
    let (_, _, stderr) = run(&["check", "address.gwp"], folder.path());
    assert!(stderr.contains("E401") && stderr.contains("hr 100"), "{stderr}");
}

#[test]
fn the_cookbook_is_right() {
    let (mut count, mut tested) = (0, 0);
    for entry in std::fs::read_dir(workspace().join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gwp") {
            count += 1;
            let file = path.to_str().unwrap();
            let (output, stdout, stderr) = run(&["check", file], &workspace());
            assert!(output.status.success(), "{file}: {stderr}");
            assert!(stdout.starts_with("ok:"), "{stdout}");
            if std::fs::read_to_string(&path).unwrap().contains("\ntest \"") {
                tested += 1;
                let (output, stdout, stderr) = run(&["test", file], &workspace());
                assert!(output.status.success(), "{file}: {stdout}{stderr}");
            }
            let (output, _, stderr) = run(&["fmt", "--check", file], &workspace());
            assert!(output.status.success(), "{file}: {stderr}");
            for command in [
                &["plan", file][..],
                &["plan", file, "--json"],
                &["graph", file],
                &["graph", file, "--form", "dot"],
            ] {
                let (output, stdout, stderr) = run(command, &workspace());
                assert!(output.status.success() && stdout.lines().count() > 3, "{command:?}: {stderr}");
            }
        }
    }
    assert!(count >= 4 && tested >= 2);
}

#[test]
fn what_is_imported_can_be_checked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("tags.csv"),
        "\u{feff}Tag Name,Address,Data Type,Client Access,Scan Rate,Eng Units\r\n\"Press.Oil\",\"40001\",Float,R/W,500,\"\u{b0}C\"\r\n\
         \"Odd\",\"40003\",BCD,RO,500,\"\"\r\n",
    )
    .unwrap();
    let (output, _, stderr) = run(&["import", "kepware", "tags.csv", "-o", "plc.gwp"], folder.path());
    assert!(output.status.success() && stderr.starts_with("1 tag, 1 as comments only\n"), "{stderr}");
    assert!(stderr.contains("line 3: Odd is no tag here"), "{stderr}");
    let (output, stdout, stderr) = run(&["check", "plc.gwp"], folder.path());
    assert!(output.status.success() && stdout.starts_with("ok: 2 tags"), "{stdout}{stderr}");
    assert!(run(&["fmt", "--check", "plc.gwp"], folder.path()).0.status.success());
    let (output, _, stderr) = run(&["import", "kepware", "tags.csv", "-o", "plc.gwp"], folder.path());
    assert!(output.status.code() == Some(2) && stderr.contains("--force"), "{stderr}");
    let (output, _, stderr) = run(&["import", "telegraf", "tags.csv"], folder.path());
    assert!(output.status.code() == Some(1) && stderr.contains("line 1: this is no TOML"), "{stderr}");
    let (output, stdout, _) = run(&["import", "kepware", "--help"], folder.path());
    assert!(output.status.success() && stdout.contains("gwp import kepware press.csv"), "{stdout}");
}

#[test]
fn explain_knows_every_code_it_lists() {
    let (_, listed, _) = run(&["explain"], &workspace());
    let mut count = 0;
    for line in listed.lines() {
        count += 1;
        let code = line.split_whitespace().next().unwrap();
        let (output, stdout, _) = run(&["explain", code], &workspace());
        assert!(output.status.success() && stdout.starts_with(code), "{code}");
    }
    assert!(count > 30, "{count} codes");
    assert_eq!(run(&["explain", "E999"], &workspace()).0.status.code(), Some(1));
}

#[test]
fn wrong_use_is_answered_with_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let (output, _, stderr) = run(&["check", "nowhere.gwp"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("nowhere.gwp"), "{stderr}");

    let (output, _, stderr) = run(&["journal", "ls"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("--data"), "{stderr}");

    std::fs::write(folder.path().join("node.toml"), "[listen]\nmetrisc = \"127.0.0.1:0\"\n").unwrap();
    std::fs::write(folder.path().join("p.gwp"), "source a : simulator { scan = 1 s\n  tag x at \"constant 5\" : int }\nsink s : console {}\nflow f = a -> s\n").unwrap();
    let (output, _, stderr) = run(&["run", "p.gwp", "--node", "node.toml", "--for", "1s"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("`metrics`"), "{stderr}");
    let (output, _, stderr) = run(&["run", "p.gwp", "--metrics", "0.0.0.0:1"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("loopback"), "{stderr}");
}

/// A program whose errors are of four kinds: in the text, in settings, in addresses, between settings.
#[test]
fn a_driver_checks_what_is_right_in_an_item_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("p.gwp"),
        "source plc : modbus_tcp {\n  adress = \"h:502\", timeout = 1 ms\n  tag p at \"100\" : real\n}\n\
         sink b : mqtt {\n  broker = \"h\", usr = \"gw\", password = secret(\"b\")\n}\nflow f = plc -> b\n",
    )
    .unwrap();
    let (_, stdout, _) = run(&["check", "p.gwp", "--json"], folder.path());
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let found = found.as_array().unwrap().iter().filter(|found| found["severity"] == "error");
    let lines: Vec<String> = found
        .map(|found| format!("{} {}", found["place"]["line"], found["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "2 source `plc` has no setting `adress`",
            "2 `timeout` goes from 10 ms to 1 min",
            "3 Modbus address `100` is ambiguous",
            "6 `h` does not say how to connect",
            "6 sink `b` has no setting `usr`",
        ],
        "no more: a missing address or user would follow from what is said"
    );
}

#[test]
fn what_a_node_lacks_is_said_once_and_how_to_give_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "p.gwp",
        "source plc : modbus_tcp { address = node(\"plc\"), unit_id = node(\"unit\")\n  tag p at \"hr 1\" : int }\n\
         sink b : mqtt { broker = \"mqtt://h\", user = \"gw\", password = secret(\"b\") }\nflow f = plc -> b\n",
    );
    let errors = |node: &[&str]| {
        let arguments = [&["run", "p.gwp", "--for", "1s"][..], node].concat();
        let (output, _, stderr) = run(&arguments, folder.path());
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let lines = stderr.lines().filter_map(|line| line.strip_prefix("error: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let hint = |item: &str, name: &str, section: &str| {
        format!(
            "{item}: no node.toml was given: put `{name}` in [{section}] of one and add `--node node.toml`"
        )
    };
    assert_eq!(
        errors(&[]),
        [
            hint("source/plc: address", "plc", "vars"),
            hint("source/plc: unit_id", "unit", "vars"),
            hint("sink/b: password", "b", "secrets"),
        ]
    );
    write("node.toml", "[vars]\nunit = \"300\"\n[secrets]\nb = \"x\"\n");
    assert_eq!(
        errors(&["--node", "node.toml"]),
        [
            "source/plc: address: node.toml has no `plc` in [vars]",
            "source/plc: unit_id: `300` does not do: `unit_id` goes from 0 to 255",
        ]
    );
}

/// The broker of this program does not exist, so all samples wait in the journal.
#[test]
fn an_export_is_written_like_a_csv_file_and_the_log_is_for_people() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("p.gwp"),
        "source s : simulator { scan = 100 ms\n  tag x at \"constant 3\" : int scale 0.1\n\
         \n  calc none : real = x / (x - x)\n}\n\
         sink b : mqtt { broker = \"mqtt://127.0.0.1:1\" }\nsink f : csv { path = \"out.csv\", columns = [\"time\", \"path\", \"value\", \"quality\", \"unit\", \"flow\"] }\n\
         sink d : sqlite { path = \"out.db\" }\nflow g = s.x, s.none -> b, f, d\n",
    )
    .unwrap();
    let (output, _, stderr) = run(&["run", "p.gwp", "--for", "1s", "--quiet"], folder.path());
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("the database is open"), "{stderr}");
    for mark in ["Some(", "None", "{ ", "Cursor"] {
        assert!(!stderr.contains(mark), "{mark} in:\n{stderr}");
    }
    let (_, exported, stderr) = run(&["journal", "export", "b"], folder.path());
    let written = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert_eq!(exported, written, "{stderr}");
    let lines: Vec<&str> = exported.lines().collect();
    assert_eq!(lines[0], "time,path,value,quality,unit,flow");
    assert!(lines.iter().any(|line| line.contains(",s.x,0.3,good,,g")), "{exported}");
    assert!(lines.iter().any(|line| line.contains(",s.none,,bad(")), "{exported}");
    let (_, tail, _) = run(&["journal", "tail", "b", "-n", "2"], folder.path());
    let newest: Vec<&str> =
        tail.lines().filter_map(|line| line.split_once("  ")).map(|(_, line)| line).collect();
    assert_eq!(newest, lines[lines.len() - 2..]);
}

#[test]
fn a_mode_of_standby_must_fit_how_a_source_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let check = |mode: &str, standby: &str| {
        let text = format!(
            "source s : opcua {{ address = \"opc.tcp://10.0.0.1:4840\", mode = {mode}, standby = {standby}\n  \
             tag x at \"i=2258\" : time\n}}\nsink out : csv {{ path = \"x.csv\" }}\nflow f = s -> out\n"
        );
        std::fs::write(folder.path().join("p.gwp"), text).unwrap();
        let (output, _, stderr) = run(&["check", "p.gwp"], folder.path());
        (output.status.code(), stderr)
    };
    for (mode, standby, help) in
        [("subscribe", "hot", "add `mode = poll`"), ("poll", "transfer", "leave `mode = poll` out")]
    {
        let (code, stderr) = check(mode, standby);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("E407") && stderr.contains(help), "{stderr}");
    }
    for (mode, standby) in [("subscribe", "transfer"), ("poll", "hot"), ("poll", "warm")] {
        let (code, stderr) = check(mode, standby);
        assert_eq!(code, Some(0), "{stderr}");
    }
}
