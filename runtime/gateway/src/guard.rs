//! `gwp run --guard`: a small parent process, so that the death of the one that works is noticed at once.
//!
//! ```text
//! guard --starts--> worker (the whole gateway)
//!   |  <--ends------  |       0, 1: passed on; killed, aborted, 3: started again, after a pause if several ran for short
//!   +--signals------> |       SIGTERM, SIGINT and SIGHUP are the worker's
//! ```
//! In a pair the worker that is started again frees the votes of the one that died with its first word, so its peer
//! need not wait for a lease to run out. The guard itself knows no secret and says nothing to anybody: what it would
//! say is only true once the file of votes is no longer locked, and who has locked it can say it as quickly.
//!
//! If the guard dies, its worker ends in order, on Linux. On Windows there is nothing to forward: the console tells all
//! of its processes of Ctrl-C and of its end.

mod system;

use crate::cli::RunArgs;
use crate::log;
use crate::node::{self, Node};
use anyhow::Context;
use gwp_syntax::{Diagnostics, SourceMap};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};
use system::Signals;

/// Tells a worker the process of its guard.
const GUARD: &str = "GWP_GUARD";

/// A worker that ran for so long did not die of how it was started.
const SETTLED: Duration = Duration::from_secs(60);

/// So many workers in a row that did not run for long are started again at once: a pair waits for what the next one says.
const AT_ONCE: u32 = 3;

/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);

const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whether this process is the worker of a guard. If so, it ends in order when that dies.
pub fn is_guarded() -> bool {
    let told = std::env::var(GUARD).ok().and_then(|text| text.parse().ok());
    told.is_some_and(system::end_with)
}

/// Starts the gateway as a process of its own, again and again, until it has ended for good; gives its exit code.
///
/// # Errors
/// No process can be started.
pub fn guard(args: &RunArgs) -> anyhow::Result<ExitCode> {
    log::start(&node(args));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = std::env::current_exe().context("the path of gwp is not known")?;
    let mut worker = Command::new(program);
    worker.args(std::env::args_os().skip(1)).env(GUARD, std::process::id().to_string());
    // The service manager would ask the worker for nothing if this named the guard.
    worker.env_remove("WATCHDOG_PID");
    runtime.block_on(watch(worker))
}

/// For the form of the log alone: what is wrong with the file the worker says.
fn node(args: &RunArgs) -> Node {
    let Some(path) = &args.node else { return Node::default() };
    node::load(path, &mut SourceMap::default(), &mut Diagnostics::default()).unwrap_or_default()
}

async fn watch(mut program: Command) -> anyhow::Result<ExitCode> {
    // Before the first worker, so that no signal is missed.
    let mut signals = Signals::new().context("signals cannot be caught")?;
    let mut pauses = Pauses::default();
    loop {
        let started = Instant::now();
        let mut worker = program.spawn().context("the worker cannot be started")?;
        tracing::info!(worker = worker.id(), "the worker runs");
        let (status, asked) = until_ended(&mut worker, &mut signals).await?;
        let ran = started.elapsed();
        if asked || is_final(status, pauses.has_settled || ran >= SETTLED) {
            return Ok(code_of(status));
        }
        let pause = pauses.after(ran, random());
        tracing::error!(%status, ran_s = ran.as_secs(), pause_ms = pause.as_millis() as u64, "the worker has died; it is started again");
        let stop = async { while !signals.next().await.is_stop() {} };
        if !pause.is_zero() && tokio::time::timeout(pause, stop).await.is_ok() {
            return Ok(code_of(status));
        }
    }
}

/// Waits for the end of the worker and hands on what it is told; whether that was to stop.
async fn until_ended(worker: &mut Child, signals: &mut Signals) -> anyhow::Result<(ExitStatus, bool)> {
    let mut asked = false;
    loop {
        // It is reaped here and nowhere else: until then its number is no other's.
        if let Some(status) = worker.try_wait().context("the worker cannot be waited for")? {
            return Ok((status, asked));
        }
        let heard = signals.next().await;
        asked |= heard.is_stop();
        signals.forward(worker, heard);
    }
}

/// Whether starting it again would lead to the same.
fn is_final(status: ExitStatus, has_settled: bool) -> bool {
    match status.code() {
        // Ended in order, or something is wrong with what it was given.
        Some(0 | 1) => true,
        // The machine refuses: a port, a folder. Whoever starts it must see it; later it may pass.
        Some(2) => !has_settled,
        _ => false,
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::from(3), ExitCode::from)
}

/// From 0 to 255, another one at each call.
fn random() -> u8 {
    gwp_console::secret::random().map_or(128, |[byte]| byte)
}

/// How long to wait between two workers.
#[derive(Default)]
struct Pauses {
    /// Workers that died soon, one after the other.
    soon: u32,
    /// One of them ran for long.
    has_settled: bool,
}

impl Pauses {
    /// After one that ran for so long. `random` spreads it by a quarter to both sides, so that machines that failed
    /// together do not come back together.
    fn after(&mut self, ran: Duration, random: u8) -> Duration {
        let settled = ran >= SETTLED;
        self.has_settled |= settled;
        self.soon = if settled { 0 } else { self.soon };
        let doubled =
            self.soon.checked_sub(AT_ONCE).map_or(Duration::ZERO, |times| PAUSE * (1 << times.min(16)));
        self.soon = self.soon.saturating_add(1);
        doubled.min(PAUSE_MAX).mul_f64(0.75 + f64::from(random) / 510.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_starts_are_at_once_and_then_pauses_grow_to_a_bound() {
        let mut pauses = Pauses::default();
        let soon = Duration::from_secs(2);
        let taken: Vec<u64> = (0..11).map(|_| pauses.after(soon, 0).as_millis() as u64).collect();
        assert_eq!(taken, [0, 0, 0, 750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000]);
        assert!(!pauses.has_settled);
        assert_eq!(pauses.after(SETTLED, 255), Duration::ZERO);
        for expected in [0, 0, 1_250] {
            assert_eq!(pauses.after(soon, 255).as_millis(), expected);
        }
        assert!(pauses.has_settled);
        pauses.soon = u32::MAX;
        assert_eq!(pauses.after(soon, 255), PAUSE_MAX * 5 / 4);
    }

    #[cfg(unix)]
    #[test]
    fn only_what_may_pass_is_started_again() {
        use std::os::unix::process::ExitStatusExt;
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        for settled in [false, true] {
            assert!(is_final(exited(0), settled) && is_final(exited(1), settled));
            assert!(!is_final(exited(3), settled) && !is_final(exited(101), settled));
            assert!(!is_final(ExitStatus::from_raw(9), settled), "killed");
        }
        assert!(is_final(exited(2), false) && !is_final(exited(2), true));
    }
}
