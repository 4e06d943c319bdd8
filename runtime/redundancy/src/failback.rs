//! When the graph goes back to the preferred node, without ping-pong.

use crate::limits;
use crate::mono::Mono;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FailbackMode {
    /// Only an operator moves it back.
    #[default]
    Manual,
    /// When the preferred node has been in step for `hold` nanoseconds.
    After { hold: u64 },
    /// As `After`, and only while the shell says that its time window is open.
    Window { hold: u64 },
}

/// Memory of the failovers that this process saw. A restart counts as one switch, so a node
/// that crashes in a loop never gets the graph back by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Failback {
    mode: FailbackMode,
    /// The shell's word on the time window.
    pub window_open: bool,
    failovers: [Mono; limits::LATCH_FAILOVERS],
    last_switch: Mono,
    /// How often the hold was doubled.
    doubled: u8,
    latched: bool,
}

impl Failback {
    pub fn new(mode: FailbackMode, now: Mono) -> Self {
        Failback {
            mode,
            window_open: false,
            failovers: [Mono::NEVER; limits::LATCH_FAILOVERS],
            last_switch: now,
            doubled: 0,
            latched: false,
        }
    }

    /// The graph moved because it had to. `true` = this latched automatic switching.
    pub fn failover(&mut self, now: Mono) -> bool {
        let recent = |at: &Mono| *at != Mono::NEVER && now.since(*at) < limits::LATCH_WINDOW;
        self.doubled = if self.failovers.iter().any(recent) { self.doubled.saturating_add(1) } else { 0 };
        self.failovers.rotate_right(1);
        self.failovers[0] = now;
        self.last_switch = now;
        let latches = !self.latched && self.failovers.iter().all(recent);
        self.latched |= latches;
        latches
    }

    /// The graph moved because somebody wanted it.
    pub fn switched(&mut self, now: Mono) {
        self.last_switch = now;
    }

    /// Automatic switching, by failback or health, is off until an operator looked at it.
    pub fn latched(&self) -> bool {
        self.latched
    }

    /// An operator looked at it.
    pub fn acknowledge(&mut self) {
        self.latched = false;
        self.failovers = [Mono::NEVER; limits::LATCH_FAILOVERS];
        self.doubled = 0;
    }

    /// The hold in force, in nanoseconds; `None` when failback is manual.
    pub fn hold(&self) -> Option<u64> {
        let (FailbackMode::After { hold } | FailbackMode::Window { hold }) = self.mode else { return None };
        Some(hold.saturating_mul(1 << self.doubled.min(30)).min(limits::HOLD_MAX))
    }

    /// Whether to move the graph back now; `in_step_since` = since when the preferred node
    /// could take it without a gap.
    pub fn due(&self, now: Mono, in_step_since: Mono) -> bool {
        self.waits_for_window() == Some(false) && self.due_in(now, in_step_since) == Some(0)
    }

    /// Nanoseconds until the hold is over, if all stays as it is; `None` when failback is manual or latched.
    pub fn due_in(&self, now: Mono, in_step_since: Mono) -> Option<u64> {
        let hold = self.hold().filter(|_| !self.latched)?;
        Some(hold.saturating_sub(now.since(in_step_since).min(now.since(self.last_switch))))
    }

    /// Whether it waits for a time window that is closed; `None` when failback is manual.
    pub fn waits_for_window(&self) -> Option<bool> {
        self.hold()?;
        Some(matches!(self.mode, FailbackMode::Window { .. }) && !self.window_open)
    }

    #[cfg(test)]
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Mono> {
        self.failovers.iter_mut().chain([&mut self.last_switch])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const AUTO: FailbackMode = FailbackMode::After { hold: 300 * S };

    #[test]
    fn the_hold_doubles_and_three_failovers_latch() {
        let mut failback = Failback::new(AUTO, Mono(S));
        let mut latched = Vec::new();
        let mut holds = Vec::new();
        for minute in [10, 20, 30, 40] {
            latched.push(failback.failover(Mono(minute * 60 * S)));
            holds.push(failback.hold().unwrap() / S);
        }
        assert_eq!(holds, [300, 600, 1200, 2400]);
        assert_eq!(latched, [false, false, true, false], "said once");
        assert!(!failback.due(Mono(100_000 * S), Mono(50 * 60 * S)), "latched");
        failback.acknowledge();
        assert_eq!(failback.hold(), Some(300 * S));
        assert!(failback.due(Mono(100_000 * S), Mono(50 * 60 * S)));
    }

    #[test]
    fn failovers_that_are_far_apart_are_forgotten() {
        let mut failback = Failback::new(AUTO, Mono(S));
        for hour in [1, 3, 5, 7] {
            assert!(!failback.failover(Mono(hour * 3600 * S)));
        }
        assert_eq!(failback.hold(), Some(300 * S));
    }

    #[test]
    fn it_waits_for_stability_and_for_its_window() {
        let mut failback = Failback::new(FailbackMode::Window { hold: 300 * S }, Mono(S));
        failback.failover(Mono(1000 * S));
        assert!(!failback.due(Mono(1400 * S), Mono(1050 * S)), "the window is closed");
        failback.window_open = true;
        assert!(failback.due(Mono(1400 * S), Mono(1050 * S)));
        assert!(!failback.due(Mono(1340 * S), Mono(1050 * S)), "in step for 290 s only");
        assert_eq!(failback.due_in(Mono(1340 * S), Mono(1050 * S)), Some(10 * S));
        failback.switched(Mono(1380 * S));
        assert!(!failback.due(Mono(1400 * S), Mono(1050 * S)), "it was switched 20 s ago");
        failback.window_open = false;
        assert_eq!(
            (failback.waits_for_window(), Failback::new(AUTO, Mono(1)).waits_for_window()),
            (Some(true), Some(false))
        );
        assert!(!Failback::new(FailbackMode::Manual, Mono(S)).due(Mono(9000 * S), Mono(S)));
    }
}
