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
//!
//! What was read elsewhere comes in by [`Engine::admit`]: what the log lacks of it, once.

use crate::admission::{Admission, Newest, Verdict, group_tags, newest, note};
use crate::engine::{Begun, Engine, EngineConfig, StartError};
use crate::exits::Exits;
use crate::graph::{RunningSource, Shared};
use crate::hot::{HotReader, HotSource};
use crate::limits::{LANES_BEHIND_MAX, LANES_LOOKED_AT_EVERY};
use crate::release::Release;
use crate::sequencer::SourceKey;
use gwp_core::{Clock, Fact, PlanId, Position, Timestamp};
use gwp_journal::{LogReader, PlanReader, Store};
use gwp_plan::Plan;
use gwp_redundancy::member::Epoch;
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::{HeldIndex, Place};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// What a pair gives an engine that it would have made itself alone.
pub struct PairStart {
    /// Open, with all that it took over from the peer in it. What its journals hold may leave once
    /// [`Store::place`] as it is now is released.
    pub store: Store,
    /// The epoch that was won; the store has not written in it.
    pub epoch: Epoch,
    /// Opened and shut by the caller's keeper. The engine goes out in its own epoch only.
    pub exits: Exits,
    /// Not one that an engine had before.
    pub release: Release,
    /// Sources that the node has read as the standby: those that the plan has, too, read on.
    pub hot: Option<HotReader>,
    /// Newer samples than what the store holds may have been delivered: what waits in it goes out as backfill, and what
    /// the shadow adds to it.
    pub stale: bool,
}

/// What became of readings of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Admitted {
    /// Facts of which something was appended.
    pub appended: usize,
    /// Facts that the log had.
    pub held: usize,
    /// Facts that would make something happen, late: commands, orders to alarms.
    pub withheld: usize,
    /// Facts of another plan, or, of a shadow, too old to be compared.
    pub refused: usize,
    /// When the log is durable up to here, so are they.
    pub upto: Position,
}

impl Engine {
    /// Starts all stages of a gateway that was activated in a pair. The keeper of `start.exits` has
    /// the token of the epoch, or gets it later.
    ///
    /// # Errors
    /// The epoch is over for this store, it cannot be written, or what was prepared does not fit
    /// the plan.
    pub async fn start_in_pair(config: EngineConfig, start: PairStart) -> Result<Engine, StartError> {
        let PairStart { mut store, epoch, exits, release, hot, stale } = start;
        config.check()?;
        let (previous, place) = (store.durable(), store.place());
        if stale {
            store.flag_backfill()?;
        }
        store.begin_epoch(epoch)?;
        let exits = exits.only_in(epoch);
        let keeper = None;
        let mut hot = hot;
        if let Some(hot) = &mut hot {
            hot.go_on_in(&config.plan);
        }
        let pair = Some(InPair { hot, stale, end: place, compared: None });
        Engine::begin(config, Begun { store, epoch, previous, place, exits, keeper, release, pair }).await
    }

    /// Appends what the log lacks of readings that the peer has and this node may not: of its shadow
    /// ([`From::Fill`]), or of what it logged alone ([`From::Rejoin`]). `plan` numbers their tags; they are scaled and
    /// checked as in its log. Waits while the log is behind. What comes behind newer slots is
    /// flagged as backfill, and what the log may have a sample of with the same tag and time has repeat number 1.
    /// Commands and orders to alarms are never taken.
    pub async fn admit(&self, from: From, plan: PlanId, facts: &[Fact]) -> Admitted {
        let mut admitted = Admitted::default();
        let sequencer = &self.inner.shared.sequencer;
        for fact in facts {
            let (samples, payload) = match fact {
                Fact::Samples { batch, .. } => (batch.len(), batch.payload()),
                _ => (1, 0),
            };
            let credit = self.inner.of_peer.acquire(samples, payload).await;
            match sequencer.admit_of_peer(fact, from, plan, credit) {
                Verdict::Append(_) => admitted.appended += 1,
                Verdict::Held => admitted.held += 1,
                Verdict::Withheld => admitted.withheld += 1,
                Verdict::Refused => admitted.refused += 1,
            }
        }
        admitted.upto = sequencer.last();
        admitted
    }

    /// Waits until all lanes are close behind the log: what is old goes after what is new. A lane whose journal is full
    /// may keep this waiting for long.
    pub async fn lanes_are_close(&self) {
        let is_close = || {
            let Position { epoch, seq } = self.last();
            self.status.graph().sinks.iter().filter(|sink| !sink.leaving).all(|sink| {
                let lane = sink.lane.position();
                lane.epoch == epoch && seq.saturating_sub(lane.seq) <= LANES_BEHIND_MAX
            })
        };
        while !is_close() {
            tokio::time::sleep(LANES_LOOKED_AT_EVERY).await;
        }
    }

    /// Waits until the log is durable here up to a record; false if it never will be, as the store has ended.
    pub async fn durable(&self, upto: Position) -> bool {
        let mut durable = self.inner.shared.durable.clone();
        durable.wait_for(|durable| *durable >= upto).await.is_ok()
    }
}

/// The start of an engine with a peer.
pub(crate) struct InPair {
    pub hot: Option<HotReader>,
    pub stale: bool,
    /// End of the log before the epoch.
    pub end: Place,
    /// What the log holds, where no shadow has kept count of it.
    pub compared: Option<Admission>,
}

impl InPair {
    /// Learns what the log holds of late.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn compare(
        &mut self,
        plan: &Plan,
        log: &mut LogReader,
        plans: &PlanReader,
    ) -> Result<(), StartError> {
        if let Some(hot) = &self.hot {
            if !hot.desk.is_compared() {
                hot.desk.compare(log, plans)?;
            }
            return Ok(());
        }
        let (id, tags, mut held) = (plan.id(), group_tags(plan), HeldIndex::default());
        let Newest { records, is_whole } = newest(log)?;
        note(&mut held, &records, (id, &tags));
        if is_whole {
            held.has_whole_log();
        }
        self.compared = Some(Admission::new(plan, id, held));
        Ok(())
    }

    /// Gateway time from which the records of the epoch tell: what was read before it was won follows on the first one,
    /// and windows and delays begin with it.
    pub fn begins_at(&self, now: Timestamp) -> Timestamp {
        let oldest = self.hot.as_ref().and_then(|hot| hot.desk.oldest());
        oldest.map_or(now, |oldest| oldest.min(now))
    }

    /// What reads already, by index in the plan.
    pub fn sources(&mut self) -> BTreeMap<usize, HotSource> {
        self.hot.as_mut().map(HotReader::take_sources).unwrap_or_default()
    }

    /// The records that open the epoch are numbered: what was read before follows on them.
    pub fn begin(self, shared: &Shared, keys: BTreeMap<usize, SourceKey>, sources: &[RunningSource]) {
        let sequencer = &shared.sequencer;
        if let Some(compared) = self.compared {
            sequencer.compare(compared);
        }
        let Some(hot) = &self.hot else { return };
        let read = |source: &&RunningSource| keys.values().any(|key| *key == source.key);
        let connections = sources.iter().filter(read);
        hot.desk.take_over(sequencer, keys.clone(), (shared.exit_check(), self.end, self.stale), || {
            for source in connections {
                sequencer.bookmarks(source.key, source.outlet.bookmarks());
                let up = source.status.meter.connected.load(Relaxed) != 0;
                sequencer.connection(source.key, up, shared.clock.now());
            }
        });
    }
}
