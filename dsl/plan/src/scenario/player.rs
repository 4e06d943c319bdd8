//! Plays a scenario: a simulated clock, simulated devices, the lanes of the real plan.
//!
//! ```text
//! feeds --> simulated devices --records--> lanes of all sinks --> entries, compared between modes
//!                                     \--> a lane that watches --> what is expected
//! ```
//! The modes are ways in which a run must not differ from the plain one.

use super::together::answering;
use super::watch::Watch;
use super::{Expected, ExpectedRow, Fed, Scenario, ScenarioAction, Subject};
use crate::lane::{Entry, Lane};
use crate::plan::{BadPolicy, Group, Origin, Plan, Route, SinkPlan};
use crate::write::{Commanded, Decision, Writes, Written};
use gwp_core::record::SlotMark;
use gwp_core::time::NS_PER_S;
use gwp_core::{
    Batch, Column, Fact, GroupId, Kind, PlanId, Position, Qualities, Quality, Record, TagId, Times,
    Timestamp, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A scenario may last so long, nanoseconds: ten years.
const LENGTH_NS_MAX: i64 = 3_660 * 86_400 * NS_PER_S;

/// How a scenario is played. All give the same outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// As written.
    Plain,
    /// After each step every lane is restored from its checkpoint.
    Restart,
    /// What comes at one time comes in another order, and samples with time stamps of
    /// their own come up to `late` later.
    Shuffled,
    /// After each step the state moves to the other of two instances, one of which has read the plan anew.
    Moved,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Plain, Mode::Restart, Mode::Shuffled, Mode::Moved];

    /// For reports.
    pub const fn words(self) -> &'static str {
        match self {
            Mode::Plain => "as written",
            Mode::Restart => "with a restart from the checkpoint after each step",
            Mode::Shuffled => "with arrivals shuffled inside `late`",
            Mode::Moved => "with the state moved to a second instance after each step",
        }
    }
}

/// What a run gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Expectations that were not met.
    pub failures: Vec<Failure>,
    /// Hash over the outputs of each sink.
    pub digests: Vec<(Arc<str>, u64)>,
    pub records: u64,
    pub samples: u64,
}

/// An expectation that was not met.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// Index of the step.
    pub step: usize,
    pub expected: String,
    pub found: String,
    /// What the watched tag or rows were before, oldest first: (nanoseconds after the start, text).
    pub before: Vec<(i64, String)>,
}

