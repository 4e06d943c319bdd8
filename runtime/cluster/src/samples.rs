//! Values of all kinds for the property tests.

use crate::bulk;
use gwp_core::{PlanId, Position};
use gwp_redundancy::member::NodeId;
use gwp_redundancy::message::{Body, Message, NodeReport, Report, Stance};
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::{Head, History, Place, RunningHash};
use gwp_redundancy::mono::Mono;
use gwp_redundancy::node::Configured;
use gwp_redundancy::vote::{Mark, Promise, Superblock};
use proptest::option::of;
use proptest::prelude::*;

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![Just(NodeId::Primary), Just(NodeId::Backup)]
}

fn promise() -> impl Strategy<Value = Promise> {
    (any::<u32>(), of(node())).prop_map(|(epoch, holder)| Promise { epoch, holder })
}

fn mark() -> impl Strategy<Value = Mark> {
    (node(), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(holder, epoch, turn, solo)| Mark {
        holder,
        epoch,
        turn,
        solo,
    })
}

pub fn superblock() -> impl Strategy<Value = Superblock> {
    (promise(), promise(), any::<u32>(), any::<u32>(), of(mark()))
        .prop_map(|(promise, before, led, whole, mark)| Superblock { promise, before, led, whole, mark })
}

fn stance() -> impl Strategy<Value = Stance> {
    prop_oneof![Just(Stance::Witness), Just(Stance::Aside), Just(Stance::Candidate), Just(Stance::Active)]
}

fn node_report() -> impl Strategy<Value = NodeReport> {
    let configured = (any::<[u8; 16]>(), any::<u32>(), any::<u64>())
        .prop_map(|(plan, epoch, seq)| Configured { plan: PlanId(plan), at: Position { epoch, seq } });
    (configured, any::<[bool; 3]>(), 0..=100u8).prop_map(
        |(configured, [paired, switching, ready], health)| NodeReport {
            configured,
            paired,
            switching,
            health,
            ready,
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>());
    (stance(), numbers, promise(), promise(), of(mark()), node_report()).prop_map(
        |(stance, (epoch, relinquished, bound_for), promise, before, mark, node)| Report {
            stance,
            epoch,
            relinquished,
            promise,
            bound_for,
            before,
            mark,
            node,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Hello),
        (any::<u32>(), any::<u64>()).prop_map(|(epoch, sent)| Body::Ask { epoch, sent: Mono(sent) }),
        (any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(epoch, sent, granted)| Body::Vote {
            epoch,
            sent: Mono(sent),
            granted
        }),
        mark().prop_map(Body::Mark),
        mark().prop_map(Body::Marked),
    ]
}

pub fn message() -> impl Strategy<Value = Message> {
    (report(), body()).prop_map(|(report, body)| Message { report, body })
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), any::<u64>()).prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn place() -> impl Strategy<Value = Place> {
    (position(), any::<u32>()).prop_map(|(position, after)| Place { position, after })
}

fn hash() -> impl Strategy<Value = RunningHash> {
    any::<u64>().prop_map(RunningHash)
}

fn history() -> impl Strategy<Value = History> {
    let ends = prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..40);
    ends.prop_map(|ends| History::of(ends.into_iter().map(|(epoch, seq)| Position { epoch, seq })))
}

fn join() -> impl Strategy<Value = bulk::Join> {
    (any::<u32>(), any::<[u8; 16]>(), place(), hash(), any::<bool>(), history()).prop_map(
        |(epoch, incarnation, place, hash, complete, history)| bulk::Join {
            epoch,
            incarnation,
            place,
            hash,
            complete,
            history,
        },
    )
}

/// Short ones, and such that are not copied.
fn opaque() -> impl Strategy<Value = std::sync::Arc<[u8]>> {
    let long = (any::<u8>(), 10_000..80_000usize).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..200), 1 => long].prop_map(Into::into)
}

fn frame() -> impl Strategy<Value = bulk::Message> {
    (place(), hash(), place(), hash(), opaque()).prop_map(|(before, hash_before, place, hash, bytes)| {
        bulk::Message::Frame {
            head: Head { before, hash_before, place, hash, bytes: bytes.len() as u32 },
            bytes,
        }
    })
}

pub fn bulk() -> impl Strategy<Value = bulk::Message> {
    use bulk::Message::*;
    prop_oneof![
        Just(Ping),
        join().prop_map(Join),
        (place(), place()).prop_map(|(received, durable)| Acknowledge { received, durable }),
        (any::<bool>(), opaque()).prop_map(|(is_rejoin, bytes)| Readings {
            from: if is_rejoin { From::Rejoin } else { From::Fill },
            bytes,
        }),
        place().prop_map(|after| Follow { after }),
        position().prop_map(|above| SetAside { above }),
        (place(), hash()).prop_map(|(after, hash)| Resync { after, hash }),
        frame(),
        opaque().prop_map(|bytes| Piece { bytes }),
        (place(), hash(), any::<u32>()).prop_map(|(place, hash, pieces)| PiecesEnd { place, hash, pieces }),
        (place(), any::<u32>()).prop_map(|(place, refused)| KeptBy { place, refused }),
        (any::<i64>(), of((any::<i64>(), any::<i64>()))).prop_map(|(sent, apart)| AskTime {
            sent,
            apart: apart.map(|(offset_ns, error_ns)| crate::apart::Apart { offset_ns, error_ns }),
        }),
        any::<[i64; 3]>().prop_map(|[sent, received, answered]| Time { sent, received, answered }),
        any::<String>().prop_map(|why| Refused { why: why.chars().take(200).collect() }),
    ]
}
