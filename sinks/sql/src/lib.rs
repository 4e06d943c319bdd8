//! Sinks into SQL databases. Today: `sqlite`, a file on the node.
//!
//! The cursor of the journal is written in the same transaction as the samples
//! it covers, so each sample is in the file exactly once, whatever dies when;
//! and a gateway that has lost its role cannot write any more, because the row
//! of the cursor holds the epoch of its successor.
//!
//! ```text
//! settings -> Options      what the user wants
//! schema                   texts of all SQL
//! rows                     samples as SQLite keeps them
//! store                    one open file: resume, one transaction per call   (blocking)
//! run                      deliveries -> store, on a thread that may block    (shell)
//! ```

#[cfg(test)]
mod fixture;
mod manifest;
mod rows;
mod run;
mod schema;
mod settings;
mod store;

pub use manifest::SQLITE;

use gwp_core::manifest::{Place, SettingError};
use gwp_core::sink::{Sink, SinkContext, SinkDeclaration, SinkDriver, SinkError};
use gwp_core::{BoxFuture, Manifest};
use settings::Options;

/// The destination family `sqlite`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sqlite;

impl SinkDriver for Sqlite {
    fn manifest(&self) -> &'static Manifest {
        &SQLITE
    }

    fn check(&self, declaration: &SinkDeclaration) -> Vec<SettingError> {
        settings::read(declaration).err().unwrap_or_default()
    }

    fn prepare(&self, declaration: SinkDeclaration) -> Result<Box<dyn Sink>, Vec<SettingError>> {
        let options = settings::read(&declaration)?;
        let unresolved: Vec<_> = SQLITE
            .settings
            .iter()
            .filter(|setting| declaration.item.settings.is_unresolved(setting.name))
            .map(|setting| SettingError {
                place: Place::Setting(setting.name),
                code: None,
                message: format!("`{}` has no value on this node", setting.name),
                help: "give it one in node.toml".into(),
            })
            .collect();
        if unresolved.is_empty() { Ok(Box::new(File { options })) } else { Err(unresolved) }
    }
}

/// One database file, ready to run.
#[derive(Debug)]
struct File {
    options: Options,
}

impl Sink for File {
    fn run<'a>(&'a self, cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(run::run(&self.options, cx))
    }

    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SinkError>> {
        let folder = self.options.path.parent().unwrap_or(std::path::Path::new(""));
        Box::pin(std::future::ready(gwp_core::drill::folder(folder).map_err(SinkError::halt)))
    }
}