/// A scenario that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("the scenario lasts longer than ten years")]
    TooLong,
    #[error("the state of a lane cannot be moved")]
    Snapshot(#[from] crate::snapshot::SnapshotError),
    #[error("the plan cannot be read back")]
    Plan(#[from] crate::plan::PlanError),
}

/// Plays a scenario in a mode.
///
/// # Errors
/// It is too long, or a state cannot be stored and read back.
pub fn play(plan: &Plan, scenario: &Scenario, mode: Mode) -> Result<Outcome, ScenarioError> {
    played(plan, scenario, mode, answering(plan, mode))
}

/// As [`play`], but every poll group gives a record of its own for each slot: what it costs less in `play` must make
/// no difference.
///
/// # Errors
/// As [`play`].
pub fn play_apart(plan: &Plan, scenario: &Scenario, mode: Mode) -> Result<Outcome, ScenarioError> {
    played(plan, scenario, mode, plan.groups.clone())
}

fn played(
    plan: &Plan,
    scenario: &Scenario,
    mode: Mode,
    groups: Vec<Group>,
) -> Result<Outcome, ScenarioError> {
    let end = scenario.steps.last().map_or(0, |step| step.at_ns);
    if end > LENGTH_NS_MAX {
        return Err(ScenarioError::TooLong);
    }
    let mut player = Player::new(plan, scenario, mode, groups)?;
    let start = scenario.start;
    player.send(vec![Fact::Activated { previous: Position::default(), running_hash: 0, anchor: start }]);
    let mut next = 0;
    let times: BTreeSet<i64> = scenario.steps.iter().map(|step| step.at_ns).collect();
    for at_ns in times {
        player.run_to(start.plus(at_ns), false);
        while let Some(step) = scenario.steps.get(next).filter(|step| step.at_ns == at_ns) {
            if let ScenarioAction::Feed { tag, value } = &step.action {
                player.feed(*tag, value, start.plus(at_ns));
            }
            next += 1;
        }
        player.run_to(start.plus(at_ns), true);
        player.change_hands()?;
    }
    // What is on its way behind the last step arrives.
    player.run_to(start.plus(end).plus(player.longest_late_ns + 2 * NS_PER_S), true);
    Ok(player.outcome(scenario))
}

/// A poll group of simulated devices.
struct Device {
    id: GroupId,
    tags: Arc<[TagId]>,
    period_ns: i64,
    values: Vec<(Value, Quality)>,
    /// The newest record, until something is fed: the next one has the same values.
    batch: Option<Arc<Batch>>,
    source: u32,
    /// The connection is broken: whether that has been said.
    broken: Option<bool>,
}

/// Poll groups with one period: their slots are due together.
struct Grid {
    period_ns: i64,
    next: Timestamp,
    /// Indexes of devices, ascending.
    devices: Vec<usize>,
}

/// A sample that is under way.
struct UnderWay {
    at: Timestamp,
    fact: Fact,
}

struct Player<'p> {
    plan: &'p Plan,
    plan_id: PlanId,
    /// The plan as each instance has read it; the first one plays.
    hands: Vec<Arc<Plan>>,
    /// Lanes of the other instance, if the state moves between two.
    standing_by: Vec<Lane>,
    mode: Mode,
    lanes: Vec<Lane>,
    digests: Vec<u64>,
    watching: Watch<'p>,
    devices: Vec<Device>,
    grids: Vec<Grid>,
    /// Poll group and index in it of each tag of a device.
    places: BTreeMap<TagId, (usize, usize)>,
    writes: Writes,
    ticked: Timestamp,
    now: Timestamp,
    seq: u64,
    random: u64,
    under_way: Vec<UnderWay>,
    longest_late_ns: i64,
    samples: u64,
    out: Vec<Entry>,
}

