//! The start of an engine as the active of a pair.
//!
//! ```text
//! machine of the pair --token, permits--> ExitKeeper (the caller's, over several engines)
//!          | epoch                            |
//!          v                                  v
//!      PairStart ---> Engine <------------- Exits
//!                        ^
//! mirror --gate()--> Release
//! ```
//! Nothing leaves before the exits are open in this very epoch and its commit is released. That is
//! also true of what the journals have from before: it may be a copy of what another node had not
//! let out yet.

use crate::engine::{Begun, Engine, EngineConfig, StartError};
use crate::exits::Exits;
use crate::limits::TICK_EVERY;
use crate::release::Release;
use gwp_journal::Store;
use gwp_redundancy::member::Epoch;
use std::time::Duration;

/// What a pair gives an engine that it would have made itself alone.
pub struct PairStart {
    /// Open, with all that it took over from the peer in it. What its journals hold may leave once
    /// [`Store::place`] as it is now is released.
    pub store: Store,
    /// The epoch that was won; the store has not written in it.
    pub epoch: Epoch,
    /// Newer samples than what it holds may have been delivered: what waits in it is flagged as backfill.
    pub is_behind: bool,
    /// Opened and shut by the caller's keeper. The engine goes out in its own epoch only.
    pub exits: Exits,
    /// Not one that an engine had before.
    pub release: Release,
    /// Gateway time gets into the log this often at least: a log that stands still for a lease is taken for hung.
    pub tick_every: Duration,
}

impl Engine {
    /// Starts all stages of a gateway that was activated in a pair. The keeper of `start.exits` has
    /// the token of the epoch, or gets it later.
    ///
    /// # Errors
    /// The epoch is over for this store, it cannot be written, or what was prepared does not fit
    /// the plan.
    pub async fn start_in_pair(config: EngineConfig, start: PairStart) -> Result<Engine, StartError> {
        let PairStart { mut store, epoch, is_behind, exits, release, tick_every } = start;
        config.check()?;
        let (previous, place) = (store.durable(), store.place());
        if is_behind {
            store.flag_backfill()?;
        }
        store.begin_epoch(epoch)?;
        let exits = exits.only_in(epoch);
        let tick_every = tick_every.min(TICK_EVERY);
        let keeper = None;
        Engine::begin(config, Begun { store, epoch, previous, place, exits, keeper, release, tick_every })
            .await
    }
}
