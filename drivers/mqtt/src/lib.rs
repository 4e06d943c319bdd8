//! Source `mqtt`: messages of an MQTT broker (3.1.1 or 5.0) as samples, and as commands of a `write`.
//!
//! A message is acknowledged when the log holds it on disk, not before, and the session is kept: what
//! is published while the gateway is away waits at the broker. Commands are taken at most once.
//!
//! ```text
//! settings, address -> Options, Address       what the user wants            (pure)
//! payload, topics      message -> batches     by type and JSON pointer       (pure)
//! client               rumqttc, both versions as one                         (shell)
//! run                  connections: messages in, acknowledgements out        (shell)
//! ```
//! Source of all rules: MQTT Version 5.0 and MQTT Version 3.1.1 (OASIS), RFC 6901 (JSON Pointer).

mod address;
mod client;
mod limits;
mod manifest;
mod payload;
mod run;
mod settings;
mod topics;

pub use manifest::MANIFEST;

use gwp_core::BoxFuture;
use gwp_core::manifest::{Manifest, SettingError};
use gwp_core::source::{Driver, GroupLoad, Source, SourceContext, SourceDeclaration, SourceError};
use settings::Options;
use topics::Topics;

/// The driver `mqtt`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mqtt;

impl Driver for Mqtt {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError> {
        prepare(declaration).err().unwrap_or_default()
    }

    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>> {
        let subscriber = prepare(&declaration)?;
        let unresolved = gwp_mqtt::link::unresolved(&declaration.item.settings, MANIFEST.settings);
        if unresolved.is_empty() { Ok(Box::new(subscriber)) } else { Err(unresolved) }
    }

    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad> {
        vec![GroupLoad::default(); declaration.groups.len()]
    }
}

fn prepare(declaration: &SourceDeclaration) -> Result<Subscriber, Vec<SettingError>> {
    let mut errors = Vec::new();
    let options = Options::read(declaration, &mut errors);
    let topics = Topics::new(declaration, &mut errors);
    if errors.is_empty() { Ok(Subscriber { options, topics }) } else { Err(errors) }
}

/// One connection to a broker, ready to run.
#[derive(Debug)]
struct Subscriber {
    options: Options,
    topics: Topics,
}

impl Source for Subscriber {
    fn run<'a>(&'a self, cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(run::run(&self.options, &self.topics, cx))
    }
}

#[cfg(test)]
mod tests;