impl<'p> Player<'p> {
    fn new(
        plan: &'p Plan,
        scenario: &Scenario,
        mode: Mode,
        groups: Vec<Group>,
    ) -> Result<Player<'p>, ScenarioError> {
        let mut watched = Plan { groups, ..plan.clone() };
        watched.sinks.push(watcher(plan, scenario));
        // Classes are staggered to spread load on a link; a simulated one has none.
        watched.groups.iter_mut().for_each(|group| group.phase_ns = 0);
        let plan_id = watched.id();
        let read_anew = match mode {
            Mode::Moved => Some(Arc::new(Plan::from_bytes(&watched.to_bytes())?)),
            _ => None,
        };
        let shared = Arc::new(watched);
        let lanes: Vec<Lane> = (0..shared.sinks.len()).map(|sink| Lane::new(shared.clone(), sink)).collect();
        let mut places = BTreeMap::new();
        let mut devices = Vec::new();
        for (id, group) in (0..).map(GroupId).zip(&shared.groups) {
            for (index, tag) in group.tags.iter().enumerate() {
                places.insert(*tag, (devices.len(), index));
            }
            devices.push(Device {
                id,
                tags: group.tags.clone(),
                period_ns: group.period_ns,
                values: vec![(Value::Nothing, Quality::WAITING); group.tags.len()],
                batch: None,
                source: group.source,
                broken: None,
            });
        }
        let loose = plan.groups.iter().filter(|group| group.period_ns == 0);
        let unordered = loose.flat_map(|group| group.tags.iter().copied()).collect();
        let late = plan.sources.iter().map(|source| source.late_ns).max().unwrap_or(0);
        let waits = plan.sinks.iter().flat_map(|sink| &sink.routes).filter_map(|route| route.window.as_ref());
        let wait = waits.map(|window| window.wait_ns).max().unwrap_or(0);
        Ok(Player {
            plan,
            plan_id,
            hands: std::iter::once(shared).chain(read_anew).collect(),
            standing_by: Vec::new(),
            mode,
            digests: vec![0; lanes.len()],
            lanes,
            watching: Watch::new(plan, unordered),
            grids: grids(&devices, scenario.start),
            devices,
            places,
            writes: Writes::new(plan),
            ticked: scenario.start,
            now: scenario.start,
            seq: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            under_way: Vec::new(),
            longest_late_ns: late.saturating_add(wait.min(NS_PER_S)),
            samples: 0,
            out: Vec::new(),
        })
    }

    /// A number that looks random and is the same in every run.
    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Scaled, not reduced: the whole range is used, however long `late` is.
        ((u128::from(self.random) * u128::from(below.max(1))) >> 64) as u64
    }

    fn feed(&mut self, tag: TagId, value: &Fed, time: Timestamp) {
        let (value, quality) = match value {
            Fed::Good(value) => (value.clone(), Quality::GOOD),
            Fed::Bad => (Value::Nothing, Quality::BAD),
        };
        let quality = self.in_range(tag, &value, quality);
        let Some(&(device_at, index)) = self.places.get(&tag) else {
            return self.feed_connection(tag, value, quality, time);
        };
        let device = &mut self.devices[device_at];
        device.set(index, value.clone(), quality);
        if let Some(write) = self.writes.of_command(tag) {
            self.command(write, Commanded { value: value.clone(), quality, time });
        }
        let device = &self.devices[device_at];
        if device.period_ns == 0 {
            let batch = one(device.id, tag, time, value, quality);
            let late = self.plan.sources.get(device.source as usize).map_or(0, |source| source.late_ns);
            let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) };
            // A command counts when it arrives.
            let late = if self.writes.of_command(tag).is_some() { 0 } else { late };
            let delay = if self.mode == Mode::Shuffled { self.random(late as u64 + 1) as i64 } else { 0 };
            self.under_way.push(UnderWay { at: time.plus(delay), fact });
        }
    }

    /// A command arrives: it is decided as by the gateway, and the device takes what is let through.
    fn command(&mut self, write: usize, command: Commanded) {
        let now = command.time;
        let Some(declared) = self.plan.writes.get(write) else { return };
        let outcome = match self.writes.decide(self.plan, write, &command, now) {
            Decision::Refuse(why) => why,
            Decision::Execute(execution) => {
                let value = execution.value.clone();
                match self.places.get(&declared.target) {
                    Some((device, index)) => {
                        self.devices[*device].set(*index, execution.value.clone(), Quality::GOOD);
                    }
                    // An order to alarms goes into the log.
                    None => {
                        let order = one(GroupId::NONE, declared.target, now, execution.raw, Quality::GOOD);
                        let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(order) };
                        self.under_way.push(UnderWay { at: now, fact });
                    }
                }
                let written = declared.verify_ns.map_or(Written::Done, |_| Written::Confirmed);
                declared.outcome(self.plan, &value, &written)
            }
        };
        let batch = one(GroupId::NONE, declared.outcome, now, Value::Text(outcome.into()), Quality::GOOD);
        let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) };
        self.under_way.push(UnderWay { at: now, fact });
    }

    fn in_range(&self, tag: TagId, value: &Value, quality: Quality) -> Quality {
        let range = self.plan.tag(tag).and_then(|tag| tag.range);
        let outside =
            range.zip(value.as_f64()).is_some_and(|((low, high), value)| value < low || value > high);
        if outside && quality.is_good() { Quality::OUT_OF_RANGE } else { quality }
    }

    /// `connected` of a source: while it is false, slots of its groups fail.
    fn feed_connection(&mut self, tag: TagId, value: Value, quality: Quality, time: Timestamp) {
        if let Some(Origin::Connected { source }) = self.plan.tag(tag).map(|tag| &tag.origin) {
            let broken = (value == Value::Bool(false)).then_some(false);
            let of_source = self.devices.iter_mut().filter(|device| device.source == *source);
            of_source.for_each(|device| device.broken = broken);
        }
        let batch = one(GroupId::NONE, tag, time, value, quality);
        let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) };
        self.under_way.push(UnderWay { at: time, fact });
    }

    /// Lets time pass up to `to`, itself included or not.
    fn run_to(&mut self, to: Timestamp, included: bool) {
        loop {
            let slot = self.grids.iter().map(|grid| grid.next).min().unwrap_or(Timestamp(i64::MAX));
            let sample = self.under_way.iter().map(|sample| sample.at).min().unwrap_or(Timestamp(i64::MAX));
            let next = slot.min(sample).min(self.ticked.plus(NS_PER_S));
            if next > to || (next == to && !included) {
                return;
            }
            self.now = next;
            let mut facts = Vec::new();
            let mut index = 0;
            while index < self.under_way.len() {
                if self.under_way[index].at == next {
                    facts.push(self.under_way.remove(index).fact);
                } else {
                    index += 1;
                }
            }
            self.slots(next, &mut facts);
            if self.mode == Mode::Shuffled {
                for last in (1..facts.len()).rev() {
                    let other = self.random(last as u64 + 1) as usize;
                    facts.swap(last, other);
                }
            }
            if self.ticked.plus(NS_PER_S) == next {
                self.ticked = next;
                facts.push(Fact::Tick { now: next });
            }
            self.send(facts);
        }
    }

    /// The records of all slots due at a time, in the order of the groups.
    fn slots(&mut self, now: Timestamp, facts: &mut Vec<Fact>) {
        let first = facts.len();
        let mut grids = 0;
        for grid in self.grids.iter_mut().filter(|grid| grid.next == now) {
            facts.extend(grid.devices.iter().map(|device| self.devices[*device].slot(now)));
            grid.next = now.plus(grid.period_ns);
            grids += 1;
        }
        if grids > 1 {
            facts[first..].sort_by_key(|fact| match fact {
                Fact::Samples { batch, .. } => batch.group,
                Fact::Failed { group, .. } => *group,
                _ => GroupId::NONE,
            });
        }
    }

    /// Records of one time. Each lane takes all of them before the next lane does, while its state is at hand.
    fn send(&mut self, facts: Vec<Fact>) {
        let mut records = Vec::with_capacity(facts.len());
        for fact in facts {
            self.seq += 1;
            records.push(Record { position: Position::new(1, self.seq), fact });
        }
        self.samples += records.iter().map(|record| record.samples() as u64).sum::<u64>();
        let watcher = self.lanes.len().saturating_sub(1);
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            self.out.clear();
            records.iter().for_each(|record| lane.step(record, &mut self.out));
            for entry in self.out.drain(..) {
                if index == watcher {
                    self.watching.take(entry.payload.batch(), self.now);
                } else if !is_as_read(self.plan, index, &entry) {
                    // In no order of arrival: a sum of hashes.
                    let sum = digest(entry.route, entry.payload.batch());
                    self.digests[index] = self.digests[index].wrapping_add(sum);
                }
            }
        }
    }

    /// Lanes are stored and go on as others: after a restart as new ones, otherwise as those of a second instance,
    /// which stands by from the first time on.
    fn change_hands(&mut self) -> Result<(), ScenarioError> {
        if matches!(self.mode, Mode::Plain | Mode::Shuffled) {
            return Ok(());
        }
        self.hands.rotate_left(1);
        for (sink, lane) in self.lanes.iter_mut().enumerate() {
            let bytes = lane.snapshot(self.plan_id);
            if self.mode == Mode::Moved
                && let Some(other) = self.standing_by.get_mut(sink)
            {
                other.restore(self.plan_id, &bytes)?;
                std::mem::swap(lane, other);
                continue;
            }
            let mut next = Lane::new(self.hands[0].clone(), sink);
            next.restore(self.plan_id, &bytes)?;
            let before = std::mem::replace(lane, next);
            if self.mode == Mode::Moved {
                self.standing_by.push(before);
            }
        }
        Ok(())
    }

    fn outcome(self, scenario: &Scenario) -> Outcome {
        let mut failures = Vec::new();
        for (index, step) in scenario.steps.iter().enumerate() {
            let at = scenario.start.plus(step.at_ns);
            let found = match &step.action {
                ScenarioAction::Feed { .. } => None,
                ScenarioAction::Expect { tag, expected } => self.watching.expect(*tag, expected, at),
                ScenarioAction::ExpectRow { row } => self.watching.expect_row(row, at),
                ScenarioAction::ExpectNo { what } => self.watching.expect_no(what, at),
            };
            failures.extend(found.map(|(expected, found, before)| Failure {
                step: index,
                expected,
                found,
                before: before.into_iter().map(|(time, text)| (time.0 - scenario.start.0, text)).collect(),
            }));
        }
        let names = self.plan.sinks.iter().map(|sink| sink.name.clone());
        Outcome {
            failures,
            digests: names.zip(self.digests).collect(),
            records: self.seq,
            samples: self.samples,
        }
    }
}

