//! Routes: the ways of samples and rows to one sink.

use crate::eval::{Compiled, Frame, Latest, Slots, compile};
use crate::event::Progress;
use crate::event::output::Outputs;
use crate::event::rule::Rule;
use crate::event::window::Instance;
use crate::lane::{Entry, Payload};
use crate::mask::{Scene, retain_quality};
use crate::plan::{BadPolicy, Origin, Plan, Route, Window};
use crate::stage::{LastByTag, Running};
use gwp_core::{Batch, Column, GroupId, Qualities, Quality, TagId, Times, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

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

/// The window of a route: its instances and who feeds them.
pub(crate) struct RunningWindow {
    pub(crate) name: Arc<str>,
    pub(crate) instances: Vec<Instance>,
    feeds: BTreeMap<TagId, Vec<Feed>>,
    /// The same for full batches of poll groups, by instance.
    by_group: Vec<Vec<GroupFeed>>,
    /// Inputs that have a new value with each slot of a group, calcs included.
    refreshed: BTreeMap<GroupId, Vec<Feed>>,
    outputs: Outputs,
    /// Made, but not routed yet.
    rows: Vec<Batch>,
    /// Instances that have got something since they advanced, some of them more than once.
    fed: Vec<u32>,
    /// No instance has anything to do before this time.
    quiet_until: Timestamp,
}

/// An input of an instance.
#[derive(Clone, Copy)]
struct Feed {
    instance: u32,
    slot: u32,
    /// Only samples that have passed the stages of the route.
    through_stages: bool,
}

/// What an instance takes of a full batch of a poll group.
struct GroupFeed {
    instance: u32,
    /// Index in the batch.
    feeds: Vec<(u32, Feed)>,
    /// Some of it comes through the stages of the route.
    through_stages: bool,
    /// The same as (index, slot), and the steps they reach.
    reads: Vec<(u32, usize)>,
    reached: Vec<u32>,
    /// The instance reads nothing else, so that nothing of the same time can follow, such as the result of a calc.
    alone: bool,
}

/// What a lane knows when it routes.
pub(crate) struct Surroundings<'a> {
    pub plan: &'a Plan,
    pub latest: &'a Latest,
    pub bad: BadPolicy,
}

impl RunningWindow {
    pub(crate) fn new(window: &Window, plan: &Plan) -> RunningWindow {
        let rule = Arc::new(Rule::new(window));
        let mut instances: Vec<Instance> =
            window.instances.iter().map(|instance| Instance::new(rule.clone(), instance)).collect();
        let mut feeds: BTreeMap<TagId, Vec<Feed>> = BTreeMap::new();
        for (number, instance) in (0u32..).zip(&instances) {
            for (tag, slot) in instance.inputs() {
                let through_stages = instance.takes(tag);
                feeds.entry(tag).or_default().push(Feed {
                    instance: number,
                    slot: slot as u32,
                    through_stages,
                });
            }
        }
        let mut by_group = Vec::with_capacity(plan.groups.len());
        for group in &plan.groups {
            let mut of_group: BTreeMap<u32, Vec<(u32, Feed)>> = BTreeMap::new();
            for (index, tag) in (0u32..).zip(group.tags.iter()) {
                for feed in feeds.get(tag).into_iter().flatten() {
                    of_group.entry(feed.instance).or_default().push((index, *feed));
                }
            }
            let group_feed = |(number, feeds): (u32, Vec<(u32, Feed)>)| {
                let reads: Vec<(u32, usize)> =
                    feeds.iter().map(|(index, feed)| (*index, feed.slot as usize)).collect();
                let slots = reads.iter().map(|(_, slot)| *slot);
                let reached = instances[number as usize].reached(slots);
                let alone = instances[number as usize].inputs().len() == feeds.len();
                let through_stages = feeds.iter().any(|(_, feed)| feed.through_stages);
                GroupFeed { instance: number, feeds, through_stages, reads, reached, alone }
            };
            by_group.push(of_group.into_iter().map(group_feed).collect());
        }
        RunningWindow {
            name: window.name.clone(),
            fed: Vec::new(),
            quiet_until: Timestamp(i64::MIN),
            instances,
            feeds,
            by_group,
            refreshed: BTreeMap::new(),
            outputs: Outputs::default(),
            rows: Vec::new(),
        }
    }

