use super::*;
use crate::recent::Read;
use gwp_core::edge::{Edge, Receipt};
use gwp_core::{Batch, Column, GroupId, PlanId, TagId, Timestamp, Value};
use gwp_journal::{Content, JournalEntry, LiveEntry};

const SINK: SinkId = SinkId(7);

/// A release with an engine that has one sink.
struct Bench {
    release: Release,
    outbox: Arc<Outbox>,
    released: watch::Receiver<Position>,
    edge: Edge,
}

fn at(seq: u64) -> Position {
    Position::new(1, seq)
}

fn place(seq: u64) -> Place {
    Place::log(at(seq))
}

fn bench(release: Release) -> Bench {
    let outboxes = Arc::new(Outboxes::default());
    let (told, released) = watch::channel(Position::ZERO);
    assert!(release.bind(Place::ZERO, Ways { outboxes: outboxes.clone(), released: told }));
    let outbox = Arc::new(Outbox::new(Cursor::ZERO));
    outboxes.add(SINK, outbox.clone());
    release.admit(SINK, &outbox, Cursor::ZERO);
    Bench { release, outbox, released, edge: Edge::new(1_000) }
}

fn live(seq: u64) -> LiveEntry {
    let mut column = Column::new();
    column.push(Value::Int(seq as i64));
    let batch = Arc::new(Batch::uniform(GroupId::NONE, [TagId(1)].into(), Timestamp(0), column));
    let content = Content::Values(batch.clone());
    LiveEntry {
        entry: JournalEntry { cursor: Cursor::new(at(seq), 0), route: 0, samples: 1, content },
        batch,
    }
}

impl Bench {
    /// A commit of one record with its entry, and the receipt that waits for it.
    async fn commit(&self, seq: u64) -> Receipt {
        let mut credit = self.edge.acquire(1, 0).await;
        let receipt = credit.receipt();
        let (sink, plan, covered) = (SINK, PlanId::default(), at(seq));
        let block = Block { sink, plan, entries: vec![live(seq)], covered, passed_over: None };
        let receipts = credit.settle().into_iter().collect();
        self.release.committed(Committed { upto: at(seq), place: place(seq), blocks: vec![block], receipts });
        receipt
    }

    /// Entries that a delivery may take from memory after a record.
    fn taken(&self, after: u64) -> Read<u64> {
        match self.outbox.after(Cursor::complete(at(after)), 1_000) {
            Read::Items(entries) => {
                Read::Items(entries.iter().map(|(_, live)| live.entry.cursor.position.seq).collect())
            }
            Read::UpToDate => Read::UpToDate,
            Read::Behind => Read::Behind,
        }
    }

    fn commands(&self) -> u64 {
        self.released.borrow().seq
    }
}

