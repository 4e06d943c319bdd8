//! Runs in which something is broken on purpose, by means from outside where that can be: the checker must find it, or its silence
//! elsewhere means nothing.

use crate::plant::{Build, Disk, Plant, tool};
use crate::report::Outcome;
use crate::scenario::{Expect, Scenario, Step, Who};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Control {
    /// Two nodes that know nothing of each other deliver at once.
    NoArbitration,
    /// The database forgets up to which place it has everything.
    CursorForgotten,
    /// The database acknowledges rows that it does not keep.
    RowsSwallowed,
    /// The standby reads nothing, and the active dies.
    NoShadow,
    /// Nothing is synced, and the power of both nodes is cut.
    NoSync,
    /// The standby drops readings that its copy of the log does not hold yet, and the active stands still for a moment.
    TrimBeyond,
}

/// Answers every sync at once.
const NO_SYNC: &str = "int fsync(int f) { (void)f; return 0; }\nint fdatasync(int f) { (void)f; return 0; }\n\
    int msync(void *a, unsigned long n, int f) { (void)a; (void)n; (void)f; return 0; }\n";

impl Control {
    pub const ALL: [Control; 6] = [
        Control::NoArbitration,
        Control::CursorForgotten,
        Control::RowsSwallowed,
        Control::NoShadow,
        Control::NoSync,
        Control::TrimBeyond,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Control::NoArbitration => "no-arbitration",
            Control::CursorForgotten => "cursor-forgotten",
            Control::RowsSwallowed => "rows-swallowed",
            Control::NoShadow => "no-shadow",
            Control::NoSync => "no-sync",
            Control::TrimBeyond => "trim-beyond",
        }
    }

    /// The rule of the pair that is broken, in a gateway that is built for that.
    pub fn mutant(self) -> Option<&'static str> {
        (self == Control::TrimBeyond).then_some("trim_beyond_arrived")
    }

    /// With the scenario that shows it.
    pub fn job(self) -> (Control, Scenario) {
        let again = || vec![Step::Kill(Who::Active), Step::Delivered, Step::StartAll, Step::Redundant];
        let forgetting = || {
            let (kill, rest) = (Step::Kill(Who::Active), [Step::Delivered, Step::StartAll, Step::Redundant]);
            [kill, Step::ForgetCursor].into_iter().chain(rest)
        };
        let steps = match self {
            Control::NoArbitration | Control::RowsSwallowed => vec![Step::Pause(3_000, 4_000)],
            // What was under way at one takeover may be nothing.
            Control::CursorForgotten => (0..6).flat_map(|_| forgetting()).collect(),
            Control::NoShadow => again(),
            // What was not read meanwhile the standby has.
            Control::TrimBeyond => {
                (0..5).flat_map(|_| [Step::Freeze(Who::Active, 600), Step::Delivered]).collect()
            }
            Control::NoSync => vec![
                Step::Hold,
                Step::Pause(3_000, 4_000),
                Step::PowerCut(Who::Both),
                Step::StartAll,
                Step::Release,
                Step::Delivered,
            ],
        };
        let scenario = Scenario::new(self.name(), "a control of the checker", steps, Expect::failover());
        (self, if self == Control::NoSync { scenario.on(Disk::Image) } else { scenario })
    }

    pub fn build(self, build: Build, folder: &Path) -> Result<Build, String> {
        match self {
            Control::NoArbitration => Ok(Build { is_single: true, ..build }),
            Control::CursorForgotten | Control::RowsSwallowed => Ok(build),
            Control::TrimBeyond => Ok(Build { mutant: self.mutant(), ..build }),
            Control::NoShadow => Ok(Build { hot: false, ..build }),
            Control::NoSync => {
                let (source, library) = (folder.join("nosync.c"), folder.join("nosync.so"));
                std::fs::write(&source, NO_SYNC).map_err(|error| error.to_string())?;
                let (source, out) = (source.to_string_lossy(), library.to_string_lossy());
                tool("cc", &["-shared", "-fPIC", "-o", &out, &source])?;
                Ok(Build { preload: Some(library), disk: Disk::Image, ..build })
            }
        }
    }

    /// Breaks it, once the pair runs.
    pub fn sabotage(self, plant: &Plant) -> Result<(), String> {
        let script = match self {
            Control::NoArbitration
            | Control::CursorForgotten
            | Control::NoShadow
            | Control::NoSync
            | Control::TrimBeyond => return Ok(()),
            Control::RowsSwallowed => {
                "create trigger swallow before insert on samples_data when new.time_ns / 100000000 % 17 = 0 begin \
                 delete from spy_rows where time_ns = new.time_ns; select raise(ignore); end"
            }
        };
        let writer = Connection::open(plant.database()).map_err(|error| error.to_string())?;
        writer.busy_timeout(Duration::from_secs(30)).map_err(|error| error.to_string())?;
        writer.execute_batch(script).map_err(|error| error.to_string())
    }

    /// What is wrong with a control: that it was not found.
    pub fn judge(self, outcome: &Outcome) -> Vec<String> {
        let found = &outcome.findings;
        let is_found = match self {
            Control::NoArbitration => found.doubled_messages + found.doubled_rows + found.disordered > 0,
            Control::CursorForgotten => found.doubled_rows > 0,
            Control::RowsSwallowed => found.missing > 0 || found.wrong > 0,
            Control::NoShadow | Control::TrimBeyond => {
                found.missing > 0 && outcome.violations.iter().any(|it| it.contains("slots missing"))
            }
            Control::NoSync => !outcome.violations.is_empty(),
        };
        if is_found {
            Vec::new()
        } else {
            vec![format!("the checker did not find it: {:?}", outcome.violations)]
        }
    }
}
