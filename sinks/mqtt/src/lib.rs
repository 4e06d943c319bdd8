//! Sink `mqtt`: samples as JSON messages to an MQTT broker, 3.1.1 or 5.0.
//!
//! The engine's journal is the only queue. A delivery is acknowledged when the
//! broker has acknowledged each of its messages; the queue of the client
//! library is never relied on.
//!
//! ```text
//! settings -> Options          what the user wants
//! topic, encode, json          samples -> topic and payload          (pure)
//! acks                         packet ids -> cursors                 (pure)
//! client                       rumqttc, both versions as one         (shell)
//! run                          one connection, end to end            (shell)
//! ```

mod acks;
mod client;
mod encode;
#[cfg(test)]
mod fixture;
mod json;
mod limits;
mod manifest;
mod run;
mod settings;
mod topic;

pub use manifest::MANIFEST;

use gwp_core::manifest::SettingError;
use gwp_core::sink::{Sink, SinkContext, SinkDeclaration, SinkDriver, SinkError};
use gwp_core::{BoxFuture, Manifest};
use run::Lessons;
use settings::Options;

/// The destination family `mqtt`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mqtt;

impl SinkDriver for Mqtt {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn check(&self, declaration: &SinkDeclaration) -> Vec<SettingError> {
        settings::read(declaration).err().unwrap_or_default()
    }

    fn prepare(&self, declaration: SinkDeclaration) -> Result<Box<dyn Sink>, Vec<SettingError>> {
        let options = settings::read(&declaration)?;
        let unresolved = gwp_mqtt::link::unresolved(&declaration.item.settings, MANIFEST.settings);
        if !unresolved.is_empty() {
            return Err(unresolved);
        }
        Ok(Box::new(Broker { options, lessons: Lessons::default() }))
    }
}

/// One broker, ready to run.
#[derive(Debug)]
struct Broker {
    options: Options,
    lessons: Lessons,
}

impl Sink for Broker {
    fn run<'a>(&'a self, cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(run::run(&self.options, &self.lessons, cx))
    }

    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async {
            let broker = &self.options.link.broker;
            let connect = tokio::net::TcpStream::connect((broker.host.as_str(), broker.port));
            match tokio::time::timeout(DRILL_TIME, connect).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(SinkError::retry(format!("{broker} cannot be reached: {error}"))),
                Err(_) => Err(SinkError::retry(format!("{broker} does not answer"))),
            }
        })
    }
}

/// How long a drill waits for a broker.
const DRILL_TIME: std::time::Duration = std::time::Duration::from_secs(1);
