//! When the graph goes back to the primary by itself, as `node.toml` says it.

use gwp_redundancy::failback::FailbackMode;
use jiff::civil::Time;
use std::time::Duration;

/// How long the primary must have held everything, if nothing else is said.
pub const HOLD: Duration = Duration::from_secs(300);

/// Longer ones would never come: holds end here, however often they doubled.
pub const HOLD_MAX: Duration = Duration::from_nanos(gwp_redundancy::limits::HOLD_MAX);

/// What `node.toml` says of it. The file of the backup counts: only that moves the graph back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failback {
    Manual,
    Auto { after: Duration, window: Option<Window> },
}

/// Times of day, by the clock on the wall of this machine; over midnight if it ends before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    from: Time,
    upto: Time,
}

impl std::str::FromStr for Window {
    type Err = ();

    /// Reads `01:00-05:00`.
    fn from_str(text: &str) -> Result<Window, ()> {
        let time = |text: &str| text.trim().parse::<Time>().map_err(|_| ());
        let (from, upto) = text.split_once('-').ok_or(())?;
        let window = Window { from: time(from)?, upto: time(upto)? };
        if window.from == window.upto { Err(()) } else { Ok(window) }
    }
}

impl Window {
    pub fn is_open(&self, now: Time) -> bool {
        if self.from < self.upto {
            self.from <= now && now < self.upto
        } else {
            self.from <= now || now < self.upto
        }
    }
}

impl Failback {
    pub fn mode(&self) -> FailbackMode {
        let hold = |after: &Duration| u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Failback::Manual => FailbackMode::Manual,
            Failback::Auto { after, window: None } => FailbackMode::After { hold: hold(after) },
            Failback::Auto { after, window: Some(_) } => FailbackMode::Window { hold: hold(after) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_between_its_times_also_over_midnight() {
        let open = |window: &str, at: &str| window.parse::<Window>().unwrap().is_open(at.parse().unwrap());
        assert!(open("01:00-05:00", "01:00") && open("01:00 - 05:00", "04:59:59"));
        assert!(!open("01:00-05:00", "05:00") && !open("01:00-05:00", "00:59"));
        assert!(
            open("22:00-04:00", "23:00") && open("22:00-04:00", "03:00") && !open("22:00-04:00", "12:00")
        );
        for wrong in ["", "01:00", "25:00-02:00", "1-2-3", "05:00-05:00"] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }
}
