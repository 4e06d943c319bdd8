//! Commands on the link: functions, refusals, faults, and that nothing is sent twice.

use super::rig::*;
use crate::client::Framing;
use crate::settings::Transport;
use gwp_core::Value;
use gwp_core::command::CommandFault;
use gwp_core::source::PlcType;
use std::time::Duration;

const POINTS: Points<'_> =
    &[("hr 7", PlcType::Int), ("hr 20", PlcType::Real), ("co 3", PlcType::Bool), ("ir 9", PlcType::Int)];

fn start(transport: Transport, device: &Device) -> Running {
    Running::start(transport, declare(&[("timeout", ms(200))], &[(1, 50, POINTS)]), MemoryDial::new(device))
}

/// Functions, addresses and values of the writes a device has seen.
fn writes(device: &Device) -> Vec<(u8, u16, u16, Vec<u8>)> {
    let asked = device.asked.lock().unwrap();
    let writes = asked.iter().filter(|asked| asked.function >= 5);
    writes.map(|asked| (asked.function, asked.start, asked.count, asked.data.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn each_type_has_its_function_and_polls_go_on() {
    for (transport, framing) in [(Transport::Tcp, Framing::Tcp), (Transport::RtuTcp, Framing::Rtu)] {
        let device = Device::good(framing);
        let mut running = start(transport, &device);
        running.good_slot(0, 5).await;
        assert_eq!(running.written(0, Value::Int(-2)).await, Ok(()));
        assert_eq!(running.written(1, Value::Float(1.5)).await, Ok(()));
        assert_eq!(running.written(2, Value::Bool(true)).await, Ok(()));
        let seen = writes(&device);
        assert_eq!(seen[0].0..=seen[0].0, 6..=6);
        assert_eq!((seen[0].1, seen[0].2), (7, 0xFFFE));
        assert_eq!((seen[1].0, seen[1].1, seen[1].2, &seen[1].3[..4]), (16, 20, 2, &[0x3F, 0xC0, 0, 0][..]));
        assert_eq!((seen[2].0, seen[2].1, seen[2].2), (5, 3, 0xFF00));
        running.good_slot(0, 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_writable_or_does_not_fit_is_not_sent() {
    let device = Device::good(Framing::Tcp);
    let mut running = start(Transport::Tcp, &device);
    running.good_slot(0, 5).await;
    for (tag, value) in [(3, Value::Int(1)), (77, Value::Int(1)), (0, Value::Int(40_000)), (2, Value::Int(1))]
    {
        assert!(matches!(running.written(tag, value).await, Err(CommandFault::Failed(_))), "{tag}");
    }
    assert_eq!(writes(&device), []);
}

#[tokio::test(start_paused = true)]
async fn a_device_without_the_single_function_gets_the_other() {
    let device = Device::new(Framing::Tcp, |asked| {
        let lacks = matches!(asked.function, 5 | 6);
        vec![Act::Send(if lacks { asked.exception(1) } else { asked.answer() })]
    });
    let mut running = start(Transport::Tcp, &device);
    running.good_slot(0, 5).await;
    assert_eq!(running.written(0, Value::Int(5)).await, Ok(()));
    assert_eq!(running.written(2, Value::Bool(true)).await, Ok(()));
    let functions: Vec<u8> = writes(&device).iter().map(|write| write.0).collect();
    assert_eq!(functions, [6, 16, 5, 15]);
}

#[tokio::test(start_paused = true)]
async fn exceptions_are_told_in_words() {
    let device = Device::new(Framing::Tcp, |asked| {
        vec![Act::Send(if asked.function >= 5 { asked.exception(2) } else { asked.answer() })]
    });
    let mut running = start(Transport::Tcp, &device);
    running.good_slot(0, 5).await;
    assert_eq!(
        running.written(0, Value::Int(5)).await,
        Err(CommandFault::Failed("the device refuses it: exception 0x02: illegal data address".into()))
    );
    running.good_slot(0, 5).await;
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_write_is_unknown_and_never_repeated() {
    for (transport, framing) in [(Transport::Tcp, Framing::Tcp), (Transport::RtuTcp, Framing::Rtu)] {
        for close in [false, true] {
            let device = Device::new(framing, move |asked| match asked.function {
                5.. if close => vec![Act::Close],
                5.. => vec![Act::Wait(Duration::from_millis(900)), Act::Send(asked.answer())],
                _ => vec![Act::Send(asked.answer())],
            });
            let mut running = start(transport, &device);
            running.good_slot(0, 5).await;
            let answer = running.written(0, Value::Int(5)).await;
            assert!(matches!(answer, Err(CommandFault::Unknown(_))), "{answer:?}");
            // The late answer is taken for no other, and the link recovers.
            running.good_slot(0, 600).await;
            assert_eq!(writes(&device).len(), 1);
        }
    }
}
