//! Late answers: whatever a device's delays, no value is ever another register's.

use super::rig::*;
use crate::client::Framing;
use crate::settings::Transport;
use crate::wire::{Dial, Wire};
use gwp_core::source::{Emission, PlcType};
use gwp_core::{BoxFuture, Quality, Value};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const TIMEOUT_MS: i64 = 300;

/// Four blocks of equal length: any answer would fit any of the four questions.
const ALIKE: Points<'_> = &[
    ("hr 100", PlcType::Uint),
    ("hr 101", PlcType::Uint),
    ("hr 200", PlcType::Uint),
    ("hr 201", PlcType::Uint),
    ("hr 300", PlcType::Uint),
    ("hr 301", PlcType::Uint),
    ("hr 400", PlcType::Uint),
    ("hr 401", PlcType::Uint),
];

/// Checks all good values of `slots` slots; gives the number of good and bad ones.
async fn check(running: &mut Running, slots: usize) -> (usize, usize) {
    let (mut good, mut bad, mut seen) = (0, 0, 0);
    while seen < slots {
        match running.next().await {
            Emission::Samples { batch, .. } => {
                seen += 1;
                for index in 0..batch.len() {
                    if batch.qualities.get(index).is_good() {
                        let unit = batch.group.0 as u8 + 1;
                        let address = [100, 101, 200, 201, 300, 301, 400, 401][index];
                        let expected = Value::Int(i64::from(register(unit, address)));
                        assert_eq!(batch.values.get(index), expected, "unit {unit}, register {address}");
                        good += 1;
                    } else {
                        bad += 1;
                    }
                }
            }
            Emission::Failed { .. } => seen += 1,
            Emission::Connected { up, .. } => assert!(up, "a late answer is no lost connection"),
            Emission::Bookmark { .. } => {}
        }
    }
    (good, bad)
}

fn late_device(framing: Framing, delays_ms: Vec<u64>) -> Device {
    Device::new(framing, move |asked| {
        let delay = delays_ms.get(asked.number).copied().unwrap_or(0);
        vec![Act::Wait(Duration::from_millis(delay)), Act::Send(asked.answer())]
    })
}

