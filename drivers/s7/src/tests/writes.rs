//! Writing through the source: items, refusals, faults, and that nothing is sent twice.

use super::rig::*;
use gwp_core::Value;
use gwp_core::command::CommandFault;
use gwp_core::source::PlcType;
use std::time::Duration;

const POINTS: Points<'_> = &[
    ("DB1.DBW7", PlcType::Int),
    ("DB1.DBD20", PlcType::Real),
    ("DB1.DBX3.5", PlcType::Bool),
    ("IW9", PlcType::Int),
    ("MB4", PlcType::Usint),
];

fn begin(device: &Device) -> Running {
    start(&[("timeout", ms(200))], &[(50, POINTS)], MemoryDial::new(device))
}

#[tokio::test(start_paused = true)]
async fn each_type_is_one_item_and_polls_go_on() {
    let device = Device::good(240);
    let mut running = begin(&device);
    running.good_slot(0, 5).await;
    assert_eq!(running.written(0, Value::Int(-2)).await, Ok(()));
    assert_eq!(running.written(1, Value::Float(1.5)).await, Ok(()));
    assert_eq!(running.written(2, Value::Bool(true)).await, Ok(()));
    assert_eq!(running.written(4, Value::Int(9)).await, Ok(()));
    assert_eq!(
        device.writes(),
        [(7, vec![0xFF, 0xFE]), (20, vec![0x3F, 0xC0, 0, 0]), (3, vec![1]), (4, vec![9])]
    );
    let bit = device.asked.lock().unwrap().iter().rfind(|asked| asked.items[0].size == 1).unwrap().clone();
    assert_eq!((bit.items[0].address, bit.items[0].count), (3 * 8 + 5, 1));
    running.good_slot(0, 5).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_writable_or_does_not_fit_is_not_sent() {
    let device = Device::good(240);
    let mut running = begin(&device);
    running.good_slot(0, 5).await;
    for (tag, value) in [(3, Value::Int(1)), (77, Value::Int(1)), (0, Value::Int(40_000)), (2, Value::Int(1))]
    {
        assert!(matches!(running.written(tag, value).await, Err(CommandFault::Failed(_))), "{tag}");
    }
    assert_eq!(device.writes(), []);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_in_words_and_changed_nothing() {
    for (whole, words) in [(false, "access denied"), (true, "PUT/GET is not allowed in the PLC")] {
        let device = Device::new(240, move |asked| {
            vec![Act::Send(match (asked.function, whole) {
                (5, false) => asked.answer_but(|_| Some(3)),
                (5, true) => asked.refusal(0x81, 4),
                _ => asked.answer(),
            })]
        });
        let mut running = begin(&device);
        running.good_slot(0, 5).await;
        match running.written(0, Value::Int(5)).await {
            Err(CommandFault::Failed(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
        running.good_slot(0, 1).await;
        assert_eq!(device.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_write_is_unknown_and_never_repeated() {
    for close in [false, true] {
        let device = Device::new(240, move |asked| match asked.function {
            5 if close => vec![Act::Close],
            5 => vec![Act::Wait(Duration::from_millis(900)), Act::Send(asked.answer())],
            _ => vec![Act::Send(asked.answer())],
        });
        let mut running = begin(&device);
        running.good_slot(0, 5).await;
        let answer = running.written(0, Value::Int(5)).await;
        assert!(matches!(answer, Err(CommandFault::Unknown(_))), "{answer:?}");
        // The late answer is taken for no other, and the connection recovers.
        running.good_slot(0, 600).await;
        assert_eq!(device.writes().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_the_plc_has_no_room_for_is_not_written() {
    // What stands at a place is the greatest length of the text there.
    let narrow = (0..500).find(|at| memory(1, *at) < 3).unwrap();
    let roomy = (0..500).find(|at| memory(1, *at) > 200).unwrap();
    let addresses = [narrow, roomy].map(|at| format!("DB1.DBB{at} len 9"));
    let points: Vec<_> = addresses.iter().map(|address| (address.as_str(), PlcType::String)).collect();
    let device = Device::good(240);
    let mut running = start(&[], &[(50, &points)], MemoryDial::new(&device));
    running.slot(0).await;
    let text = || Value::Text("abc".into());
    match running.written(0, text()).await {
        Err(CommandFault::Failed(why)) => assert!(why.contains("has room for"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(device.writes(), []);
    assert_eq!(running.written(1, text()).await, Ok(()));
    assert_eq!(device.writes(), [(roomy + 1, vec![3, b'a', b'b', b'c'])]);
}
