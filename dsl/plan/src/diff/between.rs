//! Finds which items of two plans belong together, and says of each what becomes of it.

use super::changes::{Change, Changes, Connection, Detail, Sign, Summary};
use super::describe::{Pair, change};
use super::hints::hints;
use super::items::{Item, Part, items};
use super::lanes::Lanes;
use super::renamed::renamed;
use super::words::some_of;
use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Changes {
    /// What makes `new` of `old`, and what that does to state, journals and connections. Lanes of both are
    /// made where a flow differs, so it takes about as long as starting them.
    pub fn between(old: &Arc<Plan>, new: &Arc<Plan>) -> Changes {
        let renames = new.renames();
        let called = renamed(old, &renames);
        let lanes = Lanes::new(old, new, &renames);
        let mut pair = Pair { old, called: &called, new, lanes };
        // Each takes as long as to write its plan out.
        let (before, under_new_names, after) = std::thread::scope(|scope| {
            let after = scope.spawn(|| items(new));
            let before = items(old);
            let under_new_names = if renames.is_empty() { before.clone() } else { items(&called) };
            (before, under_new_names, after.join())
        });
        let after = after.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let partners = partners(&before, &under_new_names);
        let mut changes = Vec::new();
        let mut unchanged = 0;
        let mut found = BTreeSet::new();
        for item in &after {
            let Some(&index) = partners.get(&*item.name) else {
                changes.push(pair.added(item));
                continue;
            };
            found.insert(index);
            let old = &before[index];
            if (&old.name, old.whole) == (&item.name, item.whole) {
                unchanged += usize::from(item.part != Part::Moved);
                continue;
            }
            changes.push(both(&mut pair, old, &under_new_names[index], item));
        }
        let gone = before.iter().enumerate().filter(|(index, _)| !found.contains(index));
        changes.extend(gone.map(|(_, item)| pair.removed(item)));
        for line in &mut changes {
            if line.item.starts_with("moved/") {
                (line.sign, line.details) = (Sign::Follows, Vec::new());
            }
        }
        changes.sort_by(|a, b| (&a.item, a.sign).cmp(&(&b.item, b.sign)));
        let names = |sign: Sign| -> BTreeSet<&str> {
            changes.iter().filter(|change| change.sign == sign).map(|change| &*change.item).collect()
        };
        let hints = hints(old, new, &names(Sign::Removed), &names(Sign::Added));
        let notes = if changes.is_empty() { Vec::new() } else { notes(&mut pair) };
        Changes { summary: summary(&changes, unchanged), changes, hints, notes }
    }
}

/// By name of today: the index of the older item. One that has kept its name comes before one that takes it.
fn partners<'n>(before: &[Item], under_new_names: &'n [Item]) -> BTreeMap<&'n str, usize> {
    let mut partners: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, (old, called)) in before.iter().zip(under_new_names).enumerate() {
        if old.name == called.name || !partners.contains_key(&*called.name) {
            partners.insert(&called.name, index);
        }
    }
    partners
}

/// An item that both plans have, and that is not the same in them.
fn both(pair: &mut Pair<'_>, old: &Item, called: &Item, new: &Item) -> Change {
    let moved = old.name != new.name;
    let same = called.core == new.core;
    let touched = called.whole == new.whole || old.core != new.core;
    let reconnects = connection(pair, &old.part, &new.part) == Some(Connection::Reconnects);
    // Only names of others are different in it.
    if same && touched && !moved && !reconnects {
        return change(Sign::Follows, new.name.clone(), Default::default(), Some(old), Some(new));
    }
    let (mut details, mut effect, replaced) = pair.changed(&called.part, &new.part);
    if same && !touched {
        details = vec![Detail::changed("how it is written")];
        effect = super::changes::Effect::words("computes the same");
    } else if same {
        details.clear();
        match new.part {
            Part::Tag(_) | Part::Calc(_) => effect.words = vec!["state follows the name".to_owned()],
            _ if !moved => details.push(Detail::changed("names")),
            _ => {}
        }
    } else if details.is_empty() {
        details.push(Detail::changed("names or labels"));
    }
    let sign = match (moved, replaced) {
        (true, _) => Sign::Moved,
        (false, true) => Sign::Replaced,
        (false, false) => Sign::Changed,
    };
    let from = moved.then(|| old.name.clone());
    Change { from, details, ..change(sign, new.name.clone(), effect, Some(old), Some(new)) }
}

fn connection(pair: &mut Pair<'_>, old: &Part, new: &Part) -> Option<Connection> {
    let same = match (old, new) {
        (Part::Source(i), Part::Source(j)) => super::same_source(pair.old, *i, pair.new, *j),
        (Part::Sink(i), Part::Sink(j)) => super::same_delivery(pair.old, *i, pair.new, *j),
        _ => return None,
    };
    Some(if same { Connection::Kept } else { Connection::Reconnects })
}

fn notes(pair: &mut Pair<'_>) -> Vec<String> {
    let of_sink = |(sink, calcs): (usize, BTreeSet<Arc<str>>)| {
        let name = &pair.new.sinks[sink].name;
        format!("not computed for `{name}` so far, so it begins anew there: {}", some_of(calcs.iter()))
    };
    let mut notes: Vec<String> = pair.lanes.calcs_anew().map(of_sink).collect();
    let revising = pair.lanes.revising();
    if !revising.is_empty() {
        let names = some_of(revising.iter());
        notes.push(format!("rows of before the switch are not issued again, whatever comes late: {names}"));
    }
    notes
}

fn summary(changes: &[Change], unchanged: usize) -> Summary {
    let mut summary = Summary { unchanged, ..Summary::default() };
    for change in changes.iter().filter(|change| !change.item.starts_with("moved/")) {
        *match change.sign {
            Sign::Added => &mut summary.added,
            Sign::Changed => &mut summary.changed,
            Sign::Moved => &mut summary.moved,
            Sign::Removed => &mut summary.removed,
            Sign::Replaced => &mut summary.replaced,
            Sign::Follows => &mut summary.unchanged,
        } += 1;
    }
    summary
}
