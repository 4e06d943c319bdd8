//! Latest values of tags, for who watches a running gateway.
//!
//! ```text
//! records --reader--+
//!                   +--> LiveBoard --LiveWatch--> who watches
//! lanes ------------+
//! ```
//! What is read, and what the gateway says itself, is in the records: one reader takes it from the sequencer's tail.
//! What is computed only lanes know: each copies what is watched now and then. While nobody watches the reader sleeps
//! and a lane looks at one number per run of records. Tags are called by path here, because their numbers change with
//! the plan: a watcher goes on over a change, and hears no more of a tag that is gone.

use crate::limits::{LIVE_LANE_LOOK, LIVE_RECORDS, LIVE_RECORDS_LOOK};
use crate::plans::Plans;
use crate::recent::Read;
use crate::sequencer::Sequencer;
use gwp_core::{Fact, GroupId, PlanId, Position, Quality, Record, TagId, Timestamp, Value};
use gwp_plan::plan::{Origin, Plan};
use gwp_plan::{Lane, lane::LatestAt};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// The latest sample of a tag.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveSample {
    /// `device.tag`
    pub path: Arc<str>,
    pub time: Timestamp,
    pub value: Value,
    pub quality: Quality,
}

impl LiveSample {
    /// A late one is no news, nor is the same again.
    fn is_news_after(&self, known: &LiveSample) -> bool {
        let both_are_nan = matches!((&self.value, &known.value), (Value::Float(a), Value::Float(b)) if a.is_nan() && b.is_nan());
        self.time > known.time || (self.time == known.time && self != known && !both_are_nan)
    }
}

/// What is watched, and its latest samples.
pub struct LiveBoard {
    /// Another number for each change of what is watched or of the plan; 0 while nobody watches.
    generation: AtomicU64,
    board: Mutex<Board>,
    /// Rung when somebody begins to watch.
    bell: Notify,
    /// Counts changes of samples.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Board {
    generations: u64,
    /// The plan in force, and the record from which on it is.
    in_force: (PlanId, Position),
    watchers: BTreeMap<u64, Arc<BTreeSet<Arc<str>>>>,
    watcher: u64,
    /// All that is watched.
    paths: Arc<BTreeSet<Arc<str>>>,
    /// With the number of the change that brought it.
    samples: BTreeMap<Arc<str>, (u64, LiveSample)>,
    changes: u64,
    /// Samples ever handed in.
    taken: u64,
}

/// What is to be copied at the moment.
struct Watched {
    generation: u64,
    plan: PlanId,
    since: Position,
    paths: Arc<BTreeSet<Arc<str>>>,
}