impl Device {
    /// The tag with that index in the group has a value from now on.
    fn set(&mut self, index: usize, value: Value, quality: Quality) {
        self.values[index] = (value, quality);
        self.batch = None;
    }

    /// The record of the slot that is due.
    fn slot(&mut self, time: Timestamp) -> Fact {
        let number = time.0.div_euclid(self.period_ns.max(1)) as u64;
        let slot = SlotMark { number, skipped: 0 };
        match self.broken {
            Some(true) => return Fact::Failed { group: self.id, slot, time, why: Quality::COMM_LOST },
            Some(false) => {
                self.broken = Some(true);
                let batch = Batch::failed(self.id, self.tags.clone(), time, Quality::COMM_LOST);
                return Fact::Samples { slot, batch: Arc::new(batch) };
            }
            None => {}
        }
        let batch = self.batch.get_or_insert_with(|| {
            let mut column = Column::with_capacity(self.values.len());
            let mut qualities = Qualities::Same(Quality::GOOD);
            for (index, (value, quality)) in self.values.iter().enumerate() {
                column.push(value.clone());
                qualities.set(index, *quality, self.values.len());
            }
            let batch = Batch::uniform(self.id, self.tags.clone(), time, column);
            Arc::new(Batch { qualities, ..batch })
        });
        // Copied only if somebody has kept the one before.
        Arc::make_mut(batch).times = Times::Same(time);
        Fact::Samples { slot, batch: batch.clone() }
    }
}

