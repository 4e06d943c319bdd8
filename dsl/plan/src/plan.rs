//! The plan: immutable, canonical, content-hashed.
//!
//! Canonical means: items are sorted by name, ids are indexes into the sorted
//! lists, defaults are filled in, and nothing of comments, layout or order of
//! items in the text remains. Equal meaning gives equal bytes and so an equal
//! [`PlanId`].

use crate::calendar::Calendar;
use crate::expr::{Expr, Type};
use crate::fold::AggregateFunction;
use crate::moved::Moved;
use crate::state::StateFunction;
use crate::write::Write;
use gwp_core::manifest::Standby;
use gwp_core::source::{GroupDeclaration, PlcType, PointDeclaration, SourceDeclaration};
use gwp_core::{Declaration, GroupId, Kind, PlanId, Settings, TagId, TagInfo, TagTable};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Version of the plan's own format, part of its bytes.
pub const PLAN_VERSION: u16 = 4;

/// Bytes of the hash behind a stored plan.
const CHECK_BYTES: usize = 8;

/// A compiled program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub version: u16,
    pub gateway: GatewayPlan,
    /// By [`TagId`], sorted by path.
    pub tags: Vec<Tag>,
    /// By [`GroupId`], sorted by (source, device, period, first tag).
    pub groups: Vec<Group>,
    /// Sorted by name.
    pub sources: Vec<SourcePlan>,
    /// In evaluation order: a calc stands after every calc it reads, but for the last results
    /// of `previous`; else by path.
    pub calcs: Vec<Calc>,
    /// Sorted by command tag.
    pub writes: Vec<Write>,
    /// Sorted by name.
    pub sinks: Vec<SinkPlan>,
    /// Sorted by name; for people (graph, plan), not for running.
    pub flows: Vec<FlowSummary>,
    /// Sorted: what names of older plans are called in this one.
    pub moved: Vec<Moved>,
}

/// The `gateway` item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GatewayPlan {
    pub name: Arc<str>,
    /// IANA name, for example `Europe/Berlin`.
    pub timezone: Arc<str>,
    /// Settings of the pair (`takeover`, `failback`, ...), kept for the node.
    pub settings: Settings,
}

/// One tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tag {
    pub info: TagInfo,
    /// Kind of its good values, after scaling.
    pub kind: Kind,
    pub origin: Origin,
    /// Raw to engineering value; applied before the input log.
    pub scale: Option<Linear>,
    /// Engineering limits; outside is uncertain(out_of_range).
    pub range: Option<(f64, f64)>,
    /// Smallest change that flows pass on, in its unit.
    pub deadband: Option<f64>,
    /// A counter, with the range in which it wraps when that is declared.
    pub counter: Option<Option<(f64, f64)>>,
    pub writable: bool,
    /// Where its device stands in a family.
    pub family: Option<FamilyMember>,
}

/// A device of `device meter[01..40]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FamilyMember {
    /// Name of the family: `meter`.
    pub family: Arc<str>,
    /// Number of the device in it.
    pub index: i64,
}

/// Where a tag's samples come from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// Read from a device.
    Point { address: Arc<str>, plc_type: PlcType },
    /// Computed: the calc with this tag.
    Calc,
    /// Built-in `connected` of the source with this index.
    Connected { source: u32 },
    /// A column of rows: of a window or of alarm events.
    Column,
    /// What became of the commands of a write, as text.
    Outcome,
    /// What operators tell the alarms of a device, as text: [`AlarmOrder`](crate::alarm::order::AlarmOrder).
    Orders,
}

/// `value * gain + offset`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Linear {
    pub gain: f64,
    pub offset: f64,
}

/// A poll group: one device (or the source itself) x one scan class, at most
/// [`BATCH_SAMPLES_MAX`](gwp_core::limits::BATCH_SAMPLES_MAX) tags.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Group {
    pub source: u32,
    pub device: Arc<str>,
    pub device_settings: Settings,
    /// Nanoseconds; 0 = not polled.
    pub period_ns: i64,
    /// Nanoseconds.
    pub phase_ns: i64,
    /// Ascending.
    pub tags: Arc<[TagId]>,
}

