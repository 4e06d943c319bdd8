//! Where expressions find what they read: a number per tag and local.

use crate::expr::Expr;
use gwp_core::TagId;
use std::collections::BTreeMap;

/// Gives each tag and each local result that expressions read a slot in [`Latest`](super::Latest).
#[derive(Clone, Debug, Default)]
pub struct Slots {
    by_tag: BTreeMap<TagId, usize>,
    /// By scope and index in it.
    locals: BTreeMap<(u32, u32), usize>,
    /// Whose locals [`Expr::Local`] means at the moment.
    scope: u32,
}

impl Slots {
    /// The slot of a tag, allotted at its first use.
    pub fn slot(&mut self, tag: TagId) -> usize {
        let next = self.len();
        *self.by_tag.entry(tag).or_insert(next)
    }

    /// Opens a new scope of locals.
    pub fn open_scope(&mut self) {
        self.scope += 1;
    }

    /// The slot of a local of the open scope, allotted at its first use.
    pub fn local(&mut self, index: u32) -> usize {
        let next = self.len();
        *self.locals.entry((self.scope, index)).or_insert(next)
    }

    pub fn get(&self, tag: TagId) -> Option<usize> {
        self.by_tag.get(&tag).copied()
    }

    pub fn len(&self) -> usize {
        self.by_tag.len() + self.locals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tags with their slots, by tag.
    pub fn iter(&self) -> impl Iterator<Item = (TagId, usize)> + '_ {
        self.by_tag.iter().map(|(tag, slot)| (*tag, *slot))
    }

    /// What an expression reads directly: a tag or a local.
    pub(super) fn of(&mut self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Tag(tag, _) => Some(self.slot(*tag)),
            Expr::Local(index, _) => Some(self.local(*index)),
            _ => None,
        }
    }
}
