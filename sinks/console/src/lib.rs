//! Sink `console`: samples on the terminal.
//!
//! ```text
//! text      samples -> lines, JSON lines                   (pure)
//! table     samples -> rows -> lines of a terminal         (pure)
//! screen    lines over lines, log lines above them         (terminal codes)
//! run       deliveries -> standard output                  (shell)
//! ```

#[cfg(test)]
mod fixture;
mod manifest;
mod run;
mod screen;
mod table;
mod text;

pub use manifest::CONSOLE;
pub use screen::above;

use gwp_core::manifest::{SettingError, Settings};
use gwp_core::sink::{Sink, SinkContext, SinkDeclaration, SinkDriver, SinkError};
use gwp_core::{BoxFuture, Manifest};
use std::io::IsTerminal;

/// How samples are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Table,
    Lines,
    Json,
}

fn mode(settings: &Settings, terminal: bool) -> Mode {
    match settings.text("format") {
        Some("json") => Mode::Json,
        Some("lines") => Mode::Lines,
        _ if terminal => Mode::Table,
        _ => Mode::Lines,
    }
}

/// True when a sink with these settings draws a table on the standard output of this
/// process: nothing else should write to the terminal then.
pub fn draws_table(settings: &Settings) -> bool {
    mode(settings, std::io::stdout().is_terminal()) == Mode::Table
}

/// The destination family `console`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl SinkDriver for Console {
    fn manifest(&self) -> &'static Manifest {
        &CONSOLE
    }

    /// Its one setting is a choice, which the compiler checks.
    fn check(&self, _declaration: &SinkDeclaration) -> Vec<SettingError> {
        Vec::new()
    }

    fn prepare(&self, declaration: SinkDeclaration) -> Result<Box<dyn Sink>, Vec<SettingError>> {
        Ok(Box::new(Terminal { mode: mode(&declaration.item.settings, std::io::stdout().is_terminal()) }))
    }
}

/// The terminal, ready to run.
#[derive(Debug)]
struct Terminal {
    mode: Mode,
}

impl Sink for Terminal {
    fn run<'a>(&'a self, cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(run::run(self.mode, run::stdout(), cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::SettingValue;

    #[test]
    fn a_table_needs_a_terminal() {
        let with = |format: Option<&str>| {
            let mut settings = Settings::default();
            if let Some(format) = format {
                settings.set("format", SettingValue::Text(format.into()));
            }
            settings
        };
        for (format, on_terminal, elsewhere) in [
            (None, Mode::Table, Mode::Lines),
            (Some("auto"), Mode::Table, Mode::Lines),
            (Some("table"), Mode::Table, Mode::Lines),
            (Some("lines"), Mode::Lines, Mode::Lines),
            (Some("json"), Mode::Json, Mode::Json),
        ] {
            assert_eq!(mode(&with(format), true), on_terminal);
            assert_eq!(mode(&with(format), false), elsewhere);
        }
    }
}
