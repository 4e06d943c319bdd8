//! A lane: everything that is computed for one sink, as a function of (state, record).
//!
//! ```text
//!            +--> circuits (calcs, alarms; event time) --samples, events--+
//! record ----+                                                            +--> routes --> entries
//!            +--> routes: selection, stages, windows <--------------------+
//! ```
//! Each sink has a lane of its own, with its own copy of the calcs and stages
//! above it. That costs the computation once per sink, and buys that a sink
//! which is behind, blocked or broken touches no other, that there is nothing
//! to join or to barrier (one lane sees all records in position order), and
//! that a checkpoint is one value. The bench `lane` shows what it costs.
//!
//! Calcs and alarms that wait for the same poll groups make one circuit. Stages
//! act on samples in the order of the log; conditions in them read other tags
//! as they are at that position.

use crate::eval::{Latest, Slots};
use crate::event::Progress;
use crate::event::circuit::Circuit;
use crate::event::output::{Happened, Output, Outputs};
use crate::plan::{AlarmSeverity, Calc, Plan, SinkPlan};
use crate::route::{BatchKind, RunningRoute, Surroundings};
use crate::stage::LastByTag;
use gwp_core::limits::BATCH_SAMPLES_MAX;
use gwp_core::{Batch, Column, Fact, GroupId, Qualities, Quality, Record, TagId, Times, Timestamp, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

mod latest;

pub use crate::route::unpack;
pub use latest::LatestAt;

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
    pub(crate) progress: Progress,
    /// What conditions of stages read.
    pub(crate) slots: Slots,
    pub(crate) latest: Latest,
    /// A circuit stands after those it reads.
    pub(crate) circuits: Vec<LaneCircuit>,
    /// Circuits that read each tag, with their slots.
    readers: BTreeMap<TagId, Vec<(u32, usize)>>,
    /// What a full batch of each poll group feeds.
    groups: Vec<GroupReads>,
    /// Circuits that have got something since they advanced; each once.
    fed: BinaryHeap<Reverse<u32>>,
    /// Poll groups with a gap before their next record: nobody read them over a restart.
    pub(crate) interrupted: BTreeSet<GroupId>,
    /// Polled groups that have given nothing for too long, and are known to.
    pub(crate) absent: BTreeSet<GroupId>,
    pub(crate) routes: Vec<RunningRoute>,
    /// Last usable sample per tag, for `bad = last`.
    pub(crate) usable: LastByTag,
    /// Time of the last event of each alarm and how many there were at it before.
    pub(crate) events: BTreeMap<TagId, (Timestamp, u32)>,
    /// Calc of each alarm, its place among the alarms of its device, and how many these are.
    alarms: HashMap<TagId, (usize, u32, u32)>,
}

/// A circuit and what its steps stand for.
pub(crate) struct LaneCircuit {
    pub(crate) circuit: Circuit,
    /// Poll groups whose progress it waits for.
    pub(crate) groups: Vec<GroupId>,
    /// As in [`Progress::watermark_from`].
    laggard: usize,
    /// By step: the calc, and the operator in it or `None` for its result.
    pub(crate) steps: Vec<(TagId, Option<u32>)>,
    /// Has got something since it advanced.
    fed: bool,
    /// Computed, but not routed yet.
    ready: Outputs,
}

impl LaneCircuit {
    /// It has got something, or may go on; `number` is its own.
    fn feed(&mut self, number: u32, fed: &mut BinaryHeap<Reverse<u32>>) {
        if !std::mem::replace(&mut self.fed, true) {
            fed.push(Reverse(number));
        }
    }
}

/// What a full batch of a poll group feeds; pairs are (index in the batch, slot).
#[derive(Default)]
struct GroupReads {
    stages: Vec<(u32, usize)>,
    circuits: Vec<CircuitReads>,
    /// Circuits that wait for the group.
    waiting: Vec<u32>,
    /// Routes that a full batch concerns.
    routes: Vec<u32>,
    /// Its tags, in the allocation in which they came last: sources and the log have their own.
    tags: Arc<[TagId]>,
}

impl GroupReads {
    /// Whether nobody here has anything to do with a full batch.
    fn is_idle(&self) -> bool {
        self.stages.is_empty()
            && self.circuits.is_empty()
            && self.waiting.is_empty()
            && self.routes.is_empty()
    }