    /// Takes the samples it wants. `pass`: those that have passed the stages; `None` = none.
    fn take(&mut self, batch: &Batch, full: bool, pass: Option<&[bool]>, arrival: bool) {
        let passes = |index: u32, feed: &Feed| {
            !feed.through_stages || pass.is_some_and(|pass| pass.is_empty() || pass[index as usize])
        };
        let Some(groups) = self.by_group.get(batch.group.index()).filter(|_| full) else {
            for (index, tag) in (0u32..).zip(batch.tags.iter()) {
                for feed in self.feeds.get(tag).into_iter().flatten() {
                    // Progress moves even where a stage keeps a sample back.
                    self.fed.push(feed.instance);
                    self.quiet_until = Timestamp(i64::MIN);
                    if passes(index, feed) {
                        push(&mut self.instances[feed.instance as usize], batch, index, feed, arrival);
                    }
                }
            }
            return;
        };
        for group in groups {
            let instance = &mut self.instances[group.instance as usize];
            let every_sample = pass.is_some_and(<[bool]>::is_empty) || !group.through_stages;
            let all =
                group.alone && (every_sample || group.feeds.iter().all(|(index, feed)| passes(*index, feed)));
            if let (true, Times::Same(time)) = (all, &batch.times)
                && instance.take_slot(
                    batch,
                    *time,
                    &group.reads,
                    &group.reached,
                    &mut self.outputs,
                    &mut self.rows,
                )
            {
                if !instance.is_timeless() {
                    self.quiet_until = Timestamp(i64::MIN);
                }
                continue;
            }
            self.fed.push(group.instance);
            self.quiet_until = Timestamp(i64::MIN);
            for (index, feed) in group.feeds.iter().filter(|(index, feed)| passes(*index, feed)) {
                push(instance, batch, *index, feed, arrival);
            }
        }
    }

    /// Its instances, to take over a state.
    pub(crate) fn instances_mut(&mut self) -> &mut Vec<Instance> {
        self.quiet_until = Timestamp(i64::MIN);
        &mut self.instances
    }

    /// Learns which groups give each tag a new value with each of their slots.
    pub(crate) fn refreshed_by(&mut self, groups: &HashMap<TagId, BTreeSet<GroupId>>) {
        for (tag, feeds) in &self.feeds {
            for group in groups.get(tag).into_iter().flatten() {
                self.refreshed.entry(*group).or_default().extend(feeds);
            }
        }
    }

    /// The tags of a group, and what is computed of them, had no value from a time on, because nobody was there to
    /// read them.
    pub(crate) fn gap(&mut self, group: GroupId, time: Timestamp) {
        self.quiet_until = Timestamp(i64::MIN);
        for feed in self.refreshed.get(&group).into_iter().flatten() {
            if let Some(instance) = self.instances.get_mut(feed.instance as usize) {
                instance.push(time, feed.slot as usize, Value::Nothing, Quality::NOT_CONNECTED, false);
            }
        }
    }
}

fn push(instance: &mut Instance, batch: &Batch, index: u32, feed: &Feed, arrival: bool) {
    let index = index as usize;
    let (time, value) = (batch.times.get(index), batch.values.get(index));
    instance.push(time, feed.slot as usize, value, batch.qualities.get(index), arrival);
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
        };
        running.selections = plan.groups.iter().map(|group| running.select(&group.tags)).collect();
        running
    }

    /// Whether full batches of a poll group matter here.
    pub(crate) fn takes(&self, group: GroupId) -> bool {
        let selected = !matches!(self.selections.get(group.index()), Some(Selection::None));
        let feeds = |window: &RunningWindow| !window.by_group.get(group.index()).is_some_and(Vec::is_empty);
        !self.rows && (selected || self.window.as_ref().is_some_and(feeds))
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
                Some(window) => window.take(batch, true, Some(&part.pass), kind.arrival),
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
            window.take(batch, kind.full, any.then_some(&*pass), kind.arrival);
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
        let nothing = window.fed.is_empty() && window.rows.is_empty();
        if nothing && (!all || progress.now() < window.quiet_until) {
            return;
        }
        let mut rows = std::mem::take(&mut window.rows);
        if all {
            window.fed.clear();
            window.instances.iter_mut().for_each(|instance| instance.advance_with(progress, &mut rows));
            let wanted = window.instances.iter().filter_map(Instance::wanted);
            window.quiet_until = wanted.min().unwrap_or(Timestamp(i64::MAX));
        } else if !window.fed.is_empty() {
            window.fed.sort_unstable();
            window.fed.dedup();
            for instance in window.fed.drain(..) {
                window.instances[instance as usize].advance_with(progress, &mut rows);
            }
        }
        for row in rows.drain(..) {
            self.row(number, row, bad, out);
        }
        if let Some(window) = &mut self.window {
            window.rows = rows;
        }
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
