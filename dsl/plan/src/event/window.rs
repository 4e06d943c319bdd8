//! Windows at work: samples in event time become rows.
//!
//! ```text
//! inputs --> circuit (operators, condition, arguments) --> folds of the open windows
//!                                                              | at the end of a window
//!                                            row: built-in columns, aggregates -> columns
//! ```
//! A window is [start, end): its end is dealt with before the inputs of that time. With `wait`
//! the whole instance runs that long behind the watermark. Samples that come later still make
//! a new revision of their window within `revise`: the window is folded again from what is kept
//! of its inputs, and so are the windows behind it whose start it has changed ([`revise`]).

mod revise;

use crate::calendar::Calendar;
use crate::eval::Compiled;
use crate::event::circuit::Circuit;
use crate::event::output::Outputs;
use crate::event::progress::{Progress, Watermark};
use crate::event::rule::Rule;
use crate::event::saved::CircuitState;
use crate::fold::{AggregateFunction, Fold};
use crate::plan::{ROW_BUILT_IN, WINDOW_LOCALS, Window, WindowInstance, WindowKind};
use gwp_core::time::NS_PER_S;
use gwp_core::{Batch, Column, GroupId, Qualities, Quality, TagId, Timestamp, Value};
use revise::{Issued, Kept, Start};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Rows without any sample in a row; then the windows up to the next one are left out.
const EMPTY_ROWS_MAX: u32 = 1_000;

/// Locals of values that only the window itself looks at.
const OWN_LOCALS: u32 = 1 << 30;

/// A window that is being folded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    start: Timestamp,
    /// Largest time if the end is not known.
    end: Timestamp,
    folds: Vec<Fold>,
}

/// An argument before the present time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Held {
    now: Option<(Value, Quality)>,
    /// The last good value, which what counts goes on from.
    good: Option<Value>,
}

/// What an instance that has taken a slot says of the next ones.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    /// One with the same values, before the edge, changes nothing and puts off what is wanted next, if anything.
    pub stands: bool,
    /// The next time at which a window ends or starts, else the largest time.
    pub edge: Timestamp,
}

/// State of an instance as plain data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceState {
    circuit: CircuitState,
    open: Vec<Open>,
    next: Option<(Timestamp, Timestamp)>,
    held: Vec<Held>,
    condition: bool,
    empty_rows: u32,
    start: Option<Start>,
    issued: VecDeque<Issued>,
    kept: BTreeMap<Timestamp, Vec<Kept>>,
}

/// The window of one device at work.
pub(crate) struct Instance {
    plan: WindowInstance,
    rule: Arc<Rule>,
    circuit: Circuit,
    groups: Vec<GroupId>,
    /// As in [`Progress::watermark_from`].
    laggard: usize,
    /// The aggregate whose argument a step is, by step; other steps lie behind.
    aggregate_of: Vec<Option<u32>>,
    /// Each aggregate's function, the same as in the plan, but close together.
    functions: Vec<AggregateFunction>,
    condition: Option<u32>,
    columns: Vec<Compiled>,
    /// Slots of the locals that a row sets: built-in, aggregates, columns.
    built_in_slots: Vec<usize>,
    aggregate_slots: Vec<usize>,
    column_slots: Vec<usize>,
    row_tags: Arc<[TagId]>,

    open: Vec<Open>,
    /// Start and end of the window that opens next.
    next: Option<(Timestamp, Timestamp)>,
    /// Each argument before the present time.
    held: Vec<Held>,
    /// The condition held at its last good evaluation.
    condition_held: bool,
    empty_rows: u32,
    start: Option<Start>,
    issued: VecDeque<Issued>,
    kept: BTreeMap<Timestamp, Vec<Kept>>,
    kept_count: usize,
    may_be_late: bool,
    /// Its results follow from the values of its inputs alone, and its folds see only how long these stand: a slot
    /// that says again what stands changes nothing.
    timeless: bool,
    /// All open windows have taken in what stands.
    settled: bool,
    /// Times of late samples that change what has been folded.
    changed: Vec<Timestamp>,
}

