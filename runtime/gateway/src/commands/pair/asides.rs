//! `gwp pair asides`: stores that were set aside when a node came back with records that the other one never saw.
//!
//! The gateway hands them over to the active and deletes them. What stays, and what waits for that, is read and deleted
//! here on the disk of the node, whether a gateway runs there or not.

use crate::commands::journal::export;
use crate::status_line::grouped;
use anyhow::{Context, bail};
use clap::Subcommand;
use gwp_engine::alarms::BOARD;
use gwp_journal::aside::delete_aside;
use gwp_journal::{Store, StoreError, StoreOptions, asides};
use std::path::Path;

#[derive(Subcommand)]
pub enum AsidesCommand {
    /// List them: what they hold, what was not delivered from there, and why they are not handed over
    Ls,
    /// Write as CSV what was not delivered to a sink; its peer may have read and delivered the same times by itself
    Export {
        /// As `gwp pair asides ls` shows it
        number: u32,
        /// Name of the sink
        sink: String,
    },
    /// Delete one for good
    Rm {
        /// As `gwp pair asides ls` shows it
        number: u32,
    },
}

pub fn run(command: &AsidesCommand, data: &Path) -> anyhow::Result<()> {
    let known = asides(data)?;
    let named = |number: u32| match known.contains(&number) {
        true => Ok(number),
        false => bail!("there is no store.aside-{number} in {}: see `gwp pair asides ls`", data.display()),
    };
    match command {
        AsidesCommand::Ls if known.is_empty() => println!("no store was set aside in {}", data.display()),
        AsidesCommand::Ls => {
            println!("{:>6}  {:<24} {:>14}  NOT DELIVERED", "NUMBER", "LOG", "BYTES");
            for number in known {
                match Store::open_aside(data, number, StoreOptions::default()) {
                    Ok(opened) => list(number, &opened.store)?,
                    Err(StoreError::Locked { .. }) => {
                        println!("{number:>6}  a gwp has it open: the gateway hands it over to the active");
                    }
                    Err(error) => {
                        println!("{number:>6}  it cannot be read, and is not handed over: {error}");
                    }
                }
            }
        }
        AsidesCommand::Export { number, sink } => export(&open(data, named(*number)?)?, sink)?,
        AsidesCommand::Rm { number } => {
            delete_aside(data, named(*number)?)?;
            println!("store.aside-{number} is deleted");
        }
    }
    Ok(())
}

fn list(number: u32, store: &Store) -> anyhow::Result<()> {
    let (from, upto) = store.log_span();
    let log = format!("{} .. {upto}", from.map_or("-".to_owned(), |from| from.to_string()));
    let mut waiting = Vec::new();
    for sink in store.sinks().filter(|sink| *sink.name != *BOARD) {
        waiting.push(format!("{} {} samples", sink.name, grouped(sink.pending_samples())));
    }
    println!("{number:>6}  {log:<24} {:>14}  {}", grouped(store.log_bytes()), waiting.join(", "));
    let state = match store.stays()? {
        Some(why) => format!("stays: {why}"),
        None => "is handed over once this node follows the active, or is active itself".into(),
    };
    println!("        {state}");
    Ok(())
}

fn open(data: &Path, number: u32) -> anyhow::Result<Store> {
    let opened = Store::open_aside(data, number, StoreOptions::default());
    Ok(opened.with_context(|| format!("store.aside-{number} cannot be read"))?.store)
}
