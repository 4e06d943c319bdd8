//! Whatever a device answers: the source goes on, gives every slot a full batch or a failure, and
//! believes the device again once it answers rightly.
//!
//! The modules of the driver and the fake device of its tests are compiled here by themselves, so
//! that the driver need not publish its insides. Time is paused: a silent device costs none.
//!
//! Input: one byte chooses the framing; then per answer one byte for how, one for how long, and so
//! many bytes.
#![no_main]

#[path = "../src/address.rs"]
mod address;
#[path = "../src/blocks.rs"]
mod blocks;
#[path = "../src/client.rs"]
mod client;
#[path = "../src/decode.rs"]
mod decode;
#[path = "../src/exception.rs"]
mod exception;
#[path = "../src/group.rs"]
mod group;
#[path = "../src/link.rs"]
mod link;
#[path = "../src/manifest.rs"]
mod manifest;
#[path = "../src/owed.rs"]
mod owed;
#[path = "../src/point.rs"]
mod point;
#[path = "../src/prepare.rs"]
#[allow(dead_code)]
mod prepare;
#[path = "../src/tests/rig.rs"]
#[allow(dead_code)]
mod rig;
#[path = "../src/settings.rs"]
#[allow(dead_code)]
mod settings;
#[path = "../src/source.rs"]
mod source;
#[path = "../src/units.rs"]
mod units;
#[path = "../src/write.rs"]
#[allow(dead_code)]
mod write;
#[path = "../src/wire.rs"]
mod wire;

use client::Framing;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Emission, PlcType};
use libfuzzer_sys::fuzz_target;
use rig::{Act, Asked, Device, MemoryDial, Running, declare, ms};
use settings::Transport;
use std::time::Duration;

/// Answers taken from one input at most.
const ANSWERS_MAX: usize = 16;

/// Slots after the last spoiled answer within which a right one must be believed: a minute of them.
const SLOTS_MAX: usize = 1_000;

const POINTS: &[(&str, PlcType)] = &[
    ("hr 7", PlcType::Uint),
    ("hr 8", PlcType::Real),
    ("ir 20 len 9", PlcType::String),
    ("co 3", PlcType::Bool),
    ("di 70", PlcType::Bool),
];

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (framing, transport) = match first % 2 {
        0 => (Framing::Tcp, Transport::Tcp),
        _ => (Framing::Rtu, Transport::RtuTcp),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(framing, transport, answers(rest)));
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
    let at = usize::from(bytes.first().copied().unwrap_or(0)) % (frame.len() + 1);
    match how % 9 {
        0 => return vec![Act::Send(bytes.to_vec())],
        // Right header and checksum around any function and data.
        1 => frame = asked.frame(bytes),
        2 => frame = asked.frame(&[&[asked.function][..], bytes].concat()),
        3 => frame = asked.frame(&[&[asked.function | 0x80][..], bytes].concat()),
        4 => frame.iter_mut().zip(bytes).for_each(|(byte, mask)| *byte ^= mask),
        5 => frame.truncate(at),
        6 => frame.extend_from_slice(bytes),
        7 => {
            let rest = frame.split_off(at);
            return vec![Act::Send(frame), Act::Wait(Duration::from_millis(60)), Act::Send(rest)];
        }
        _ => return vec![Act::Send(frame), Act::Close],
    }
    vec![Act::Send(frame)]
}

async fn run(framing: Framing, transport: Transport, answers: Vec<(u8, Vec<u8>)>) {
    let spoiled = answers.len();
    let device = Device::new(framing, move |asked| match answers.get(asked.number) {
        Some((how, bytes)) => acts(asked, *how, bytes),
        None => vec![Act::Send(asked.answer())],
    });
    let settings = [
        ("timeout", ms(50)),
        ("probe", ms(100)),
        ("demote_after", SettingValue::Int(100)),
        ("reconnect", SettingValue::Block(Default::default())),
    ];
    let mut running =
        Running::start(transport, declare(&settings, &[(1, 100, POINTS)]), MemoryDial::new(&device));
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
    let right = gwp_core::Value::Int(i64::from(rig::register(1, 7)));
    for _ in 0..SLOTS_MAX {
        if running.good_slot(0, SLOTS_MAX).await.values.get(0) == right {
            return;
        }
    }
    panic!("no right value among {SLOTS_MAX} good slots");
}
