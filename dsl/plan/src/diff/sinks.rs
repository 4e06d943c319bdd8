//! Sinks and the gateway: what reconnects, and what becomes of journals.

use super::changes::{Connection, Detail, Effect, Journal};
use super::describe::{Described, Pair};
use super::same::{dead_letter, same_delivery};
use super::words::{self, compared};
use crate::plan::Plan;
use gwp_core::manifest::{written_bytes, written_duration};

pub(super) fn changed(pair: &Pair<'_>, i: usize, j: usize) -> Described {
    let (old, new) = (&pair.called.sinks[i], &pair.new.sinks[j]);
    let mut details = Vec::new();
    compared(&mut details, "driver", (&old.driver, &new.driver), |driver| driver.to_string());
    words::settings(&mut details, "", &old.settings, &new.settings);
    let (was, is) = (&old.journal, &new.journal);
    let bytes = |bytes: &u64| written_bytes(*bytes);
    let span = |ns: &i64| written_duration(*ns);
    compared(&mut details, "journal.capacity", (&was.capacity_bytes, &is.capacity_bytes), bytes);
    compared(&mut details, "journal.keep", (&was.keep_ns, &is.keep_ns), span);
    compared(&mut details, "journal.full", (&was.full, &is.full), |full| words::choice(full));
    compared(&mut details, "journal.mirror", (&was.mirror, &is.mirror), |mirror| words::choice(mirror));
    compared(&mut details, "retry.first", (&old.retry.first_ns, &new.retry.first_ns), span);
    compared(&mut details, "retry.max", (&old.retry.max_ns, &new.retry.max_ns), span);
    compared(&mut details, "order", (&old.order, &new.order), |order| words::choice(order));
    compared(&mut details, "key", (&old.key, &new.key), |key| words::key(key));
    compared(&mut details, "bad", (&old.bad, &new.bad), |bad| words::choice(bad));
    let letters = (&dead_letter(pair.called, old), &dead_letter(pair.new, new));
    compared(&mut details, "dead_letter", letters, |name| name.unwrap_or(words::NONE).to_owned());
    let same = same_delivery(pair.old, i, pair.new, j);
    // Another driver delivers what waits all the same: so it is never replaced.
    (details, effect(same), false)
}

fn effect(same: bool) -> Effect {
    let (connection, words) = match same {
        true => (Connection::Kept, "journal kept, no reconnect"),
        false => {
            (Connection::Reconnects, "reconnects; journal kept, what waits goes to the new place in order")
        }
    };
    Effect { connection: Some(connection), journal: Some(Journal::Kept), ..Effect::words(words) }
}

pub(super) fn removed(plan: &Plan, index: usize) -> Effect {
    let keep = written_duration(plan.sinks[index].journal.keep_ns);
    Effect {
        connection: Some(Connection::Closes),
        journal: Some(Journal::Drains),
        ..Effect::words(format!("drains up to {keep}"))
    }
}

pub(super) fn gateway(pair: &Pair<'_>) -> Described {
    let (old, new) = (&pair.called.gateway, &pair.new.gateway);
    let mut details: Vec<Detail> = Vec::new();
    compared(&mut details, "name", (&old.name, &new.name), |name| name.to_string());
    compared(&mut details, "timezone", (&old.timezone, &new.timezone), |zone| words::quoted(zone));
    words::settings(&mut details, "", &old.settings, &new.settings);
    compared(&mut details, "plan format", (&pair.called.version, &pair.new.version), u16::to_string);
    if old.timezone == new.timezone {
        return (details, Effect::words("nothing reconnects"), false);
    }
    let words = "all sinks reconnect with their journals";
    (details, Effect { connection: Some(Connection::Reconnects), ..Effect::words(words) }, false)
}
