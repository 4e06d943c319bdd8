//! When the graph moves because the peer is healthier: only if it is so clearly and for long.

use crate::limits;
use crate::mono::Mono;

/// Compares two scores (0 = worst, 100 = best) over time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Health {
    better_since: Option<Mono>,
}

impl Health {
    /// Tells whether the peer has been healthier by [`limits::HEALTH_MARGIN_PERCENT`] for
    /// [`limits::HEALTH_HOLD`]. Call it with every new pair of scores.
    pub fn peer_is_better(&mut self, now: Mono, own: u8, peer: u8) -> bool {
        let better = u32::from(peer) * 100 > u32::from(own) * (100 + limits::HEALTH_MARGIN_PERCENT);
        let since = self.better_since.filter(|_| better);
        self.better_since = better.then(|| since.unwrap_or(now));
        since.is_some_and(|since| now.since(since) >= limits::HEALTH_HOLD)
    }

    #[cfg(test)]
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Mono> {
        self.better_since.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_and_is_clear_counts() {
        let mut health = Health::default();
        let at = |s: u64| Mono(s * 1_000_000_000);
        assert!(!health.peer_is_better(at(1), 70, 100));
        assert!(!health.peer_is_better(at(20), 70, 100));
        assert!(!health.peer_is_better(at(25), 90, 100), "within the margin: begins anew");
        assert!(!health.peer_is_better(at(26), 70, 100));
        assert!(!health.peer_is_better(at(55), 70, 100));
        assert!(health.peer_is_better(at(56), 70, 100));
        assert!(!health.peer_is_better(at(57), 0, 0));
    }
}
