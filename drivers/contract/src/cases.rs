//! The cases. Each says which rule of `drivers/README.md` it proves.

use crate::log::Log;
use crate::proxy::{Mode, Proxy};
use crate::rig::{Running, Slot};
use crate::{Adapter, Behaviour, Device, Place};
use gwp_core::command::CommandFault;
use gwp_core::source::Emission;
use gwp_core::{GroupId, Quality, Value};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What tag 0 holds at first; its bytes are no frame of any protocol.
const FIRST: u16 = 1_234;

/// Slots within which a source that can connect again has done so: half a minute of them.
const SLOTS_TO_RECOVER: usize = 600;

/// A slot, a timeout and pauses that let a case run in a second or two.
const PERIOD_MS: i64 = 50;
const TIMEOUT_MS: i64 = 150;
const PAUSES_MS: (i64, i64) = (40, 160);

/// A source, what is between it and the device, and the device.
struct Setup {
    running: Running,
    proxy: Proxy,
    device: Arc<Device>,
}

fn place(address: SocketAddr) -> Place {
    Place {
        name: "plc",
        wire_log: "off",
        address,
        period_ms: PERIOD_MS,
        timeout_ms: TIMEOUT_MS,
        pauses_ms: PAUSES_MS,
    }
}

impl Setup {
    async fn new(adapter: Arc<dyn Adapter>, mode: Mode) -> Setup {
        Setup::with(adapter, mode, place).await
    }

    async fn with(adapter: Arc<dyn Adapter>, mode: Mode, place: impl Fn(SocketAddr) -> Place) -> Setup {
        let device = Arc::new(Device::default());
        device.hold(FIRST);
        let proxy = Proxy::start(adapter.clone(), device.clone(), mode).await;
        let running = Running::of(adapter.source(&place(proxy.address)));
        Setup { running, proxy, device }
    }

    /// Quality and value of tag 0 in the next slot.
    async fn next(&mut self) -> (Quality, Value) {
        let slot = self.running.slot(0).await;
        let value = match &slot {
            Slot::Samples(_, batch) => batch.values.get(0),
            Slot::Failed(..) => Value::Nothing,
        };
        (slot.quality(0), value)
    }

    /// Waits until tag 0 is good and gives its value.
    async fn good(&mut self) -> Value {
        for _ in 0..SLOTS_TO_RECOVER {
            if let (quality, value) = self.next().await
                && quality.is_good()
            {
                return value;
            }
        }
        panic!("tag 0 is not good within {SLOTS_TO_RECOVER} slots");
    }

    /// Waits until tag 0 is bad and gives why.
    async fn bad(&mut self) -> Quality {
        for _ in 0..SLOTS_TO_RECOVER {
            if let (quality, _) = self.next().await
                && quality.is_bad()
            {
                return quality;
            }
        }
        panic!("tag 0 is not bad within {SLOTS_TO_RECOVER} slots");
    }

    /// In so many slots from the first bad one on, tag 0 must never be good with a value it has not had.
    async fn never_another_value(&mut self, slots: usize, values: &[u16]) {
        for _ in 0..slots {
            let (quality, value) = self.next().await;
            let known = values.iter().any(|known| value == Value::Int(i64::from(*known)));
            assert!(quality.is_bad() || known, "{value} with {quality}");
        }
    }

    /// The device answers rightly again, with another value than before: that comes, and nothing else.
    async fn recovers(&mut self, value: u16, behaviour: impl Fn(&Setup)) {
        self.device.hold(value);
        behaviour(self);
        assert_eq!(self.good().await, Value::Int(i64::from(value)));
        self.never_another_value(10, &[value]).await;
    }

    /// The device answers rightly and its value changes: the one before may still be on its way, then the new one
    /// comes, and nothing else.
    async fn follows(&mut self, value: u16) {
        let before = Value::Int(i64::from(self.device.value()));
        self.device.hold(value);
        for _ in 0..SLOTS_TO_RECOVER {
            let good = self.good().await;
            if good == Value::Int(i64::from(value)) {
                return self.never_another_value(10, &[value]).await;
            }
            assert_eq!(good, before, "neither the value before nor {value}");
        }
        panic!("tag 0 is not {value} within {SLOTS_TO_RECOVER} slots");
    }
}

/// Rule: every due slot is accounted for by one record, its own or the skipped count of the next.
pub async fn every_slot_is_accounted_for(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    accounted(&mut setup, 30).await;
    setup.running.stop().await;
}

async fn accounted(setup: &mut Setup, slots: usize) {
    let mut last = setup.running.slot(0).await.mark().number;
    for _ in 0..slots {
        let mark = setup.running.slot(0).await.mark();
        assert_eq!(mark.number, last + 1 + u64::from(mark.skipped));
        last = mark.number;
    }
}

/// Rule: a source runs until it is stopped, and ends then.
pub async fn it_stops_when_told(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.running.slot(0).await;
    setup.running.stop().await;
}