/// A `source` item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SourcePlan {
    pub name: Arc<str>,
    pub driver: Arc<str>,
    /// Settings of the driver, defaults filled in.
    pub settings: Settings,
    pub standby: Standby,
    /// How far behind progress samples may arrive, nanoseconds.
    pub late_ns: i64,
    /// Time stamps are the device's own.
    pub device_time: bool,
    pub on_disconnect: OnDisconnect,
    /// The built-in tag `connected`.
    pub connected: TagId,
}

/// What a broken connection means for the tags of a source.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum OnDisconnect {
    MarkBad,
    /// The device buffers: wait this long, nanoseconds.
    Hold(i64),
}

/// A `calc` or `alarm` member: computed in event time, whenever a tag it reads has a sample.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calc {
    pub tag: TagId,
    /// State functions inside the expressions, in evaluation order;
    /// [`Expr::Local`] with index i reads the result of the i-th.
    pub operators: Vec<Operator>,
    /// Result has the tag's kind; unit factors are folded in. The condition of an alarm.
    pub expr: Expr,
    /// With it the tag is the alarm's: true while it stands.
    pub alarm: Option<Box<Alarm>>,
}

impl Calc {
    /// A calc without state.
    pub fn pure(tag: TagId, expr: Expr) -> Calc {
        Calc { tag, operators: Vec::new(), expr, alarm: None }
    }

    /// Calls `visit` with every expression in it.
    pub fn for_each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        self.operators.iter().flat_map(|operator| &operator.args).for_each(&mut *visit);
        visit(&self.expr);
        if let Some(alarm) = &self.alarm {
            alarm.clear.iter().chain([&alarm.message]).for_each(visit);
        }
    }
}

/// A state function at one place of an expression.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Operator {
    pub function: StateFunction,
    /// May read the results of operators before it.
    pub args: Vec<Expr>,
    /// Of its result.
    pub ty: Type,
}

/// What makes a condition an alarm (ISA-18.2).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name in the device.
    pub name: Arc<str>,
    /// Whose samples are the orders of operators to the alarms of the device.
    pub orders: TagId,
    /// `for`: how long the condition must hold, nanoseconds.
    pub on_delay_ns: i64,
    /// `clear`: ends the alarm; without it the condition's end does.
    pub clear: Option<Expr>,
    /// `clear_for`: how long that must hold, nanoseconds.
    pub off_delay_ns: i64,
    pub severity: AlarmSeverity,
    /// Text, evaluated when the alarm is raised.
    pub message: Expr,
    /// Columns of the device's alarm events: alarm, event, severity, message, state, operator.
    pub columns: [TagId; ALARM_COLUMNS],
}

/// Name of the rows that alarms give.
pub const ALARM_ROWS: &str = "alarms";

/// Columns of an alarm event: name of the alarm, what happened, severity, message, state, who did it.
pub const ALARM_COLUMNS: usize = 6;

/// Severity of an alarm; the numbers are the labels' raw values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum AlarmSeverity {
    Low = 1,
    Medium = 2,
    High = 3,
    Critical = 4,
}

/// A `sink` item and everything that flows into it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SinkPlan {
    pub name: Arc<str>,
    pub driver: Arc<str>,
    /// Settings of the sink's manifest, defaults filled in.
    pub settings: Settings,
    pub journal: JournalPolicy,
    pub retry: RetryPolicy,
    pub order: Order,
    pub key: Vec<KeyPart>,
    pub bad: BadPolicy,
    /// Index of the sink that takes what this one's destination refuses.
    pub dead_letter: Option<u32>,
    /// Sorted by flow name, then as written.
    pub routes: Vec<Route>,
}

impl SinkPlan {
    /// A sink of the gateway itself, which nothing is delivered to.
    pub fn internal(name: Arc<str>, routes: Vec<Route>) -> SinkPlan {
        let (full, mirror) = (FullPolicy::DropOldest, MirrorPolicy::Async);
        SinkPlan {
            name,
            driver: "".into(),
            settings: Settings::default(),
            journal: JournalPolicy { capacity_bytes: 0, keep_ns: 0, full, mirror },
            retry: RetryPolicy { first_ns: 0, max_ns: 0 },
            order: Order::PerTag,
            key: Vec::new(),
            bad: BadPolicy::Send,
            dead_letter: None,
            routes,
        }
    }
}

/// `journal { }`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct JournalPolicy {
    pub capacity_bytes: u64,
    pub keep_ns: i64,
    pub full: FullPolicy,
    pub mirror: MirrorPolicy,
}

