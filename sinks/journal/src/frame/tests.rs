use super::*;
use gwp_core::{Column, Qualities, TagId, Times, Value};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300i64..300).prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f32>().prop_map(|v| Value::Float(v.into())),
        any::<f64>().prop_map(Value::Float),
        "[a-zäö]{0,9}".prop_map(|text| Value::Text(text.into())),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())),
        any::<i64>().prop_map(|ns| Value::Time(Timestamp(ns))),
    ]
}

fn batches() -> impl Strategy<Value = Batch> {
    let samples = proptest::collection::vec(
        (values(), any::<i64>(), 0u32..5, prop_oneof![Just(0u32), any::<u32>()], 0u32..40),
        1..60,
    );
    (samples, any::<bool>(), any::<bool>(), any::<bool>(), any::<u32>(), any::<i64>(), any::<bool>())
        .prop_map(|(samples, same_time, no_repeats, same_quality, group, read_after_ns, backfill)| {
            let mut column = Column::new();
            samples.iter().for_each(|sample| column.push(sample.0.clone()));
            Batch {
                group: GroupId(group),
                tags: samples.iter().map(|sample| TagId(sample.4)).collect(),
                times: match same_time {
                    true => Times::Same(Timestamp(samples[0].1)),
                    false => Times::Each(samples.iter().map(|sample| Timestamp(sample.1)).collect()),
                },
                repeats: if no_repeats {
                    Vec::new()
                } else {
                    samples.iter().map(|sample| sample.2).collect()
                },
                values: column,
                qualities: match same_quality {
                    true => Qualities::Same(Quality(samples[0].3)),
                    false => Qualities::Each(samples.iter().map(|sample| Quality(sample.3)).collect()),
                },
                read_after_ns,
                backfill,
            }
        })
}

fn facts() -> impl Strategy<Value = Fact> {
    let slot = (any::<u64>(), any::<u32>()).prop_map(|(number, skipped)| SlotMark { number, skipped });
    prop_oneof![
        (any::<u32>(), any::<u64>(), any::<u64>(), any::<i64>()).prop_map(
            |(epoch, seq, running_hash, ns)| {
                Fact::Activated { previous: Position::new(epoch, seq), running_hash, anchor: Timestamp(ns) }
            }
        ),
        any::<[u8; 16]>().prop_map(|plan| Fact::Configured { plan: PlanId(plan) }),
        any::<i64>().prop_map(|ns| Fact::Tick { now: Timestamp(ns) }),
        any::<i64>().prop_map(|ns| Fact::Anchor { now: Timestamp(ns) }),
        (slot.clone(), batches()).prop_map(|(slot, batch)| Fact::Samples { slot, batch: Arc::new(batch) }),
        (slot, any::<u32>(), any::<i64>(), any::<u32>()).prop_map(|(slot, group, ns, why)| Fact::Failed {
            group: GroupId(group),
            slot,
            time: Timestamp(ns),
            why: Quality(why),
        }),
    ]
}

/// Bit for bit: NaN equals itself here.
fn same(a: &[Arc<Record>], b: &[Arc<Record>]) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #[test]
    fn records_come_back_bit_for_bit(facts in proptest::collection::vec(facts(), 1..8), epoch in 1u32..9, cut in 0usize..8) {
        let records: Vec<Arc<Record>> = (5u64..)
            .zip(facts)
            .map(|(seq, fact)| Arc::new(Record { position: Position::new(epoch, seq), fact }))
            .collect();
        let frame = encode_log(PlanId([7; 16]), &records);
        let back = decode_log(&frame, Position::ZERO, &mut TagLists::default()).unwrap();
        prop_assert!(same(&back, &records));
        let after = Position::new(epoch, 4 + cut as u64);
        let tail = decode_log(&frame, after, &mut TagLists::default()).unwrap();
        prop_assert!(same(&tail, &records[cut.min(records.len())..]));
        let header = open_frame(&frame).unwrap();
        prop_assert_eq!(header.upto, Cursor::complete(records.last().unwrap().position));
    }

    #[test]
    fn entries_come_back(batches in proptest::collection::vec((batches(), 0u8..3), 1..6)) {
        let entries: Vec<JournalEntry> = (0u32..)
            .zip(batches)
            .map(|(part, (batch, form))| JournalEntry {
                cursor: Cursor::new(Position::new(2, 9 + u64::from(part / 2)), part % 2),
                route: part,
                samples: batch.len() as u32,
                content: match form {
                    0 => Content::Reference { bits: None },
                    1 => Content::Reference { bits: Some(vec![part as u8; 3].into()) },
                    _ => Content::Values(Arc::new(batch)),
                },
            })
            .collect();
        let frame = encode_journal(PlanId([1; 16]), &entries);
        let (plan, back) = decode_journal(&frame, Cursor::ZERO, &mut TagLists::default()).unwrap();
        prop_assert_eq!(plan, PlanId([1; 16]));
        prop_assert_eq!(format!("{back:?}"), format!("{entries:?}"));
    }

    /// Damaged frames are refused by their checksum; with a mended checksum (a writer gone
    /// mad) the decoder still neither panics nor takes much memory.
    #[test]
    fn damage_is_refused_and_never_panics(facts in proptest::collection::vec(facts(), 1..5), at in any::<usize>(), bits in 1u8..) {
        let records: Vec<Arc<Record>> = (1u64..)
            .zip(facts)
            .map(|(seq, fact)| Arc::new(Record { position: Position::new(1, seq), fact }))
            .collect();
        let mut frame = encode_log(PlanId::default(), &records);
        let at = at % frame.len();
        frame[at] ^= bits;
        prop_assert!(decode_log(&frame, Position::ZERO, &mut TagLists::default()).is_err());
        let mended = checksum(&frame).to_le_bytes();
        frame[64..68].copy_from_slice(&mended);
        let _ = decode_log(&frame, Position::ZERO, &mut TagLists::default());
        let _ = decode_journal(&frame, Cursor::ZERO, &mut TagLists::default());
        frame.truncate(at);
        prop_assert!(decode_log(&frame, Position::ZERO, &mut TagLists::default()).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_log(&bytes, Position::ZERO, &mut TagLists::default());
        let mut reader = Reader::new(&bytes);
        let _ = take_fact(&mut reader, &mut TagLists::default());
        let mut reader = Reader::new(&bytes);
        let _ = take_batch(&mut reader, &mut TagLists::default());
    }
}

#[test]
fn a_poll_group_of_registers_is_small() {
    let tags: Arc<[TagId]> = (100..1100).map(TagId).collect();
    let cells = (0..1000).map(|i| (i * 7919) % 65536).collect();
    let batch = Batch::uniform(GroupId(0), tags, Timestamp(1), Column::uniform(gwp_core::Kind::Int, cells));
    let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) };
    let record = Arc::new(Record { position: Position::new(1, 1), fact });
    let frame = encode_log(PlanId::default(), &[record]);
    assert!(frame.len() < 2_300, "{} bytes for 1,000 samples", frame.len());
}
