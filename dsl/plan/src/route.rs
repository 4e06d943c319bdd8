//! Routes: the ways of samples and rows to one sink.

mod window;

use crate::eval::{Compiled, Frame, Latest, Slots, compile};
use crate::event::Progress;
use crate::lane::{Entry, Payload};
use crate::mask::{Scene, retain_quality};
use crate::plan::{BadPolicy, Origin, Plan, Route};
use crate::stage::{LastByTag, Running};
use gwp_core::{Batch, Column, GroupId, Qualities, Quality, TagId, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use window::{Coming, Passed};

pub(crate) use window::RunningWindow;

/// Fewer samples than this are never journaled by reference.
const REFERENCE_SAMPLES_MIN: usize = 8;

/// A route with its state.
pub(crate) struct RunningRoute {
    pub(crate) flow: Arc<str>,
    pub(crate) tags: BTreeSet<TagId>,
    pub(crate) stages: Vec<Running>,
    pub(crate) window: Option<RunningWindow>,
    conditions: RowConditions,
    /// It carries rows of others: alarm events.
    rows: bool,
    /// Which samples of a full batch belong here, by poll group.
    selections: Vec<Selection>,
    /// Samples that pass, to use its memory again.
    pass: Vec<bool>,
    /// Rows of the window on their way, to use its memory again.
    made: Vec<Batch>,
}

/// Samples of a poll group that a route takes.
enum Selection {
    All,
    None,
    Part(Part),
}

/// Some samples of a poll group, and what a selection of them always has.
struct Part {
    pass: Vec<bool>,
    indexes: Vec<u32>,
    tags: Arc<[TagId]>,
    bits: Arc<[u8]>,
}

impl Part {
    fn new(tags: &[TagId], pass: Vec<bool>) -> Part {
        let indexes: Vec<u32> = passing(&pass);
        let tags = indexes.iter().map(|&index| tags[index as usize]).collect();
        Part { bits: pack(&pass), indexes, tags, pass }
    }

    /// Its samples of a full batch.
    fn of(&self, batch: &Batch, in_log: bool) -> Payload {
        let refer = is_worth_its_record(self.indexes.len(), batch, in_log);
        selected(batch, &self.indexes, self.tags.clone(), refer.then(|| self.bits.clone()))
    }
}

/// Conditions on rows, with the columns as locals.
struct RowConditions {
    conditions: Vec<Compiled>,
    /// Slot of each column.
    slots: Vec<usize>,
    latest: Latest,
}

/// What a lane knows when it routes.
pub(crate) struct Surroundings<'a> {
    pub plan: &'a Plan,
    pub latest: &'a Latest,
    pub bad: BadPolicy,
}

impl RowConditions {
    fn new(conditions: &[crate::expr::Expr], columns: usize) -> RowConditions {
        let mut slots = Slots::default();
        let conditions = conditions.iter().map(|condition| compile(condition, &mut slots)).collect();
        let columns: Vec<usize> = (0u32..).take(columns).map(|column| slots.local(column)).collect();
        RowConditions { conditions, slots: columns, latest: Latest::new(slots.len()) }
    }

    /// Whether a row passes; bad counts as no.
    fn hold(&mut self, row: &Batch) -> bool {
        if self.conditions.is_empty() {
            return true;
        }
        for (index, slot) in self.slots.iter().enumerate().take(row.len()) {
            self.latest.set(*slot, row.values.get(index), row.qualities.get(index), row.times.get(index));
        }
        let time = row.times.get(0);
        let frame = Frame { latest: &self.latest, time, sample: None };
        self.conditions.iter().all(|condition| {
            let (value, quality) = condition.value(&frame);
            value == Value::Bool(true) && !quality.is_bad()
        })
    }
}

impl RunningRoute {
    pub(crate) fn new(route: &Route, plan: &Plan, slots: &mut Slots) -> RunningRoute {
        let is_column = |tag: &TagId| plan.tag(*tag).is_some_and(|tag| tag.origin == Origin::Column);
        let columns = match &route.window {
            Some(window) => {
                window.instances.iter().map(|i| i.columns.len()).max().unwrap_or(0)
                    + crate::plan::ROW_BUILT_IN
            }
            None => crate::plan::ALARM_COLUMNS,
        };
        let mut running = RunningRoute {
            flow: route.flow.clone(),
            tags: route.tags.iter().copied().collect(),
            stages: route.stages.iter().map(|stage| Running::new(stage, slots)).collect(),
            window: route.window.as_ref().map(|window| RunningWindow::new(window, plan)),
            conditions: RowConditions::new(&route.row_conditions, columns),
            rows: route.window.is_none() && !route.tags.is_empty() && route.tags.iter().all(is_column),
            selections: Vec::new(),
            pass: Vec::new(),
            made: Vec::new(),
        };
        running.selections = plan.groups.iter().map(|group| running.select(&group.tags)).collect();
        running
    }