fn settings() -> [(&'static str, gwp_core::manifest::SettingValue); 3] {
    [
        ("timeout", ms(TIMEOUT_MS)),
        ("probe", ms(1_000)),
        ("demote_after", gwp_core::manifest::SettingValue::Int(3)),
    ]
}

#[tokio::test(start_paused = true)]
async fn over_tcp_the_connection_ends_with_the_late_answer() {
    let device = late_device(Framing::Tcp, vec![400]);
    let dial = MemoryDial::new(&device);
    let mut running = Running::start(Transport::Tcp, declare(&settings(), &[(1, 1_000, ALIKE)]), dial);
    let (good, bad) = check(&mut running, 3).await;
    assert_eq!((good, bad), (22, 2), "only the block that timed out is bad, and only once");
    assert_eq!(device.connections.load(Relaxed), 2);
    assert_eq!(running.meter.timeouts.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn on_rtu_a_late_answer_is_not_the_next_one() {
    for transport in [Transport::Rtu, Transport::RtuTcp] {
        for delay_ms in [310, 350, 399, 401, 420, 600, 750, 1_100, 1_490] {
            let device = late_device(Framing::Rtu, vec![delay_ms]);
            let declaration = declare(&settings(), &[(1, 2_000, ALIKE)]);
            let mut running = Running::start(transport, declaration, MemoryDial::new(&device));
            let (good, _) = check(&mut running, 4).await;
            assert!(good >= 16, "{good} good values with a delay of {delay_ms} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn on_rtu_a_request_unlike_the_owed_answer_goes_first() {
    // Long after any quiet time the answer to the first request is still owed.
    let mut owed = None;
    let device = Device::new(Framing::Rtu, move |asked| match asked.number {
        0 => {
            owed = Some(asked.answer());
            Vec::new()
        }
        // The late answer comes in front of the answer to the next request.
        _ => owed.take().into_iter().chain([asked.answer()]).map(Act::Send).collect(),
    });
    let mut all = settings().to_vec();
    all.push(("retries", gwp_core::manifest::SettingValue::Int(0)));
    let declaration = declare(&all, &[(1, 5_000, ALIKE)]);
    let mut running = Running::start(Transport::RtuTcp, declaration, MemoryDial::new(&device));
    let (good, bad) = check(&mut running, 2).await;
    assert_eq!(good + bad, 16);
    let asked = device.asked.lock().unwrap().clone();
    assert_eq!((asked[0].start, asked[0].count), (100, 2));
    assert_eq!(
        (asked[1].start, asked[1].count),
        (200, 1),
        "shorter, so that two registers cannot pass for it"
    );
    assert!(good >= 8, "{good}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_between_two_slots_costs_no_second_one() {
    // The device of unit 1 is late without holding up the line: unit 2 is read in between.
    let mut late = None;
    let device = Device::new(Framing::Rtu, move |asked| match asked.number {
        0 => {
            late = Some(asked.answer());
            Vec::new()
        }
        1 => {
            let late = late.take().unwrap_or_default();
            vec![Act::Send(asked.answer()), Act::Wait(Duration::from_millis(500)), Act::Send(late)]
        }
        _ => vec![Act::Send(asked.answer())],
    });
    let mut all = settings().to_vec();
    all.push(("retries", gwp_core::manifest::SettingValue::Int(0)));
    let declaration = declare(&all, &[(1, 2_000, &ALIKE[..2]), (2, 2_000, &ALIKE[..2])]);
    let mut running = Running::start(Transport::Rtu, declaration, MemoryDial::new(&device));
    assert!(running.slot(0).await.quality(0).is_bad());
    for _ in 0..3 {
        assert!(running.slot(1).await.quality(0).is_good());
        assert!(running.slot(0).await.quality(0).is_good());
    }
}

#[tokio::test(start_paused = true)]
async fn an_owed_answer_that_has_come_is_owed_no_more() {
    let mut owed = None;
    let device = Device::new(Framing::Rtu, move |asked| match asked.number {
        0 => {
            owed = Some(asked.answer());
            Vec::new()
        }
        _ => owed.take().into_iter().chain([asked.answer()]).map(Act::Send).collect(),
    });
    let declaration = declare(&settings(), &[(1, 5_000, ALIKE)]);
    let mut running = Running::start(Transport::Rtu, declaration, MemoryDial::new(&device));
    // The block that met the late answer is bad; the next ones can be told apart again.
    assert_eq!(check(&mut running, 1).await, (6, 2));
}

#[tokio::test(start_paused = true)]
async fn another_units_late_answer_is_not_taken_either() {
    let device = Device::new(Framing::Rtu, |asked| match asked.number {
        0 => vec![Act::Wait(Duration::from_millis(450)), Act::Send(asked.answer())],
        _ => vec![Act::Send(asked.answer())],
    });
    let points = &[("hr 7", PlcType::Uint)];
    let declaration = declare(&settings(), &[(1, 1_000, points), (2, 1_000, points)]);
    let mut running = Running::start(Transport::RtuTcp, declaration, MemoryDial::new(&device));
    for _ in 0..10 {
        if let Emission::Samples { batch, .. } = running.next().await
            && batch.qualities.get(0) == Quality::GOOD
        {
            let unit = batch.group.0 as u8 + 1;
            assert_eq!(batch.values.get(0), Value::Int(i64::from(register(unit, 7))));
        }
    }
}

/// What a device does about one request, and after how many milliseconds.
type Reaction = (u64, Reply);

#[derive(Clone, Copy, Debug)]
enum Reply {
    Answer,
    Exception,
    Nothing,
}

fn course() -> impl Strategy<Value = Vec<Reaction>> {
    let delay = prop_oneof![Just(0u64), 0u64..1_000, 290u64..320, 380u64..420];
    let reply = prop_oneof![6 => Just(Reply::Answer), 1 => Just(Reply::Exception), 1 => Just(Reply::Nothing)];
    prop::collection::vec((delay, reply), 1..60)
}

fn react(asked: &Asked, (delay, reply): Reaction) -> Vec<Act> {
    let wait = Act::Wait(Duration::from_millis(delay));
    match reply {
        Reply::Answer => vec![wait, Act::Send(asked.answer())],
        Reply::Exception => vec![wait, Act::Send(asked.exception(6))],
        Reply::Nothing => vec![wait],
    }
}

fn on_paused_time(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(test);
}

/// A line with several units, each with its own course and pace: answers of one come between
/// those of the others.
#[derive(Debug)]
struct Line {
    courses: Vec<Vec<Reaction>>,
    /// Requests of each unit that have been dealt with.
    done: Arc<Vec<AtomicUsize>>,
}

impl Dial for Line {
    fn dial(&self) -> BoxFuture<'_, std::io::Result<Wire>> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut read, write) = tokio::io::split(far);
        let write = Arc::new(tokio::sync::Mutex::new(write));
        let mut units = Vec::new();
        for (index, course) in self.courses.iter().cloned().enumerate() {
            let (asked_tx, mut asked_rx) = mpsc::unbounded_channel::<Asked>();
            units.push(asked_tx);
            let (write, done) = (write.clone(), self.done.clone());
            tokio::spawn(async move {
                while let Some(asked) = asked_rx.recv().await {
                    let number = done[index].fetch_add(1, Relaxed);
                    for act in react(&asked, course.get(number).copied().unwrap_or((0, Reply::Answer))) {
                        match act {
                            Act::Wait(time) => tokio::time::sleep(time).await,
                            Act::Send(bytes) => drop(write.lock().await.write_all(&bytes).await),
                            Act::Close => {}
                        }
                    }
                }
            });
        }
        tokio::spawn(async move {
            let mut frame = [0; 8];
            while read.read_exact(&mut frame).await.is_ok() {
                let asked = Asked::of_rtu(0, &frame);
                units[usize::from(asked.unit) - 1].send(asked).unwrap();
            }
        });
        Box::pin(std::future::ready(Ok(Wire::new(near))))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each answer is late by its own delay; the device answers in order, as devices do.
    #[test]
    fn no_delays_ever_give_a_wrong_value(course in course(), transport in 0usize..3) {
        on_paused_time(async {
            let strange = course.len();
            let transport = [Transport::Tcp, Transport::Rtu, Transport::RtuTcp][transport];
            let device = Device::new(transport.framing(), move |asked| {
                react(asked, course.get(asked.number).copied().unwrap_or((0, Reply::Answer)))
            });
            let declaration = declare(&settings(), &[(1, 500, ALIKE)]);
            let mut running = Running::start(transport, declaration, MemoryDial::new(&device));
            while device.requests() < strange + 4 {
                check(&mut running, 1).await;
            }
            // Once the device is in time again, everything is.
            running.good_slot(0, 20).await;
        });
    }

    #[test]
    fn late_units_on_one_line_are_never_mixed_up(courses in prop::collection::vec(course(), 3)) {
        on_paused_time(async {
            let strange: Vec<usize> = courses.iter().map(Vec::len).collect();
            let line = Arc::new(Line { courses, done: Arc::new((0..3).map(|_| AtomicUsize::new(0)).collect()) });
            let groups = [(1, 500, ALIKE), (2, 500, ALIKE), (3, 500, ALIKE)];
            let mut running = Running::start(Transport::Rtu, declare(&settings(), &groups), line.clone());
            while strange.iter().zip(line.done.iter()).any(|(all, done)| done.load(Relaxed) < all + 4) {
                check(&mut running, 1).await;
            }
            for group in 0..3 {
                running.good_slot(group, 40).await;
            }
        });
    }
}