/// Polled groups by period, each with its first slot since the start.
fn grids(devices: &[Device], start: Timestamp) -> Vec<Grid> {
    let mut by_period: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, device) in devices.iter().enumerate().filter(|(_, device)| device.period_ns > 0) {
        by_period.entry(device.period_ns).or_default().push(index);
    }
    let grid = |(period_ns, devices): (i64, Vec<usize>)| {
        let slots = start.0.saturating_add(period_ns - 1).div_euclid(period_ns);
        Grid { period_ns, next: Timestamp(slots * period_ns), devices }
    };
    by_period.into_iter().map(grid).collect()
}

fn one(group: GroupId, tag: TagId, time: Timestamp, value: Value, quality: Quality) -> Batch {
    let mut column = Column::new();
    column.push(value);
    Batch { qualities: Qualities::Same(quality), ..Batch::uniform(group, [tag].into(), time, column) }
}

/// Whether an entry holds what devices gave and nothing else, because nothing on its way chooses among it: that cannot
/// differ.
fn is_as_read(plan: &Plan, sink: usize, entry: &Entry) -> bool {
    let tag = entry.payload.batch().tags.first().and_then(|tag| plan.tag(*tag));
    let Some((sink, tag)) = plan.sinks.get(sink).zip(tag) else { return false };
    let route = sink.routes.get(entry.route as usize);
    let chooses = |route: &Route| !route.stages.is_empty() || route.window.is_some();
    matches!(tag.origin, Origin::Point { .. })
        && sink.bad != BadPolicy::Last
        && route.is_some_and(|route| !chooses(route))
}

