//! The sink as the engine drives it.

use crate::Csv;
use crate::fixture::one;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::sink::*;
use gwp_core::stop::stop_pair;
use gwp_core::{Cursor, SinkId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

fn context(inlet: Inlet, meter: &Arc<SinkMeter>, stop: gwp_core::stop::Stop) -> SinkContext {
    let identity = SinkIdentity { incarnation: [1; 16], sink: SinkId(4), epoch: 3 };
    SinkContext { inlet, stop, identity, meter: meter.clone() }
}

fn sink(path: &Path) -> Box<dyn Sink> {
    let mut settings = Settings::default();
    settings.set("path", SettingValue::Text(path.to_string_lossy().into()));
    settings.set("rotate", SettingValue::Bytes(4_096));
    let item = Declaration { name: "file".into(), settings };
    match Csv.prepare(SinkDeclaration { item, timezone: "Europe/Berlin".into() }) {
        Ok(sink) => sink,
        Err(errors) => panic!("{errors:?}"),
    }
}

#[tokio::test]
async fn deliveries_are_on_the_disk_when_they_are_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new folder/a.csv");
    let deliveries: Vec<_> = (1..=500).map(|seq| one(seq, 0)).collect();
    let meter: Arc<SinkMeter> = Arc::default();
    let sink = sink(&path);
    let (mut handle, inlet) = inlet_pair(8, meter.clone());
    let (_stop, stop) = stop_pair();
    let run = sink.run(context(inlet, &meter, stop));
    let feed = async {
        assert!(matches!(handle.reports.recv().await, Some(SinkReport::Ready { resume: None })));
        let mut acked = Cursor::ZERO;
        for delivery in &deliveries {
            handle.deliveries.send(delivery.clone()).await.unwrap();
            while let Ok(report) = handle.reports.try_recv() {
                let SinkReport::Ack { upto } = report else { panic!("{report:?}") };
                assert!(upto > acked);
                acked = upto;
            }
        }
        drop(handle.deliveries);
        while let Some(SinkReport::Ack { upto }) = handle.reports.recv().await {
            acked = upto;
        }
        assert_eq!(acked, deliveries[499].upto);
    };
    let (result, ()) = tokio::join!(run, feed);
    result.unwrap();
    assert_eq!(meter.samples.load(Relaxed), 500);
    let mut values = Vec::new();
    let folder = path.parent().unwrap();
    let files = std::fs::read_dir(folder).unwrap().count();
    assert!(files > 3, "the size was reached several times");
    for file in (1..files).map(|number| format!("a.{number}.csv")).chain(["a.csv".into()]) {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        values
            .extend(text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(values, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_in_the_way_halts_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(dir.path());
    let meter: Arc<SinkMeter> = Arc::default();
    let (mut handle, inlet) = inlet_pair(8, meter.clone());
    let (_stop, stop) = stop_pair();
    let run = sink.run(context(inlet, &meter, stop));
    let feed = async {
        assert!(matches!(handle.reports.recv().await, Some(SinkReport::Ready { resume: None })));
        handle.deliveries.send(one(1, 0)).await.unwrap();
        assert!(handle.reports.recv().await.is_none(), "nothing is acknowledged");
    };
    let (result, ()) = tokio::join!(run, feed);
    let error = result.unwrap_err();
    assert_eq!(error.disposition, Disposition::Halt);
    assert!(error.message.contains("it is a folder"), "{error}");
}

/// One run on a file that another process has; gives whether the sink called itself ready.
#[cfg(unix)]
async fn run_once(sink: &dyn Sink, delivery: Option<Arc<Delivery>>) -> (bool, Result<(), SinkError>) {
    let meter: Arc<SinkMeter> = Arc::default();
    let (mut handle, inlet) = inlet_pair(8, meter.clone());
    let (_stop, stop) = stop_pair();
    if let Some(delivery) = delivery {
        handle.deliveries.send(delivery).await.unwrap();
    }
    drop(handle.deliveries);
    let result = sink.run(context(inlet, &meter, stop)).await;
    (matches!(handle.reports.try_recv(), Ok(SinkReport::Ready { .. })), result)
}

#[cfg(unix)]
#[tokio::test]
async fn after_a_failure_it_is_ready_only_when_the_file_can_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let sink = sink(&path);
    let other = std::fs::File::create(&path).unwrap();
    other.lock().unwrap();
    let (ready, result) = run_once(&*sink, Some(one(1, 0))).await;
    assert!(ready && result.is_err(), "the first time nothing is known yet");
    for _ in 0..3 {
        let (ready, result) = run_once(&*sink, Some(one(1, 0))).await;
        assert!(!ready && result.is_err());
    }
    drop(other);
    let (ready, result) = run_once(&*sink, Some(one(1, 0))).await;
    assert!(ready && result.is_ok(), "{result:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
    let (ready, _) = run_once(&*sink, None).await;
    assert!(ready);
}
