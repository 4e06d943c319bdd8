//! A lane: everything that is computed for one sink, as a function of (state, record).
//!
//! ```text
//! record --> latest values --> calcs (evaluation order) --> routes: selection, stages --> entries
//! ```
//! Each sink has a lane of its own, with its own copy of the calcs and stages
//! above it. That costs the computation once per sink, and buys that a sink
//! which is behind, blocked or broken touches no other, that there is nothing
//! to join or to barrier (one lane sees all records in position order), and
//! that a checkpoint is one value. The bench `lane` shows what it costs.
//!
//! A calc is evaluated once per record and time at which one of its inputs has
//! a sample, after all samples of that time are taken over; so inputs that are
//! read together never make intermediate results. Calcs that depend on the time
//! alone are evaluated at ticks and give a sample when their result changes.

use crate::eval::{Compiled, Frame, Latest, Slots, compile};
use crate::expr::{Expr, Function};
use crate::mask::{Scene, retain_quality};
use crate::plan::{BadPolicy, Plan, SinkPlan};
use crate::stage::{LastByTag, Running};
use gwp_core::limits::BATCH_SAMPLES_MAX;
use gwp_core::{Batch, Column, Fact, GroupId, Qualities, Quality, Record, TagId, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Fewer samples than this are never journaled by reference.
const REFERENCE_SAMPLES_MIN: usize = 8;

/// What a record gives to the journal of a sink.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Index into the sink's routes.
    pub route: u32,
    pub payload: Payload,
}

/// Content of an entry.
#[derive(Clone, Debug)]
pub enum Payload {
    /// All samples of the record, or those whose bit is set (least significant bit first).
    /// `batch` is what they are; the log holds them.
    Reference { bits: Option<Arc<[u8]>>, batch: Arc<Batch> },
    /// Samples that the log does not hold, or too few of a record to keep it for them.
    Values(Arc<Batch>),
}

impl Payload {
    pub fn batch(&self) -> &Arc<Batch> {
        match self {
            Payload::Reference { batch, .. } | Payload::Values(batch) => batch,
        }
    }
}

/// The running computation of one sink.
pub struct Lane {
    pub(crate) plan: Arc<Plan>,
    pub(crate) sink: usize,
    pub(crate) slots: Slots,
    pub(crate) latest: Latest,
    calcs: Vec<RunningCalc>,
    /// Per poll group: which samples expressions read, and the calcs they reach.
    groups: BTreeMap<GroupId, GroupReads>,
    /// Calcs that each tag reaches, as indexes into `calcs`, ascending.
    reached: BTreeMap<TagId, Vec<u32>>,
    time_driven: Vec<u32>,
    pub(crate) routes: Vec<RunningRoute>,
    /// Last usable sample per tag, for `bad = last`.
    pub(crate) usable: LastByTag,
}

struct RunningCalc {
    tag: TagId,
    slot: usize,
    eval: Compiled,
}

struct GroupReads {
    /// (index in the batch, slot)
    reads: Vec<(u32, usize)>,
    calcs: Vec<u32>,
    /// Tags of `calcs`, one allocation for all batches.
    calc_tags: Arc<[TagId]>,
}

pub(crate) struct RunningRoute {
    pub(crate) flow: Arc<str>,
    tags: BTreeSet<TagId>,
    pub(crate) stages: Vec<Running>,
    /// Which samples of a batch belong here, by the address of its tags.
    selections: BTreeMap<GroupId, Selection>,
}

/// Samples of a poll group that a route takes.
#[derive(Clone)]
enum Selection {
    All,
    None,
    Part(Vec<bool>),
}