impl Instance {
    pub fn new(rule: Arc<Rule>, plan: &WindowInstance) -> Instance {
        let mut circuit = Circuit::new();
        circuit.open_scope();
        let operators = WINDOW_LOCALS as u32;
        circuit.add_operators(&plan.operators, operators);
        let mut own = OWN_LOCALS..;
        let mut value = |circuit: &mut Circuit, expr| circuit.add_value(expr, own.next().unwrap_or(u32::MAX));
        let mut aggregate_of: Vec<Option<u32>> = Vec::new();
        for (number, aggregate) in (0u32..).zip(&plan.aggregates) {
            let step = value(&mut circuit, &aggregate.arg) as usize;
            aggregate_of.resize(step, None);
            aggregate_of.push(Some(number));
        }
        let condition = plan.condition.as_ref().map(|condition| value(&mut circuit, condition));
        let columns = plan.columns.iter().map(|column| circuit.compile(&column.expr)).collect();
        let aggregates = operators + plan.operators.len() as u32;
        let first_column = aggregates + plan.aggregates.len() as u32;
        let slots = |circuit: &mut Circuit, first: u32, count: usize| -> Vec<usize> {
            (first..).take(count).map(|local| circuit.local(local)).collect()
        };
        let built_in_slots = slots(&mut circuit, 0, WINDOW_LOCALS);
        let aggregate_slots = slots(&mut circuit, aggregates, plan.aggregates.len());
        let column_slots = slots(&mut circuit, first_column, plan.columns.len());
        circuit.finish();
        let standing = |aggregate: &crate::plan::Aggregate| aggregate.function.sees_only_what_stands();
        let timeless = circuit.is_timeless() && condition.is_none() && plan.aggregates.iter().all(standing);
        Instance {
            row_tags: plan.built_in.iter().copied().chain(plan.columns.iter().map(|c| c.tag)).collect(),
            held: vec![Held::default(); plan.aggregates.len()],
            plan: plan.clone(),
            rule,
            circuit,
            groups: Vec::new(),
            laggard: 0,
            aggregate_of,
            functions: plan.aggregates.iter().map(|aggregate| aggregate.function.clone()).collect(),
            condition,
            columns,
            built_in_slots,
            aggregate_slots,
            column_slots,
            open: Vec::new(),
            next: None,
            condition_held: false,
            empty_rows: 0,
            start: None,
            issued: VecDeque::new(),
            kept: BTreeMap::new(),
            kept_count: 0,
            may_be_late: false,
            timeless,
            settled: false,
            changed: Vec::new(),
        }
    }

    /// Tags it reads, with their slots.
    pub fn inputs(&self) -> Vec<(TagId, usize)> {
        self.circuit.tags().collect()
    }

    /// Whether a tag's samples come through the stages of the route.
    pub fn takes(&self, tag: TagId) -> bool {
        self.plan.tags.binary_search(&tag).is_ok()
    }

    /// Groups whose progress it waits for; `late`: samples of some may come behind it.
    pub fn wait_for(&mut self, groups: Vec<GroupId>, late: bool) {
        (self.groups, self.may_be_late) = (groups, late);
    }

    /// Samples that came too late for any row.
    pub fn late(&self) -> u64 {
        self.circuit.late()
    }

    /// Device of its rows.
    pub fn device(&self) -> &Arc<str> {
        &self.plan.device
    }

    /// Takes a sample; `arrival` as in [`Circuit::push`].
    pub fn push(&mut self, time: Timestamp, slot: usize, value: Value, quality: Quality, arrival: bool) {
        let revises = self.revises();
        // What arrives is the present.
        let time = if arrival { time.max(self.circuit.at()) } else { time };
        let kept = revises.then(|| (slot as u32, value.clone(), quality));
        let late = revises && time < self.circuit.at();
        if late {
            let issued = self.issued.iter().any(|issued| (issued.start..issued.end).contains(&time));
            let mut open = self.open.iter().filter(|_| self.start.is_some());
            let in_open = open.any(|open| (open.start..open.end).contains(&time));
            if issued || in_open {
                self.changed.push(time);
            } else {
                self.circuit.push(time, slot, value, quality, false);
                return;
            }
        } else if !self.circuit.push(time, slot, value, quality, arrival) {
            return;
        }
        if let Some(kept) = kept {
            self.kept.entry(time).or_default().push(kept);
            self.kept_count += 1;
        }
    }

    /// Computes as far as progress allows; gives rows.
    pub fn advance_with(&mut self, progress: &Progress, rows: &mut Vec<Batch>) {
        self.circuit.begin_at(progress.now());
        // It goes no further than gateway time.
        let until = match self.wanted().filter(|time| *time <= progress.now()) {
            Some(time) => progress.watermark_from(&self.groups, time, &mut self.laggard),
            None => None,
        };
        if let Some(until) = until {
            self.advance(until, progress.now(), rows);
        }
    }

