//! Black box: the real binary, real files, real peers. The destination is compared
//! with what the devices say they served.

#[path = "black_box/alarms.rs"]
mod alarms;
#[path = "black_box/broker.rs"]
mod broker;
#[path = "black_box/certs.rs"]
mod certs;
#[path = "black_box/changes.rs"]
mod changes;
#[path = "black_box/command_line.rs"]
mod command_line;
#[path = "black_box/console.rs"]
mod console;
#[path = "black_box/disk_full.rs"]
mod disk_full;
#[path = "black_box/editors.rs"]
mod editors;
#[path = "black_box/hello.rs"]
mod hello;
#[path = "black_box/kill.rs"]
mod kill;
#[path = "black_box/live.rs"]
mod live;
#[path = "black_box/lsp.rs"]
mod lsp;
#[cfg(unix)]
#[path = "black_box/mixed_plant.rs"]
mod mixed_plant;
#[path = "black_box/modbus_mqtt.rs"]
mod modbus_mqtt;
#[cfg(unix)]
#[path = "black_box/pair.rs"]
mod pair;
#[cfg(unix)]
#[path = "black_box/pair_asides.rs"]
mod pair_asides;
#[cfg(unix)]
#[path = "black_box/pair_changes.rs"]
mod pair_changes;
#[cfg(unix)]
#[path = "black_box/pair_force.rs"]
mod pair_force;
#[cfg(unix)]
#[path = "black_box/pair_guard.rs"]
mod pair_guard;
#[cfg(unix)]
#[path = "black_box/pair_hot.rs"]
mod pair_hot;
#[cfg(unix)]
#[path = "black_box/pair_mirror.rs"]
mod pair_mirror;
#[cfg(unix)]
#[path = "black_box/pair_plant.rs"]
mod pair_plant;
#[cfg(unix)]
#[path = "black_box/pair_recompute.rs"]
mod pair_recompute;
#[cfg(unix)]
#[path = "black_box/pair_superseded.rs"]
mod pair_superseded;
#[cfg(unix)]
#[path = "black_box/pair_transfer.rs"]
mod pair_transfer;
#[cfg(unix)]
#[path = "black_box/pair_views.rs"]
mod pair_views;
#[path = "black_box/recompute.rs"]
mod recompute;
#[path = "black_box/service.rs"]
mod service;
#[path = "black_box/silent_slave.rs"]
mod silent_slave;
#[path = "black_box/writes.rs"]
mod writes;

#[path = "programs/mod.rs"]
mod programs;

use gwp_tests::{Process, gwp};
use rusqlite::Connection;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Starts the gateway with the program `p.gwp` of a folder; what it logs is added to the file `log` there.
pub fn run(folder: &Path, more: &[&str]) -> Process {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = Command::new(gwp());
    command.current_dir(folder).args(["run", "p.gwp", "--quiet"]).args(more).stderr(Stdio::from(log));
    Process::start(&mut command)
}

/// Runs a command of `gwp` in a folder, to its end.
pub fn ask(folder: &Path, args: &[&str]) -> Output {
    Command::new(gwp()).current_dir(folder).args(args).output().expect("gwp runs")
}

/// What standard output says, if it went well.
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What standard error says, if it ended with this code.
pub fn refused(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A sample as SQLite has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub time_ns: i64,
    pub path: String,
    pub value: rusqlite::types::Value,
    pub quality: String,
}

/// All rows of the view `samples`, by tag and time.
pub fn rows(database: &Path) -> Vec<Row> {
    try_rows(database).expect("rows of the view `samples`")
}

/// The same, while a gateway may still be about to make the database.
pub fn try_rows(database: &Path) -> rusqlite::Result<Vec<Row>> {
    let connection = Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut query =
        connection.prepare("select time_ns, path, value, quality from samples order by path, time_ns")?;
    let rows = query.query_map([], |row| {
        Ok(Row { time_ns: row.get(0)?, path: row.get(1)?, value: row.get(2)?, quality: row.get(3)? })
    })?;
    rows.collect()
}

/// A number in a row.
pub fn number(value: &rusqlite::types::Value) -> f64 {
    match value {
        rusqlite::types::Value::Integer(value) => *value as f64,
        rusqlite::types::Value::Real(value) => *value,
        other => panic!("not a number: {other:?}"),
    }
}
