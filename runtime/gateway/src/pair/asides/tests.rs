//! Handing over wherever it is cut: nothing is left out, and what is done is not done again.

use super::*;
use crate::configuration::bundle::{File, compile};
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Kind, Record, TagId, Timestamp};
use gwp_journal::{Replica, Work as Commit, decode_facts};
use std::path::Path;

fn plan() -> Plan {
    let program = "gateway g {}\nsource sim : simulator { scan = 1 s\n  tag x at \"constant 1\" : dint\n}\n\
                   sink out : console {}\nflow all = sim -> out\n";
    compile(&[File { name: "p.gwp".into(), text: program.into() }]).plan.expect("a plan")
}

fn slot(plan: &Plan, number: u64) -> Fact {
    let tags: Arc<[TagId]> = plan.groups[0].tags.clone();
    let values = Column::uniform(Kind::Int, vec![number; tags.len()]);
    let batch = Batch::uniform(GroupId(0), tags, Timestamp(number as i64 * 1_000_000_000), values);
    Fact::Samples { slot: SlotMark { number, skipped: 0 }, batch: Arc::new(batch) }
}

/// A store with these facts from position 1 of epoch 1 on, after the record that names the plan.
fn store(dir: &Path, plan: &Plan, facts: &[Fact]) -> Store {
    let mut store = Store::open(dir).unwrap().store;
    store.put_plan(plan.id(), &plan.to_bytes()).unwrap();
    let all = [&[Fact::Configured { plan: plan.id() }], facts].concat();
    let records = (1u64..).zip(all);
    let records: Vec<Arc<Record>> =
        records.map(|(seq, fact)| Arc::new(Record { position: Position::new(1, seq), fact })).collect();
    for some in records.chunks(1_000) {
        store.commit(Commit { records: some.to_vec(), ..Commit::default() }, Timestamp(1)).unwrap();
    }
    store
}

/// Numbers of the slots in a batch; none when there is none.
fn slots(bytes: Option<Arc<[u8]>>) -> Vec<u64> {
    let Some(bytes) = bytes else { return Vec::new() };
    let (_, facts) = decode_facts(&bytes).unwrap();
    let number = |fact: &Fact| match fact {
        Fact::Samples { slot, .. } => slot.number,
        _ => panic!("{fact:?}"),
    };
    facts.iter().map(number).collect()
}

#[test]
fn what_was_not_confirmed_comes_again_and_what_was_does_not_also_after_a_restart() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    let (dir, count) = (folder.path(), 30_000);
    let facts: Vec<Fact> = (1..=count).map(|number| slot(&plan, number)).collect();
    drop(store(dir, &plan, &facts));
    // The first hundred are common.
    Replica::open(dir).unwrap().note_above(Position::new(1, 101)).unwrap();
    gwp_journal::set_aside(dir).unwrap();
    let own = store(dir, &plan, &facts[..100]);
    let mut log = own.log_reader();
    let go_on = || false;

    let shown = Arc::new(Mutex::new(Shown::default()));
    let begin = || {
        let shown = shown.clone();
        Asides::new(dir.to_path_buf(), move |now| *shown.lock().unwrap() = now)
    };
    let asides = begin();
    assert!(asides.any());
    let first = slots(asides.next(&mut log, &go_on));
    assert_eq!(first.first(), Some(&101));
    assert!(first.len() < 20_000, "{}: more than one batch", first.len());
    assert_eq!(shown.lock().unwrap().under_way.map(|(number, left)| (number, left < count)), Some((1, true)));
    assert_eq!(slots(asides.next(&mut log, &go_on)), first, "the stream was cut");
    asides.handed_over(3);
    assert_eq!(slots(asides.next(&mut log, &go_on)), first, "it was refused");
    asides.handed_over(0);
    asides.handed_over(0);
    drop(asides);

    let asides = begin();
    assert_eq!(slots(asides.next(&mut log, &|| true)), [0; 0], "nobody wants to know");
    let mut all = first;
    loop {
        let next = slots(asides.next(&mut log, &go_on));
        if next.is_empty() {
            break;
        }
        assert_eq!(next.first(), all.last().map(|last| last + 1).as_ref());
        all.extend(next);
        asides.handed_over(0);
    }
    assert_eq!((all.len() as u64, all.last()), (count - 100, Some(&count)));
    assert!(!asides.any() && gwp_journal::asides(dir).unwrap().is_empty(), "nothing is left of it");
    let now = shown.lock().unwrap().clone();
    assert!(now.under_way.is_none() && now.stay.is_empty(), "{now:?}");
}

#[test]
fn what_cannot_be_read_or_has_no_beginning_stays_and_others_are_handed_over() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    let dir = folder.path();
    // Nothing says where the first one parts; the second one is no store.
    drop(store(dir, &plan, &[slot(&plan, 7)]));
    gwp_journal::set_aside(dir).unwrap();
    std::fs::create_dir(dir.join("store.aside-2")).unwrap();
    std::fs::write(dir.join("store.aside-2/version"), "none").unwrap();
    drop(store(dir, &plan, &[slot(&plan, 8)]));
    Replica::open(dir).unwrap().note_above(Position::ZERO).unwrap();
    gwp_journal::set_aside(dir).unwrap();
    let own = store(dir, &plan, &[]);
    let shown = Arc::new(Mutex::new(Shown::default()));
    let told = shown.clone();
    let asides = Asides::new(dir.to_path_buf(), move |now| *told.lock().unwrap() = now);
    assert_eq!(slots(asides.next(&mut own.log_reader(), &|| false)), [8]);
    asides.handed_over(0);
    assert_eq!(slots(asides.next(&mut own.log_reader(), &|| false)), [0; 0]);
    assert_eq!(gwp_journal::asides(dir).unwrap(), [1, 2]);
    let stay = shown.lock().unwrap().stay.clone();
    assert!(stay[&1].contains("nothing says where"), "{stay:?}");
    assert!(stay[&2].starts_with("it cannot be read"), "{stay:?}");
}

#[test]
fn why_one_stays_is_said_with_numbers_and_what_to_do() {
    let (plan, other) = (PlanId([1; 16]), PlanId([2; 16]));
    let of_others = rest(plan, &[(other, 7)].into(), 0);
    assert!(of_others.starts_with("7 records are of another program (plan 0202"), "{of_others}");
    assert!(of_others.contains("the one in force (0101"), "{of_others}");
    let both = rest(plan, &[(other, 7)].into(), 9);
    assert!(both.starts_with(&of_others) && both.contains("; 9 samples wait in its journals"), "{both}");
    assert_eq!(rest(plan, &BTreeMap::new(), 9), both[of_others.len() + 2..]);
}