    /// The earliest watermark at which there may be something to do.
    pub fn wanted(&self) -> Option<Timestamp> {
        let unopened = self.next.is_none() && self.open.is_empty();
        if unopened || self.revises() || !self.changed.is_empty() {
            return Some(Timestamp(i64::MIN));
        }
        let wanted = match (self.circuit.wanted(), self.edge()) {
            (Some(input), Some(edge)) => Some(input.min(edge)),
            (one, other) => one.or(other),
        };
        wanted.map(|time| time.plus(self.rule.window.wait_ns))
    }

    /// Computes up to a watermark; gives rows.
    fn advance(&mut self, until: Watermark, now: Timestamp, rows: &mut Vec<Batch>) {
        self.circuit.begin_at(now);
        let until = until.before(self.rule.window.wait_ns);
        // What lies ahead of the present may belong to a window that is yet to open.
        let until = Watermark { input: until.input.min(until.timer), ..until };
        if !self.changed.is_empty() {
            self.fold_again(rows);
        }
        let mut outputs = Outputs::default();
        loop {
            let input = self.circuit.next(until);
            self.open_first(input, until);
            // An input behind an edge that is not due yet was let go because too many wait.
            let due = input.map_or(until.timer, |input| input.max(until.timer));
            let edge = self.edge().filter(|edge| *edge <= due);
            match (edge, input) {
                (Some(edge), input) if input.is_none_or(|input| edge <= input) => {
                    self.pass_edge(edge, rows);
                    if self.empty_rows > EMPTY_ROWS_MAX {
                        self.skip_to(input.unwrap_or(until.timer));
                    }
                }
                (_, Some(input)) => {
                    self.empty_rows = 0;
                    self.compute(input, &mut outputs, rows);
                }
                _ => break,
            }
        }
        self.forget(until.timer);
    }

    /// Steps that samples in these slots reach, ascending.
    pub fn reached(&mut self, slots: impl Iterator<Item = usize>) -> Vec<u32> {
        self.circuit.reached(slots)
    }

    /// Takes a slot of its only group at once, if nothing else is to be done before: the same as
    /// pushing its samples and advancing. `None` if it must be done that way.
    /// The slot: (index in the batch, slot) of each input, and the steps that they reach.
    pub fn take_slot(
        &mut self,
        batch: &Batch,
        time: Timestamp,
        (reads, reached): (&[(u32, usize)], &[u32]),
        (outputs, rows): (&mut Outputs, &mut Vec<Batch>),
    ) -> Option<Taken> {
        let waits = self.rule.window.wait_ns > 0 || self.groups.len() != 1 || self.may_be_late;
        if waits || (self.next.is_none() && self.open.is_empty()) || !self.circuit.is_idle_until(time) {
            return None;
        }
        while let Some(edge) = self.edge().filter(|edge| *edge <= time) {
            self.pass_edge(edge, rows);
            if self.empty_rows > EMPTY_ROWS_MAX {
                self.skip_to(time);
            }
        }
        if !self.circuit.has_nothing_due(time) {
            return None;
        }
        self.empty_rows = 0;
        let taken = Taken { stands: self.timeless, edge: self.edge().unwrap_or(Timestamp(i64::MAX)) };
        if self.timeless && self.settled && self.circuit.has_same(batch, reads) {
            self.circuit.stands_at(time, reads);
            return Some(taken);
        }
        outputs.samples.clear();
        self.circuit.take_slot(batch, time, reads, reached, outputs);
        self.fold(time, outputs, rows);
        self.settled = true;
        Some(taken)
    }

    /// A slot that said again what stands came at `time` last; no edge lies before it.
    pub fn stands_at(&mut self, time: Timestamp, reads: &[(u32, usize)]) {
        self.circuit.stands_at(time, reads);
    }

    fn compute(&mut self, time: Timestamp, outputs: &mut Outputs, rows: &mut Vec<Batch>) {
        outputs.samples.clear();
        self.circuit.compute(time, outputs);
        self.fold(time, outputs, rows);
    }

    /// Takes what was computed at a time into the open windows.
    fn fold(&mut self, time: Timestamp, outputs: &mut Outputs, rows: &mut Vec<Batch>) {
        if let Some(condition) = self.condition {
            let now = outputs.samples.iter().rev().find(|output| output.step == condition);
            if let Some(now) = now.filter(|output| !output.quality.is_bad()) {
                self.decide(now.value == Value::Bool(true), time, rows);
            }
        }
        for output in outputs.samples.drain(..) {
            let Some(&Some(index)) = self.aggregate_of.get(output.step as usize) else { continue };
            let index = index as usize;
            let function = &self.functions[index];
            for open in &mut self.open {
                open.folds[index].sample(function, time, &output.value, output.quality);
            }
            let held = &mut self.held[index];
            if output.quality.is_good() {
                held.good = Some(output.value.clone());
            }
            held.now = Some((output.value, output.quality));
        }
    }