    /// Whether these are the tags of the group.
    fn is_full(&mut self, tags: &Arc<[TagId]>) -> bool {
        if Arc::ptr_eq(&self.tags, tags) {
            return true;
        }
        let same = *self.tags == **tags;
        if same {
            self.tags = tags.clone();
        }
        same
    }
}

struct CircuitReads {
    circuit: u32,
    reads: Vec<(u32, usize)>,
    /// Steps that these reach.
    reached: Vec<u32>,
}

impl Lane {
    /// A lane without state. `sink` must be an index into the plan's sinks.
    pub fn new(plan: Arc<Plan>, sink: usize) -> Lane {
        let mut slots = Slots::default();
        let declared = plan.sinks.get(sink).map_or(&[][..], |sink: &SinkPlan| &sink.routes);
        let mut routes: Vec<RunningRoute> =
            declared.iter().map(|route| RunningRoute::new(route, &plan, &mut slots)).collect();
        let needed = needed_calcs(&plan, &routes, &slots);
        let waits = waits(&plan, |_| true);
        // An alarm speaks when it changes, not with each slot.
        let refreshed = self::waits(&plan, |calc| calc.alarm.is_none());
        let windows = routes.iter_mut().filter_map(|route| route.window.as_mut());
        windows.for_each(|window| window.refreshed_by(&refreshed));
        let progress = Progress::new(&plan);
        for instance in
            routes.iter_mut().filter_map(|route| route.window.as_mut()).flat_map(|w| w.instances_mut())
        {
            let tags = instance.inputs();
            let groups: BTreeSet<GroupId> =
                tags.iter().filter_map(|(tag, _)| waits.get(tag)).flatten().copied().collect();
            let late = groups.iter().any(|group| progress.may_be_late(*group));
            instance.wait_for(groups.into_iter().collect(), late);
        }
        let circuits = circuits(&needed, &waits);
        let latest = Latest::new(slots.len());
        let alarms = alarms(&plan);
        let mut lane = Lane {
            progress,
            readers: BTreeMap::new(),
            groups: Vec::new(),
            fed: BinaryHeap::new(),
            interrupted: BTreeSet::new(),
            absent: BTreeSet::new(),
            plan,
            sink,
            slots,
            latest,
            circuits,
            routes,
            usable: LastByTag::new(),
            events: BTreeMap::new(),
            alarms,
        };
        lane.index();
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

    /// Who reads what.
    fn index(&mut self) {
        for (number, one) in (0u32..).zip(&self.circuits) {
            let own: BTreeSet<TagId> =
                one.steps.iter().filter(|(_, operator)| operator.is_none()).map(|(tag, _)| *tag).collect();
            for (tag, slot) in one.circuit.tags().filter(|(tag, _)| !own.contains(tag)) {
                self.readers.entry(tag).or_default().push((number, slot));
            }
        }
        for (id, group) in (0..).map(GroupId).zip(&self.plan.groups) {
            let mut reads = GroupReads { tags: group.tags.clone(), ..GroupReads::default() };
            let mut by_circuit: BTreeMap<u32, Vec<(u32, usize)>> = BTreeMap::new();
            for (index, tag) in (0u32..).zip(group.tags.iter()) {
                reads.stages.extend(self.slots.get(*tag).map(|slot| (index, slot)));
                for (circuit, slot) in self.readers.get(tag).into_iter().flatten() {
                    by_circuit.entry(*circuit).or_default().push((index, *slot));
                }
            }
            for (circuit, of_circuit) in by_circuit {
                let slots = of_circuit.iter().map(|(_, slot)| *slot);
                let reached = self.circuits[circuit as usize].circuit.reached(slots);
                reads.circuits.push(CircuitReads { circuit, reads: of_circuit, reached });
            }
            let takes = |(number, route): (u32, &RunningRoute)| route.takes(id).then_some(number);
            reads.routes = (0u32..).zip(&self.routes).filter_map(takes).collect();
            self.groups.push(reads);
        }
        for (number, one) in (0u32..).zip(&self.circuits) {
            for group in &one.groups {
                self.groups[group.index()].waiting.push(number);
            }
        }
    }

    /// Computes one record; appends its entries in part order.
    pub fn step(&mut self, record: &Record, out: &mut Vec<Entry>) {
        self.gaps(&record.fact);
        self.progress.record(&record.fact);
        let first = out.len();
        match &record.fact {
            Fact::Samples { batch, .. } => self.samples(batch, out),
            Fact::Failed { group, .. } => {
                self.wake(*group);
                self.compute(false, out);
            }
            Fact::Tick { .. } | Fact::Anchor { .. } | Fact::Activated { .. } => self.compute(true, out),
            Fact::Configured { .. } => {}
        }
        // Parts at one position are ordered by route, then by emission.
        if self.routes.len() > 1
            && let Some(new) = out.get_mut(first..)
        {
            new.sort_by_key(|entry| entry.route);
        }
    }

    fn samples(&mut self, batch: &Arc<Batch>, out: &mut Vec<Entry>) {
        // A device that reports on its own may report one tag several times in a batch.
        let mut full = false;
        if let Some(reads) = self.groups.get_mut(batch.group.index()) {
            full = reads.is_full(&batch.tags);
            if full && reads.is_idle() {
                return;
            }
        }
        // What comes as backfill is of its own time, also where else what arrives is the present.
        let arrival = !self.progress.keeps_order(batch.group) && !batch.backfill;
        self.take(batch, full, arrival);
        let derived = self.circuits_compute(false);
        self.route(batch, BatchKind { in_log: true, full, arrival }, out);
        self.route_derived(derived, out);
        self.windows(false, out);
    }

    /// Computes what has become due without samples; `all`: whoever waits for whatever.
    fn compute(&mut self, all: bool, out: &mut Vec<Entry>) {
        let derived = self.circuits_compute(all);
        self.route_derived(derived, out);
        self.windows(all, out);
    }

    /// Calcs and windows learn that a polled group was read by nobody over a restart.
    fn gaps(&mut self, fact: &Fact) {
        let (group, slot) = match fact {
            Fact::Activated { .. } => {
                self.interrupted = (0..).map(GroupId).take(self.plan.groups.len()).collect();
                return;
            }
            Fact::Samples { batch, .. } => (batch.group, batch.times.get(0)),
            Fact::Failed { group, time, .. } => (*group, *time),
            Fact::Tick { now } | Fact::Anchor { now } => return self.lose_sight(*now),
            Fact::Configured { .. } => return,
        };
        // One that was absent has been told to be so.
        let absent = self.absent.remove(&group);
        if !self.interrupted.remove(&group) || absent {
            return;
        }
        let (Some(before), Some(period)) = (self.progress.newest(group), self.progress.period_ns(group))
        else {
            return;
        };
        let due = before.plus(period);
        if slot > due {
            self.gap(group, due);
        }
    }

    /// Gateway time goes on, or has jumped, without polled groups: windows must not take their
    /// last values for good.
    fn lose_sight(&mut self, now: Timestamp) {
        let lost: Vec<_> =
            self.progress.absent_at(now).filter(|(group, _)| !self.absent.contains(group)).collect();
        for (group, missed) in lost {
            self.absent.insert(group);
            if let Some(missed) = missed {
                self.gap(group, missed);
            }
        }
    }

    /// Nobody read a group from a time on: what is computed of it is bad from then, integrals
    /// and windows do not count it.
    fn gap(&mut self, group: GroupId, from: Timestamp) {
        let tags = self.plan.group(group).map_or(Default::default(), |group| group.tags.clone());
        for tag in tags.iter() {
            self.feed(*tag, from, &Value::Nothing, Quality::NOT_CONNECTED, false);
        }
        let windows = self.routes.iter_mut().filter_map(|route| route.window.as_mut());
        windows.for_each(|window| window.gap(group, from));
    }

    /// Takes a batch over: into what stages read, and into the circuits.
    fn take(&mut self, batch: &Batch, full: bool, arrival: bool) {
        if !full {
            for (index, tag) in batch.tags.iter().enumerate() {
                if let Some(slot) = self.slots.get(*tag) {
                    self.latest.take_unless_old(slot, batch, index);
                }
            }
            for (index, tag) in batch.tags.iter().enumerate() {
                self.feed(
                    *tag,
                    batch.times.get(index),
                    &batch.values.get(index),
                    batch.qualities.get(index),
                    arrival,
                );
            }
            return self.wake(batch.group);
        }
        let Some(reads) = self.groups.get(batch.group.index()) else { return };
        // Where samples may come late, older ones may still be under way.
        let alone = !self.progress.may_be_late(batch.group);
        for &(index, slot) in &reads.stages {
            self.latest.take_unless_old(slot, batch, index as usize);
        }
        for to in &reads.circuits {
            let one = &mut self.circuits[to.circuit as usize];
            one.feed(to.circuit, &mut self.fed);
            match batch.times {
                Times::Same(time) if alone && one.groups.len() <= 1 && one.circuit.is_idle_until(time) => {
                    one.circuit.take_slot(batch, time, &to.reads, &to.reached, &mut one.ready);
                }
                _ => {
                    for &(index, slot) in &to.reads {
                        let index = index as usize;
                        let (time, value) = (batch.times.get(index), batch.values.get(index));
                        one.circuit.push(time, slot, value, batch.qualities.get(index), arrival);
                    }
                }
            }
        }
        self.wake(batch.group);
    }

    /// Circuits that wait for a group may go on.
    fn wake(&mut self, group: GroupId) {
        for &circuit in self.groups.get(group.index()).map_or(&[][..], |reads| &reads.waiting) {
            self.circuits[circuit as usize].feed(circuit, &mut self.fed);
        }
    }

    /// Hands a sample to the circuits that read its tag.
    fn feed(&mut self, tag: TagId, time: Timestamp, value: &Value, quality: Quality, arrival: bool) {
        for &(circuit, slot) in self.readers.get(&tag).map_or(&[][..], |readers| readers) {
            let one = &mut self.circuits[circuit as usize];
            one.circuit.push(time, slot, value.clone(), quality, arrival);
            one.feed(circuit, &mut self.fed);
        }
    }

    /// Lets circuits compute up to their watermarks, in order; gives samples and alarm events.
    fn circuits_compute(&mut self, all: bool) -> Derived {
        let mut derived = Derived::default();
        if all {
            for (number, one) in (0u32..).zip(&mut self.circuits) {
                one.feed(number, &mut self.fed);
            }
        }
        // One may feed others behind it.
        while let Some(Reverse(number)) = self.fed.pop() {
            let number = number as usize;
            let one = &mut self.circuits[number];
            one.fed = false;
            one.circuit.begin_at(self.progress.now());
            let wanted = one.circuit.wanted();
            let until = match wanted {
                Some(time) => self.progress.watermark_from(&one.groups, time, &mut one.laggard),
                None => None,
            };
            if until.is_none() && one.ready.is_empty() {
                continue;
            }
            let mut outputs = std::mem::take(&mut one.ready);
            if let Some(until) = until {
                one.circuit.advance(until, &mut outputs);
            }
            for output in outputs.samples.drain(..) {
                let (tag, _) = self.circuits[number].steps[output.step as usize];
                // What is computed of arrivals is the present as they are.
                let arrival = self.circuits[number].groups.is_empty();
                self.feed(tag, output.time, &output.value, output.quality, arrival);
                if let Some(slot) = self.slots.get(tag) {
                    self.latest.set(slot, output.value.clone(), output.quality, output.time);
                }
                derived.samples.push((tag, output));
            }
            let steps = &self.circuits[number].steps;
            derived
                .events
                .extend(outputs.events.drain(..).map(|event| (steps[event.step as usize].0, event)));
            self.circuits[number].ready = outputs;
            debug_assert!(self.fed.peek().is_none_or(|next| next.0 as usize > number), "a ring of circuits");
        }
        derived
    }

    /// Routes computed samples, as many at a time as a batch may have, then events.
    fn route_derived(&mut self, derived: Derived, out: &mut Vec<Entry>) {
        for part in derived.samples.chunks(BATCH_SAMPLES_MAX) {
            let batch = Arc::new(batch_of(part));
            self.route(&batch, BatchKind { in_log: false, full: false, arrival: false }, out);
        }
        for (tag, event) in derived.events {
            let Some(row) = self.event_row(tag, &event) else { continue };
            let bad = self.plan.sinks[self.sink].bad;
            for (number, route) in (0u32..).zip(&mut self.routes) {
                route.event(number, &row, bad, out);
            }
        }
    }

    /// The row of an alarm event. Events of a device at one time are told apart by their repeat number, which follows
    /// from the alarm and not from the order in which its alarms are computed.
    fn event_row(&mut self, tag: TagId, event: &Happened) -> Option<Batch> {
        let &(calc, place, alarms) = self.alarms.get(&tag)?;
        let alarm = self.plan.calcs.get(calc)?.alarm.as_ref()?;
        let name = self.plan.tag(tag)?.info.tag.clone();
        let mut values = Column::with_capacity(alarm.columns.len());
        values.push(Value::Text(name));
        values.push(Value::Text(event.event.word().into()));
        values.push(Value::Int(alarm.severity as i64));
        values.push(event.message.clone());
        values.push(Value::Text(event.state.into()));
        values.push(Value::Text(event.by.clone()));
        let mut row = Batch::uniform(GroupId::NONE, alarm.columns.into(), event.time, values);
        let last = self.events.entry(tag).or_insert((Timestamp(i64::MIN), 0));
        *last = if last.0 == event.time { (event.time, last.1.saturating_add(1)) } else { (event.time, 0) };
        let repeat = last.1.saturating_mul(alarms).saturating_add(place);
        if repeat > 0 {
            row.repeats = vec![repeat; row.len()];
        }
        Some(row)
    }

    fn route(&mut self, batch: &Arc<Batch>, kind: BatchKind, out: &mut Vec<Entry>) {
        let around =
            Surroundings { plan: &self.plan, latest: &self.latest, bad: self.plan.sinks[self.sink].bad };
        if let Some(reads) = self.groups.get(batch.group.index()).filter(|_| kind.full) {
            for &number in &reads.routes {
                let route = &mut self.routes[number as usize];
                route.samples(number, batch, kind, &around, &mut self.usable, out);
            }
            return;
        }
        for (number, route) in (0u32..).zip(&mut self.routes) {
            route.samples(number, batch, kind, &around, &mut self.usable, out);
        }
    }

    fn windows(&mut self, all: bool, out: &mut Vec<Entry>) {
        let bad = self.plan.sinks[self.sink].bad;
        for (number, route) in (0u32..).zip(&mut self.routes) {
            route.advance(number, all, &self.progress, bad, out);
        }
    }

    /// The latest sample of a tag that an expression reads or gives, for tests and status.
    pub fn latest(&self, tag: TagId) -> Option<(Value, Quality, Timestamp)> {
        let in_circuit = self
            .circuits
            .iter()
            .find_map(|one| one.circuit.slot(tag).map(|slot| one.circuit.latest().get(slot)));
        in_circuit.or_else(|| self.slots.get(tag).map(|slot| self.latest.get(slot)))
    }

    /// All alarms it computes, by tag, as they are.
    pub fn alarms_now(&self) -> impl Iterator<Item = AlarmNow> + '_ {
        self.circuits.iter().flat_map(move |one| {
            one.circuit.alarms().map(move |(step, severity, state, message)| {
                let tag = one.steps[step as usize].0;
                let since = self.events.get(&tag).map(|(time, _)| *time);
                AlarmNow { tag, severity, state, since, message: message.clone() }
            })
        })
    }

