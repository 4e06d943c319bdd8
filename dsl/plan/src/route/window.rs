//! The window of a route: its instances, who feeds them, and when nothing happens in them.
//!
//! ```text
//! full batch of a poll group --+-- says again what stands, no edge passed --> one time noted: it stands
//!                              +-- otherwise, instance by instance --> taken at once, or as single samples
//! other batches ------------------ sample by sample
//! ```
//! Plants stand still most of the time, and a thousand devices have a thousand instances. So the last full batch of a
//! group is kept where all its instances have taken it at once and would only note the time of the same again. That
//! they do when somebody looks at them or something else reaches them ([`RunningWindow::settle`]).

use crate::event::Progress;
use crate::event::output::Outputs;
use crate::event::rule::Rule;
use crate::event::window::Instance;
use crate::plan::{Plan, Window};
use gwp_core::{Batch, GroupId, Quality, TagId, Times, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The instances of a window and who feeds them.
pub(crate) struct RunningWindow {
    pub(crate) name: Arc<str>,
    instances: Vec<Instance>,
    feeds: BTreeMap<TagId, Vec<Feed>>,
    /// The same for full batches of poll groups.
    by_group: Vec<GroupFeeds>,
    /// By instance: the group that alone feeds it.
    home: Vec<Option<GroupId>>,
    /// Inputs that have a new value with each slot of a group, calcs included.
    refreshed: BTreeMap<GroupId, Vec<Feed>>,
    outputs: Outputs,
    /// Made, but not routed yet.
    rows: Vec<Batch>,
    /// Instances that have got something since they advanced, some of them more than once.
    fed: Vec<u32>,
    /// No instance has anything to do before this time.
    quiet_until: Timestamp,
}

/// An input of an instance.
#[derive(Clone, Copy)]
struct Feed {
    instance: u32,
    slot: u32,
    /// Only samples that have passed the stages of the route.
    through_stages: bool,
}

/// What a full batch of a poll group feeds.
struct GroupFeeds {
    instances: Vec<InstanceFeeds>,
    standing: Option<Standing>,
}

/// A full batch that all instances of its group have taken, and that says what stands in them.
struct Standing {
    batch: Arc<Batch>,
    /// Until when it is known to stand.
    at: Timestamp,
    /// The first edge of a window.
    until: Timestamp,
    /// The instances have been told so.
    told: bool,
}

/// What an instance takes of a full batch of a poll group.
struct InstanceFeeds {
    instance: u32,
    /// Index in the batch.
    feeds: Vec<(u32, Feed)>,
    /// Some of it comes through the stages of the route.
    through_stages: bool,
    /// The same as (index, slot), and the steps they reach.
    reads: Vec<(u32, usize)>,
    reached: Vec<u32>,
    /// The instance reads nothing else, so that nothing of the same time can follow, such as the result of a calc.
    alone: bool,
}

/// Which samples of a batch have passed the stages of the route.
#[derive(Clone, Copy)]
pub(crate) enum Passed<'a> {
    None,
    All,
    Some(&'a [bool]),
}

impl Passed<'_> {
    fn has(self, index: u32) -> bool {
        match self {
            Passed::None => false,
            Passed::All => true,
            Passed::Some(pass) => pass.get(index as usize).copied().unwrap_or(false),
        }
    }
}

/// How a batch comes to a window.
#[derive(Clone, Copy)]
pub(crate) struct Coming<'a> {
    pub passed: Passed<'a>,
    /// The route has no stages: of every full batch of the group the same samples pass.
    pub unstaged: bool,
    /// All tags of its poll group, in their order.
    pub full: bool,
    /// Stamped on arrival.
    pub arrival: bool,
}