    /// The condition of `on` or `while` is known at a time.
    fn decide(&mut self, holds: bool, time: Timestamp, rows: &mut Vec<Batch>) {
        let rises = holds && !self.condition_held;
        let falls = !holds && self.condition_held;
        self.condition_held = holds;
        let ends = match self.rule.window.kind {
            WindowKind::On => rises,
            WindowKind::While => falls,
            WindowKind::Every { .. } => false,
        };
        if ends && let Some(open) = self.open.pop() {
            // An edge at the very beginning ends nothing.
            if open.start < time || self.rule.window.kind != WindowKind::On {
                self.issue(&open, time, 0, rows);
            }
        }
        if rises {
            self.open_window(time, Timestamp(i64::MAX));
        }
    }

    /// Opens the first windows of the calendar; `on` counts from the first time, too. That is the first input, or
    /// without one the time at which it all began, once that is reached.
    fn open_first(&mut self, input: Option<Timestamp>, until: Watermark) {
        if self.next.is_some() || !self.open.is_empty() {
            return;
        }
        let begin = self.circuit.begin().filter(|begin| *begin <= until.timer);
        let Some(first) = input.or(begin) else { return };
        match self.rule.clone().calendar() {
            Some((calendar, over)) => self.open_calendar(calendar, over, first),
            None if self.rule.window.kind == WindowKind::On => {
                self.open_window(first, Timestamp(i64::MAX));
            }
            None => {}
        }
    }

    fn open_calendar(&mut self, calendar: &Calendar, over: Option<i64>, first: Timestamp) {
        let zone = &self.rule.clone().zone;
        let start = calendar.start_of(first, zone);
        let Some(over) = over else {
            self.next = Some((start, calendar.next_after(start, zone)));
            return self.open_due(first);
        };
        let end = calendar.next_after(first, zone);
        self.next = Some((end.plus(-over), end));
        self.open_due(first);
    }

    /// Opens every window that starts at `time` or before.
    fn open_due(&mut self, time: Timestamp) {
        let rule = self.rule.clone();
        let Some((calendar, over)) = rule.calendar() else { return };
        while let Some((start, end)) = self.next.filter(|(start, _)| *start <= time) {
            self.open_window(start, end);
            let after = calendar.next_after(end, &rule.zone);
            debug_assert!(after > end, "the calendar stands still at {end:?}");
            self.next = Some(match over {
                Some(over) => (after.plus(-over), after),
                None => (end, after),
            });
        }
    }

    fn open_window(&mut self, start: Timestamp, end: Timestamp) {
        if self.revises() {
            self.start = Some(self.as_start());
        }
        self.settled = false;
        let begin = |(aggregate, held): (&crate::plan::Aggregate, &Held)| {
            let mut fold = aggregate.function.begin(start, held.now.as_ref());
            fold.count_from(held.good.as_ref());
            fold
        };
        let folds = self.plan.aggregates.iter().zip(&self.held).map(begin).collect();
        self.open.push(Open { start, end, folds });
    }

    /// The next time at which a window of the calendar ends or starts.
    fn edge(&self) -> Option<Timestamp> {
        let end = self.open.first().map(|open| open.end).filter(|end| end.0 != i64::MAX);
        match (end, self.next) {
            (Some(end), Some((start, _))) => Some(end.min(start)),
            (end, next) => end.or(next.map(|(start, _)| start)),
        }
    }

    fn pass_edge(&mut self, edge: Timestamp, rows: &mut Vec<Batch>) {
        self.circuit.pass(edge);
        while self.open.first().is_some_and(|open| open.end <= edge) {
            let open = self.open.remove(0);
            self.empty_rows = self.empty_rows.saturating_add(1);
            self.issue(&open, open.end, 0, rows);
            if let Some(at_start) = self.start.take().filter(|_| self.revises()) {
                self.issued.push_back(Issued { start: open.start, end: open.end, revision: 0, at_start });
            }
        }
        self.open_due(edge);
    }

    /// Leaves out windows nobody has samples of.
    fn skip_to(&mut self, time: Timestamp) {
        (self.empty_rows, self.next) = (0, None);
        self.open.clear();
        if let Some((calendar, over)) = self.rule.clone().calendar() {
            self.open_calendar(calendar, over, time);
        }
    }

