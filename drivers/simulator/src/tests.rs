//! The driver as a whole: declarations in, emissions out.

use super::*;
use gwp_core::command::{Answer, Command, Commands, command_channel};
use gwp_core::edge::Edge;
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::source::{Emission, Outlet, SourceMeter};
use gwp_core::stop::stop_pair;
use gwp_core::{Clock, GroupId, TagId};
use std::io::Write;

const S: i64 = 1_000_000_000;

/// A clock that jumps to whatever time is waited for, up to an end.
struct JumpClock {
    now: Mutex<i64>,
    end: i64,
}

impl Clock for JumpClock {
    fn now(&self) -> Timestamp {
        Timestamp(*self.now.lock().unwrap())
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        if at.0 > self.end {
            return Box::pin(std::future::pending());
        }
        *self.now.lock().unwrap() = at.0;
        Box::pin(std::future::ready(()))
    }
}

fn declaration(points: &[(&str, PlcType)]) -> SourceDeclaration {
    let mut settings = Settings::default();
    settings.set("seed", SettingValue::Int(7));
    let point = |(index, (address, plc_type)): (usize, &(&str, PlcType))| PointDeclaration {
        path: format!("demo.t{index}").into(),
        address: (*address).into(),
        plc_type: *plc_type,
        writable: false,
        command: false,
    };
    SourceDeclaration {
        item: Declaration { name: "demo".into(), settings },
        groups: vec![GroupDeclaration {
            id: GroupId(0),
            device: "demo".into(),
            device_settings: Settings::default(),
            period_ns: S,
            phase_ns: 0,
            tags: (0..points.len() as u32).map(TagId).collect(),
            points: points.iter().enumerate().map(point).collect(),
        }],
        device_time: false,
    }
}

/// Runs a source over the slots after `from` up to `to` seconds and returns all it emitted.
async fn run(declaration: SourceDeclaration, from: i64, to: i64) -> Vec<Emission> {
    run_with(declaration, from, to, Commands::none()).await
}

async fn run_with(declaration: SourceDeclaration, from: i64, to: i64, commands: Commands) -> Vec<Emission> {
    let source = Simulator.prepare(declaration).map_err(|errors| format!("{errors:?}")).unwrap();
    let emissions = Arc::new(Mutex::new(Vec::new()));
    let (stop_source, stop) = stop_pair();
    let stop_source = Mutex::new(Some(stop_source));
    let kept = emissions.clone();
    let outlet = Outlet::new(
        Edge::new(SOURCE_CREDIT_SAMPLES),
        Arc::new(move |emission, _credit| {
            if matches!(&emission, Emission::Samples { batch, .. } if batch.times.get(0) == Timestamp(to * S))
            {
                stop_source.lock().unwrap().take();
            }
            kept.lock().unwrap().push(emission);
        }),
    );
    let clock = Arc::new(JumpClock { now: Mutex::new(from * S), end: to * S });
    let meter = Arc::new(SourceMeter::default());
    let cx = SourceContext { outlet, clock, stop, meter, commands, unpolled: [].into() };
    source.run(cx).await.unwrap();
    drop(source);
    std::mem::take(&mut *emissions.lock().unwrap())
}

