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
