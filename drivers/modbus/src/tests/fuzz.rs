//! Random and mutated frames: whatever a device sends, the source goes on and invents no value.

use super::rig::*;
use crate::client::Framing;
use crate::settings::Transport;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Emission, PlcType};
use std::sync::atomic::Ordering::Relaxed;

/// Frames tried per framing.
const FRAMES: usize = 2_000;

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
    match random.below(9) {
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
        // Right header and checksum around any function and data.
        5 => {
            let len = 1 + random.below(250);
            frame = asked.frame(&random.bytes(len));
        }
        6 => {
            let len = random.below(4);
            frame = asked.frame(&[&[asked.function | 0x80][..], &random.bytes(len)].concat());
        }
        7 => {
            let at = random.below(frame.len());
            let rest = frame.split_off(at);
            return vec![Act::Send(frame), Act::Wait(std::time::Duration::from_millis(60)), Act::Send(rest)];
        }
        _ => return vec![Act::Send(frame), Act::Close],
    }
    vec![Act::Send(frame)]
}

async fn run(framing: Framing, transport: Transport) {
    let mut random = Random(0x5EED);
    let device = Device::new(framing, move |asked| match asked.number {
        number if number < FRAMES => mutated(asked, &mut random),
        _ => vec![Act::Send(asked.answer())],
    });
    let points: &[(&str, PlcType)] = &[
        ("hr 7", PlcType::Uint),
        ("hr 8", PlcType::Real),
        ("ir 20 len 9", PlcType::String),
        ("co 3", PlcType::Bool),
        ("di 70", PlcType::Bool),
    ];
    let settings = [
        ("timeout", ms(50)),
        ("probe", ms(100)),
        ("demote_after", SettingValue::Int(100)),
        ("reconnect", SettingValue::Block(Default::default())),
    ];
    let declaration = declare(&settings, &[(1, 20, points)]);
    let mut running = Running::start(transport, declaration, MemoryDial::new(&device));
    while device.requests() < FRAMES {
        match running.next().await {
            Emission::Samples { batch, .. } => assert_eq!(batch.values.len(), points.len()),
            Emission::Failed { why, .. } => assert!(why.is_bad()),
            Emission::Connected { .. } | Emission::Bookmark { .. } => {}
        }
    }
    // What was refused by random exceptions is asked for again within a minute.
    running.good_slot(0, 10_000).await;
    assert!(running.meter.errors.load(Relaxed) > FRAMES as u64 / 10);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_broken_tcp_frames() {
    run(Framing::Tcp, Transport::Tcp).await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_broken_rtu_frames() {
    run(Framing::Rtu, Transport::RtuTcp).await;
}