/// Whether a receipt was given by now.
async fn given(receipt: &mut Receipt) -> Option<bool> {
    let settled = receipt.settled();
    tokio::pin!(settled);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match settled.as_mut().poll(cx) {
            std::task::Poll::Ready(given) => Some(given),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn alone_everything_leaves_with_its_commit() {
    let bench = bench(Release::at_once());
    let mut receipt = bench.commit(1).await;
    assert_eq!(given(&mut receipt).await, Some(true));
    assert_eq!((bench.taken(0), bench.commands()), (Read::Items(vec![1]), 1));
    assert_eq!(bench.release.backlog(), Backlog::default());
}

#[tokio::test]
async fn in_a_pair_exactly_what_was_committed_up_to_a_place_leaves() {
    let bench = bench(Release::held());
    let mut receipts = Vec::new();
    for seq in 1..=5 {
        receipts.push(bench.commit(seq).await);
    }
    assert_eq!((bench.taken(0), bench.commands()), (Read::UpToDate, 0));
    assert_eq!((bench.release.newest(), bench.release.backlog().waiting), (place(5), 5));
    // A place between two commits, then one of them, then one below.
    bench.release.release(place(2).derived());
    assert_eq!((bench.taken(0), bench.commands()), (Read::Items(vec![1, 2]), 2));
    bench.release.release(place(3));
    bench.release.release(place(1));
    assert_eq!((bench.taken(2), bench.commands()), (Read::Items(vec![3]), 3));
    assert_eq!(bench.taken(3), Read::UpToDate);
    for (index, receipt) in receipts.iter_mut().enumerate() {
        assert_eq!(given(receipt).await, (index < 3).then_some(true));
    }
    // What is released beforehand passes.
    bench.release.release(place(9));
    let mut receipt = bench.commit(6).await;
    assert_eq!(given(&mut receipt).await, Some(true));
    assert_eq!((bench.taken(3), bench.commands()), (Read::Items(vec![4, 5, 6]), 6));
}

#[tokio::test]
async fn beyond_the_bound_the_oldest_are_left_to_the_disk() {
    let one = bytes_of(&live(1));
    let bench = bench(Release::held_within(2 * one));
    for seq in 1..=5 {
        bench.commit(seq).await;
    }
    assert_eq!(bench.release.backlog().bytes, 2 * one);
    bench.release.release(place(2));
    // Entries up to 2 are to be read from disk, and there none above.
    assert_eq!(bench.taken(0), Read::Behind);
    let reach = bench.outbox.reach();
    assert_eq!((reach.floor, reach.released), (Cursor::new(at(2), 0), Cursor::new(at(2), 0)));
    assert_eq!(bench.taken(2), Read::UpToDate);
    bench.release.release(place(5));
    assert_eq!((bench.taken(2), bench.taken(3)), (Read::Behind, Read::Items(vec![4, 5])));
    assert_eq!(bench.release.backlog(), Backlog::default());
}

#[tokio::test]
async fn very_many_commits_are_joined_and_none_leaves_early() {
    let bench = bench(Release::held_within(usize::MAX));
    // They are joined twice: four at most leave as one.
    let many = 3 * RELEASE_COMMITS_MAX as u64;
    let mut receipts = Vec::new();
    for seq in 1..=many {
        receipts.push(bench.commit(seq).await);
    }
    assert!(bench.release.backlog().waiting <= RELEASE_COMMITS_MAX);
    let mut after = 0;
    for upto in [1, 2, 1_000, 5_001, many - 1, many] {
        bench.release.release(place(upto));
        while let Read::Items(entries) = bench.taken(after) {
            assert!(entries.iter().copied().eq((after + 1..).take(entries.len())));
            after = entries[entries.len() - 1];
        }
        assert!(after <= upto && upto - after < 4, "{after} of {upto}");
        assert_eq!(bench.commands(), after);
        for (index, receipt) in receipts.iter_mut().enumerate().skip(usize::try_from(after).unwrap()) {
            assert_eq!(given(receipt).await, None, "{index}");
        }
    }
    assert_eq!(after, many);
}

#[tokio::test]
async fn receipts_that_nobody_awaits_are_not_kept() {
    let bench = bench(Release::held_within(0));
    let mut kept = bench.commit(1).await;
    drop(bench.commit(2).await);
    let waiting = |release: &Release| -> usize {
        release.state().waiting.iter().map(|waiting| waiting.receipts.len()).sum()
    };
    assert_eq!(waiting(&bench.release), 2, "the second was awaited when it came");
    for seq in 3..=RELEASE_COMMITS_MAX as u64 + 3 {
        drop(bench.commit(seq).await);
    }
    assert!(waiting(&bench.release) < 8, "commits were joined, and who waits was looked at");
    bench.release.release(place(1_000_000));
    assert_eq!(given(&mut kept).await, Some(true));
}

#[tokio::test]
async fn a_journal_from_before_is_released_with_what_was_committed_by_then() {
    let bench = bench(Release::held());
    bench.release.release(Place::ZERO);
    bench.commit(1).await;
    // Its sink comes back, with entries on disk.
    let again = Outbox::new(Cursor::complete(at(1)));
    let outboxes = match &bench.release.state().engine {
        EngineState::Bound(ways) => ways.outboxes.clone(),
        _ => unreachable!("it is bound"),
    };
    let again = Arc::new(again);
    outboxes.add(SINK, again.clone());
    bench.release.admit(SINK, &again, Cursor::complete(at(1)));
    bench.commit(2).await;
    assert_eq!(again.reach().released, Cursor::ZERO);
    bench.release.release(place(1));
    assert_eq!(again.reach().released, Cursor::complete(at(1)));
    assert!(matches!(again.after(Cursor::ZERO, 9), Read::Behind), "what is on disk is read there");
    bench.release.release(place(2));
    assert_eq!(again.reach().released, Cursor::new(at(2), 0));
    assert!(matches!(again.after(Cursor::complete(at(1)), 9), Read::Items(entries) if entries.len() == 1));
}

#[tokio::test]
async fn after_the_engine_nothing_leaves_and_no_other_has_its_release() {
    let bench = bench(Release::held());
    let mut receipt = bench.commit(1).await;
    bench.release.close();
    bench.release.release(place(1));
    bench.commit(2).await;
    assert_eq!((bench.taken(0), bench.commands()), (Read::UpToDate, 0));
    assert_eq!(given(&mut receipt).await, Some(false), "it never will be given");
    let (released, _) = watch::channel(Position::ZERO);
    assert!(!bench.release.bind(Place::ZERO, Ways { outboxes: Arc::default(), released }));
}
