//! From the settings of a declaration to typed options, with everything that is wrong with them.

use crate::address::check_pointer;
use crate::payload::TimeUnit;
use gwp_core::manifest::{Place, SettingError};
use gwp_core::source::SourceDeclaration;
use gwp_mqtt::link::setting_error;
use gwp_mqtt::{Link, Version};
use std::time::Duration;

/// How long the broker keeps what is published while the gateway is away.
const SESSION_EXPIRY: Duration = Duration::from_secs(86_400);

/// Everything one source needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub link: Link,
    /// What becomes of retained messages on tags.
    pub retained: Retained,
    /// Place of the message's time in a JSON payload.
    pub time_at: Option<String>,
    pub time_unit: TimeUnit,
    /// Samples carry the message's own time.
    pub device_time: bool,
    /// Messages not acknowledged at most.
    pub window: u16,
    /// Bytes of a payload at most.
    pub payload_max: usize,
}

/// What becomes of a message that the broker kept from an earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retained {
    /// Its samples are uncertain(initial).
    Mark,
    /// As any other message.
    Good,
    /// It gives no samples.
    Skip,
}

impl Options {
    /// Reads a declaration; settings that are still references are taken as right.
    pub fn read(declaration: &SourceDeclaration, errors: &mut Vec<SettingError>) -> Options {
        let settings = &declaration.item.settings;
        let mut link = Link::read(settings, &declaration.item.name, errors);
        link.session_expiry = settings.duration("session_expiry").unwrap_or(SESSION_EXPIRY);
        let time_at = settings.text("time_at").map(str::to_owned);
        if let Some(Err(error)) = time_at.as_deref().map(check_pointer) {
            errors.push(setting_error("time_at", error.message, error.help));
        }
        let somewhere = time_at.is_some() || settings.is_unresolved("time_at") || link.version == Version::V5;
        if declaration.device_time && !somewhere {
            errors.push(SettingError {
                place: Place::Item,
                code: None,
                message: "`time = device` needs a time in the messages".into(),
                help: "say where it stands, such as `time_at = \"/time\"`".into(),
            });
        }
        Options {
            link,
            retained: match settings.text("retained") {
                Some("good") => Retained::Good,
                Some("skip") => Retained::Skip,
                _ => Retained::Mark,
            },
            time_at,
            time_unit: TimeUnit::of_word(settings.text("time_unit").unwrap_or("ms")),
            device_time: declaration.device_time,
            window: settings.int("in_flight").and_then(|n| u16::try_from(n).ok()).unwrap_or(100).max(1),
            payload_max: settings
                .bytes("message_bytes")
                .map_or(256 * 1024, |n| usize::try_from(n).unwrap_or(256 * 1024)),
        }
    }
}
