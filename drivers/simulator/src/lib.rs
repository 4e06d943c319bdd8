//! Simulated signals as a source: programs run, are tested and shown without hardware.
//!
//! Every value is a pure function of the slot's time and number, the seed and
//! the tag's path ([`signal`]); a run can be repeated and two nodes agree.

mod convert;
mod replay;
pub mod signal;

use gwp_core::command::{Command, CommandFault};
use gwp_core::manifest::{
    Manifest, Need, Place, Role, Setting, SettingError, SettingKind, Slots, SourceTraits, Standby,
};
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::source::{
    Driver, GroupDeclaration, GroupLoad, PlcType, PointDeclaration, Source, SourceContext, SourceDeclaration,
    SourceError,
};
use gwp_core::{BoxFuture, Column, Qualities, Quality, TagId, Timestamp, Value};
use replay::Files;
use signal::{Signal, Slot};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static MANIFEST: Manifest = Manifest {
    name: "simulator",
    doc: "Signals computed from the time: no hardware needed. The same slot always has the same values, \
          on both nodes and in every run. A tag that is written keeps that value until the gateway starts again.",
    settings: &[Setting {
        name: "seed",
        kind: SettingKind::Int { min: 0, max: i64::MAX },
        need: Need::Default("0"),
        doc: "Start of the random signals; another seed gives other values.",
    }],
    exclusive: None,
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: &[
            (
                "sine 20..80 every 60 s",
                "Sine between two values; `phase 15 s` shifts it (also ramp and square).",
            ),
            ("ramp 0..100 every 10 s", "Rises from the first value to the second, then starts again."),
            ("square 0..1 every 10 s", "First value in the first half of each period, second in the other."),
            ("random 8..12", "Evenly distributed, another value in each scan slot."),
            ("counter 0..32767 step 1", "Counts scan slots and wraps behind the second value to the first."),
            ("constant 5", "Always this value: a number, `true`, `false`, or a text for a string."),
            (
                "replay data/press.csv column oil_temp",
                "One row of a CSV file per scan slot, by header; starts again after the last. An empty cell is bad.",
            ),
        ],
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby: &[Standby::Hot, Standby::Warm, Standby::Cold],
    }),
};

/// The driver `simulator`.
#[derive(Debug)]
pub struct Simulator;

impl Driver for Simulator {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError> {
        prepare_groups(declaration, None).err().unwrap_or_default()
    }

    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>> {
        let plans = prepare_groups(&declaration, Some(&mut Files::default()))?;
        Ok(Box::new(SimulatorSource {
            groups: declaration.groups.into(),
            plans: plans.into(),
            written: Arc::default(),
        }))
    }

    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad> {
        vec![GroupLoad::default(); declaration.groups.len()]
    }
}

/// Where the values of one tag come from.
#[derive(Debug)]
enum Content {
    Live { signal: Signal, key: u64, middle: f64 },
    Rows(Arc<Column>),
}

#[derive(Debug)]
struct Point {
    plc_type: PlcType,
    content: Content,
}

impl Point {
    fn value(&self, slot: Slot) -> Value {
        match &self.content {
            Content::Live { signal, key, middle } => signal
                .number(slot, *key)
                .map_or(Value::Nothing, |number| convert::from_number(self.plc_type, number, *middle)),
            Content::Rows(rows) => {
                let row = slot.number.rem_euclid(i64::try_from(rows.len().max(1)).unwrap_or(i64::MAX));
                rows.get(usize::try_from(row).unwrap_or(0))
            }
        }
    }
}

/// Reads all addresses; files only when `files` is given (a check does no I/O).
fn prepare_groups(
    declaration: &SourceDeclaration,
    mut files: Option<&mut Files>,
) -> Result<Vec<Vec<Point>>, Vec<SettingError>> {
    let seed = declaration.item.settings.int("seed").unwrap_or(0);
    let mut errors = Vec::new();
    let mut groups = Vec::with_capacity(declaration.groups.len());
    for (group, declared) in declaration.groups.iter().enumerate() {
        let mut points = Vec::with_capacity(declared.points.len());
        for (point, declared) in declared.points.iter().enumerate() {
            match prepare_point(declared, seed, &mut files) {
                Ok(content) => points.push(Point { plc_type: declared.plc_type, content }),
                Err(Fault::Address(message, help)) => errors.push(SettingError {
                    place: Place::Address { group, point },
                    code: Some("E401"),
                    message,
                    help,
                }),
                Err(Fault::Type(message, help)) => {
                    errors.push(SettingError {
                        place: Place::Type { group, point },
                        code: None,
                        message,
                        help,
                    });
                }
            }
        }
        groups.push(points);
    }
    if errors.is_empty() { Ok(groups) } else { Err(errors) }
}