/// What happens when a journal is at its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FullPolicy {
    DropOldest,
    DropNewest,
    Block,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MirrorPolicy {
    BeforeSend,
    Async,
}

/// `retry { first, max }`, nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RetryPolicy {
    pub first_ns: i64,
    pub max_ns: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    PerTag,
    Total,
    None,
}

/// A part of the de-duplication key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeyPart {
    Path,
    Time,
    Seq,
    Flow,
    Device,
    Start,
}

/// What a bad value becomes at a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BadPolicy {
    /// Sent with its quality.
    Send,
    /// Sent without a value.
    Null,
    /// Not sent.
    Skip,
    /// The last value that was not bad is sent, marked uncertain(last_usable).
    Last,
}

/// One way from tags to a sink. A flow gives one route per end and branch; named
/// streams are expanded, so a stage keeps its state per way a tag takes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Route {
    pub flow: Arc<str>,
    /// Ascending.
    pub tags: Vec<TagId>,
    /// On samples; rows have not met any of them.
    pub stages: Vec<Stage>,
    /// Makes rows of the samples.
    pub window: Option<Box<Window>>,
    /// Conditions on rows, all of which must hold; [`Expr::Local`] with index i reads the i-th
    /// column of the row. Bad counts as no.
    pub row_conditions: Vec<Expr>,
    /// Names given by `rename`, the last one on the way.
    pub names: BTreeMap<TagId, Arc<str>>,
    /// Higher goes first at CPU, disk and catch-up.
    pub high_priority: bool,
}

impl Route {
    /// A way without stages.
    pub fn plain(flow: Arc<str>, tags: Vec<TagId>) -> Route {
        Route {
            flow,
            tags,
            stages: Vec::new(),
            window: None,
            row_conditions: Vec::new(),
            names: BTreeMap::new(),
            high_priority: false,
        }
    }
}

/// A stage that acts on samples.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Bad counts as no. Branches of `split` are this, too.
    Where(Expr),
    /// The `deadband` of tags, in their units; other tags pass.
    Deadband(BTreeMap<TagId, f64>),
    /// `changes(deadband, heartbeat)`: deadband per tag (absent = any change).
    Changes { deadband: BTreeMap<TagId, f64>, heartbeat_ns: Option<i64> },
    /// `sample(period)`: the first sample of each tag in each period of the calendar grid.
    Sample { period_ns: i64 },
}

/// A window: folds samples to rows, one instance per device with `by device`, else one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Name of its rows: that of the flow, or the one given with `as`.
    pub name: Arc<str>,
    pub kind: WindowKind,
    /// How long after its end a window waits for samples, nanoseconds.
    pub wait_ns: i64,
    /// How long after its end a window is issued again when samples come, nanoseconds; 0 = never.
    pub revise_ns: i64,
    /// Share of good time below which a column is uncertain, 0 to 1.
    pub min_coverage: f64,
    pub instances: Vec<WindowInstance>,
}

/// When windows begin and end. Windows are [start, end).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WindowKind {
    /// `every`: by the calendar; with `over` each row folds that long a time before its end.
    Every { calendar: Calendar, over_ns: Option<i64> },
    /// `on`: a row at each rising edge of the condition, over the time since the one before.
    On,
    /// `while`: a row per run of the condition.
    While,
}

/// The window of one device.
///
/// Its expressions read [`Expr::Local`]s: 0 start (time), 1 end (time), 2 length (float, s),
/// 3 coverage (float, %), 4 revision (int), then the results of the operators, of the
/// aggregates and of the columns, in that order. Operators and the arguments of aggregates
/// may read operators only; columns may read everything before them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WindowInstance {
    pub device: Arc<str>,
    /// Tags of the route whose samples it takes, ascending. Other tags that its expressions
    /// read are taken as they are, not through the stages.
    pub tags: Vec<TagId>,
    pub operators: Vec<Operator>,
    /// Of `on` and `while`.
    pub condition: Option<Expr>,
    pub aggregates: Vec<Aggregate>,
    pub columns: Vec<Column>,
    /// Tags of the columns that every row has: start, end, length, device, coverage, revision.
    pub built_in: [TagId; ROW_BUILT_IN],
}

/// Columns that every row of a window has.
pub const ROW_BUILT_IN: usize = 6;