impl Lane {
    /// A lane without state. `sink` must be an index into the plan's sinks.
    pub fn new(plan: Arc<Plan>, sink: usize) -> Lane {
        let mut slots = Slots::default();
        let empty = Vec::new();
        let declared = plan.sinks.get(sink).map_or(&empty, |sink| &sink.routes);
        let routes = declared
            .iter()
            .map(|route| RunningRoute {
                flow: route.flow.clone(),
                tags: route.tags.iter().copied().collect(),
                stages: route.stages.iter().map(|stage| Running::new(stage, &mut slots)).collect(),
                selections: BTreeMap::new(),
            })
            .collect::<Vec<_>>();
        let calcs = needed_calcs(&plan, &routes, &slots)
            .into_iter()
            .map(|calc| RunningCalc {
                tag: calc.tag,
                eval: compile(&calc.expr, &mut slots),
                slot: slots.slot(calc.tag),
            })
            .collect::<Vec<_>>();
        let latest = Latest::new(slots.len());
        let mut lane = Lane {
            reached: reached(&plan, &calcs),
            time_driven: time_driven(&plan, &calcs),
            groups: BTreeMap::new(),
            plan,
            sink,
            slots,
            latest,
            calcs,
            routes,
            usable: LastByTag::new(),
        };
        lane.index_groups();
        lane
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The sink it computes for.
    pub fn sink(&self) -> &SinkPlan {
        &self.plan.sinks[self.sink]
    }

    fn index_groups(&mut self) {
        for (id, group) in (0..).map(GroupId).zip(&self.plan.groups) {
            let reads: Vec<_> = (0u32..)
                .zip(group.tags.iter())
                .filter_map(|(index, tag)| self.slots.get(*tag).map(|slot| (index, slot)))
                .collect();
            let calcs = self.calcs_reached_by(group.tags.iter().copied());
            let calc_tags = calcs.iter().map(|&calc| self.calcs[calc as usize].tag).collect();
            if !reads.is_empty() {
                self.groups.insert(id, GroupReads { reads, calcs, calc_tags });
            }
            for route in &mut self.routes {
                let selection = route.select(&group.tags);
                route.selections.insert(id, selection);
            }
        }
    }

    fn calcs_reached_by(&self, tags: impl Iterator<Item = TagId>) -> Vec<u32> {
        let set: BTreeSet<u32> = tags.filter_map(|tag| self.reached.get(&tag)).flatten().copied().collect();
        set.into_iter().collect()
    }

    /// Computes one record; appends its entries in part order.
    pub fn step(&mut self, record: &Record, out: &mut Vec<Entry>) {
        match &record.fact {
            Fact::Samples { batch, .. } => {
                let derived = self.derive(batch);
                self.route(batch, true, out);
                if let Some(derived) = derived {
                    self.route_derived(derived, out);
                    self.order_parts(out);
                }
            }
            Fact::Tick { now } => {
                if let Some(derived) = self.tick(*now) {
                    self.route_derived(derived, out);
                    self.order_parts(out);
                }
            }
            Fact::Activated { .. } | Fact::Configured { .. } | Fact::Anchor { .. } | Fact::Failed { .. } => {}
        }
    }

    /// Routes computed samples, as many at a time as a batch may have.
    fn route_derived(&mut self, derived: Batch, out: &mut Vec<Entry>) {
        if derived.len() <= BATCH_SAMPLES_MAX {
            return self.route(&Arc::new(derived), false, out);
        }
        let indexes: Vec<u32> = (0..derived.len() as u32).collect();
        for (part, tags) in indexes.chunks(BATCH_SAMPLES_MAX).zip(derived.tags.chunks(BATCH_SAMPLES_MAX)) {
            self.route(&Arc::new(derived.select(part, tags.into())), false, out);
        }
    }

    /// Parts at one position are ordered by route; `sort_by_key` keeps emission order within one.
    fn order_parts(&self, out: &mut [Entry]) {
        if self.routes.len() > 1 {
            out.sort_by_key(|entry| entry.route);
        }
    }

    /// Takes a batch over into the latest values and evaluates what it reaches.
    fn derive(&mut self, batch: &Batch) -> Option<Batch> {
        if self.slots.is_empty() {
            return None;
        }
        if let (Some(group), gwp_core::Times::Same(time)) = (self.groups.get(&batch.group), &batch.times)
            && self.plan.group(batch.group).is_some_and(|plan| plan.tags.len() == batch.len())
        {
            for &(index, slot) in &group.reads {
                self.latest.take(slot, batch, index as usize);
            }
            if group.calcs.is_empty() {
                return None;
            }
            let (values, qualities) = evaluate(&self.calcs, &mut self.latest, &group.calcs, *time);
            let mut derived = Batch::uniform(GroupId::NONE, group.calc_tags.clone(), *time, values);
            derived.qualities = qualities;
            return Some(derived);
        }
        if batch.group != GroupId::NONE && !self.groups.contains_key(&batch.group) {
            return None;
        }
        self.derive_each_time(batch)
    }

    /// The general case: samples of several times, or not of a whole poll group.
    fn derive_each_time(&mut self, batch: &Batch) -> Option<Batch> {
        let mut tags = Vec::new();
        let mut times = Vec::new();
        let mut values = Column::new();
        let mut qualities = Vec::new();
        // A device may give each of its tags a run of times; what belongs together is one time.
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_key(|&index| batch.times.get(index));
        for same in order.chunk_by(|&a, &b| batch.times.get(a) == batch.times.get(b)) {
            let time = batch.times.get(same[0]);
            for &index in same {
                if let Some(slot) = self.slots.get(batch.tags[index]) {
                    self.latest.take(slot, batch, index);
                }
            }
            let calcs = self.calcs_reached_by(same.iter().map(|&index| batch.tags[index]));
            if calcs.is_empty() {
                continue;
            }
            let (new_values, new_qualities) = evaluate(&self.calcs, &mut self.latest, &calcs, time);
            for (at, &calc) in calcs.iter().enumerate() {
                tags.push(self.calcs[calc as usize].tag);
                times.push(time);
                values.push(new_values.get(at));
                qualities.push(new_qualities.get(at));
            }
        }
        let first = *times.first()?;
        let mut out = Batch::uniform(GroupId::NONE, tags.into(), first, values);
        if times.iter().any(|time| *time != first) {
            out.times = gwp_core::Times::Each(times);
        }
        out.qualities = Qualities::Each(qualities);
        Some(out)
    }

    /// Evaluates the calcs that depend on the time alone; gives those that changed.
    fn tick(&mut self, now: Timestamp) -> Option<Batch> {
        let mut changed = Vec::new();
        for &calc in &self.time_driven {
            let running = &self.calcs[calc as usize];
            let (value, quality) =
                running.eval.value(&Frame { latest: &self.latest, time: now, sample: None });
            let (old, old_quality, _) = self.latest.get(running.slot);
            if (old, old_quality) != (value, quality) {
                changed.push(running.tag);
            }
        }
        if changed.is_empty() {
            return None;
        }
        let own = changed.iter().filter_map(|tag| self.calcs.iter().position(|calc| calc.tag == *tag));
        let mut calcs: BTreeSet<u32> = own.map(|index| index as u32).collect();
        calcs.extend(self.calcs_reached_by(changed.into_iter()));
        let calcs: Vec<u32> = calcs.into_iter().collect();
        let (values, qualities) = evaluate(&self.calcs, &mut self.latest, &calcs, now);
        let tags = calcs.iter().map(|&calc| self.calcs[calc as usize].tag).collect();
        let mut derived = Batch::uniform(GroupId::NONE, tags, now, values);
        derived.qualities = qualities;
        Some(derived)
    }

    fn route(&mut self, batch: &Arc<Batch>, in_log: bool, out: &mut Vec<Entry>) {
        let bad = self.plan.sinks[self.sink].bad;
        for (index, route) in (0u32..).zip(&mut self.routes) {
            let Some(mut pass) = route.selection(batch) else { continue };
            let everything = pass.is_empty();
            if everything && (!route.stages.is_empty() || bad == BadPolicy::Skip) {
                pass = vec![true; batch.len()];
            }
            let scene = Scene { latest: &self.latest, tags: &self.plan.tags, flow: &route.flow };
            for stage in &mut route.stages {
                stage.apply(batch, &scene, &mut pass);
            }
            if bad == BadPolicy::Skip {
                retain_quality(batch, &mut pass, |quality| !quality.is_bad());
            }
            let Some(mut payload) = narrow(batch, &pass, in_log) else { continue };
            if bad == BadPolicy::Last
                && let Some(mended) = hold_last(&mut self.usable, payload.batch())
            {
                payload = Payload::Values(Arc::new(mended));
            }
            out.push(Entry { route: index, payload });
        }
    }
}

impl RunningRoute {
    fn select(&self, tags: &[TagId]) -> Selection {
        let pass: Vec<bool> = tags.iter().map(|tag| self.tags.contains(tag)).collect();
        match pass.iter().filter(|pass| **pass).count() {
            0 => Selection::None,
            all if all == tags.len() => Selection::All,
            _ => Selection::Part(pass),
        }
    }