    /// Samples that came behind what was already computed with them.
    pub fn late(&self) -> u64 {
        let windows = self.routes.iter().filter_map(|route| route.window.as_ref());
        self.circuits.iter().map(|one| one.circuit.late()).sum::<u64>()
            + windows.flat_map(|window| window.instances()).map(|instance| instance.late()).sum::<u64>()
    }
}

/// An alarm as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct AlarmNow {
    pub tag: TagId,
    pub severity: AlarmSeverity,
    /// As in the column `state` of its events.
    pub state: &'static str,
    /// Its last event.
    pub since: Option<Timestamp>,
    /// As it was raised last.
    pub message: Value,
}

/// What circuits gave.
#[derive(Default)]
struct Derived {
    samples: Vec<(TagId, Output)>,
    events: Vec<(TagId, Happened)>,
}

/// Computed samples as a batch.
fn batch_of(samples: &[(TagId, Output)]) -> Batch {
    let first = samples.first().map_or(Timestamp::default(), |(_, output)| output.time);
    let tags = samples.iter().map(|(tag, _)| *tag).collect();
    let mut values = Column::with_capacity(samples.len());
    let mut qualities = Qualities::Same(Quality::GOOD);
    for (index, (_, output)) in samples.iter().enumerate() {
        values.push(output.value.clone());
        qualities.set(index, output.quality, samples.len());
    }
    let mut batch = Batch::uniform(GroupId::NONE, tags, first, values);
    batch.qualities = qualities;
    if samples.iter().any(|(_, output)| output.time != first) {
        batch.times = Times::Each(samples.iter().map(|(_, output)| output.time).collect());
    }
    if samples.iter().any(|(_, output)| output.repeat > 0) {
        batch.repeats = samples.iter().map(|(_, output)| output.repeat).collect();
    }
    batch
}