impl RunningWindow {
    pub(crate) fn new(window: &Window, plan: &Plan) -> RunningWindow {
        let rule = Arc::new(Rule::new(window));
        let mut instances: Vec<Instance> =
            window.instances.iter().map(|instance| Instance::new(rule.clone(), instance)).collect();
        let mut feeds: BTreeMap<TagId, Vec<Feed>> = BTreeMap::new();
        for (number, instance) in (0u32..).zip(&instances) {
            for (tag, slot) in instance.inputs() {
                let through_stages = instance.takes(tag);
                feeds.entry(tag).or_default().push(Feed {
                    instance: number,
                    slot: slot as u32,
                    through_stages,
                });
            }
        }
        let by_group: Vec<GroupFeeds> =
            plan.groups.iter().map(|group| GroupFeeds::new(&group.tags, &feeds, &mut instances)).collect();
        let mut home = vec![None; instances.len()];
        for (id, group) in (0..).map(GroupId).zip(&by_group) {
            for of in group.instances.iter().filter(|of| of.alone) {
                home[of.instance as usize] = Some(id);
            }
        }
        RunningWindow {
            name: window.name.clone(),
            fed: Vec::new(),
            quiet_until: Timestamp(i64::MIN),
            instances,
            feeds,
            by_group,
            home,
            refreshed: BTreeMap::new(),
            outputs: Outputs::default(),
            rows: Vec::new(),
        }
    }

    /// Whether full batches of a poll group matter here.
    pub(crate) fn reads(&self, group: GroupId) -> bool {
        self.by_group.get(group.index()).is_none_or(|feeds| !feeds.instances.is_empty())
    }

    /// Takes the samples it wants.
    pub(crate) fn take(&mut self, batch: &Arc<Batch>, coming: Coming<'_>) {
        let Coming { passed, full, arrival, .. } = coming;
        if full && batch.group.index() < self.by_group.len() {
            return self.take_full(batch, coming);
        }
        for (index, tag) in (0u32..).zip(batch.tags.iter()) {
            for feed in self.feeds.get(tag).into_iter().flatten() {
                if let Some(home) = self.home[feed.instance as usize] {
                    self.by_group[home.index()].end_standing(&mut self.instances);
                }
                // Progress moves even where a stage keeps a sample back.
                self.fed.push(feed.instance);
                self.quiet_until = Timestamp(i64::MIN);
                if !feed.through_stages || passed.has(index) {
                    push(&mut self.instances[feed.instance as usize], batch, index, feed, arrival);
                }
            }
        }
    }

    fn take_full(&mut self, batch: &Arc<Batch>, coming: Coming<'_>) {
        let Coming { passed, unstaged, arrival, .. } = coming;
        let group = &mut self.by_group[batch.group.index()];
        if unstaged && group.still_stands(batch) {
            return;
        }
        group.end_standing(&mut self.instances);
        // What stands from now on, and until which edge; `None` once something else has happened.
        let mut until = (unstaged && !group.instances.is_empty()).then_some(Timestamp(i64::MAX));
        for of in &group.instances {
            let instance = &mut self.instances[of.instance as usize];
            if let Times::Same(time) = batch.times
                && of.takes_all(passed)
                && let Some(taken) = instance.take_slot(
                    batch,
                    time,
                    (&of.reads, &of.reached),
                    (&mut self.outputs, &mut self.rows),
                )
            {
                if !taken.stands {
                    self.quiet_until = Timestamp(i64::MIN);
                }
                until = until.filter(|_| taken.stands).map(|until| until.min(taken.edge));
                continue;
            }
            until = None;
            self.fed.push(of.instance);
            self.quiet_until = Timestamp(i64::MIN);
            for (index, feed) in &of.feeds {
                if !feed.through_stages || passed.has(*index) {
                    push(instance, batch, *index, feed, arrival);
                }
            }
        }
        let at = batch.times.get(0);
        group.standing = until.map(|until| Standing { batch: batch.clone(), at, until, told: true });
    }

    /// Tells all instances what only the window knows so far: until when what they have stands.
    pub(crate) fn settle(&mut self) {
        for group in &mut self.by_group {
            group.tell(&mut self.instances);
        }
    }

    fn end_standing(&mut self) {
        for group in &mut self.by_group {
            group.end_standing(&mut self.instances);
        }
    }

    /// Its instances, as they were when it was settled last.
    pub(crate) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Its instances, to change them.
    pub(crate) fn instances_mut(&mut self) -> &mut [Instance] {
        self.end_standing();
        self.quiet_until = Timestamp(i64::MIN);
        &mut self.instances
    }

    /// Learns which groups give each tag a new value with each of their slots.
    pub(crate) fn refreshed_by(&mut self, groups: &HashMap<TagId, BTreeSet<GroupId>>) {
        for (tag, feeds) in &self.feeds {
            for group in groups.get(tag).into_iter().flatten() {
                self.refreshed.entry(*group).or_default().extend(feeds);
            }
        }
    }

