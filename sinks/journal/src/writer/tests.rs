//! A copy of the store of a running writer.

use super::*;
use crate::replica::Replica;
use gwp_core::{Fact, Timestamp};
use gwp_redundancy::mirror::{Head, Place, Verdict};

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1)
    }

    fn sleep_until(&self, _: Timestamp) -> gwp_core::BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Sends on what it is told.
struct Told(Sender<(Head, Option<Arc<[u8]>>)>);

impl Mirror for Told {
    fn made(&mut self, head: &Head, frame: Option<Arc<[u8]>>) {
        self.0.send((*head, frame)).unwrap();
    }

    fn durable(&mut self, _: Place) {}
}

/// Holds the writer up in its commit until something is sent.
struct Held(Receiver<()>);

impl Mirror for Held {
    fn made(&mut self, _: &Head, _: Option<Arc<[u8]>>) {}

    fn durable(&mut self, _: Place) {
        let _ = self.0.recv();
    }
}

#[test]
fn a_writer_that_is_held_up_makes_no_turn() {
    let here = tempfile::tempdir().unwrap();
    let store = Store::open(here.path()).unwrap().store;
    let policy = SpacePolicy { ballast_bytes: 0, reserve_bytes: 0, ..SpacePolicy::default() };
    let writer = Writer::start(store, here.path(), policy, Arc::new(Still), Box::new(|_| ())).unwrap();
    let turns = Arc::new(AtomicU64::new(0));
    let turn = || {
        let turns = turns.clone();
        writer.ask(Request::Turn(Box::new(move || {
            turns.fetch_add(1, Relaxed);
        })));
    };
    let flush = || {
        let (answer, answered) = channel();
        writer.ask(Request::Flush(answer));
        answered
    };
    turn();
    flush().recv().unwrap();
    assert_eq!((turns.load(Relaxed), writer.meter.commits.load(Relaxed)), (1, 0), "a turn is no commit");
    let (go_on, held) = channel();
    let (answer, standing) = channel();
    writer.ask(Request::Mirror(Some(Box::new(Held(held))), answer));
    standing.recv().unwrap();
    let record = Record { position: Position::new(1, 1), fact: Fact::Tick { now: Timestamp(1) } };
    writer.ask(Request::Record(Arc::new(record), None));
    let committing = flush();
    turn();
    assert!(committing.recv_timeout(std::time::Duration::from_millis(50)).is_err());
    assert_eq!(turns.load(Relaxed), 1);
    go_on.send(()).unwrap();
    committing.recv().unwrap();
    flush().recv().unwrap();
    assert_eq!(turns.load(Relaxed), 2);
    drop(go_on);
    writer.stop();
}

#[test]
fn a_snapshot_and_the_frames_after_it_are_the_store() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(here.path()).unwrap().store;
    let policy = SpacePolicy { ballast_bytes: 0, reserve_bytes: 0, ..SpacePolicy::default() };
    let writer = Writer::start(store, here.path(), policy, Arc::new(Still), Box::new(|_| ())).unwrap();
    let record = |seq| {
        let fact = Fact::Tick { now: Timestamp(1) };
        let record = Arc::new(Record { position: Position::new(1, seq), fact });
        writer.ask(Request::Record(record, None));
        let (answer, answered) = channel();
        writer.ask(Request::Flush(answer));
        answered.recv().unwrap();
    };
    record(1);
    let (frames, told) = channel();
    let (answer, standing) = channel();
    writer.ask(Request::Mirror(Some(Box::new(Told(frames))), answer));
    let standing = standing.recv().unwrap();
    record(2);
    let (answer, snapshot) = channel();
    writer.ask(Request::Snapshot(answer));
    let mut snapshot = snapshot.recv().unwrap();
    record(3);
    writer.stop();

    let mut replica = Replica::open(there.path()).unwrap();
    replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    for piece in &mut snapshot {
        replica.piece(&piece.unwrap()).unwrap();
    }
    replica.end_full(snapshot.pieces()).unwrap();
    drop(snapshot);
    let frames: Vec<(Head, Option<Arc<[u8]>>)> = told.try_iter().collect();
    assert_eq!(frames[0].0.before, standing.place);
    let verdicts = frames.iter().map(|(head, frame)| replica.apply(head, frame.as_ref().unwrap()).unwrap());
    assert_eq!(verdicts.collect::<Vec<_>>(), [Verdict::Have, Verdict::Append]);
    let standing = replica.standing().unwrap();
    assert_eq!(Some(Store::open(here.path()).unwrap().store.standing().unwrap()), standing);
    assert_eq!(standing.map(|standing| standing.place), Some(Place::log(Position::new(1, 3))));
}
