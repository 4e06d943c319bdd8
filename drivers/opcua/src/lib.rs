//! OPC UA servers as a source: nodes by subscription, or read in scan slots.
//!
//! ```text
//! pure    settings, access, address -> prepare      what the user wants
//!         bookmark                                  where a run stands, for the next one
//!         value (from and to a server's types) · tags (what each said last) · sequence (numbers of notifications)
//! shell   link (a session) · dial, redundant (which server) · server (reads) · items (monitored items) · subscribe (publish loop) · poll · write
//!         history (what a server kept over an outage) · calls (the wire log) · security (who is spoken with, and how)
//!         browse (for the operator's commands)
//! ```
//! Source of all rules: OPC UA Part 4 (services) and Part 6 (mappings). The publish loop is the driver's own: a
//! notification is acknowledged when the log holds it on disk, not before.

mod access;
mod address;
mod bookmark;
pub mod browse;
mod calls;
mod dial;
pub mod history;
mod items;
mod limits;
mod link;
mod manifest;
mod poll;
mod prepare;
mod queue;
mod redundant;
pub mod security;
mod sequence;
mod server;
mod settings;
mod subscribe;
mod tags;
mod types;
mod value;
mod write;

pub use manifest::MANIFEST;

use gwp_core::BoxFuture;
use gwp_core::manifest::{Manifest, SettingError};
use gwp_core::source::{Driver, GroupLoad, Source, SourceContext, SourceDeclaration, SourceError};
use gwp_driver_kit::settings::error;
use prepare::Prepared;

/// An empty folder for a test, of its own.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("gwp-opcua-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// The driver `opcua`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpcUa;

impl Driver for OpcUa {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError> {
        Prepared::new(declaration).1
    }

    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>> {
        let (prepared, mut errors) = Prepared::new(&declaration);
        if errors.is_empty() && prepared.options.connection.is_none() {
            let help = "give `address`, `user` and `password` their values in node.toml";
            errors.push(error("address", "the connection has no value on this node", help));
        }
        if errors.is_empty() { Ok(Box::new(OpcUaSource(prepared))) } else { Err(errors) }
    }

    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad> {
        poll::load(&Prepared::new(declaration).0)
    }
}

/// One prepared source.
struct OpcUaSource(Prepared);

impl Source for OpcUaSource {
    fn run<'a>(&'a self, cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        if self.0.options.polls {
            Box::pin(poll::run(&self.0, cx))
        } else {
            Box::pin(subscribe::run(&self.0, cx))
        }
    }
}