/// The calcs a lane needs: those its routes take or its stages read, and what these read.
fn needed_calcs<'a>(plan: &'a Plan, routes: &[RunningRoute], slots: &Slots) -> Vec<&'a Calc> {
    let mut needed: BTreeSet<TagId> = routes.iter().flat_map(|route| route.tags.iter().copied()).collect();
    needed.extend(slots.iter().map(|(tag, _)| tag));
    for instance in routes.iter().filter_map(|route| route.window.as_ref()).flat_map(|w| w.instances()) {
        needed.extend(instance.inputs().into_iter().map(|(tag, _)| tag));
    }
    // Backwards, as every calc stands after those it reads; but for what it reads of `previous`
    // results, so again until nothing is added.
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    loop {
        let before = kept.len();
        for (index, calc) in plan.calcs.iter().enumerate().rev() {
            let event = calc.alarm.as_ref().is_some_and(|alarm| needed.contains(&alarm.columns[0]));
            if (event || needed.contains(&calc.tag)) && kept.insert(index) {
                calc.for_each_expr(&mut |expr| {
                    expr.for_each_tag(&mut |tag| {
                        needed.insert(tag);
                    });
                });
            }
        }
        if kept.len() == before {
            return kept.into_iter().filter_map(|index| plan.calcs.get(index)).collect();
        }
    }
}