    /// The tags of a group, and what is computed of them, had no value from a time on, because nobody was there to
    /// read them.
    pub(crate) fn gap(&mut self, group: GroupId, time: Timestamp) {
        let feeds = self.refreshed.get(&group).cloned().unwrap_or_default();
        let instances = self.instances_mut();
        for feed in feeds {
            if let Some(instance) = instances.get_mut(feed.instance as usize) {
                instance.push(time, feed.slot as usize, Value::Nothing, Quality::NOT_CONNECTED, false);
            }
        }
    }

    /// Computes up to the watermarks, appends rows: `all` instances, or those that have got something.
    pub(crate) fn advance(&mut self, all: bool, progress: &Progress, rows: &mut Vec<Batch>) {
        rows.append(&mut self.rows);
        if all && progress.now() >= self.quiet_until {
            self.fed.clear();
            self.end_standing();
            self.instances.iter_mut().for_each(|instance| instance.advance_with(progress, rows));
            let wanted = self.instances.iter().filter_map(Instance::wanted);
            self.quiet_until = wanted.min().unwrap_or(Timestamp(i64::MAX));
            return;
        }
        self.fed.sort_unstable();
        self.fed.dedup();
        for instance in self.fed.drain(..) {
            self.instances[instance as usize].advance_with(progress, rows);
        }
    }
}

impl GroupFeeds {
    fn new(tags: &[TagId], feeds: &BTreeMap<TagId, Vec<Feed>>, instances: &mut [Instance]) -> GroupFeeds {
        let mut of_group: BTreeMap<u32, Vec<(u32, Feed)>> = BTreeMap::new();
        for (index, tag) in (0u32..).zip(tags) {
            for feed in feeds.get(tag).into_iter().flatten() {
                of_group.entry(feed.instance).or_default().push((index, *feed));
            }
        }
        let of_instance = |(number, feeds): (u32, Vec<(u32, Feed)>)| {
            let reads: Vec<(u32, usize)> =
                feeds.iter().map(|(index, feed)| (*index, feed.slot as usize)).collect();
            let instance = &mut instances[number as usize];
            let reached = instance.reached(reads.iter().map(|(_, slot)| *slot));
            let alone = instance.inputs().len() == feeds.len();
            let through_stages = feeds.iter().any(|(_, feed)| feed.through_stages);
            InstanceFeeds { instance: number, feeds, through_stages, reads, reached, alone }
        };
        GroupFeeds { instances: of_group.into_iter().map(of_instance).collect(), standing: None }
    }

    /// Whether a full batch says again what stands, before any edge; then that is all there is to it.
    fn still_stands(&mut self, batch: &Batch) -> bool {
        let (Some(standing), Times::Same(time)) = (&mut self.standing, &batch.times) else { return false };
        let stands = (standing.at < *time && *time < standing.until)
            && standing.batch.values == batch.values
            && standing.batch.qualities == batch.qualities;
        if stands {
            (standing.at, standing.told) = (*time, false);
        }
        stands
    }

    /// Something else happens to its instances: they are told what is due, and nothing is known any more.
    fn end_standing(&mut self, instances: &mut [Instance]) {
        self.tell(instances);
        self.standing = None;
    }

    /// Tells the instances until when stands what they have.
    fn tell(&mut self, instances: &mut [Instance]) {
        let Some(standing) = self.standing.as_mut().filter(|standing| !standing.told) else { return };
        standing.told = true;
        for of in &self.instances {
            instances[of.instance as usize].stands_at(standing.at, &of.reads);
        }
    }
}

impl InstanceFeeds {
    /// All that the instance reads is in the batch and has passed.
    fn takes_all(&self, passed: Passed<'_>) -> bool {
        let all = || self.feeds.iter().all(|(index, feed)| !feed.through_stages || passed.has(*index));
        self.alone && (!self.through_stages || matches!(passed, Passed::All) || all())
    }
}

fn push(instance: &mut Instance, batch: &Batch, index: u32, feed: &Feed, arrival: bool) {
    let index = index as usize;
    let (time, value) = (batch.times.get(index), batch.values.get(index));
    instance.push(time, feed.slot as usize, value, batch.qualities.get(index), arrival);
}
