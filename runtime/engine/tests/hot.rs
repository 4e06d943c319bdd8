//! A node that reads as the standby takes over: the log goes on with what it has read meanwhile, and each slot is
//! accounted for once.

mod support;

use gwp_core::record::SlotMark;
use gwp_core::{Batch, Fact, GroupId, PlanId, Position, TagId, Timestamp};
use gwp_engine::exits::exits;
use gwp_engine::{Engine, HotReader, PairStart, Readiness, Release};
use gwp_journal::Store;
use gwp_plan::Plan;
use gwp_plan::plan::Origin;
use gwp_redundancy::mirror::fill::From;
use std::path::Path;
use std::sync::Arc;
use support::{MS, config, gate, plan, stopped, until};

const TAGS: usize = 3;
const PERIOD_MS: i64 = 20;

/// Epoch, slot and first value of the records of the poll group, in the order of the log.
fn slots(dir: &Path) -> Vec<(u32, SlotMark, Option<i64>, Arc<Batch>)> {
    let store = Store::open(dir).unwrap().store;
    let records = store.log_reader().records_after(Position::ZERO, usize::MAX).unwrap();
    let slot = |fact: &Fact| match fact {
        Fact::Samples { slot, batch } if slot.number > 0 => {
            let value = match batch.values.get(0) {
                gwp_core::Value::Int(value) => Some(value),
                _ => None,
            };
            Some((*slot, value, batch.clone()))
        }
        _ => None,
    };
    let slots = records.iter().filter_map(|(_, record)| {
        let (slot, value, batch) = slot(&record.fact)?;
        Some((record.position.epoch, slot, value, batch))
    });
    slots.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_goes_on_with_the_slots_that_were_read_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(TAGS, PERIOD_MS, &[]);
    let id = plan.id();
    let (first, _) = config(plan.clone(), dir.path(), &[]);
    let first = Engine::start(first).await.unwrap();
    let (second, _) = config(plan, dir.path(), &[]);
    let hot = HotReader::start(second.plan.clone(), vec![(0, second.sources[0].clone(), Readiness::Hot)]);
    let desk = hot.desk();
    // While the clocks of the nodes are too far apart nothing counts.
    assert_eq!(desk.set_offset(-PERIOD_MS * MS / 4), 1);
    let (before, logged) = (desk.figures().readings, first.last().seq);
    until("slots", || first.last().seq > logged + 10).await;
    assert_eq!((desk.figures().readings, desk.figures().off_grid), (before, 1));
    assert_eq!(desk.set_offset(PERIOD_MS * MS / 4 - 1), 0);
    until("slots of both", || desk.figures().readings >= 5).await;
    stopped(first).await;
    let newest_of_first = slots(dir.path()).last().unwrap().1.number;
    // Slots that only the standby reads.
    let before = desk.figures().readings;
    until("slots of the standby", || desk.figures().readings >= before + 5).await;

    let store = Store::open(dir.path()).unwrap().store;
    let all = desk.figures().readings;
    desk.compare(&mut store.log_reader(), &store.plan_reader()).unwrap();
    let kept = desk.figures().readings;
    assert!(kept >= 5 && kept < all, "{kept} of {all}: what the log holds leaves the shadow");
    let (keeper, exits) = exits();
    keeper.set(gate(1));
    let (release, hot) = (Release::held(), Some(hot));
    let start = PairStart { store, epoch: 3, exits, release, hot, stale: false };
    let engine = Engine::start_in_pair(second, start).await.unwrap();
    assert_eq!(desk.figures().readings, 0, "the log has them");
    until("more slots", || engine.last().seq > kept as u64 + 20).await;

    // Of what the peer has read the log takes what it lacks.
    let of = |number: u64| {
        let tags: Arc<[TagId]> = (1..=TAGS as u32).map(TagId).collect();
        let time = Timestamp(number as i64 * PERIOD_MS * MS);
        let values = gwp_core::Column::uniform(gwp_core::Kind::Int, vec![number; TAGS]);
        let batch = Arc::new(Batch::uniform(GroupId(0), tags, time, values));
        Fact::Samples { slot: SlotMark { number, skipped: 0 }, batch }
    };
    let admitted = engine.admit(From::Fill, id, &[of(newest_of_first), of(7)]).await;
    assert_eq!((admitted.appended, admitted.held, admitted.refused, admitted.upto.epoch), (1, 1, 0, 3));
    let admitted = engine.admit(From::Rejoin, id, &[of(7)]).await;
    assert_eq!((admitted.appended, admitted.held), (0, 1), "once");
    let other = engine.admit(From::Fill, PlanId::default(), &[of(8)]).await;
    assert_eq!((other.appended, other.refused), (0, 1), "of another plan");
    stopped(engine).await;

    let mut slots = slots(dir.path());
    let filled = slots.iter().position(|slot| slot.1.number == 7).unwrap();
    let (_, _, _, batch) = slots.remove(filled);
    assert!(batch.backfill && batch.repeats.is_empty(), "it comes behind newer ones");
    for pair in slots.windows(2) {
        let (before, now) = (&pair[0].1, &pair[1].1);
        assert_eq!(now.number, before.number + 1 + u64::from(now.skipped), "{pair:?}");
    }
    assert!(slots.iter().all(|(_, slot, value, batch)| {
        *value == Some(slot.number as i64)
            && !batch.backfill
            && batch.repeats.is_empty()
            && batch.len() == TAGS
    }));
    let begins = slots.iter().position(|slot| slot.0 == 3).unwrap();
    assert_eq!(slots[begins - 1].1.number, newest_of_first);
    assert!(slots.len() - begins > kept);
}

