//! Whatever a PLC answers: the source goes on, gives every slot a full batch or a failure, and
//! believes the PLC again once it answers rightly. And whatever is written as an address: it is one,
//! or it is refused.
//!
//! The modules of the driver and the device of its tests are compiled here by themselves, so that the
//! driver need not publish its insides. Time is paused: a silent device costs none.
//!
//! Input: per answer one byte for how, one for how long, and so many bytes. The input as a whole is
//! tried as an address, too.
#![no_main]

#[path = "../src/address.rs"]
mod address;
#[path = "../src/bcd.rs"]
mod bcd;
#[path = "../src/blocks.rs"]
mod blocks;
#[path = "../src/client.rs"]
mod client;
#[path = "../src/decode.rs"]
mod decode;
#[path = "../src/tests/device.rs"]
#[allow(dead_code)]
mod device;
#[path = "../src/format.rs"]
mod format;
#[path = "../src/group.rs"]
mod group;
#[path = "../src/lane.rs"]
mod lane;
#[path = "../src/manifest.rs"]
#[allow(dead_code)]
mod manifest;
#[path = "../src/moment.rs"]
mod moment;
#[path = "../src/pack.rs"]
mod pack;
#[path = "../src/point.rs"]
mod point;
#[path = "../src/prepare.rs"]
#[allow(dead_code)]
mod prepare;
#[path = "../src/protocol/mod.rs"]
mod protocol;
#[path = "../src/tests/rig.rs"]
#[allow(dead_code)]
mod rig;
#[path = "../src/settings.rs"]
#[allow(dead_code)]
mod settings;
#[path = "../src/source.rs"]
mod source;
#[path = "../src/write.rs"]
mod write;

use gwp_core::Value;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Emission, PlcType};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use rig::{Act, Asked, Device, MemoryDial, Points, memory, ms, packet, start};

/// Answers taken from one input at most.
const ANSWERS_MAX: usize = 16;

/// Slots after the last spoiled answer within which a right one must be believed: two minutes of them.
const SLOTS_MAX: usize = 1_200;

const POINTS: Points<'_> = &[
    ("DB1.DBW7", PlcType::Uint),
    ("DB1.DBX99.3", PlcType::Bool),
    ("MD8", PlcType::Udint),
    ("C5", PlcType::Uint),
    ("DB2.DBB20", PlcType::Lint),
];

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(address) = address::parse(text)
    {
        assert_eq!(address::parse(&address.to_string()), Ok(address));
        for plc_type in PlcType::ALL {
            let _ = point::Point::new(address, plc_type, false);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(answers(input)));
});

/// Cuts the input into answers: (how, bytes).
fn answers(mut input: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut answers = Vec::new();
    while let [how, length, rest @ ..] = input
        && answers.len() < ANSWERS_MAX
    {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        answers.push((*how, bytes.to_vec()));
        input = rest;
    }
    answers
}

/// What the device does about a request.
fn acts(asked: &Asked, how: u8, bytes: &[u8]) -> Vec<Act> {
    let mut frame = asked.answer();
    let first = bytes.first().copied().unwrap_or(0);
    let at = usize::from(first) % (frame.len() + 1);
    match how % 10 {
        0 => return vec![Act::Send(bytes.to_vec())],
        // Right frames around anything.
        1 => frame = packet(bytes),
        2 => frame = asked.frame([0, 0], &[4, asked.items.len() as u8], bytes),
        3 => frame = asked.refusal(first, how),
        4 => frame.iter_mut().zip(bytes).for_each(|(byte, mask)| *byte ^= mask),
        5 => frame.truncate(at),
        6 => frame.extend_from_slice(bytes),
        7 => {
            let rest = frame.split_off(at);
            return vec![Act::Send(frame), Act::Wait(Duration::from_millis(60)), Act::Send(rest)];
        }
        8 => frame = asked.answer_but(|item| (item.block == 1).then_some(first)),
        _ => return vec![Act::Send(frame), Act::Close],
    }
    vec![Act::Send(frame)]
}

async fn run(answers: Vec<(u8, Vec<u8>)>) {
    let spoiled = answers.len();
    let device = Device::new(240, move |asked| match answers.get(asked.number) {
        Some((how, bytes)) => acts(asked, *how, bytes),
        None => vec![Act::Send(asked.answer())],
    });
    let pauses = [("first", ms(10)), ("max", ms(20))].map(|(name, value)| (name.into(), value));
    let settings = [("timeout", ms(50)), ("reconnect", SettingValue::Block(Settings(pauses.into())))];
    let mut running = start(&settings, &[(100, POINTS)], MemoryDial::new(&device));
    while device.requests() < spoiled {
        match running.next().await {
            Emission::Samples { batch, .. } => {
                assert_eq!((batch.values.len(), batch.tags.len()), (POINTS.len(), POINTS.len()));
            }
            Emission::Failed { why, .. } => assert!(why.is_bad()),
            Emission::Connected { .. } | Emission::Bookmark { .. } => {}
        }
    }
    // What was sent beyond an answer may pass for the next one; what is right must prevail.
    let right = Value::Int(i64::from(u16::from_be_bytes([memory(1, 7), memory(1, 8)])));
    for _ in 0..SLOTS_MAX {
        if running.good_slot(0, SLOTS_MAX).await.values.get(0) == right {
            return;
        }
    }
    panic!("no right value among {SLOTS_MAX} good slots");
}
