//! Live values of a real gateway: list, get, watch and write tags, and the view of `gwp top`.

use crate::{ask, number, refused, run, said, try_rows};
use gwp_tests::{Process, gwp, until};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = gwp_tests::PATIENCE;

/// A plant whose commands come from a broker that never answers: operators write all the same.
fn program(port: u16) -> String {
    format!(
        r#"
source s : simulator {{
  scan = 100 ms
  tag x     at "constant 80"  : real degC
  tag quiet at "constant 7"   : int
  tag limit at "constant 100" : real kW  range 0..500 kW  writable
  calc twice : real kW = limit * 2
  calc nowhere : real kW = limit * 3
  alarm hot when x > 70 degC
}}
source control : mqtt {{ broker = "mqtt://127.0.0.1:{port}" }}
write set_limit to s.limit from control at "set/limit" {{ allow = 50..400 kW, verify = 5 s }}
sink db : sqlite {{ path = "live.db" }}
flow all = s.limit, s.twice, set_limit -> db
"#
    )
}

/// Value, unit and quality of the line of a tag.
fn value_of(folder: &Path, path: &str) -> String {
    let text = said(&ask(folder, &["tags", "get", path]));
    text.trim().splitn(3, ' ').nth(2).unwrap_or_default().to_owned()
}

#[test]
fn tags_are_listed_watched_and_written_by_the_rules_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::write(folder.join("p.gwp"), program(broker.local_addr().unwrap().port())).unwrap();
    let mut gateway = run(folder, &[]);
    until("the gateway to answer", LIMIT, || ask(folder, &["alarm", "ls"]).status.success());

    // Read, computed, an alarm, a connection; also of tags that flow nowhere, but for calcs.
    for (path, value) in [
        ("s.x", "80 degC good"),
        ("s.quiet", "7 good"),
        ("s.limit", "100 kW good"),
        ("s.twice", "200 kW good"),
        ("s.hot", "true good"),
        ("s.connected", "true good"),
        ("s.nowhere", "- has no value yet"),
    ] {
        // JSON has no whole numbers of its own for reals.
        until(path, LIMIT, || value_of(folder, path).replace(".0 ", " ") == value);
    }
    let list = said(&ask(folder, &["tags", "ls", "s.*"]));
    let line = |path: &str| list.lines().find(|line| line.starts_with(path)).unwrap_or_default().to_owned();
    assert!(line("s.limit ").contains(" real ") && line("s.limit ").contains("kW"), "{list}");
    assert!(line("s.hot ").contains(" bool "), "{list}");
    assert!(!list.contains("control.") && !list.contains("set_limit"), "{list}");
    assert!(refused(&ask(folder, &["tags", "get", "s.nothing"]), 1).contains("no tag `s.nothing`"));

    let mut command = Command::new(gwp());
    let mut watch =
        Process::start(command.current_dir(folder).args(["tags", "watch", "s.twice", "set_limit.*"]));
    let heard = |wanted: &str| {
        until(wanted, LIMIT, || {
            let line = watch.line().replace(".0 ", " ");
            line.ends_with(wanted)
        });
    };
    heard(" s.twice 200 kW good");
    let written = said(&ask(folder, &["tags", "write", "s.limit", "300"]));
    assert_eq!(written, "s.limit: confirmed: 300 kW\n");
    heard(" s.twice 600 kW good");
    watch.kill();
    assert_eq!(value_of(folder, "set_limit.s"), "confirmed: 300 kW good");
    for (args, why) in [
        (["s.limit", "900"], "s.limit: refused: 900 kW is outside 50 kW..400 kW"),
        (["s.limit", "high"], "s.limit: `s.limit` takes real"),
        (["s.x", "1"], "declare `write NAME to s.x from SOURCE"),
        (["s.nothing", "1"], "there is no tag `s.nothing`"),
    ] {
        let text = refused(&ask(folder, &[&["tags", "write"], &args[..]].concat()), 1);
        assert!(text.contains(why), "{text}");
    }
    let audit = said(&ask(folder, &["audit"]));
    assert_eq!(audit.lines().filter(|line| line.contains(" write ")).count(), 5, "{audit}");

    let top = said(&ask(folder, &["top"]));
    let line = |name: &str| top.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(top.contains("1 alarms active"), "{top}");
    assert!(line("s ").contains(" ok ") && line("control ").contains(" DOWN "), "{top}");
    assert!(line("db ").contains(" ok "), "{top}");

    assert!(Command::new("kill").arg(gateway.child.id().to_string()).status().unwrap().success());
    assert!(gateway.wait(LIMIT).success());
    // What was written is in the log, and went where the program says.
    let rows = try_rows(&folder.join("live.db")).unwrap();
    let limits = rows.iter().filter(|row| row.path == "s.limit" && row.quality == "good");
    assert_eq!(limits.map(|row| number(&row.value)).next_back(), Some(300.0));
    let outcomes = rows.iter().filter(|row| row.path == "set_limit.s").count();
    assert_eq!(outcomes, 2);
}