/// Hash over what a sink gets to see of each sample.
fn digest(route: u32, batch: &Batch) -> u64 {
    let mix = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 32)
    };
    let both = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let mut sum = 0u64;
    for index in 0..batch.len() {
        let mut hash = mix(0xCBF2_9CE4_8422_2325, both(route, batch.tags[index].0));
        hash = mix(hash, batch.times.get(index).0 as u64);
        hash = mix(hash, both(batch.repeat(index), batch.qualities.get(index).0));
        hash = mix(hash, batch.values.kind(index) as u64);
        hash = match batch.values.kind(index) {
            Kind::Text | Kind::Bytes => match batch.values.get(index) {
                Value::Text(text) => text.bytes().fold(hash, |hash, byte| mix(hash, u64::from(byte))),
                Value::Bytes(bytes) => bytes.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte))),
                _ => hash,
            },
            _ => mix(hash, batch.values.cells.get(index).copied().unwrap_or(0)),
        };
        sum = sum.wrapping_add(hash);
    }
    sum
}

/// A sink that takes what is expected, and the rows of all windows.
fn watcher(plan: &Plan, scenario: &Scenario) -> SinkPlan {
    let mut tags = BTreeSet::new();
    let mut rows: BTreeSet<Arc<str>> = BTreeSet::new();
    for step in &scenario.steps {
        match &step.action {
            ScenarioAction::Feed { .. } => {}
            ScenarioAction::Expect { tag, .. } | ScenarioAction::ExpectNo { what: Subject::Tag(tag) } => {
                tags.insert(*tag);
            }
            ScenarioAction::ExpectRow { row: ExpectedRow { name, .. } }
            | ScenarioAction::ExpectNo { what: Subject::Rows(name, _) } => {
                rows.insert(name.clone());
            }
        }
    }
    let mut routes = vec![Route::plain("".into(), tags.into_iter().collect())];
    let columns = (0..).map(TagId).zip(&plan.tags).filter(|(_, tag)| {
        tag.origin == Origin::Column && &*tag.info.row == "alarms" && rows.contains("alarms")
    });
    let events: Vec<TagId> = columns.map(|(id, _)| id).collect();
    if !events.is_empty() {
        routes.push(Route::plain("".into(), events));
    }
    let mut seen = BTreeSet::new();
    for route in plan.sinks.iter().flat_map(|sink| &sink.routes) {
        let Some(window) = &route.window else { continue };
        // A window that goes to several sinks is looked at once.
        let same = (window.name.clone(), route.tags.clone(), route.stages.clone());
        if rows.contains(&window.name) && seen.insert(format!("{same:?}")) {
            let mut route = Route { row_conditions: Vec::new(), ..route.clone() };
            if let (Some(window), Some(devices)) = (&mut route.window, devices_meant(scenario, &window.name))
            {
                window.instances.retain(|instance| devices.contains(&instance.device));
            }
            routes.push(route);
        }
    }
    SinkPlan::internal("".into(), routes)
}

/// The devices whose rows a scenario looks at; `None` if it may be all.
fn devices_meant(scenario: &Scenario, rows: &str) -> Option<BTreeSet<Arc<str>>> {
    let mut devices = BTreeSet::new();
    for step in &scenario.steps {
        match &step.action {
            ScenarioAction::ExpectRow { row } if &*row.name == rows => {
                let device = row.select.iter().find(|(name, _)| &**name == "device");
                let Some((_, Expected::Value(Value::Text(device)))) = device else { return None };
                devices.insert(device.clone());
            }
            ScenarioAction::ExpectNo { what: Subject::Rows(name, device) } if &**name == rows => {
                devices.insert(device.clone()?);
            }
            _ => {}
        }
    }
    Some(devices)
}
