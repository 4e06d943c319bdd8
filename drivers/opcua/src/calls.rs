//! Service calls, with a line of each in the wire log: which, its status, how long it took. Never what it carries, as
//! that may be a secret.

use gwp_driver_kit::wire_log::WireLog;
use opcua::types::{Error, StatusCode};
use std::fmt;
use std::time::Instant;

/// A service, and how much of what it is asked for: `Read, nodes: 3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct What(pub &'static str, pub usize);

/// A call under way. One that is dropped has been given up.
pub struct Call<'a> {
    log: &'a WireLog,
    what: What,
    began: Instant,
    is_told: bool,
}

impl<'a> Call<'a> {
    pub fn begin(log: &'a WireLog, what: What) -> Call<'a> {
        Call { log, what, began: Instant::now(), is_told: false }
    }

    /// It has been answered so, or not at all.
    ///
    /// # Errors
    /// The call's.
    pub fn answer<T>(self, answer: Result<T, Error>) -> Result<T, Error> {
        self.ended(answer.as_ref().map_or_else(Error::status, |_| StatusCode::Good));
        answer
    }

    /// It has ended so.
    pub fn ended(mut self, outcome: impl fmt::Display) {
        self.tell(&outcome);
    }

    fn tell(&mut self, outcome: &dyn fmt::Display) {
        self.is_told = true;
        let ms = self.began.elapsed().as_millis();
        let What(service, count) = self.what;
        self.log.call(|| format!("{service}: {count}, {outcome} after {ms} ms"));
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(&"given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::{SettingValue, Settings};
    use gwp_driver_contract::log::Log;

    #[test]
    fn a_call_is_told_once_also_when_it_is_given_up() {
        let written = Log::capture();
        let mut settings = Settings::default();
        settings.set("wire_log", SettingValue::Text("frames".into()));
        let log = WireLog::new(&"line".into(), &settings);
        Call::begin(&log, What("Read, nodes", 3)).ended(StatusCode::BadTimeout);
        drop(Call::begin(&log, What("Publish, acknowledgements", 0)));
        let lines = written.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("Read, nodes: 3, BadTimeout after "), "{lines:?}");
        assert!(
            lines[1].contains("Publish, acknowledgements: 0, given up after ")
                && lines[1].contains("source=line"),
            "{lines:?}"
        );
    }
}
