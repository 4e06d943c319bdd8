//! `gwp import`: what other software was told, as a program. Pure text to text; files are read and written here.

mod draft;
mod kepware;
mod report;
mod telegraf;
pub mod text;

use crate::catalog;
use anyhow::Context;
use report::Report;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Largest file that is imported, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What to import.
#[derive(clap::Subcommand)]
pub enum ImportCommand {
    /// Tags of KEPServerEX, from the CSV that it exports per device
    #[command(after_help = "\
Name, address, type, scan rate, linear scaling, unit and description come over; groups become devices. What does not
come over stands in the program as a comment and is listed on standard error with the lines of the CSV. The address of
the device is not in the export: it becomes node(\"NAME\"), a value of [vars] in node.toml.

Example:
  gwp import kepware press.csv --source press -o press.gwp
  gwp check press.gwp")]
    Kepware {
        /// The CSV file
        file: PathBuf,
        /// Driver, such as modbus_tcp or modbus_rtu [default: guessed from the addresses]
        #[arg(long, value_name = "NAME", value_parser = driver_name)]
        driver: Option<String>,
        /// Name of the source
        #[arg(long, value_name = "NAME", default_value = "plc")]
        source: String,
        #[command(flatten)]
        output: Output,
    },
    /// A configuration of Telegraf: Modbus, OPC UA, S7 and MQTT inputs; MQTT, SQLite and file outputs
    #[command(after_help = "\
inputs.modbus in all three styles, inputs.opcua, inputs.opcua_listener, inputs.s7comm, inputs.mqtt_consumer,
outputs.mqtt, outputs.sql (sqlite) and outputs.file become sources and sinks. Every other section becomes a comment that says what to do. Passwords become secret(\"NAME\").

Example:
  gwp import telegraf /etc/telegraf/telegraf.conf -o plant.gwp
  gwp check plant.gwp")]
    Telegraf {
        /// The configuration file
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

/// Where the program goes.
#[derive(clap::Args)]
pub struct Output {
    /// Write the program to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    force: bool,
}

/// A program, and what there is to say about it.
#[derive(Debug)]
pub struct Imported {
    pub text: String,
    pub report: Report,
}

fn driver_name(text: &str) -> Result<String, String> {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && text.len() <= 40
        && !gwp_syntax::is_reserved(text);
    if plain { Ok(text.to_owned()) } else { Err("a driver has a name such as modbus_tcp".to_owned()) }
}

/// Drivers of other versions, whose sources become comments.
const OF_OTHER_VERSIONS: [&str; 1] = ["eip"];

/// A driver that nobody knows is a slip of the pen.
fn known_driver(name: &str) -> anyhow::Result<()> {
    if catalog::driver(name).is_some() || OF_OTHER_VERSIONS.contains(&name) {
        return Ok(());
    }
    let names: Vec<&str> = catalog::drivers().iter().map(|driver| driver.manifest().name).collect();
    anyhow::bail!("there is no driver `{name}`; there are: {}", names.join(", "))
}

/// Imports a file.
///
/// # Errors
/// The file cannot be read, is none of its kind, or the program cannot be written.
pub fn import(command: &ImportCommand) -> anyhow::Result<ExitCode> {
    let (file, output) = match command {
        ImportCommand::Kepware { file, output, .. } | ImportCommand::Telegraf { file, output } => {
            (file, output)
        }
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let imported = read(file).and_then(|text| match command {
        ImportCommand::Kepware { driver, source, .. } => {
            driver.as_deref().map_or(Ok(()), known_driver)?;
            let options = kepware::Options { source: source.clone(), driver: driver.clone(), file: name };
            kepware::import(&text, &options)
        }
        ImportCommand::Telegraf { .. } => telegraf::import(&text, &name),
    });
    let imported = match imported.with_context(|| file.display().to_string()) {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("{error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    match &output.output {
        None => std::io::stdout().write_all(imported.text.as_bytes())?,
        Some(path) => {
            write(path, &imported.text, output.force).with_context(|| path.display().to_string())?
        }
    }
    eprint!("{}", imported.report);
    Ok(ExitCode::SUCCESS)
}

/// The text of a file; too large ones are refused before they are read.
fn read(path: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(path)?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{size} bytes are too many: {FILE_BYTES_MAX} are allowed");
    Ok(text::decoded(&fs::read(path)?))
}

fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    let file = if force {
        options.create(true).truncate(true).open(path)
    } else {
        options.create_new(true).open(path)
    };
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            std::io::Error::other("the file is there already; --force replaces it")
        }
        _ => error,
    })?;
    file.write_all(text.as_bytes())
}

/// What an imported program must be: right, and in the look of the formatter.
#[cfg(test)]
fn problems(text: &str) -> Vec<String> {
    let program = super::program::of_text("import.gwp", text);
    let errors = program.diagnostics.iter().filter(|found| found.severity == gwp_syntax::Severity::Error);
    let mut problems: Vec<String> =
        errors.map(|found| format!("{} {}", program.sources.place(found.span), found.message)).collect();
    let file = gwp_syntax::SourceMap::default().add("import.gwp", text);
    if gwp_syntax::format(file, text).map(|formatted| formatted != text).unwrap_or(true) {
        problems.push("it is not as the formatter writes it".to_owned());
    }
    problems
}