    /// Samples of the batch that belong here: `None` = none, empty = all.
    fn selection(&self, batch: &Batch) -> Option<Vec<bool>> {
        let known = self.selections.get(&batch.group).filter(|selection| match selection {
            Selection::Part(pass) => pass.len() == batch.len(),
            _ => true,
        });
        match known.cloned().unwrap_or_else(|| self.select(&batch.tags)) {
            Selection::None => None,
            Selection::All => Some(Vec::new()),
            Selection::Part(pass) => Some(pass),
        }
    }
}

/// What remains of a batch; `None` when nothing does. An empty `pass` means all of it.
fn narrow(batch: &Arc<Batch>, pass: &[bool], in_log: bool) -> Option<Payload> {
    let count = if pass.is_empty() { batch.len() } else { pass.iter().filter(|pass| **pass).count() };
    if count == 0 {
        return None;
    }
    // A reference keeps its record in the log, so it must be worth at least half of it.
    let refer = in_log && count >= REFERENCE_SAMPLES_MIN && count * 2 >= batch.len();
    if count == batch.len() {
        return Some(match refer {
            true => Payload::Reference { bits: None, batch: batch.clone() },
            false => Payload::Values(batch.clone()),
        });
    }
    let indexes: Vec<u32> = (0u32..).zip(pass).filter(|(_, pass)| **pass).map(|(index, _)| index).collect();
    let tags = indexes.iter().map(|&index| batch.tags[index as usize]).collect();
    let mut selected = batch.select(&indexes, tags);
    selected.group = GroupId::NONE;
    let selected = Arc::new(selected);
    Some(match refer {
        true => Payload::Reference { bits: Some(pack(pass)), batch: selected },
        false => Payload::Values(selected),
    })
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

/// Evaluates calcs in order; each result is at once the latest sample of its tag.
fn evaluate(
    calcs: &[RunningCalc],
    latest: &mut Latest,
    which: &[u32],
    time: Timestamp,
) -> (Column, Qualities) {
    let mut values = Column::with_capacity(which.len());
    let mut qualities = Qualities::Same(Quality::GOOD);
    for (at, &index) in which.iter().enumerate() {
        let calc = &calcs[index as usize];
        let (value, quality) = calc.eval.value(&Frame { latest, time, sample: None });
        latest.set(calc.slot, value.clone(), quality, time);
        values.push(value);
        qualities.set(at, quality, which.len());
    }
    (values, qualities)
}

/// The calcs a lane needs: those its routes take or its stages read, and what these read.
fn needed_calcs<'a>(plan: &'a Plan, routes: &[RunningRoute], slots: &Slots) -> Vec<&'a crate::plan::Calc> {
    let mut needed: BTreeSet<TagId> = routes.iter().flat_map(|route| route.tags.iter().copied()).collect();
    needed.extend(slots.iter().map(|(tag, _)| tag));
    let mut kept = Vec::new();
    // Backwards: every calc stands after those it reads.
    for calc in plan.calcs.iter().rev() {
        if needed.contains(&calc.tag) {
            calc.expr.for_each_tag(&mut |tag| {
                needed.insert(tag);
            });
            kept.push(calc);
        }
    }
    kept.reverse();
    kept
}

