//! Sink `csv`: samples as lines of files on the node.
//!
//! A delivery is acknowledged when its lines are on the disk. After a crash a
//! torn line is cut off; whole lines of deliveries that were not acknowledged
//! stay and come again.
//!
//! ```text
//! settings -> Options      what the user wants
//! path, names              which file, and what it is called when it is finished   (pure but a look at the folder)
//! format                   samples -> lines; where the last whole line ends         (pure)
//! files, gzip              open files, finished files                               (blocking)
//! run                      deliveries -> files, on a thread that may block          (shell)
//! ```

mod files;
#[cfg(test)]
mod fixture;
mod format;
mod gzip;
mod manifest;
mod names;
mod path;
mod run;
mod settings;

pub use format::{Column, Format};
pub use manifest::CSV;

use gwp_core::manifest::{Place, SettingError};
use gwp_core::sink::{Sink, SinkContext, SinkDeclaration, SinkDriver, SinkError};
use gwp_core::{BoxFuture, Manifest};
use settings::Options;

/// The destination family `csv`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Csv;

impl SinkDriver for Csv {
    fn manifest(&self) -> &'static Manifest {
        &CSV
    }

    fn check(&self, declaration: &SinkDeclaration) -> Vec<SettingError> {
        settings::read(declaration).err().unwrap_or_default()
    }

    fn prepare(&self, declaration: SinkDeclaration) -> Result<Box<dyn Sink>, Vec<SettingError>> {
        let options = settings::read(&declaration)?;
        let unresolved: Vec<_> = CSV
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
        if unresolved.is_empty() {
            Ok(Box::new(Folder { options, failed: Default::default() }))
        } else {
            Err(unresolved)
        }
    }
}

/// The files of one sink, ready to run.
#[derive(Debug)]
struct Folder {
    options: Options,
    /// The file at which the last run failed: it is tried before the sink calls itself ready again.
    failed: run::FailedFile,
}

impl Sink for Folder {
    fn run<'a>(&'a self, cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(run::run(&self.options, &self.failed, cx))
    }

    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SinkError>> {
        let tried = gwp_core::drill::folder(&self.options.path.fixed_folder());
        Box::pin(std::future::ready(tried.map_err(SinkError::halt)))
    }
}
