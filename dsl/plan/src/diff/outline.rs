//! The outline of a plan: its items by name, each with the fingerprint of all it says.

use super::changes::{Change, Changes};
use super::fingerprint::Fingerprint;
use super::items::items;
use crate::plan::Plan;
use std::collections::BTreeMap;

/// A plan by names instead of numbers. Two compiled plans have the same id exactly if their outlines are equal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outline {
    /// Names say the kind first: `gateway`, `source/press`, `tag/press.flow`, `calc/press.total`, `alarm/press.hot`,
    /// `write/set_limit.meter01`, `sink/erp`, `flow/live`, `moved/sink/pi/`.
    pub items: BTreeMap<String, Fingerprint>,
}

/// Changes that do not belong to an outline.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    #[error("{0} is not there, or is not as the changes say")]
    Before(String),
    #[error("{0} is there already")]
    After(String),
}

impl Outline {
    pub fn of(plan: &Plan) -> Outline {
        Outline { items: items(plan).into_iter().map(|item| (item.name, item.whole)).collect() }
    }

    /// What the changes make of it.
    ///
    /// # Errors
    /// They were made from another outline.
    pub fn apply(&self, changes: &Changes) -> Result<Outline, Mismatch> {
        let mut items = self.items.clone();
        for change in &changes.changes {
            if let Some(before) = change.before {
                let name = change.name_before();
                if items.remove(name) != Some(before) {
                    return Err(Mismatch::Before(name.to_owned()));
                }
            }
        }
        for Change { item, after, .. } in &changes.changes {
            if let Some(after) = after
                && items.insert(item.clone(), *after).is_some()
            {
                return Err(Mismatch::After(item.clone()));
            }
        }
        Ok(Outline { items })
    }
}
