//! The sink as the engine drives it.

use crate::Sqlite;
use crate::fixture::*;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::sink::*;
use gwp_core::stop::stop_pair;
use gwp_core::{Cursor, SinkId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

fn sink(path: &Path) -> Box<dyn Sink> {
    let mut settings = Settings::default();
    settings.set("path", SettingValue::Text(path.to_string_lossy().into()));
    let item = Declaration { name: "db".into(), settings };
    match Sqlite.prepare(SinkDeclaration { item, timezone: "UTC".into() }) {
        Ok(sink) => sink,
        Err(errors) => panic!("{errors:?}"),
    }
}

/// Runs the sink over deliveries it is given one after the other; gives where it resumed and what it said.
async fn deliver(
    path: &Path,
    deliveries: &[Arc<Delivery>],
    meter: &Arc<SinkMeter>,
) -> (Option<Cursor>, Result<(), SinkError>, Vec<SinkReport>) {
    let sink = sink(path);
    let (mut handle, inlet) = inlet_pair(8, meter.clone());
    let (_stop, stop) = stop_pair();
    let identity = SinkIdentity { incarnation: [1; 16], sink: SinkId(4), epoch: 3 };
    let run = sink.run(SinkContext { inlet, stop, identity, meter: meter.clone() });
    let feed = async {
        let Some(SinkReport::Ready { resume }) = handle.reports.recv().await else {
            return (None, Vec::new());
        };
        for delivery in deliveries {
            if handle.deliveries.send(delivery.clone()).await.is_err() {
                break;
            }
        }
        drop(handle.deliveries);
        let mut reports = Vec::new();
        while let Some(report) = handle.reports.recv().await {
            reports.push(report);
        }
        (resume, reports)
    };
    let (result, (resume, reports)) = tokio::join!(run, feed);
    (resume, result, reports)
}

#[tokio::test]
async fn deliveries_are_committed_acknowledged_in_order_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let flow = names(3);
    let all: Vec<_> = (1..=200).map(|seq| numbered(&flow, seq, 3)).collect();
    let meter = Arc::default();
    let (resume, result, reports) = deliver(&path, &all, &meter).await;
    result.unwrap();
    assert_eq!(resume, None);
    let acked: Vec<Cursor> = reports
        .iter()
        .map(|report| match report {
            SinkReport::Ack { upto } => *upto,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(acked.is_sorted());
    assert_eq!(acked.last(), Some(&all[199].upto));
    assert!(acked.len() <= 200);
    assert_eq!(meter.samples.load(Relaxed), 600);
    assert_eq!(meter.connected.load(Relaxed), 0);

    let (resume, result, _) = deliver(&path, &all[190..], &meter).await;
    result.unwrap();
    assert_eq!(resume, Some(all[199].upto));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let count: i64 = connection.query_row("SELECT count(*) FROM samples", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 600);
}

#[tokio::test]
async fn a_file_that_is_no_database_halts_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    std::fs::write(&path, "x".repeat(9_999)).unwrap();
    let (_, result, _) = deliver(&path, &[], &Arc::default()).await;
    let error = result.unwrap_err();
    assert_eq!(error.disposition, Disposition::Halt);
    assert!(error.message.contains("name another `path`"), "{error}");
}

#[tokio::test]
async fn a_stop_ends_it_without_waiting_for_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(&dir.path().join("a.db"));
    let meter: Arc<SinkMeter> = Arc::default();
    let (mut handle, inlet) = inlet_pair(8, meter.clone());
    let (stopper, stop) = stop_pair();
    let run = sink.run(SinkContext { inlet, stop, identity: identity(1, 3), meter });
    let feed = async {
        assert!(matches!(handle.reports.recv().await, Some(SinkReport::Ready { resume: None })));
        stopper.stop();
    };
    let (result, ()) = tokio::join!(run, feed);
    result.unwrap();
}

#[tokio::test]
async fn who_comes_after_a_newer_epoch_is_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let meter = Arc::default();
    let (_, result, _) = deliver(&path, &[], &meter).await;
    result.unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute("update gwp_cursor set epoch = 7", []).unwrap();
    let (_, result, _) = deliver(&path, &[], &meter).await;
    let error = result.unwrap_err();
    assert_eq!(error.disposition, Disposition::Superseded { by: Some(7) }, "{error}");
}