    /// Whether full batches of a poll group matter here.
    pub(crate) fn takes(&self, group: GroupId) -> bool {
        let selected = !matches!(self.selections.get(group.index()), Some(Selection::None));
        !self.rows && (selected || self.window.as_ref().is_some_and(|window| window.reads(group)))
    }

    /// Lets samples pass: to the journal, or into the window.
    pub(crate) fn samples(
        &mut self,
        number: u32,
        batch: &Arc<Batch>,
        kind: BatchKind,
        around: &Surroundings<'_>,
        usable: &mut LastByTag,
        out: &mut Vec<Entry>,
    ) {
        if self.rows {
            return;
        }
        let bad_skipped = around.bad == BadPolicy::Skip
            && self.window.is_none()
            && !matches!(&batch.qualities, Qualities::Same(quality) if !quality.is_bad());
        if kind.full
            && self.stages.is_empty()
            && !bad_skipped
            && let Some(Selection::Part(part)) = self.selections.get(batch.group.index())
        {
            match &mut self.window {
                Some(window) => window.take(batch, kind.coming(Passed::Some(&part.pass), true)),
                None => out.push(entry(number, part.of(batch, kind.in_log), around.bad, usable)),
            }
            return;
        }
        let mut pass = std::mem::take(&mut self.pass);
        let any = self.selection(batch, kind.full, &mut pass);
        if any {
            let pass = &mut pass;
            if pass.is_empty() && (!self.stages.is_empty() || bad_skipped) {
                pass.resize(batch.len(), true);
            }
            let scene = Scene { latest: around.latest, tags: &around.plan.tags, flow: &self.flow };
            for stage in &mut self.stages {
                stage.apply(batch, &scene, pass);
            }
            if bad_skipped {
                retain_quality(batch, pass, |quality| !quality.is_bad());
            }
        }
        if let Some(window) = &mut self.window {
            let passed = match any {
                false => Passed::None,
                true if pass.is_empty() => Passed::All,
                true => Passed::Some(&pass),
            };
            window.take(batch, kind.coming(passed, self.stages.is_empty()));
            self.pass = pass;
            return;
        }
        let payload = if any { narrow(batch, &pass, kind.in_log) } else { None };
        self.pass = pass;
        out.extend(payload.map(|payload| entry(number, payload, around.bad, usable)));
    }

    /// Lets an alarm event pass.
    pub(crate) fn event(&mut self, number: u32, row: &Batch, bad: BadPolicy, out: &mut Vec<Entry>) {
        if self.rows && row.tags.first().is_some_and(|tag| self.tags.contains(tag)) {
            self.row(number, row.clone(), bad, out);
        }
    }

    /// Lets the windows compute up to their watermarks; `all`, or those that have got something.
    pub(crate) fn advance(
        &mut self,
        number: u32,
        all: bool,
        progress: &Progress,
        bad: BadPolicy,
        out: &mut Vec<Entry>,
    ) {
        let Some(window) = &mut self.window else { return };
        let mut rows = std::mem::take(&mut self.made);
        window.advance(all, progress, &mut rows);
        for row in rows.drain(..) {
            self.row(number, row, bad, out);
        }
        self.made = rows;
    }

    fn row(&mut self, number: u32, row: Batch, bad: BadPolicy, out: &mut Vec<Entry>) {
        if !self.conditions.hold(&row) {
            return;
        }
        let mut pass = Vec::new();
        if bad == BadPolicy::Skip {
            pass = vec![true; row.len()];
            retain_quality(&row, &mut pass, |quality| !quality.is_bad());
        }
        if let Some(payload) = narrow(&Arc::new(row), &pass, false) {
            out.push(Entry { route: number, payload });
        }
    }

    fn select(&self, tags: &[TagId]) -> Selection {
        let pass: Vec<bool> = tags.iter().map(|tag| self.tags.contains(tag)).collect();
        match pass.iter().filter(|pass| **pass).count() {
            0 => Selection::None,
            all if all == tags.len() => Selection::All,
            _ => Selection::Part(Part::new(tags, pass)),
        }
    }

    /// Samples of the batch that belong here, if any: an empty `pass` means all.
    fn selection(&self, batch: &Batch, full: bool, pass: &mut Vec<bool>) -> bool {
        pass.clear();
        let known = self.selections.get(batch.group.index());
        match known.filter(|selection| full || !matches!(selection, Selection::Part(_))) {
            Some(Selection::None) => return false,
            Some(Selection::All) => return true,
            Some(Selection::Part(part)) => pass.extend_from_slice(&part.pass),
            None => {
                pass.extend(batch.tags.iter().map(|tag| self.tags.contains(tag)));
                if pass.iter().all(|pass| *pass) {
                    let some = !pass.is_empty();
                    pass.clear();
                    return some;
                }
            }
        }
        pass.contains(&true)
    }
}