#[tokio::test]
async fn every_slot_has_its_values_and_a_second_run_the_same() {
    let points = [
        ("ramp 0..100 every 10 s", PlcType::Real),
        ("counter 0..3", PlcType::Uint),
        ("random 8..12", PlcType::Lreal),
        ("square 0..1 every 4 s", PlcType::Bool),
        ("constant run", PlcType::String),
    ];
    let first = run(declaration(&points), 100, 104).await;
    assert!(matches!(first[0], Emission::Connected { up: true, .. }));
    let batches: Vec<_> = first[1..]
        .iter()
        .map(|emission| match emission {
            Emission::Samples { slot, batch } => (slot.number, batch.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(batches.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [101, 102, 103, 104]);
    let (_, batch) = &batches[0];
    assert_eq!(batch.values.get(0), Value::Float(10.0));
    assert_eq!(batch.values.get(1), Value::Int(1));
    assert_eq!(batch.values.get(4), Value::Text("run".into()));
    assert_eq!(
        batches.iter().map(|(_, b)| b.values.get(3)).collect::<Vec<_>>(),
        [Value::Bool(false), Value::Bool(true), Value::Bool(true), Value::Bool(false)]
    );
    let again = run(declaration(&points), 101, 104).await;
    let Emission::Samples { batch, .. } = &again[1] else { panic!("{:?}", again[1]) };
    assert_eq!(batch, &batches[1].1);
}

#[tokio::test]
async fn a_written_tag_keeps_its_value() {
    let (sender, commands) = command_channel();
    let (command, answer): (Command, Answer) = Command::new(TagId(1), Value::Int(77));
    let (nobody, no_answer) = Command::new(TagId(9), Value::Int(1));
    assert!(sender.send(command) && sender.send(nobody));
    let points = [("constant 5", PlcType::Int), ("counter 0..3", PlcType::Uint)];
    let emissions = run_with(declaration(&points), 100, 103, commands).await;
    for emission in &emissions[1..] {
        let Emission::Samples { batch, .. } = emission else { panic!("{emission:?}") };
        assert_eq!((batch.values.get(0), batch.values.get(1)), (Value::Int(5), Value::Int(77)));
    }
    assert_eq!(answer.await.unwrap(), Ok(()));
    assert!(no_answer.await.unwrap().is_err());
}

#[tokio::test]
async fn a_file_is_replayed_by_slot_number_and_starts_again() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a,b\n10,1.5\n20,\n30,3.5\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (a, b) = (format!("replay {path} column a"), format!("replay {path} column b"));
    let emissions = run(declaration(&[(&a, PlcType::Dint), (&b, PlcType::Real)]), 3, 7).await;
    let rows: Vec<_> = emissions[1..]
        .iter()
        .map(|emission| match emission {
            Emission::Samples { batch, .. } => {
                (batch.values.get(0), batch.values.get(1), batch.qualities.get(1))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows[0], (Value::Int(20), Value::Nothing, Quality::BAD));
    assert_eq!(rows[1], (Value::Int(30), Value::Float(3.5), Quality::GOOD));
    assert_eq!(rows[2], (Value::Int(10), Value::Float(1.5), Quality::GOOD));
    assert_eq!(rows[3].0, Value::Int(20));
}

#[test]
fn all_errors_are_reported_at_once_each_at_its_place() {
    let declaration = declaration(&[
        ("sine 0..1", PlcType::Real),
        ("ramp 0..70000 every 1 s", PlcType::Uint),
        ("constant on", PlcType::Bool),
        ("replay no/such.csv column a", PlcType::Int),
        ("constant 5", PlcType::Int),
    ]);
    let checked = Simulator.check(&declaration);
    let places: Vec<_> = checked.iter().map(|error| error.place.clone()).collect();
    assert_eq!(
        places,
        [
            Place::Address { group: 0, point: 0 },
            Place::Type { group: 0, point: 1 },
            Place::Address { group: 0, point: 2 },
        ]
    );
    assert_eq!(checked[1].message, "uint cannot hold 0..70000");
    let prepared = Simulator.prepare(declaration).err().unwrap();
    assert_eq!(prepared.len(), 4);
    assert!(prepared[3].message.starts_with("no/such.csv cannot be read: "), "{}", prepared[3].message);
}

#[test]
fn every_address_of_the_manifest_is_one() {
    let traits = Simulator.manifest().source().unwrap();
    for (form, _) in traits.addresses {
        assert!(signal::parse(form).is_ok(), "{form}");
    }
    let declaration = declaration(&[("constant 5", PlcType::Int)]);
    assert_eq!(Simulator.load(&declaration), [GroupLoad::default()]);
}
