//! A source under test: a clock, what it is told, and what it emits.

use gwp_core::command::{Command, CommandFault, CommandSender, command_channel};
use gwp_core::edge::{Credit, Edge};
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::record::SlotMark;
use gwp_core::source::{
    Bookmarks, Carried, Emission, GroupDeclaration, Outlet, PlcType, PointDeclaration, Source, SourceContext,
    SourceDeclaration, SourceMeter,
};
use gwp_core::stop::{StopSource, stop_pair};
use gwp_core::{Batch, BoxFuture, Clock, GroupId, Quality, TagId, Timestamp, Value};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Nanoseconds of a millisecond.
pub const MS: i64 = 1_000_000;

/// No test runs a source longer, mostly on paused time.
const DEADLINE: Duration = Duration::from_secs(3_600);

/// A clock on the runtime's time, so that pausing that pauses this.
struct TestClock {
    begin: Timestamp,
    start: Instant,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.begin.plus(self.start.elapsed().as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let wait = at.since(self.now());
        // The runtime counts whole milliseconds; a slot must be over when its wait is.
        Box::pin(tokio::time::sleep(wait + Duration::from_micros(1)))
    }
}

/// A tag to declare: address, type, writable.
pub type Point<'a> = (&'a str, PlcType, bool);

/// Declares a source with one group per (period in ms, points).
pub fn declare(settings: &[(&str, SettingValue)], groups: &[(i64, &[Point<'_>])]) -> SourceDeclaration {
    let mut all = Settings::default();
    settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
    let mut tag = 0;
    let group = |(index, (period_ms, points)): (usize, &(i64, &[Point<'_>]))| {
        let first = tag;
        tag += points.len() as u32;
        let point = |(address, plc_type, writable): &Point<'_>| PointDeclaration {
            path: format!("plc.{address}").into(),
            address: (*address).into(),
            plc_type: *plc_type,
            writable: *writable,
            command: false,
        };
        GroupDeclaration {
            id: GroupId(index as u32),
            device: "plc".into(),
            device_settings: Settings::default(),
            period_ns: period_ms * MS,
            phase_ns: 0,
            tags: (first..tag).map(TagId).collect(),
            points: points.iter().map(point).collect(),
        }
    };
    let groups = groups.iter().enumerate().map(group).collect();
    SourceDeclaration { item: Declaration { name: "plc".into(), settings: all }, groups, device_time: false }
}

/// A setting of so many milliseconds.
pub fn ms(ms: i64) -> SettingValue {
    SettingValue::Duration(ms * MS)
}

/// A running source. It ends with this value.
pub struct Running {
    emissions: mpsc::UnboundedReceiver<Emission>,
    write: CommandSender,
    /// Counters of the source.
    pub meter: Arc<SourceMeter>,
    outlet: Outlet,
    stop: StopSource,
    task: tokio::task::JoinHandle<()>,
    deadline: Instant,
}

/// One slot of one group.
#[derive(Debug)]
pub enum Slot {
    Samples(SlotMark, Batch),
    Failed(SlotMark, Quality),
}

impl Running {
    /// Starts a source.
    pub fn of(source: Box<dyn Source>) -> Running {
        Running::at(source, Bookmarks::new(), Timestamp(1_000_000_000_000 * MS))
    }

    /// Starts one that goes on where a run before stood, by the time of the machine: that of a real server.
    pub fn going_on(source: Box<dyn Source>, bookmarks: Bookmarks) -> Running {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Running::at(source, bookmarks, Timestamp(now.as_nanos() as i64))
    }

    fn at(source: Box<dyn Source>, bookmarks: Bookmarks, begin: Timestamp) -> Running {
        let (write, commands) = command_channel();
        let (tx, emissions) = mpsc::unbounded_channel();
        let hand = Arc::new(move |emission, credit: Credit| {
            // The test may have seen enough; where a source stands it asks for.
            if !matches!(emission, Emission::Bookmark { .. }) {
                let _ = tx.send(emission);
            }
            // What the test has is as good as in the log.
            if let Some(receipt) = credit.settle() {
                receipt.give();
            }
        });
        let outlet = Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), hand);
        outlet.go_on_after(Carried { bookmarks, ..Carried::default() });
        let kept = outlet.clone();
        let (stop_source, stop) = stop_pair();
        let meter = Arc::new(SourceMeter::default());
        let clock = Arc::new(TestClock { begin, start: Instant::now() });
        let cx = SourceContext { outlet, clock, stop, meter: meter.clone(), commands, unpolled: [].into() };
        let task =
            tokio::spawn(async move { source.run(cx).await.expect("a source runs until it is stopped") });
        let deadline = Instant::now() + DEADLINE;
        Running { emissions, write, meter, outlet: kept, stop: stop_source, task, deadline }
    }

    /// Gives a command and does not wait for what becomes of it.
    pub fn write(&self, tag: u32, value: Value) -> gwp_core::command::Answer {
        let (command, answer) = Command::new(TagId(tag), value);
        assert!(self.write.send(command), "the queue has room");
        answer
    }

    /// Writes a tag and waits for what becomes of it; a dropped command counts as unknown.
    pub async fn written(&mut self, tag: u32, value: Value) -> Result<(), CommandFault> {
        let answer = self.write(tag, value);
        let answer = tokio::time::timeout_at(self.deadline, answer).await.expect("an answer comes");
        answer.unwrap_or_else(|_| Err(CommandFault::Unknown("dropped".into())))
    }

    /// The next thing it says.
    pub async fn next(&mut self) -> Emission {
        let next = tokio::time::timeout_at(self.deadline, self.emissions.recv()).await;
        next.expect("something comes").expect("it runs")
    }

    /// The next slot of a group; other groups and changes of `connected` are passed over.
    pub async fn slot(&mut self, group: u32) -> Slot {
        loop {
            match self.next().await {
                Emission::Samples { slot, batch } if batch.group == GroupId(group) => {
                    return Slot::Samples(slot, batch);
                }
                Emission::Failed { group: of, slot, why, .. } if of == GroupId(group) => {
                    return Slot::Failed(slot, why);
                }
                _ => {}
            }
        }
    }

    /// The next slot of a group in which all is good, within so many slots.
    pub async fn good_slot(&mut self, group: u32, slots: usize) -> Batch {
        for _ in 0..slots {
            if let Slot::Samples(_, batch) = self.slot(group).await
                && (0..batch.len()).all(|index| batch.qualities.get(index).is_good())
            {
                return batch;
            }
        }
        panic!("no good slot among {slots}");
    }

    /// Waits for a change of `connected`.
    pub async fn connected(&mut self) -> bool {
        loop {
            if let Emission::Connected { up, .. } = self.next().await {
                return up;
            }
        }
    }

    /// Ends it as a crash does: in the middle of whatever it is at. Where it stood, and what it had said.
    pub async fn crash(mut self) -> (Bookmarks, Vec<Emission>) {
        self.task.abort();
        let _ = self.task.await;
        let said = std::iter::from_fn(|| self.emissions.try_recv().ok()).collect();
        (self.outlet.bookmarks(), said)
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(self) {
        self.end().await;
    }

    /// The same; where it stood.
    pub async fn end(self) -> Bookmarks {
        self.stop.stop();
        tokio::time::timeout_at(self.deadline, self.task)
            .await
            .expect("it stops")
            .expect("it ends without panic");
        self.outlet.bookmarks()
    }
}

impl Slot {
    /// Quality of one point.
    pub fn quality(&self, index: usize) -> Quality {
        match self {
            Slot::Samples(_, batch) => batch.qualities.get(index),
            Slot::Failed(_, why) => *why,
        }
    }

    /// Number and skipped slots.
    pub fn mark(&self) -> SlotMark {
        match self {
            Slot::Samples(mark, _) | Slot::Failed(mark, _) => *mark,
        }
    }

    /// The batch of a slot that was read.
    pub fn batch(self) -> Batch {
        match self {
            Slot::Samples(_, batch) => batch,
            Slot::Failed(slot, why) => panic!("slot {slot:?} failed: {why}"),
        }
    }
}
