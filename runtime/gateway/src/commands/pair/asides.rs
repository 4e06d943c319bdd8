//! `gwp pair asides`: stores that were set aside when a node came back with records that the other one never saw.
//!
//! They are read and deleted on the disk of the node, whether a gateway runs there or not.

use crate::commands::journal::export;
use crate::status_line::grouped;
use anyhow::{Context, bail};
use clap::Subcommand;
use gwp_engine::alarms::BOARD;
use gwp_journal::aside::delete_aside;
use gwp_journal::{Store, StoreOptions, asides};
use std::path::Path;

#[derive(Subcommand)]
pub enum AsidesCommand {
    /// List them: what they hold, and what was not delivered from there
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
                let store = open(data, number)?;
                let (from, upto) = store.log_span();
                let log = format!("{} .. {upto}", from.map_or("-".to_owned(), |from| from.to_string()));
                let mut waiting = Vec::new();
                for sink in store.sinks().filter(|sink| *sink.name != *BOARD) {
                    waiting.push(format!("{} {} samples", sink.name, grouped(sink.pending_samples())));
                }
                println!("{number:>6}  {log:<24} {:>14}  {}", grouped(store.log_bytes()), waiting.join(", "));
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

fn open(data: &Path, number: u32) -> anyhow::Result<Store> {
    let opened = Store::open_aside(data, number, StoreOptions::default());
    Ok(opened.with_context(|| format!("store.aside-{number} cannot be read"))?.store)
}
