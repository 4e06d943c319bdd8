//! What is different in an item, and what that does to what runs.

use super::changes::{Change, Connection, Detail, Effect, Journal, Sign, State};
use super::items::{Item, Part, routes_of};
use super::lanes::Lanes;
use super::{calcs, flows, sinks, sources};
use crate::plan::Plan;

/// Two plans, and the older one under the names of today.
pub(super) struct Pair<'p> {
    pub old: &'p Plan,
    pub called: &'p Plan,
    pub new: &'p Plan,
    pub lanes: Lanes<'p>,
}

/// Differences and their effect; `true`: nothing of what it was goes on.
pub(super) type Described = (Vec<Detail>, Effect, bool);

impl Pair<'_> {
    /// An item that both have and that says something else now.
    pub fn changed(&mut self, old: &Part, new: &Part) -> Described {
        match (old, new) {
            (Part::Gateway, Part::Gateway) => sinks::gateway(self),
            (Part::Source(i), Part::Source(j)) => sources::changed(self, *i, *j),
            (Part::Tag(old), Part::Tag(new)) => sources::tag_changed(self, *old, *new),
            (Part::Calc(i), Part::Calc(j)) => calcs::changed(self, *i, *j),
            (Part::Write(i), Part::Write(j)) => calcs::write_changed(self, *i, *j),
            (Part::Sink(i), Part::Sink(j)) => sinks::changed(self, *i, *j),
            (Part::Flow(old), Part::Flow(new)) => flows::changed(self, old, new),
            _ => (Vec::new(), Effect::default(), false),
        }
    }

    pub fn added(&mut self, item: &Item) -> Change {
        let effect = match &item.part {
            Part::Source(_) => Effect {
                connection: Some(Connection::Opens),
                words: vec!["connects".to_owned()],
                ..Effect::default()
            },
            Part::Tag(tag) => sources::tag_added(self.new, *tag),
            Part::Calc(_) => Effect {
                state: Some(State::Anew),
                words: vec!["begins with the next samples".to_owned()],
                ..Effect::default()
            },
            Part::Write(_) => Effect::words("takes commands from the switch on"),
            Part::Sink(_) => Effect {
                connection: Some(Connection::Opens),
                journal: Some(Journal::Begins),
                words: vec!["begins with what comes and is computed from the switch on".to_owned()],
                ..Effect::default()
            },
            Part::Flow(flow) => {
                for (sink, _) in routes_of(self.new, flow) {
                    self.lanes.fate(sink, flow);
                }
                Effect::words("begins with what comes from the switch on")
            }
            Part::Gateway | Part::Moved => Effect::default(),
        };
        change(Sign::Added, item.name.clone(), effect, None, Some(item))
    }

    pub fn removed(&mut self, item: &Item) -> Change {
        let ends = |words: &str| Effect {
            state: Some(State::Ends),
            words: vec![words.to_owned()],
            ..Effect::default()
        };
        let effect = match &item.part {
            Part::Source(_) => Effect {
                connection: Some(Connection::Closes),
                words: vec!["disconnects".to_owned()],
                ..Effect::default()
            },
            Part::Tag(_) => Effect::words("no more samples"),
            Part::Calc(index) => calcs::removed(self.old, *index),
            Part::Write(_) => Effect::words("takes no more commands"),
            Part::Sink(index) => sinks::removed(self.old, *index),
            Part::Flow(flow) => match flows::has_windows(self.old, flow) {
                true => ends("rows of open windows are not issued"),
                false => ends("nothing more goes this way"),
            },
            Part::Gateway | Part::Moved => Effect::default(),
        };
        change(Sign::Removed, item.name.clone(), effect, Some(item), None)
    }
}

/// A change without details.
pub(super) fn change(
    sign: Sign,
    name: String,
    effect: Effect,
    before: Option<&Item>,
    after: Option<&Item>,
) -> Change {
    let (before, after) = (before.map(|item| item.whole), after.map(|item| item.whole));
    Change { sign, item: name, from: None, details: Vec::new(), effect, before, after }
}
