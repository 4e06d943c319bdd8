//! Devices that refuse, mumble, fall silent or go away: what turns bad, and how it comes back.

use super::rig::*;
use crate::client::Framing;
use crate::settings::Transport;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Emission, PlcType};
use gwp_core::{GroupId, Quality, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ONE: Points<'_> = &[("hr 7", PlcType::Uint), ("hr 8", PlcType::Uint)];

fn settings() -> Vec<(&'static str, SettingValue)> {
    vec![("timeout", ms(100)), ("probe", ms(2_000)), ("retries", SettingValue::Int(0))]
}

fn start(transport: Transport, device: &Device, groups: &[Declared<'_>]) -> Running {
    Running::start(transport, declare(&settings(), groups), MemoryDial::new(device))
}

/// Spoils the answers number 2 and 3 in some way.
fn spoiled(framing: Framing, spoil: impl Fn(&Asked) -> Vec<Act> + Send + 'static) -> Device {
    Device::new(framing, move |asked| match asked.number {
        2 | 3 => spoil(asked),
        _ => vec![Act::Send(asked.answer())],
    })
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_are_bad_and_the_next_right_one_is_good_again() {
    type Spoil = fn(&Asked) -> Vec<Act>;
    let spoils: [(&str, Spoil); 9] = [
        ("garbage", |_| vec![Act::Send((0..40u8).map(|n| n.wrapping_mul(37)).collect())]),
        ("half a frame", |asked| vec![Act::Send(asked.answer()[..6].to_vec())]),
        ("wrong unit", |asked| vec![Act::Send(Asked { unit: 9, ..asked.clone() }.answer())]),
        ("wrong function", |asked| vec![Act::Send(Asked { function: 4, ..asked.clone() }.answer())]),
        ("wrong length", |asked| vec![Act::Send(Asked { count: 3, ..asked.clone() }.answer())]),
        ("wrong transaction", |asked| {
            vec![Act::Send(Asked { transaction: [9, 9], ..asked.clone() }.answer())]
        }),
        ("exception", |asked| vec![Act::Send(asked.exception(4))]),
        ("nothing", |_| Vec::new()),
        ("closed", |_| vec![Act::Close]),
    ];
    for (framing, transport) in [(Framing::Tcp, Transport::Tcp), (Framing::Rtu, Transport::RtuTcp)] {
        for (name, spoil) in spoils {
            if name == "wrong transaction" && framing == Framing::Rtu {
                continue;
            }
            let device = spoiled(framing, spoil);
            let mut running = start(transport, &device, &[(1, 500, ONE)]);
            running.good_slot(0, 1).await;
            running.good_slot(0, 1).await;
            let slot = running.slot(0).await;
            assert!(slot.quality(0).is_bad() && slot.quality(1).is_bad(), "{framing:?} {name}: {slot:?}");
            let batch = running.good_slot(0, 12).await;
            assert_eq!(batch.values.get(0), Value::Int(10_007), "{framing:?} {name}");
            assert!(running.meter.errors.load(Relaxed) + running.meter.timeouts.load(Relaxed) > 0, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn exceptions_have_their_qualities() {
    for (code, quality) in [
        (1, Quality::CONFIG),
        (4, Quality::DEVICE_FAILURE),
        (5, Quality::DEVICE_BUSY),
        (6, Quality::DEVICE_BUSY),
        (10, Quality::COMM_LOST),
        (11, Quality::TIMEOUT),
        (99, Quality::DEVICE_FAILURE),
    ] {
        let device = Device::new(Framing::Tcp, move |asked| vec![Act::Send(asked.exception(code))]);
        let mut running = start(Transport::Tcp, &device, &[(1, 500, ONE)]);
        assert_eq!(running.slot(0).await.quality(0), quality, "exception {code}");
        assert!(matches!(running.slot(0).await, Slot::Failed(_, why) if why == quality), "exception {code}");
        assert_eq!(device.connections.load(Relaxed), 1, "an exception is an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_the_device_lacks_spoils_no_other() {
    let device = Device::new(Framing::Tcp, |asked| {
        let missing = asked.start..asked.start + asked.count;
        let answer =
            if missing.contains(&33) || missing.contains(&50) { asked.exception(2) } else { asked.answer() };
        vec![Act::Send(answer)]
    });
    // 33 is declared and missing; 50 is missing and only read over.
    let points: Vec<String> = (30..41).chain([52, 53]).map(|start| format!("hr {start}")).collect();
    let points: Vec<_> = points.iter().map(|address| (address.as_str(), PlcType::Uint)).collect();
    let mut running = start(Transport::Tcp, &device, &[(1, 100, &points)]);
    for _ in 0..3 {
        let batch = running.slot(0).await.batch();
        for index in 0..points.len() {
            let expected = if index == 3 { Quality::UNKNOWN_ADDRESS } else { Quality::GOOD };
            assert_eq!(batch.qualities.get(index), expected, "point {index}");
        }
        assert_eq!(batch.values.get(12), Value::Int(10_053));
    }
    let before = running.meter.errors.load(Relaxed);
    for _ in 0..100 {
        running.slot(0).await;
    }
    assert_eq!(running.meter.errors.load(Relaxed), before, "what is known to be missing is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_answers_only_short_requests_is_asked_shortly() {
    let device = Device::new(Framing::Tcp, |asked| {
        vec![Act::Send(if asked.count > 10 { asked.exception(3) } else { asked.answer() })]
    });
    let points: Vec<String> = (0..80).map(|start| format!("hr {start}")).collect();
    let points: Vec<_> = points.iter().map(|address| (address.as_str(), PlcType::Uint)).collect();
    let mut running = start(Transport::Tcp, &device, &[(1, 100, &points)]);
    running.good_slot(0, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_unit_leaves_the_others_their_scans_and_comes_back_by_itself() {
    for (framing, transport) in [(Framing::Tcp, Transport::Tcp), (Framing::Rtu, Transport::RtuTcp)] {
        let dead = Arc::new(AtomicBool::new(true));
        let switch = dead.clone();
        let device = Device::new(framing, move |asked| {
            if asked.unit == 2 && switch.load(Relaxed) { Vec::new() } else { vec![Act::Send(asked.answer())] }
        });
        let mut running = start(transport, &device, &[(1, 1_000, ONE), (2, 1_000, ONE)]);
        let (mut good, mut slots) = (0, 0);
        let mut failed = 0;
        while slots < 30 {
            match running.next().await {
                Emission::Samples { batch, slot } if batch.group == GroupId(0) => {
                    slots += 1;
                    good += usize::from(batch.qualities.get(0).is_good());
                    assert_eq!(slot.skipped, 0, "{framing:?}");
                }
                Emission::Samples { batch, .. } => {
                    assert_eq!(batch.qualities.get(0), Quality::TIMEOUT);
                }
                Emission::Failed { group, why, .. } => {
                    assert_eq!((group, why), (GroupId(1), Quality::TIMEOUT));
                    failed += 1;
                }
                Emission::Connected { up, .. } => assert!(up, "a silent unit is no lost connection"),
                Emission::Bookmark { .. } => {}
            }
        }
        assert_eq!((good, failed >= 28), (30, true), "{framing:?}");
        assert_eq!(running.meter.devices_silent.load(Relaxed), 1);
        let asked = device.asked.lock().unwrap().iter().filter(|asked| asked.unit == 2).count();
        assert!((4..=18).contains(&asked), "{framing:?}: two, then a probe every 2 s, not {asked}");
        dead.store(false, Relaxed);
        running.good_slot(1, 5).await;
        assert_eq!(running.meter.devices_silent.load(Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_speaks_for_a_dead_unit_keeps_its_connection() {
    let device = Device::new(Framing::Tcp, |asked| {
        vec![Act::Send(if asked.unit == 2 { asked.exception(11) } else { asked.answer() })]
    });
    let mut running = start(Transport::Tcp, &device, &[(1, 100, ONE), (2, 100, ONE)]);
    for _ in 0..50 {
        assert!(running.slot(0).await.quality(0).is_good());
    }
    assert_eq!(device.connections.load(Relaxed), 1);
    let asked = device.asked.lock().unwrap().iter().filter(|asked| asked.unit == 2).count();
    assert!((3..=6).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_every_group_fails_at_once_and_no_slot_is_lost() {
    let device = Device::good(Framing::Tcp);
    let dial = MemoryDial::new(&device);
    dial.refuse(8);
    let declaration = declare(&settings(), &[(1, 100, ONE), (2, 100, ONE)]);
    let mut running = Running::start(Transport::Tcp, declaration, dial.clone());
    let mut last = [None; 2];
    let mut good = [0; 2];
    let mut was_down = false;
    while good != [5; 2] {
        let (group, slot, quality) = match running.next().await {
            Emission::Samples { slot, batch } => (batch.group, slot, batch.qualities.get(0)),
            Emission::Failed { group, slot, why, .. } => (group, slot, why),
            Emission::Connected { up, .. } => {
                assert_ne!(up, !was_down, "down first, then up");
                was_down = !up;
                continue;
            }
            Emission::Bookmark { .. } => continue,
        };
        assert_eq!(slot.skipped, 0);
        if let Some(last) = last[group.index()].replace(slot.number) {
            assert_eq!(slot.number, last + 1);
        }
        if quality.is_good() {
            good[group.index()] = (good[group.index()] + 1).min(5);
        } else {
            assert_eq!(quality, Quality::NOT_CONNECTED);
        }
    }
    assert_eq!(dial.attempts.load(Relaxed), 9);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_comm_lost_until_it_is_back() {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let device = Device::new(Framing::Tcp, move |asked| {
        if switch.load(Relaxed) { vec![Act::Close] } else { vec![Act::Send(asked.answer())] }
    });
    let dial = MemoryDial::new(&device);
    let mut running = Running::start(Transport::Tcp, declare(&settings(), &[(1, 500, ONE)]), dial.clone());
    assert!(running.connected().await);
    running.good_slot(0, 1).await;
    dial.refuse(4);
    broken.store(true, Relaxed);
    assert!(!running.connected().await);
    assert_eq!(running.slot(0).await.quality(0), Quality::COMM_LOST);
    broken.store(false, Relaxed);
    assert!(running.connected().await);
    running.good_slot(0, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_costs_no_slot() {
    // Closes after every answer, as many small devices do between slow scans.
    let device = Device::new(Framing::Tcp, |asked| vec![Act::Send(asked.answer()), Act::Close]);
    let mut running = start(Transport::Tcp, &device, &[(1, 1_000, ONE)]);
    assert!(running.connected().await);
    for _ in 0..10 {
        match running.next().await {
            Emission::Samples { batch, .. } => assert_eq!(batch.qualities.get(0), Quality::GOOD),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(device.connections.load(Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_accepts_and_closes_is_not_stormed() {
    let device = Device::new(Framing::Tcp, |_| vec![Act::Close]);
    let dial = MemoryDial::new(&device);
    let mut running = Running::start(Transport::Tcp, declare(&settings(), &[(1, 10, ONE)]), dial.clone());
    for _ in 0..6_000 {
        running.slot(0).await;
    }
    // One minute, with pauses that grow from 0.5 s to 10 s.
    let attempts = dial.attempts.load(Relaxed);
    assert!((5..=20).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_hangs_holds_no_slot_longer_than_the_timeout() {
    #[derive(Debug)]
    struct Hanging(AtomicUsize);
    impl crate::wire::Dial for Hanging {
        fn dial(&self) -> gwp_core::BoxFuture<'_, std::io::Result<crate::wire::Wire>> {
            self.0.fetch_add(1, Relaxed);
            Box::pin(std::future::pending())
        }
    }
    let dial = Arc::new(Hanging(AtomicUsize::new(0)));
    let mut running = Running::start(Transport::Tcp, declare(&settings(), &[(1, 50, ONE)]), dial.clone());
    let mut skipped = 0;
    for _ in 0..200 {
        match running.slot(0).await {
            Slot::Samples(slot, batch) => {
                skipped += slot.skipped;
                assert_eq!(batch.qualities.get(0), Quality::NOT_CONNECTED);
            }
            Slot::Failed(slot, _) => skipped += slot.skipped,
        }
    }
    assert!(skipped <= 3, "only the first slot waits, {skipped} were skipped");
    assert!(dial.0.load(Relaxed) >= 2, "an attempt has its own limit");
}

#[tokio::test(start_paused = true)]
async fn a_retry_saves_the_slot() {
    let device = Device::new(Framing::Rtu, |asked| {
        let mut answer = asked.answer();
        if asked.number % 5 == 3 {
            answer[4] ^= 0x10;
        }
        vec![Act::Send(answer)]
    });
    let settings = [("timeout", ms(100)), ("retries", SettingValue::Int(1))];
    let declaration = declare(&settings, &[(1, 1_000, ONE)]);
    let mut running = Running::start(Transport::RtuTcp, declaration, MemoryDial::new(&device));
    for _ in 0..20 {
        assert_eq!(running.slot(0).await.quality(0), Quality::GOOD);
    }
    assert!(running.meter.timeouts.load(Relaxed) + running.meter.errors.load(Relaxed) >= 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_kept_between_requests() {
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = times.clone();
    let device = Device::new(Framing::Tcp, move |asked| {
        kept.lock().unwrap().push(tokio::time::Instant::now());
        vec![Act::Send(asked.answer())]
    });
    let settings = [("delay", ms(40))];
    let points = &[("hr 0", PlcType::Int), ("hr 500", PlcType::Int), ("hr 1000", PlcType::Int)];
    let declaration = declare(&settings, &[(1, 1_000, points)]);
    let mut running = Running::start(Transport::Tcp, declaration, MemoryDial::new(&device));
    running.good_slot(0, 1).await;
    let times = times.lock().unwrap();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(40)), "{times:?}");
}

/// A line on which bytes drip for 360 ms, whatever is asked; it notes when requests come.
#[derive(Debug, Default)]
struct Dripping(Arc<std::sync::Mutex<Vec<tokio::time::Instant>>>);

impl crate::wire::Dial for Dripping {
    fn dial(&self) -> gwp_core::BoxFuture<'_, std::io::Result<crate::wire::Wire>> {
        let times = self.0.clone();
        let (near, far) = tokio::io::duplex(1024);
        let (mut read, mut write) = tokio::io::split(far);
        tokio::spawn(async move {
            while read.read_exact(&mut [0; 8]).await.is_ok() {
                times.lock().unwrap().push(tokio::time::Instant::now());
            }
        });
        tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                let _ = write.write_all(&[0x55]).await;
            }
            std::future::pending::<()>().await;
        });
        Box::pin(std::future::ready(Ok(crate::wire::Wire::new(near))))
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_fault_the_line_is_left_to_fall_silent() {
    let dial = Arc::new(Dripping::default());
    let start = tokio::time::Instant::now();
    let declaration = declare(&settings(), &[(1, 50, ONE), (2, 50, ONE)]);
    let mut running = Running::start(Transport::Rtu, declaration, dial.clone());
    while dial.0.lock().unwrap().len() < 2 {
        running.next().await;
    }
    let second = dial.0.lock().unwrap()[1] - start;
    assert!(second >= Duration::from_millis(360 + 100), "asked again {second:?} after the start");
}