    /// Makes the row of a window that ends at `end`.
    fn issue(&mut self, open: &Open, end: Timestamp, revision: u32, rows: &mut Vec<Batch>) {
        let length_ns = end.0.saturating_sub(open.start.0).max(0);
        let min_coverage = self.rule.window.min_coverage;
        let mut coverage: f64 = 1.0;
        for ((fold, aggregate), slot) in
            open.folds.iter().zip(&self.plan.aggregates).zip(&self.aggregate_slots)
        {
            let folded = fold.finish(&aggregate.function, end);
            let share = if length_ns == 0 { 1.0 } else { folded.covered_ns as f64 / length_ns as f64 };
            coverage = coverage.min(share);
            let quality = if folded.quality.is_bad() || share >= min_coverage {
                folded.quality
            } else {
                folded.quality.worst(Quality::UNCERTAIN)
            };
            self.circuit.set(*slot, folded.value, quality, end);
        }
        let length = length_ns as f64 / NS_PER_S as f64;
        let coverage = coverage.clamp(0.0, 1.0) * 100.0;
        let built_in = [
            Value::Time(open.start),
            Value::Time(end),
            Value::Float(length),
            Value::Float(coverage),
            Value::Int(i64::from(revision)),
        ];
        for (slot, value) in self.built_in_slots.iter().zip(built_in) {
            self.circuit.set(*slot, value, Quality::GOOD, end);
        }
        let mut values = Column::with_capacity(self.row_tags.len());
        let device = Value::Text(self.plan.device.clone());
        for value in [
            Value::Time(open.start),
            Value::Time(end),
            Value::Float(length),
            device,
            Value::Float(coverage),
            Value::Int(i64::from(revision)),
        ] {
            values.push(value);
        }
        let mut qualities = Qualities::Same(Quality::GOOD);
        for (index, (column, slot)) in self.columns.iter().zip(&self.column_slots).enumerate() {
            let (value, quality) = self.circuit.value(column, end);
            self.circuit.set(*slot, value.clone(), quality, end);
            values.push(value);
            qualities.set(ROW_BUILT_IN + index, quality, self.row_tags.len());
        }
        let mut row = Batch::uniform(GroupId::NONE, self.row_tags.clone(), open.start, values);
        row.qualities = qualities;
        if revision > 0 {
            row.repeats = vec![revision; self.row_tags.len()];
        }
        rows.push(row);
    }

    pub fn state(&self) -> InstanceState {
        InstanceState {
            circuit: self.circuit.state(),
            open: self.open.clone(),
            next: self.next,
            held: self.held.clone(),
            condition: self.condition_held,
            empty_rows: self.empty_rows,
            start: self.start.clone(),
            issued: self.issued.clone(),
            kept: self.kept.clone(),
        }
    }

    /// Takes over a state of the same instance; one that does not fit is ignored.
    pub fn set_state(&mut self, state: InstanceState) {
        let folds = self.plan.aggregates.len();
        if state.held.len() != folds || state.open.iter().any(|open| open.folds.len() != folds) {
            return;
        }
        self.circuit.set_state(state.circuit);
        (self.open, self.next, self.held) = (state.open, state.next, state.held);
        (self.condition_held, self.empty_rows) = (state.condition, state.empty_rows);
        (self.start, self.issued, self.kept) = (state.start, state.issued, state.kept);
        self.kept_count = self.kept.values().map(Vec::len).sum();
        self.settled = false;
    }

    /// True if a state of `other` means the same here, but for the numbers of tags; `called`: what
    /// its device is called here.
    pub fn is_like(&self, other: &Instance, called: &dyn Fn(&Arc<str>) -> Arc<str>) -> bool {
        let functions = |instance: &Instance| {
            instance.plan.aggregates.iter().map(|aggregate| aggregate.function.clone()).collect::<Vec<_>>()
        };
        self.rule.window.kind == other.rule.window.kind
            && self.plan.device == called(&other.plan.device)
            && functions(self) == functions(other)
            && self.plan.operators.len() == other.plan.operators.len()
            && self.plan.columns.len() == other.plan.columns.len()
    }

    /// What makes its rows: the declaration of its window and its own.
    pub fn definition(&self) -> impl serde::Serialize + '_ {
        let Window { kind, wait_ns, revise_ns, min_coverage, .. } = &self.rule.window;
        (kind, wait_ns, revise_ns, min_coverage, &self.plan)
    }

    /// Adopts the state of the same window under another plan.
    pub fn adopt(&mut self, old: &Instance, renumber: &dyn Fn(TagId) -> Option<TagId>) {
        self.circuit.adopt(&old.circuit, renumber, &Some);
        (self.open, self.next, self.held) = (old.open.clone(), old.next, old.held.clone());
        (self.condition_held, self.empty_rows) = (old.condition_held, old.empty_rows);
        self.settled = false;
    }
}