/// By alarm: its calc, its place among the alarms of its device, and how many these are.
fn alarms(plan: &Plan) -> HashMap<TagId, (usize, u32, u32)> {
    let mut by_device: BTreeMap<TagId, Vec<(usize, TagId)>> = BTreeMap::new();
    for (index, calc) in plan.calcs.iter().enumerate() {
        if let Some(alarm) = &calc.alarm {
            by_device.entry(alarm.columns[0]).or_default().push((index, calc.tag));
        }
    }
    let mut alarms = HashMap::new();
    for of_device in by_device.values() {
        for (place, (calc, tag)) in (0u32..).zip(of_device) {
            alarms.insert(*tag, (*calc, place, of_device.len() as u32));
        }
    }
    alarms
}

/// For each tag the poll groups whose progress it depends on through calcs that count; tags that wait for none are
/// left out.
pub(crate) fn waits(plan: &Plan, counts: impl Fn(&Calc) -> bool) -> HashMap<TagId, BTreeSet<GroupId>> {
    let mut waits: HashMap<TagId, BTreeSet<GroupId>> = HashMap::new();
    for (id, group) in (0..).map(GroupId).zip(&plan.groups) {
        for tag in group.tags.iter() {
            waits.entry(*tag).or_default().insert(id);
        }
    }
    // Calcs that read each other's `previous` results wait for the same groups, which takes
    // another pass.
    let mut grows = true;
    while grows {
        grows = false;
        for calc in plan.calcs.iter().filter(|calc| counts(calc)) {
            let mut own = BTreeSet::new();
            calc.for_each_expr(&mut |expr| {
                expr.for_each_tag(&mut |tag| own.extend(waits.get(&tag).into_iter().flatten().copied()));
            });
            let known = waits.entry(calc.tag).or_default();
            grows |= own.len() > known.len();
            known.append(&mut own);
        }
    }
    waits
}

/// Calcs that wait for the same groups, together; a circuit stands after those it reads,
/// because they wait for fewer groups.
fn circuits(calcs: &[&Calc], waits: &HashMap<TagId, BTreeSet<GroupId>>) -> Vec<LaneCircuit> {
    let mut by_groups: BTreeMap<(usize, Vec<GroupId>), Vec<&Calc>> = BTreeMap::new();
    for calc in calcs {
        let groups: Vec<GroupId> = waits.get(&calc.tag).into_iter().flatten().copied().collect();
        by_groups.entry((groups.len(), groups)).or_default().push(calc);
    }
    let circuit = |((_, groups), calcs): ((usize, Vec<GroupId>), Vec<&Calc>)| {
        let mut circuit = Circuit::new();
        let mut steps = Vec::new();
        for calc in calcs {
            circuit.add_calc(calc);
            steps.extend((0u32..).take(calc.operators.len()).map(|operator| (calc.tag, Some(operator))));
            steps.push((calc.tag, None));
        }
        circuit.finish();
        LaneCircuit { circuit, groups, laggard: 0, steps, fed: false, ready: Outputs::default() }
    };
    by_groups.into_iter().map(circuit).collect()
}

#[cfg(test)]
mod tests;