/// The plan with another source before `s`: everything of `s` has other numbers.
fn with_one_before(mut plan: Plan) -> Plan {
    let mut other = plan.clone();
    let moved = |tag: TagId| TagId(tag.0 + 2);
    for group in &mut plan.groups {
        group.source += 1;
        group.tags = group.tags.iter().copied().map(moved).collect();
    }
    plan.sources[0].connected = moved(plan.sources[0].connected);
    for tag in &mut plan.tags {
        if let Origin::Connected { source } = &mut tag.origin {
            *source += 1;
        }
    }
    other.tags.truncate(2);
    for tag in &mut other.tags {
        tag.info.path = format!("a.{}", tag.info.tag).into();
        tag.info.device = "a".into();
    }
    other.groups[0].tags = [TagId(1)].into();
    other.groups[0].device = "a".into();
    other.sources[0].name = "a".into();
    other.tags.append(&mut plan.tags);
    other.groups.append(&mut plan.groups);
    other.sources.append(&mut plan.sources);
    other
}

/// The log is of one plan up to a slot. The standby reads by a first plan, then by a second one (or not), and takes
/// over by a third one.
async fn takes_over(logged: Plan, read: Plan, followed: Option<Plan>, taken: Plan) {
    let dir = tempfile::tempdir().unwrap();
    let at = |plan: &Plan| plan.sources.iter().position(|source| *source.name == *"s").unwrap();
    let (first, _) = config(logged, dir.path(), &[]);
    let first = Engine::start(first).await.unwrap();
    let (begin, _) = config(read, dir.path(), &[]);
    let index = at(&begin.plan);
    let sources = vec![(index, begin.sources[index].clone(), Readiness::Hot)];
    let mut hot = HotReader::start(begin.plan.clone(), sources);
    let desk = hot.desk();
    until("slots of both", || desk.figures().readings >= 5 && first.last().seq > 10).await;
    stopped(first).await;
    let of_first = slots(dir.path());
    if let Some(followed) = followed {
        let followed = Arc::new(followed);
        let wanted = [(at(&followed), Readiness::Hot)];
        hot.follow(&followed, &wanted, |_| panic!("it reads on"));
        assert_eq!(hot.plan_id(), followed.id());
    }
    let before = desk.figures().readings;
    assert!(before >= 5, "what was read stays");
    until("slots of the standby", || desk.figures().readings >= before + 5).await;
    let store = Store::open(dir.path()).unwrap().store;
    let (second, _) = config(taken, dir.path(), &[]);
    let (index, sources) = (at(&second.plan), second.plan.sources.len());
    let (keeper, exits) = exits();
    keeper.set(gate(1));
    let start = PairStart { store, epoch: 3, exits, release: Release::held(), hot: Some(hot), stale: false };
    let group = second.plan.groups.iter().position(|group| group.source as usize == index).unwrap();
    let (group, tags) = (GroupId(group as u32), second.plan.groups[group].tags.clone());
    let engine = Engine::start_in_pair(second, start).await.unwrap();
    assert_eq!(desk.figures().readings, 0, "the log has them");
    let taken = engine.last().seq;
    until("more slots", || engine.last().seq > taken + 20).await;
    assert_eq!(engine.status.graph().sources.len(), sources);
    stopped(engine).await;

    let slots = slots(dir.path());
    assert_eq!(slots[..of_first.len()], of_first[..]);
    let new = slots[of_first.len()..].iter().filter(|slot| slot.0 == 3 && slot.3.group == group);
    let numbers = of_first.iter().filter(|slot| slot.3.len() == TAGS).chain(new.clone());
    let numbers: Vec<u64> = numbers.map(|slot| slot.1.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "each slot once: {numbers:?}");
    assert!(new.clone().count() > 10);
    for (_, slot, value, batch) in new {
        assert_eq!((*value, &batch.tags), (Some(slot.number as i64), &tags));
    }
}

/// The program went back, or a change was under way, as the active died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_by_another_plan_misses_no_slot_of_what_both_have() {
    let old = || plan(TAGS, PERIOD_MS, &[]);
    let new = || with_one_before(old());
    takes_over(new(), new(), None, old()).await;
    takes_over(old(), old(), None, new()).await;
    takes_over(old(), old(), Some(new()), new()).await;
    takes_over(new(), old(), Some(new()), old()).await;
    takes_over(new(), old(), None, old()).await;
}

/// A value that was scaled otherwise would be taken for another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_change_scales_otherwise_is_not_taken_along() {
    const SLOW_MS: i64 = 250;
    let dir = tempfile::tempdir().unwrap();
    let (begin, _) = config(plan(TAGS, SLOW_MS, &[]), dir.path(), &[]);
    let sources = vec![(0, begin.sources[0].clone(), Readiness::Hot)];
    let mut hot = HotReader::start(begin.plan.clone(), sources);
    let desk = hot.desk();
    until("slots", || desk.figures().readings >= 4).await;
    let follow = |hot: &mut HotReader, change: fn(&mut Plan)| {
        let mut plan = plan(TAGS, SLOW_MS, &[]);
        change(&mut plan);
        hot.follow(&Arc::new(plan), &[(0, Readiness::Hot)], |_| panic!("it reads on"));
        desk.figures().readings
    };
    // What is said of a tag makes no difference.
    assert!(follow(&mut hot, |plan| plan.tags[1].info.desc = "level".into()) >= 4);
    assert!(follow(&mut hot, |plan| plan.tags[1].range = Some((0.0, 10.0))) <= 1, "checked otherwise");
    until("slots", || desk.figures().readings >= 2).await;
}