/// How a batch came.
#[derive(Clone, Copy)]
pub(crate) struct BatchKind {
    /// The log holds it.
    pub in_log: bool,
    /// All tags of its poll group, in their order.
    pub full: bool,
    /// Stamped on arrival.
    pub arrival: bool,
}

impl BatchKind {
    /// How it comes to the window of a route; `unstaged`: that has no stages.
    fn coming(self, passed: Passed<'_>, unstaged: bool) -> Coming<'_> {
        Coming { passed, unstaged, full: self.full, arrival: self.arrival }
    }
}

/// What remains of a batch; `None` when nothing does. An empty `pass` means all of it.
fn narrow(batch: &Arc<Batch>, pass: &[bool], in_log: bool) -> Option<Payload> {
    let count = if pass.is_empty() { batch.len() } else { pass.iter().filter(|pass| **pass).count() };
    if count == 0 {
        return None;
    }
    let refer = is_worth_its_record(count, batch, in_log);
    if count == batch.len() {
        return Some(match refer {
            true => Payload::Reference { bits: None, batch: batch.clone() },
            false => Payload::Values(batch.clone()),
        });
    }
    let indexes = passing(pass);
    let tags = indexes.iter().map(|&index| batch.tags[index as usize]).collect();
    Some(selected(batch, &indexes, tags, refer.then(|| pack(pass))))
}

/// Some samples of a batch; with `bits` as a reference to its record.
fn selected(batch: &Batch, indexes: &[u32], tags: Arc<[TagId]>, bits: Option<Arc<[u8]>>) -> Payload {
    let selected = Arc::new(Batch { group: GroupId::NONE, ..batch.select(indexes, tags) });
    match bits {
        Some(bits) => Payload::Reference { bits: Some(bits), batch: selected },
        None => Payload::Values(selected),
    }
}

/// A reference keeps its record in the log, so it must be worth at least half of it.
fn is_worth_its_record(count: usize, batch: &Batch, in_log: bool) -> bool {
    in_log && count >= REFERENCE_SAMPLES_MIN && count * 2 >= batch.len()
}

/// An entry; under `bad = last` without bad samples, as far as there is anything usable.
fn entry(route: u32, payload: Payload, bad: BadPolicy, usable: &mut LastByTag) -> Entry {
    let mended = if bad == BadPolicy::Last { hold_last(usable, payload.batch()) } else { None };
    Entry { route, payload: mended.map_or(payload, |mended| Payload::Values(Arc::new(mended))) }
}

/// Indexes of what passes.
fn passing(pass: &[bool]) -> Vec<u32> {
    (0u32..).zip(pass).filter(|(_, pass)| **pass).map(|(index, _)| index).collect()
}

fn pack(pass: &[bool]) -> Arc<[u8]> {
    pass.chunks(8)
        .map(|bits| bits.iter().enumerate().fold(0, |byte, (bit, pass)| byte | u8::from(*pass) << bit))
        .collect()
}

/// The samples of `batch` whose bit is set, as a reference in a journal means them.
pub fn unpack(batch: &Batch, bits: &[u8]) -> Batch {
    let set = |index: &u32| bits.get(*index as usize / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
    let indexes: Vec<u32> = (0..batch.len() as u32).filter(set).collect();
    let tags = indexes.iter().map(|&index| batch.tags[index as usize]).collect();
    Batch { group: GroupId::NONE, ..batch.select(&indexes, tags) }
}

/// Replaces bad samples by the last usable one of their tag; `None` when there was nothing to replace.
fn hold_last(usable: &mut LastByTag, batch: &Batch) -> Option<Batch> {
    let mut mended: Option<(Column, Qualities)> = None;
    for index in 0..batch.len() {
        let (tag, value, quality) = (batch.tags[index], batch.values.get(index), batch.qualities.get(index));
        let replaced = match quality.is_bad().then(|| usable.get(&tag)) {
            Some(Some(last)) => Some((last.value.clone(), Quality::LAST_USABLE)),
            Some(None) => None,
            None => {
                let time = batch.times.get(index);
                usable.insert(tag, crate::stage::LastSent { value: value.clone(), quality, time });
                None
            }
        };
        if replaced.is_some() && mended.is_none() {
            let before: Vec<u32> = (0..index as u32).collect();
            mended = Some((batch.values.select(&before), batch.qualities.clone()));
        }
        if let Some((values, qualities)) = &mut mended {
            let (value, quality) = replaced.unwrap_or((value, quality));
            values.push(value);
            qualities.set(index, quality, batch.len());
        }
    }
    let (values, qualities) = mended?;
    Some(Batch { values, qualities, group: GroupId::NONE, ..batch.clone() })
}
