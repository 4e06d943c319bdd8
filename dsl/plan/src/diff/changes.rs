//! Changes as data: what a node computes, and the command line shows.
//!
//! ```json
//! { "summary": { "added": 0, "changed": 1, "moved": 0, "removed": 0, "replaced": 0, "unchanged": 812 },
//!   "changes": [ { "sign": "~", "item": "source/press", "from": null,
//!                  "details": [ { "how": "value", "what": "scan", "old": "500 ms", "new": "250 ms" } ],
//!                  "effect": { "connection": "reconnects", "gap_ms": 300, "state": "kept", "journal": null,
//!                              "words": [ "reconnects, about 300 ms without samples" ] },
//!                  "before": "0123...", "after": "4567..." } ],
//!   "hints": [ { "add": "moved pi -> pi2", "why": "..." } ],
//!   "notes": [ "..." ] }
//! ```

use super::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What makes one plan of another. Sorted by item.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Changes {
    pub summary: Summary,
    pub changes: Vec<Change>,
    /// Lines that the program may be missing.
    pub hints: Vec<Hint>,
    /// What the switch means to items that have not changed.
    pub notes: Vec<String>,
}

/// How many items; lines of `moved` do not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    pub added: usize,
    /// In place.
    pub changed: usize,
    pub moved: usize,
    pub removed: usize,
    pub replaced: usize,
    /// Those that only follow the names of others are among them.
    pub unchanged: usize,
}

/// What happens to an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Sign {
    #[serde(rename = "+")]
    Added,
    #[serde(rename = "~")]
    Changed,
    /// It has another name, and may be changed besides.
    #[serde(rename = ">")]
    Moved,
    #[serde(rename = "-")]
    Removed,
    /// It keeps its name, but nothing of what it was goes on.
    #[serde(rename = "!")]
    Replaced,
    /// Nothing but names of others in it; not shown.
    #[serde(rename = "=")]
    Follows,
}

impl Sign {
    pub const fn symbol(self) -> char {
        match self {
            Sign::Added => '+',
            Sign::Changed => '~',
            Sign::Moved => '>',
            Sign::Removed => '-',
            Sign::Replaced => '!',
            Sign::Follows => '=',
        }
    }
}

/// One item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    pub sign: Sign,
    /// Its name in the new plan, of a removed one in the old plan.
    pub item: String,
    /// Its name in the old plan, if that is another.
    pub from: Option<String>,
    pub details: Vec<Detail>,
    pub effect: Effect,
    /// In the old plan; `None` if it was not there.
    pub before: Option<Fingerprint>,
    /// In the new plan; `None` if it is not there.
    pub after: Option<Fingerprint>,
}

/// What is different in an item, in plant words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Detail {
    Value {
        what: String,
        old: String,
        new: String,
    },
    Added {
        what: String,
    },
    Removed {
        what: String,
    },
    /// In a way that does not fit a line.
    Changed {
        what: String,
    },
}

/// What a change does to what runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Effect {
    /// Of a source or sink.
    pub connection: Option<Connection>,
    /// About how long a source gives no samples, milliseconds.
    pub gap_ms: Option<u32>,
    /// What was computed so far.
    pub state: Option<State>,
    /// Of a sink.
    pub journal: Option<Journal>,
    /// The same for people.
    pub words: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    Kept,
    Reconnects,
    Opens,
    Closes,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Kept,
    /// Some of it begins anew.
    InPart,
    Anew,
    Ends,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Journal {
    Kept,
    Begins,
    /// Is delivered, up to its `keep`, and then deleted.
    Drains,
}

/// A line that keeps what would be lost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Hint {
    /// The line: `moved pi -> pi2`.
    pub add: String,
    pub why: String,
}

impl Change {
    /// Its name in the old plan.
    pub fn name_before(&self) -> &str {
        self.from.as_deref().unwrap_or(&self.item)
    }

    fn inverse(&self) -> Change {
        let sign = match self.sign {
            Sign::Added => Sign::Removed,
            Sign::Removed => Sign::Added,
            sign => sign,
        };
        Change {
            sign,
            item: self.name_before().to_owned(),
            from: self.from.as_ref().map(|_| self.item.clone()),
            details: self.details.iter().map(Detail::inverse).collect(),
            effect: Effect::default(),
            before: self.after,
            after: self.before,
        }
    }
}

impl Detail {
    pub(super) fn value(what: &str, old: impl fmt::Display, new: impl fmt::Display) -> Detail {
        Detail::Value { what: what.to_owned(), old: old.to_string(), new: new.to_string() }
    }

    pub(super) fn changed(what: &str) -> Detail {
        Detail::Changed { what: what.to_owned() }
    }

    fn inverse(&self) -> Detail {
        match self.clone() {
            Detail::Value { what, old, new } => Detail::Value { what, old: new, new: old },
            Detail::Added { what } => Detail::Removed { what },
            Detail::Removed { what } => Detail::Added { what },
            same @ Detail::Changed { .. } => same,
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::Value { what, old, new } => write!(f, "{what} {old} -> {new}"),
            Detail::Added { what } => write!(f, "{what} added"),
            Detail::Removed { what } => write!(f, "{what} removed"),
            Detail::Changed { what } => write!(f, "{what} changed"),
        }
    }
}

impl Effect {
    pub(super) fn words(words: impl Into<String>) -> Effect {
        Effect { words: vec![words.into()], ..Effect::default() }
    }
}

impl Changes {
    /// True if the plans are the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Back again. What that does to state and journals only `between` can tell, so effects are empty.
    pub fn inverse(&self) -> Changes {
        let mut changes: Vec<Change> = self.changes.iter().map(Change::inverse).collect();
        changes.sort_by(|a, b| a.item.cmp(&b.item));
        let Summary { added, removed, .. } = self.summary;
        let summary = Summary { added: removed, removed: added, ..self.summary };
        Changes { summary, changes, hints: Vec::new(), notes: Vec::new() }
    }
}