/// Rule: no connection is `not_connected` before the first one, and `run` goes on until there is one.
pub async fn connects_late(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Refuse).await;
    for _ in 0..5 {
        let (quality, _) = setup.next().await;
        assert!(matches!(quality, Quality::NOT_CONNECTED | Quality::COMM_LOST), "{quality}");
    }
    setup.recovers(77, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: a lost connection is `comm_lost`, `cx.connected` tells of changes only, and it comes back.
pub async fn dropped_and_back(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    let mut up = None;
    let (mut good, mut lost, mut back) = (0, 0, 0);
    while back < 5 {
        match setup.running.next().await {
            Emission::Connected { up: now, .. } => {
                assert_ne!(up.replace(now), Some(now), "a change");
            }
            Emission::Samples { batch, .. } if batch.group == GroupId(0) => {
                let quality = batch.qualities.get(0);
                if quality.is_good() && lost == 0 {
                    good += 1;
                    if good == 3 {
                        setup.proxy.set(Mode::Refuse);
                        setup.proxy.cut();
                    }
                } else if quality.is_good() {
                    back += 1;
                } else if good > 0 {
                    assert_eq!(quality, Quality::COMM_LOST);
                    lost += 1;
                }
            }
            Emission::Failed { why, .. } if good > 0 => {
                assert_eq!(why, Quality::COMM_LOST);
                lost += 1;
                if lost == 5 {
                    assert_eq!(up, Some(false));
                    setup.proxy.set(Mode::Pass);
                }
            }
            _ => {}
        }
    }
    assert_eq!(up, Some(true));
    setup.running.stop().await;
}

/// Rule: no answer is `timeout`, and a device that answers again is believed again.
pub async fn silence(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    setup.proxy.set(Mode::Silence);
    assert_eq!(setup.bad().await, Quality::TIMEOUT);
    setup.never_another_value(10, &[]).await;
    setup.recovers(78, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: a value is the value of its tag at its time, or it is bad: an answer that comes late is never taken.
pub async fn late_answers(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    setup.proxy.set(Mode::Delay(Duration::from_millis(TIMEOUT_MS as u64 * 3 / 2)));
    setup.bad().await;
    // All that comes from now on was asked for earlier and holds another value.
    setup.device.hold(79);
    setup.never_another_value(20, &[]).await;
    setup.device.hold(80);
    setup.never_another_value(2, &[]).await;
    setup.recovers(80, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: a device fault is a quality, never an error; a refusal is an answer, so the connection stays.
pub async fn busy(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    let before = setup.proxy.accepted();
    setup.device.behave(Behaviour::Busy);
    assert_eq!(setup.bad().await, Quality::DEVICE_BUSY);
    setup.never_another_value(5, &[]).await;
    setup.recovers(81, |setup| setup.device.behave(Behaviour::Right)).await;
    assert_eq!(setup.proxy.accepted(), before);
    setup.running.stop().await;
}

/// Rule: nothing from the wire is taken unchecked: bytes that are no answer make no value.
pub async fn garbage(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    setup.proxy.set(Mode::Garbage);
    setup.bad().await;
    setup.never_another_value(20, &[]).await;
    setup.recovers(82, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: an answer that comes short is never taken.
pub async fn half_frames(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    setup.proxy.set(Mode::Half);
    setup.bad().await;
    setup.never_another_value(20, &[]).await;
    setup.recovers(83, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: an answer is what its protocol says, however the network cuts it.
pub async fn answers_in_single_bytes(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Dribble).await;
    setup.follows(84).await;
    setup.running.stop().await;
}

/// Rule: an answer to another question, or of another type, is never taken.
pub async fn wrong_shapes(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    setup.device.behave(Behaviour::WrongShape);
    setup.bad().await;
    setup.never_another_value(20, &[]).await;
    setup.recovers(85, |setup| setup.device.behave(Behaviour::Right)).await;
    setup.running.stop().await;
}

/// Attempts that the pauses allow since `start`: the shortest is half of the first.
fn attempts_allowed(start: Instant) -> usize {
    let half = PAUSES_MS.0 as u128 / 2;
    usize::try_from(start.elapsed().as_millis() / half).unwrap_or(usize::MAX) + 2
}

/// Rule: connecting goes on with bounded, spread pauses; meanwhile all groups fail at once.
pub async fn no_storm_of_attempts(adapter: Arc<dyn Adapter>) {
    let start = Instant::now();
    let mut setup = Setup::new(adapter, Mode::Shut).await;
    setup.never_another_value(30, &[]).await;
    let (attempts, allowed) = (setup.proxy.accepted(), attempts_allowed(start));
    assert!((2..=allowed).contains(&attempts), "{attempts} attempts, {allowed} are allowed");
    setup.running.stop().await;
}

/// Rule: as above, for a device that accepts and ends every connection before an answer.
pub async fn no_storm_of_short_connections(adapter: Arc<dyn Adapter>) {
    let start = Instant::now();
    let mut setup = Setup::new(adapter, Mode::Drop).await;
    setup.never_another_value(30, &[]).await;
    let (attempts, allowed) = (setup.proxy.accepted(), attempts_allowed(start));
    assert!((2..=allowed).contains(&attempts), "{attempts} attempts, {allowed} are allowed");
    setup.recovers(86, |setup| setup.proxy.set(Mode::Pass)).await;
    setup.running.stop().await;
}

/// Rule: stopping does not wait for a device: a request under way is left.
pub async fn stops_while_busy(adapter: Arc<dyn Adapter>) {
    const PATIENT_MS: i64 = 60_000;
    let patient = |address| Place { timeout_ms: PATIENT_MS, ..place(address) };
    let mut setup = Setup::with(adapter, Mode::Pass, patient).await;
    setup.good().await;
    setup.proxy.set(Mode::Silence);
    // The answer to this one is waited for from now on.
    let answer = setup.running.write(1, Value::Int(5));
    let stopped = tokio::time::timeout(Duration::from_millis(PATIENT_MS as u64 / 2), setup.running.stop());
    stopped.await.expect("it stops before the request has timed out");
    drop(answer);
}

/// Rule: every due slot is accounted for, through outages, too.
pub async fn slots_of_an_outage(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    for mode in [Mode::Silence, Mode::Refuse, Mode::Pass, Mode::Drop, Mode::Pass] {
        setup.proxy.set(mode);
        accounted(&mut setup, 6).await;
    }
    setup.running.stop().await;
}

/// Rule: a command is answered with `Ok` when the device has it, and reaches it once.
pub async fn a_write_reaches_the_device_once(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    for value in [5, 6, 7] {
        assert_eq!(setup.running.written(1, Value::Int(value)).await, Ok(()));
    }
    setup.follows(87).await;
    assert_eq!(setup.device.writes(), [5, 6, 7]);
    setup.running.stop().await;
}

/// Rule: what may have been sent is never sent again, and its outcome is unknown.
pub async fn an_unanswered_write_is_unknown_and_not_repeated(adapter: Arc<dyn Adapter>) {
    for mode in [Mode::Silence, Mode::Drop, Mode::Half, Mode::Garbage] {
        let mut setup = Setup::new(adapter.clone(), Mode::Pass).await;
        setup.good().await;
        // The answers to polls under way are lost, too, so it is tried until one write gets through.
        let mut sent = 0;
        while setup.device.writes().is_empty() {
            setup.proxy.set(mode);
            sent += 1;
            let answer = setup.running.written(1, Value::Int(sent)).await;
            assert!(answer.is_err(), "{mode:?}: nobody has confirmed it");
            if setup.device.writes().len() == 1 {
                assert!(matches!(answer, Err(CommandFault::Unknown(_))), "{mode:?}: {answer:?}");
            }
            setup.proxy.set(Mode::Pass);
            setup.good().await;
        }
        setup.follows(88).await;
        assert_eq!(setup.device.writes(), [sent as u16], "{mode:?}");
        setup.running.stop().await;
    }
}

/// Rule: what was surely not sent has failed: the device keeps what it had.
pub async fn a_write_without_a_connection_has_failed(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Refuse).await;
    setup.bad().await;
    for value in [5, 6] {
        let answer = setup.running.written(1, Value::Int(value)).await;
        assert!(matches!(answer, Err(CommandFault::Failed(_))), "{answer:?}");
    }
    setup.recovers(89, |setup| setup.proxy.set(Mode::Pass)).await;
    assert_eq!(setup.device.writes(), Vec::<u16>::new());
    setup.running.stop().await;
}

/// Rule: a value that the tag cannot hold, and a tag that cannot be written, are refused before the device.
pub async fn a_write_that_does_not_fit_is_not_sent(adapter: Arc<dyn Adapter>) {
    let mut setup = Setup::new(adapter, Mode::Pass).await;
    setup.good().await;
    for (tag, value) in
        [(1, Value::Int(70_000)), (1, Value::Text("x".into())), (0, Value::Int(1)), (77, Value::Int(1))]
    {
        let answer = setup.running.written(tag, value).await;
        assert!(matches!(answer, Err(CommandFault::Failed(_))), "{answer:?}");
    }
    assert_eq!(setup.device.writes(), Vec::<u16>::new());
    setup.running.stop().await;
}

/// Rule: the wire log tells of the source that wants one, by its name, and of no other.
pub async fn the_wire_log_of_one_source(adapter: Arc<dyn Adapter>) {
    let log = Log::capture();
    let told = |address| Place { name: "told", wire_log: "bytes", ..place(address) };
    let quiet = |address| Place { name: "quiet", ..place(address) };
    let mut told = Setup::with(adapter.clone(), Mode::Pass, told).await;
    let mut quiet = Setup::with(adapter, Mode::Pass, quiet).await;
    told.good().await;
    quiet.good().await;
    told.running.stop().await;
    quiet.running.stop().await;
    let lines: Vec<String> = log.lines().into_iter().filter(|line| line.contains(" wire: ")).collect();
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("source=told")), "{lines:?}");
}