/// Locals of a window in front of its operators.
pub const WINDOW_LOCALS: usize = 5;

/// An aggregate at one place of a column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Aggregate {
    pub function: AggregateFunction,
    pub arg: Expr,
    /// Of its result.
    pub ty: Type,
}

/// A column of a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Column {
    pub tag: TagId,
    pub expr: Expr,
}

/// A flow in words.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FlowSummary {
    pub name: Arc<str>,
    pub high_priority: bool,
    pub standby: Standby,
    /// Devices, sources and named streams at its head.
    pub inputs: Vec<Arc<str>>,
    /// Its stages as written, in order.
    pub stages: Vec<Arc<str>>,
    /// Sinks it ends in, and flows that use it as a named stream.
    pub outputs: Vec<Arc<str>>,
}

/// Plan bytes that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the stored plan is damaged")]
    Damaged,
    #[error("the stored plan cannot be decoded")]
    Decode(#[source] postcard::Error),
    #[error("the stored plan has format {found}, this program knows {PLAN_VERSION}")]
    Version { found: u16 },
}

impl Plan {
    /// What the store keeps: the canonical bytes, then the first 8 bytes of their BLAKE3
    /// hash, so that damage is told before anything is decoded (a damaged tree could be
    /// deep enough to overflow the stack).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.canonical();
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(&hash.as_bytes()[..CHECK_BYTES]);
        bytes
    }

    fn canonical(&self) -> Vec<u8> {
        // A plan holds no type that postcard refuses and a Vec never runs out of room.
        postcard::to_stdvec(self).expect("a plan can always be encoded")
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// Damaged bytes or another format version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Plan, PlanError> {
        let split = bytes.len().checked_sub(CHECK_BYTES).ok_or(PlanError::Damaged)?;
        let (bytes, check) = bytes.split_at(split);
        if blake3::hash(bytes).as_bytes()[..CHECK_BYTES] != *check {
            return Err(PlanError::Damaged);
        }
        let (found, _) = postcard::take_from_bytes::<u16>(bytes).map_err(PlanError::Decode)?;
        if found != PLAN_VERSION {
            return Err(PlanError::Version { found });
        }
        postcard::from_bytes(bytes).map_err(PlanError::Decode)
    }

    /// Content hash: BLAKE3 of the canonical bytes, first 16 of them.
    pub fn id(&self) -> PlanId {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(&self.canonical()).as_bytes()[..16]);
        PlanId(id)
    }

    pub fn tag(&self, tag: TagId) -> Option<&Tag> {
        self.tags.get(tag.index())
    }

    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(group.index())
    }

    /// Names of all tags, for sinks.
    pub fn tag_table(&self) -> TagTable {
        TagTable { tags: self.tags.iter().map(|tag| tag.info.clone()).collect() }
    }

    /// Tags by path.
    pub fn tag_ids(&self) -> BTreeMap<Arc<str>, TagId> {
        (0..).map(TagId).zip(&self.tags).map(|(id, tag)| (tag.info.path.clone(), id)).collect()
    }

    /// What the driver of `sources[index]` is told.
    pub fn source_declaration(&self, index: usize) -> Option<SourceDeclaration> {
        let source = self.sources.get(index)?;
        let commands: BTreeSet<TagId> = self.writes.iter().map(|write| write.command).collect();
        let groups = (0..)
            .map(GroupId)
            .zip(&self.groups)
            .filter(|(_, group)| group.source as usize == index)
            .map(|(id, group)| GroupDeclaration {
                id,
                device: group.device.clone(),
                device_settings: group.device_settings.clone(),
                period_ns: group.period_ns,
                phase_ns: group.phase_ns,
                tags: group.tags.clone(),
                points: group
                    .tags
                    .iter()
                    .filter_map(|&tag| self.point(tag, commands.contains(&tag)))
                    .collect(),
            })
            .collect();
        let item = Declaration { name: source.name.clone(), settings: source.settings.clone() };
        Some(SourceDeclaration { item, groups, device_time: source.device_time })
    }

    fn point(&self, tag: TagId, command: bool) -> Option<PointDeclaration> {
        let tag = self.tag(tag)?;
        match &tag.origin {
            Origin::Point { address, plc_type } => Some(PointDeclaration {
                path: tag.info.path.clone(),
                address: address.clone(),
                plc_type: *plc_type,
                writable: tag.writable,
                command,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
