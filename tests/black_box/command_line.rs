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
    let mut count = 0;
    for entry in std::fs::read_dir(workspace().join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gwp") {
            count += 1;
            let file = path.to_str().unwrap();
            let (output, stdout, stderr) = run(&["check", file], &workspace());
            assert!(output.status.success(), "{file}: {stderr}");
            assert!(stdout.starts_with("ok:"), "{stdout}");
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
    assert!(count >= 3);
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