impl Default for LiveBoard {
    fn default() -> Self {
        LiveBoard {
            generation: AtomicU64::new(0),
            board: Mutex::default(),
            bell: Notify::new(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Board {
    /// Another number for what is watched.
    fn renew(&mut self, generation: &AtomicU64) {
        self.generations += 1;
        let now = if self.watchers.is_empty() { 0 } else { self.generations };
        generation.store(now, Relaxed);
    }

    fn unite(&mut self) {
        self.paths = match self.watchers.len() {
            1 => self.watchers.values().next().cloned().unwrap_or_default(),
            _ => Arc::new(self.watchers.values().flat_map(|paths| paths.iter().cloned()).collect()),
        };
    }
}

impl LiveBoard {
    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches tags by path: their latest samples as far as they are known, then each change. A path that no tag has
    /// is silent, also until a plan has it.
    pub fn watch(self: &Arc<Self>, paths: impl IntoIterator<Item = Arc<str>>) -> LiveWatch {
        let paths: Arc<BTreeSet<Arc<str>>> = Arc::new(paths.into_iter().collect());
        let changed = self.changed.subscribe();
        let mut board = self.board();
        board.watcher += 1;
        let key = board.watcher;
        board.watchers.insert(key, paths.clone());
        board.unite();
        board.renew(&self.generation);
        drop(board);
        self.bell.notify_one();
        LiveWatch { board: self.clone(), key, paths, seen: 0, changed }
    }

    /// Samples handed in so far: it stands still while nobody watches.
    pub fn taken(&self) -> u64 {
        self.board().taken
    }

    /// Another plan is in force from a record on; tags it does not have are forgotten.
    pub(crate) fn follow(&self, plan: PlanId, since: Position, has: impl Fn(&str) -> bool) {
        let mut board = self.board();
        board.in_force = (plan, since);
        board.samples.retain(|path, _| has(path));
        board.renew(&self.generation);
    }

    /// The plan in force.
    pub(crate) fn plan(&self) -> PlanId {
        self.board().in_force.0
    }

    fn watched(&self) -> Watched {
        let board = self.board();
        let (plan, since) = board.in_force;
        Watched { generation: self.generation.load(Relaxed), plan, since, paths: board.paths.clone() }
    }

    /// Takes samples of tags of a plan; of one that is not in force any more, nothing.
    fn put(&self, plan: PlanId, samples: impl IntoIterator<Item = LiveSample>) {
        let mut board = self.board();
        if board.in_force.0 != plan {
            return;
        }
        let before = board.changes;
        for sample in samples {
            board.taken += 1;
            let known = board.samples.get(&sample.path);
            let is_news = known.is_none_or(|(_, known)| sample.is_news_after(known));
            // It may have been watched when it was looked up.
            if is_news && board.paths.contains(&sample.path) {
                board.changes += 1;
                let number = board.changes;
                board.samples.insert(sample.path.clone(), (number, sample));
            }
        }
        let changes = board.changes;
        drop(board);
        if changes > before {
            self.changed.send_replace(changes);
        }
    }
}

/// Somebody who watches tags, until dropped.
pub struct LiveWatch {
    board: Arc<LiveBoard>,
    key: u64,
    paths: Arc<BTreeSet<Arc<str>>>,
    /// Number of the newest change that was told.
    seen: u64,
    changed: watch::Receiver<u64>,
}

impl LiveWatch {
    /// What changed since the last call, at least one sample, by path.
    pub async fn next(&mut self) -> Vec<LiveSample> {
        loop {
            self.changed.borrow_and_update();
            let news = self.news();
            if !news.is_empty() {
                return news;
            }
            if self.changed.changed().await.is_err() {
                // The board lives as long as this; so this does not happen.
                std::future::pending::<()>().await;
            }
        }
    }

    fn news(&mut self) -> Vec<LiveSample> {
        let board = self.board.board();
        let known = self.paths.iter().filter_map(|path| board.samples.get(path));
        let news = known.filter(|(number, _)| *number > self.seen).map(|(_, sample)| sample.clone());
        let news = news.collect();
        self.seen = board.changes;
        news
    }
}

impl Drop for LiveWatch {
    fn drop(&mut self) {
        let mut board = self.board.board();
        board.watchers.remove(&self.key);
        board.unite();
        let paths = board.paths.clone();
        // What is not watched grows old unseen.
        board.samples.retain(|path, _| paths.contains(path));
        board.renew(&self.board.generation);
    }
}

/// Copies what a lane knows of what is watched.
#[derive(Default)]
pub(crate) struct LaneLook {
    last: Option<(u64, Instant)>,
    /// What the places are good for; 0 for nothing.
    found: u64,
    places: Vec<(Arc<str>, LatestAt, bool)>,
}

impl LaneLook {
    /// Looks at a lane that runs a plan, if somebody watches and it is time.
    pub fn look(&mut self, board: &LiveBoard, lane: &Lane, plan: PlanId) {
        let generation = board.generation.load(Relaxed);
        if generation == 0 {
            return;
        }
        let is_due = |(seen, at): (u64, Instant)| seen != generation || at.elapsed() >= LIVE_LANE_LOOK;
        if !self.last.is_none_or(is_due) {
            return;
        }
        self.last = Some((generation, Instant::now()));
        let watched = board.watched();
        if watched.plan != plan {
            return;
        }
        if self.found != watched.generation {
            self.found = watched.generation;
            self.find(lane, &watched.paths);
        }
        let samples = self.places.iter().filter_map(|(path, at, is_computed)| {
            let (value, quality, time) = lane.latest_at(*at)?;
            // Where nothing was read lanes compute with "nothing"; the device has said no such thing.
            (*is_computed || value != Value::Nothing).then(|| LiveSample {
                path: path.clone(),
                time,
                value,
                quality,
            })
        });
        board.put(plan, samples);
    }

    fn find(&mut self, lane: &Lane, paths: &BTreeSet<Arc<str>>) {
        let found = lane.latest_places().into_iter().filter_map(|(tag, at)| {
            let tag = lane.plan().tag(tag)?;
            let path = paths.get(&tag.info.path)?.clone();
            Some((path, at, tag.origin == Origin::Calc))
        });
        self.places = found.collect();
    }
}

/// Takes what is watched from the records, while somebody watches.
pub(crate) async fn read(sequencer: Arc<Sequencer>, plans: Arc<Plans>) {
    let board = sequencer.live.clone();
    loop {
        board.bell.notified().await;
        let mut reader = RecordReader::default();
        while board.generation.load(Relaxed) > 0 {
            if let Err(error) = reader.catch_up(&sequencer, &plans).await {
                tracing::warn!(%error, "live values cannot be told");
            }
            tokio::time::sleep(LIVE_RECORDS_LOOK).await;
        }
    }
}

#[derive(Default)]
struct RecordReader {
    /// What it has been made for.
    generation: u64,
    plan: PlanId,
    at: Position,
    tags: HashMap<TagId, Arc<str>>,
    /// Poll groups with such tags.
    groups: HashSet<GroupId>,
}

impl RecordReader {
    async fn catch_up(&mut self, sequencer: &Sequencer, plans: &Plans) -> Result<(), String> {
        let watched = sequencer.live.watched();
        if watched.generation != self.generation {
            // Tried once for what is watched: an error is not told each time.
            (self.generation, self.plan) = (watched.generation, watched.plan);
            self.tags.clear();
            self.find(&*plans.get(watched.plan)?, &watched.paths);
            // From what memory still has: also of what changes rarely there may be a sample.
            self.at = watched.since.max(sequencer.oldest());
        }
        let mut news: HashMap<TagId, LiveSample> = HashMap::new();
        let end = sequencer.last();
        while self.at < end {
            match sequencer.read(self.at, LIVE_RECORDS) {
                Read::Items(records) => {
                    for record in records {
                        self.at = record.position;
                        self.take(&record, &mut news);
                    }
                }
                Read::Behind => self.at = sequencer.oldest(),
                Read::UpToDate => break,
            }
            tokio::task::yield_now().await;
        }
        if !news.is_empty() {
            sequencer.live.put(self.plan, news.into_values());
        }
        Ok(())
    }

    fn find(&mut self, plan: &Plan, paths: &BTreeSet<Arc<str>>) {
        let found = paths.iter().filter_map(|path| Some((plan.tag_at(path)?, path.clone())));
        self.tags = found.collect();
        let groups = (0..).map(GroupId).zip(&plan.groups);
        let watched = groups.filter(|(_, group)| group.tags.iter().any(|tag| self.tags.contains_key(tag)));
        self.groups = watched.map(|(id, _)| id).collect();
        self.groups.insert(GroupId::NONE);
    }

    fn take(&self, record: &Record, news: &mut HashMap<TagId, LiveSample>) {
        let Fact::Samples { batch, .. } = &record.fact else { return };
        if !self.groups.contains(&batch.group) {
            return;
        }
        for (index, tag) in batch.tags.iter().enumerate() {
            let Some(path) = self.tags.get(tag) else { continue };
            let time = batch.times.get(index);
            if news.get(tag).is_none_or(|known| time >= known.time) {
                let (value, quality) = (batch.values.get(index), batch.qualities.get(index));
                news.insert(*tag, LiveSample { path: path.clone(), time, value, quality });
            }
        }
    }
}
