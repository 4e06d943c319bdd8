//! What the engine shows of itself: shared counters, no locks on the hot path.

use crate::alarms::AlarmDesk;
use gwp_core::edge::EdgeMeter;
use gwp_core::sink::SinkMeter;
use gwp_core::source::SourceMeter;
use gwp_core::{PlanId, Position};
use gwp_journal::{SinkShared, WriterMeter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// All figures of a running engine.
#[derive(Default)]
pub struct EngineStatus {
    graph: RwLock<Arc<GraphStatus>>,
    pub writer: Arc<WriterMeter>,
    notice: Mutex<Option<Arc<str>>>,
}

impl EngineStatus {
    pub(crate) fn new(writer: Arc<WriterMeter>) -> EngineStatus {
        EngineStatus { writer, ..EngineStatus::default() }
    }

    /// The graph as it is now; a change of the plan puts another one in its place.
    pub fn graph(&self) -> Arc<GraphStatus> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a person should know of the program, such as that changed files have errors.
    pub fn notice(&self) -> Option<Arc<str>> {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_notice(&self, notice: Option<&str>) {
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice.map(Into::into);
    }

    pub(crate) fn show(&self, graph: GraphStatus) {
        *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(graph);
    }
}

/// What runs.
#[derive(Default)]
pub struct GraphStatus {
    /// The plan in force.
    pub plan: PlanId,
    pub sources: Vec<Arc<SourceStatus>>,
    /// Those of the plan, then those that have left it and drain.
    pub sinks: Vec<Arc<SinkStatus>>,
    pub writes: Vec<WriteStatus>,
    /// Stages besides those of sources and sinks.
    pub stages: Vec<Arc<StageStatus>>,
    /// Takes orders to alarms, if the plan has any.
    pub alarms: Option<Arc<AlarmDesk>>,
}

/// A source.
pub struct SourceStatus {
    pub stage: Arc<StageStatus>,
    pub meter: Arc<SourceMeter>,
    /// The edge from it to the sequencer.
    pub edge: Arc<EdgeMeter>,
}

/// A `write` item.
pub struct WriteStatus {
    pub name: Arc<str>,
    pub meter: Arc<WriteMeter>,
}

/// What became of the commands of a `write`.
#[derive(Debug, Default)]
pub struct WriteMeter {
    /// The device took the value, and it was confirmed if that was asked for.
    pub executed: AtomicU64,
    pub refused: AtomicU64,
    /// Failed, not confirmed, or unknown.
    pub failed: AtomicU64,
}

/// A sink with its lane and journal.
#[derive(Clone)]
pub struct SinkStatus {
    pub name: Arc<str>,
    /// It is in the plan no more; what waits for it is delivered still.
    pub leaving: bool,
    pub stage: Arc<StageStatus>,
    pub lane_stage: Arc<StageStatus>,
    pub meter: Arc<SinkMeter>,
    pub lane: Arc<LaneMeter>,
    /// The edge from its lane to the writer.
    pub lane_edge: Arc<EdgeMeter>,
    pub journal: Arc<SinkShared>,
}

/// What supervision knows of a stage.
#[derive(Debug)]
pub struct StageStatus {
    /// `source/press`, `lane/erp`, `sink/erp`.
    pub name: Arc<str>,
    pub running: AtomicBool,
    pub restarts: AtomicU64,
    last_error: Mutex<Option<Arc<str>>>,
}

impl StageStatus {
    pub fn new(name: String) -> Arc<Self> {
        Arc::new(StageStatus {
            name: name.into(),
            running: AtomicBool::new(false),
            restarts: AtomicU64::new(0),
            last_error: Mutex::new(None),
        })
    }

    pub(crate) fn failed(&self, reason: &str) {
        self.restarts.fetch_add(1, Relaxed);
        self.set_error(Some(reason));
    }

    pub(crate) fn set_error(&self, reason: Option<&str>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = reason.map(Into::into);
    }

    /// Why it failed or waits, until it is well again.
    pub fn last_error(&self) -> Option<Arc<str>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Figures of a lane.
#[derive(Debug, Default)]
pub struct LaneMeter {
    pub records: AtomicU64,
    /// Samples handed to the journal.
    pub samples: AtomicU64,
    /// Records read from disk because the lane was behind.
    pub records_read_back: AtomicU64,
    /// Samples that came too late for a calc, alarm or window, since the lane's state began.
    pub late: AtomicU64,
    /// Set while it waits for room in its journal.
    pub waiting: AtomicBool,
    position: Mutex<Position>,
}

impl LaneMeter {
    pub fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_position(&self, position: Position) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}