/// For each tag the calcs that change with it, directly or through other calcs.
fn reached(plan: &Plan, calcs: &[RunningCalc]) -> BTreeMap<TagId, Vec<u32>> {
    let expr_of: BTreeMap<TagId, &Expr> = plan.calcs.iter().map(|calc| (calc.tag, &calc.expr)).collect();
    let mut sources: BTreeMap<TagId, BTreeSet<TagId>> = BTreeMap::new();
    let mut reached: BTreeMap<TagId, Vec<u32>> = BTreeMap::new();
    for (index, calc) in (0u32..).zip(calcs) {
        let mut inputs = BTreeSet::new();
        if let Some(expr) = expr_of.get(&calc.tag) {
            expr.for_each_tag(&mut |tag| {
                inputs.insert(tag);
                if let Some(deeper) = sources.get(&tag) {
                    inputs.extend(deeper.iter().copied());
                }
            });
        }
        for tag in &inputs {
            reached.entry(*tag).or_default().push(index);
        }
        sources.insert(calc.tag, inputs);
    }
    reached
}

/// Calcs that look at the time, whatever else they read.
fn time_driven(plan: &Plan, calcs: &[RunningCalc]) -> Vec<u32> {
    let looks_at_time: BTreeSet<TagId> =
        plan.calcs.iter().filter(|calc| uses_time(&calc.expr)).map(|calc| calc.tag).collect();
    (0u32..)
        .zip(calcs)
        .filter(|(_, calc)| looks_at_time.contains(&calc.tag))
        .map(|(index, _)| index)
        .collect()
}

fn uses_time(expr: &Expr) -> bool {
    match expr {
        Expr::Call(Function::Within(_), _) => true,
        Expr::Const(_) | Expr::Tag(..) | Expr::Local(..) | Expr::Word(_) | Expr::TimeOf(_) => false,
        Expr::Neg(a)
        | Expr::Not(a)
        | Expr::Good(a)
        | Expr::Quality(a)
        | Expr::ToFloat(a)
        | Expr::ToInt(a)
        | Expr::ToText(a) => uses_time(a),
        Expr::Binary(_, a, b) | Expr::Otherwise(a, b) => uses_time(a) || uses_time(b),
        Expr::If(a, b, c) => uses_time(a) || uses_time(b) || uses_time(c),
        Expr::Call(_, args) => args.iter().any(uses_time),
    }
}

/// A value for tests and status: the latest sample of a tag, if an expression reads it.
impl Lane {
    pub fn latest(&self, tag: TagId) -> Option<(Value, Quality, Timestamp)> {
        self.slots.get(tag).map(|slot| self.latest.get(slot))
    }
}

#[cfg(test)]
mod tests;