/// What is wrong with one tag: message and help.
enum Fault {
    Address(String, String),
    Type(String, String),
}

fn prepare_point(
    declared: &PointDeclaration,
    seed: i64,
    files: &mut Option<&mut Files>,
) -> Result<Content, Fault> {
    let plc_type = declared.plc_type;
    let signal =
        signal::parse(&declared.address).map_err(|error| Fault::Address(error.message, error.help))?;
    match &signal {
        Signal::Constant { text } => {
            let value = convert::from_text(plc_type, text).ok_or_else(|| {
                Fault::Address(format!("`{text}` is no {plc_type}"), "write a value of the tag's type".into())
            })?;
            let mut row = Column::new();
            row.push(value);
            Ok(Content::Rows(Arc::new(row)))
        }
        Signal::Replay { file, column } => match files {
            None => Ok(Content::Rows(Arc::new(Column::nothing(1)))),
            Some(files) => files.column(file, column, plc_type).map(Content::Rows).map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                Fault::Address(
                    format!("{error}{}", cause.unwrap_or_default()),
                    "the path counts from the folder in which the gateway was started".into(),
                )
            }),
        },
        _ => {
            let range = signal.bounds().unwrap_or(signal::Range { low: 0.0, high: 0.0 });
            if !convert::holds(plc_type, range) {
                return Err(Fault::Type(
                    format!("{plc_type} cannot hold {}..{}", range.low, range.high),
                    format!("{plc_type} holds {}; take a wider type", convert::range_text(plc_type)),
                ));
            }
            let middle = range.middle();
            Ok(Content::Live { signal, key: signal::key(seed, &declared.path), middle })
        }
    }
}

struct SimulatorSource {
    groups: Arc<[GroupDeclaration]>,
    plans: Arc<[Vec<Point>]>,
    written: Written,
}

/// Values that were written, by group and index in it; they outlive a run of the source.
type Written = Arc<Mutex<BTreeMap<(usize, usize), Value>>>;

impl Source for SimulatorSource {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            cx.connected(true).await;
            let grids = self.groups.iter().map(|group| (group.period_ns, group.phase_ns)).collect();
            let mut poller = SimulatorPoller {
                grids,
                groups: self.groups.clone(),
                plans: self.plans.clone(),
                written: self.written.clone(),
            };
            run_polled(&mut cx, &self.groups, &mut poller).await;
            Ok(())
        })
    }
}

struct SimulatorPoller {
    /// Period and phase of each group in nanoseconds.
    grids: Vec<(i64, i64)>,
    groups: Arc<[GroupDeclaration]>,
    plans: Arc<[Vec<Point>]>,
    written: Written,
}

impl SimulatorPoller {
    fn written(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), Value>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Group and index in it of a tag.
    fn place(&self, tag: TagId) -> Option<(usize, usize)> {
        let mut places = self.groups.iter().enumerate();
        places.find_map(|(group, declared)| Some((group, declared.tags.binary_search(&tag).ok()?)))
    }
}

impl Poller for SimulatorPoller {
    fn poll<'a>(&'a mut self, group: usize, time: Timestamp) -> BoxFuture<'a, Polled> {
        let (period_ns, phase_ns) = self.grids.get(group).copied().unwrap_or((1, 0));
        let number = time.0.saturating_sub(phase_ns).div_euclid(period_ns.max(1));
        let points = self.plans.get(group).map(Vec::as_slice).unwrap_or_default();
        let written = self.written();
        let written = |point: usize| written.get(&(group, point)).cloned();
        let polled = read(points, Slot { time_ns: time.0, number }, &written);
        Box::pin(std::future::ready(polled))
    }

    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        let answer = match self.place(command.tag) {
            Some(place) => {
                self.written().insert(place, command.value.clone());
                Ok(())
            }
            None => Err(CommandFault::Failed("the simulator has no such tag".into())),
        };
        command.answer(answer);
        Box::pin(std::future::ready(()))
    }
}

/// All values of one slot; a written value stands in place of the signal.
fn read(points: &[Point], slot: Slot, written: &dyn Fn(usize) -> Option<Value>) -> Polled {
    let mut values = Column::with_capacity(points.len());
    let mut qualities = Qualities::Same(Quality::GOOD);
    for (index, point) in points.iter().enumerate() {
        let value = written(index).unwrap_or_else(|| point.value(slot));
        if value == Value::Nothing {
            qualities.set(index, Quality::BAD, points.len());
        }
        values.push(value);
    }
    Polled::Values { values, qualities }
}

#[cfg(test)]
mod tests;
