//! Random and mutated frames: whatever a PLC sends, the source goes on and invents no value.

use super::rig::*;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Emission, PlcType};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Frames tried.
const FRAMES: usize = 4_000;

/// SplitMix64, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// One spoiled answer.
fn mutated(asked: &Asked, random: &mut Random) -> Vec<Act> {
    let mut frame = asked.answer();
    match random.below(10) {
        0 => {
            let len = random.below(300);
            frame = random.bytes(len);
        }
        1 => frame.truncate(random.below(frame.len() + 1)),
        2 => {
            let at = random.below(frame.len());
            frame[at] ^= 1 << random.below(8);
        }
        3 => {
            let len = random.below(40);
            frame.extend(random.bytes(len));
        }
        4 => {
            let len = 1 + random.below(20);
            frame = [random.bytes(len), frame].concat();
        }
        // Right frames around anything.
        5 => {
            let len = 1 + random.below(250);
            frame = packet(&random.bytes(len));
        }
        6 => {
            let len = random.below(60);
            frame = asked.frame([0, 0], &[4, asked.items.len() as u8], &random.bytes(len));
        }
        7 => {
            let [class, code] = [random.next() as u8, random.next() as u8];
            let refuse = random.next() as u8;
            frame = if class > 200 { asked.answer_but(|_| Some(refuse)) } else { asked.refusal(class, code) };
        }
        8 => {
            let at = random.below(frame.len());
            let rest = frame.split_off(at);
            return vec![Act::Send(frame), Act::Wait(Duration::from_millis(60)), Act::Send(rest)];
        }
        _ => return vec![Act::Send(frame), Act::Close],
    }
    vec![Act::Send(frame)]
}

#[tokio::test(start_paused = true)]
async fn thousands_of_broken_frames() {
    let mut random = Random(0x5EED);
    let device = Device::new(240, move |asked| match asked.number {
        number if number < FRAMES => mutated(asked, &mut random),
        _ => vec![Act::Send(asked.answer())],
    });
    let points: Points<'_> = &[
        ("DB1.DBW7", PlcType::Uint),
        ("DB1.DBX99.3", PlcType::Bool),
        ("MD8", PlcType::Udint),
        ("C5", PlcType::Uint),
        ("DB2.DBB20", PlcType::Lint),
    ];
    let reconnect = gwp_core::Settings(
        [("first", ms(10)), ("max", ms(20))].map(|(name, value)| (name.into(), value)).into(),
    );
    let settings = [("timeout", ms(50)), ("reconnect", SettingValue::Block(reconnect))];
    let mut running = start(&settings, &[(20, points)], MemoryDial::new(&device));
    while device.requests() < FRAMES {
        match running.next().await {
            Emission::Samples { batch, .. } => assert_eq!(batch.values.len(), points.len()),
            Emission::Failed { why, .. } => assert!(why.is_bad()),
            Emission::Connected { .. } | Emission::Bookmark { .. } => {}
        }
    }
    // What was refused by random codes is asked for again within a minute.
    running.good_slot(0, 10_000).await;
    assert!(running.meter.errors.load(Relaxed) > FRAMES as u64 / 10);
}
