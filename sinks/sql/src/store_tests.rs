//! Files are read back through a connection of their own, as people would.

use super::*;
use crate::fixture::*;
use crate::rows::FLOWS_MAX;
use crate::settings::Synchronous;
use gwp_core::batch::{Column, Qualities, Times};
use gwp_core::sink::FlowNames;
use gwp_core::{Batch, GroupId, Kind, Quality, TagId, Timestamp, Value};
use rusqlite::types::ValueRef;
use tempfile::TempDir;

fn options(dir: &TempDir) -> Options {
    Options {
        path: dir.path().join("new folder/plant.db"),
        table: "samples".into(),
        synchronous: Synchronous::Full,
        index_by_tag: false,
    }
}

/// Rows of a query, columns in one text each.
fn read(options: &Options, query: &str) -> Vec<String> {
    let connection = Connection::open(&options.path).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row| {
        let texts: Vec<String> = (0..columns)
            .map(|column| match row.get_ref_unwrap(column) {
                ValueRef::Null => "NULL".into(),
                ValueRef::Integer(v) => v.to_string(),
                ValueRef::Real(v) => format!("{v:?}"),
                ValueRef::Text(v) => String::from_utf8_lossy(v).into_owned(),
                ValueRef::Blob(v) => format!("{v:?}"),
            })
            .collect();
        Ok(texts.join(" "))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn open(options: &Options, incarnation: u8, epoch: u32) -> (Store, Option<Cursor>) {
    Store::open(options, identity(incarnation, epoch)).unwrap()
}

/// The error of an opening that must fail.
fn refused(options: &Options, epoch: u32) -> StoreError {
    match Store::open(options, identity(1, epoch)) {
        Ok(_) => panic!("it must not open"),
        Err(error) => error,
    }
}

#[test]
fn people_read_one_view_with_every_kind_of_value() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let (mut store, resume) = open(&options, 1, 3);
    assert_eq!(resume, None);
    let values = vec![
        Value::Float(61.5),
        Value::Int(i64::MIN),
        Value::UInt(u64::MAX),
        Value::Bool(true),
        Value::Text("it's".into()),
        Value::Bytes(vec![1, 255].into()),
        Value::Time(Timestamp(1_500)),
        Value::Nothing,
        Value::Float(f64::NAN),
        Value::Float(20.0),
    ];
    let mut batch = batch(1_767_268_800_123, values);
    batch.qualities.set(7, Quality::COMM_LOST, 10);
    store.write(&[delivery(&names(10), 1, batch)]).unwrap();
    assert_eq!(
        read(&options, "SELECT * FROM samples"),
        [
            "2026-01-01T12:00:00.123Z m.t0 61.5 good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t1 -9223372036854775808 good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t2 18446744073709551615 good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t3 1 good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t4 it's good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t5 [1, 255] good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t6 1500 good kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t7 NULL bad(comm_lost) kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t8 NULL bad(not_a_number) kW 0 1767268800123000000 0",
            "2026-01-01T12:00:00.123Z m.t9 20.0 good kW 0 1767268800123000000 0",
        ]
    );
    let kinds = read(&options, "SELECT DISTINCT typeof(value) FROM samples");
    assert_eq!(kinds, ["real", "integer", "text", "blob", "null"]);
}

#[test]
fn a_flagged_sample_says_so_and_a_file_of_before_gets_the_column() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let (mut store, _) = open(&options, 1, 3);
    store.write(&[delivery(&names(1), 1, batch(1, vec![Value::Int(1)]))]).unwrap();
    drop(store);
    // As a version without it has left it.
    let connection = Connection::open(&options.path).unwrap();
    connection
        .execute_batch(
            "DROP VIEW samples; ALTER TABLE samples_data DROP COLUMN backfill;
             CREATE VIEW samples AS SELECT time_ns, repeat, value FROM samples_data;",
        )
        .unwrap();
    drop(connection);
    let (mut store, resume) = open(&options, 1, 3);
    assert!(resume.is_some());
    let flagged = Batch { backfill: true, ..batch(2, vec![Value::Int(2)]) };
    store.write(&[delivery(&names(1), 2, flagged)]).unwrap();
    store.write(&[delivery(&names(1), 3, batch(3, vec![Value::Int(3)]))]).unwrap();
    let rows = read(&options, "SELECT value, quality, backfill FROM samples ORDER BY time_ns");
    assert_eq!(rows, ["1 good 0", "2 good 1", "3 good 0"]);
}

#[test]
fn times_repeats_and_renames_are_kept_exactly() {
    let dir = TempDir::new().unwrap();
    let options = Options { table: "odd \"name'; --".into(), ..options(&dir) };
    let mut flow =
        FlowNames { flow: "live".into(), tags: names(2).tags.clone(), renamed: Default::default() };
    flow.renamed.insert(TagId(1), "Ofen 'ü' \"x\"".into());
    let batch = Batch {
        group: GroupId::NONE,
        tags: [TagId(1), TagId(1), TagId(7)].into(),
        times: Times::Each(vec![
            Timestamp(1_999_999_999),
            Timestamp(1_999_999_999),
            Timestamp(2_000_000_001),
        ]),
        repeats: vec![0, 1, 0],
        values: Column::uniform(Kind::Int, vec![1, 2, 3]),
        qualities: Qualities::Same(Quality::GOOD),
        read_after_ns: 0,
        backfill: false,
    };
    let (mut store, _) = open(&options, 1, 3);
    store.write(&[delivery(&Arc::new(flow), 1, batch)]).unwrap();
    assert_eq!(
        read(&options, "SELECT time, path, value, repeat, time_ns FROM \"odd \"\"name'; --\""),
        [
            "1970-01-01T00:00:01.999Z Ofen 'ü' \"x\" 1 0 1999999999",
            "1970-01-01T00:00:01.999Z Ofen 'ü' \"x\" 2 1 1999999999",
            "1970-01-01T00:00:02.000Z ? 3 0 2000000001",
        ]
    );
}

#[test]
fn what_is_in_the_file_is_never_written_twice() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let flow = names(2);
    let all: Vec<_> = (1..=6).map(|seq| numbered(&flow, seq, 2)).collect();
    let (mut store, _) = open(&options, 1, 3);
    assert_eq!(store.write(&all[..3]).unwrap(), 6);
    drop(store);
    let (mut store, resume) = open(&options, 1, 4);
    assert_eq!(resume, Some(all[2].upto));
    // Deliveries may be cut differently the second time: parts below the cursor are left out.
    let mut merged = (*all[1]).clone();
    merged.upto = all[3].upto;
    merged.parts.extend([all[2].parts[0].clone(), all[3].parts[0].clone()]);
    assert_eq!(store.write(&[Arc::new(merged), all[4].clone()]).unwrap(), 4);
    assert_eq!(store.write(&all[..5]).unwrap(), 0, "the cursor never falls back");
    assert_eq!(read(&options, "SELECT count(*), max(value) FROM samples"), ["10 6"]);
    assert_eq!(
        read(
            &options,
            "SELECT epoch, position_epoch, position_seq, part, length(incarnation) FROM gwp_cursor"
        ),
        ["4 3 5 0 16"]
    );
}

#[test]
fn a_new_store_of_the_gateway_skips_nothing_and_the_key_leaves_no_doubles() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let flow = names(1);
    let (mut store, _) = open(&options, 1, 3);
    store.write(&[numbered(&flow, 1, 1), numbered(&flow, 2, 1)]).unwrap();
    drop(store);
    let (mut store, resume) = open(&options, 2, 1);
    assert_eq!(resume, None);
    let corrected = delivery(&flow, 1, batch(2, vec![Value::Int(20)]));
    assert_eq!(store.write(&[corrected]).unwrap(), 1);
    assert_eq!(read(&options, "SELECT time_ns, value FROM samples"), ["1000000 1", "2000000 20"]);
    assert_eq!(read(&options, "SELECT count(*) FROM gwp_cursor"), ["2"]);
}

#[test]
fn a_newer_epoch_fences_the_older_one() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let flow = names(1);
    let (mut older, _) = open(&options, 1, 3);
    older.write(&[numbered(&flow, 1, 1)]).unwrap();
    let (mut newer, resume) = open(&options, 1, 4);
    assert_eq!(resume, Some(numbered(&flow, 1, 1).upto));
    let error = older.write(&[numbered(&flow, 2, 1)]).unwrap_err();
    assert!(matches!(error, StoreError::Fenced { found: 4, own: 3, .. }), "{error}");
    assert!(error.needs_a_person());
    assert_eq!(newer.write(&[numbered(&flow, 2, 1)]).unwrap(), 1);
    let error = refused(&options, 3);
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    assert_eq!(read(&options, "SELECT count(*) FROM samples"), ["2"]);
}

#[test]
fn a_second_writer_of_the_same_epoch_is_noticed() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let flow = names(1);
    let (mut first, _) = open(&options, 1, 3);
    let (mut second, _) = open(&options, 1, 3);
    second.write(&[numbered(&flow, 1, 1)]).unwrap();
    let error = first.write(&[numbered(&flow, 1, 1)]).unwrap_err();
    assert!(matches!(error, StoreError::Displaced { .. }), "{error}");
    assert!(!error.needs_a_person());
}

#[test]
fn a_full_disk_writes_nothing_and_passes() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let flow = names(1_000);
    let (mut store, _) = open(&options, 1, 3);
    store.write(&[numbered(&flow, 1, 1_000)]).unwrap();
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    store.connection.query_row(&limit, [], |_| Ok(())).unwrap();
    let error = store.write(&[numbered(&flow, 2, 1_000)]).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(!error.needs_a_person());
    assert_eq!(read(&options, "SELECT count(*) FROM samples"), ["1000"]);
    drop(store);
    let (mut store, resume) = open(&options, 1, 3);
    assert_eq!(resume, Some(numbered(&flow, 1, 1).upto));
    assert_eq!(store.write(&[numbered(&flow, 2, 1_000)]).unwrap(), 1_000);
}

#[test]
fn a_locked_file_is_worth_another_try() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let (mut store, _) = open(&options, 1, 3);
    store.connection.busy_timeout(Duration::ZERO).unwrap();
    let other = Connection::open(&options.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write(&[numbered(&names(1), 1, 1)]).unwrap_err();
    assert!(error.to_string().contains("another program keeps it locked"), "{error}");
    assert!(!error.needs_a_person());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.write(&[numbered(&names(1), 1, 1)]).unwrap(), 1);
}

#[test]
fn what_is_no_database_of_ours_needs_a_person() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    std::fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    std::fs::write(
        &options.path,
        "this is a letter, and long enough to be mistaken for something else".repeat(99),
    )
    .unwrap();
    let error = refused(&options, 3);
    assert!(error.to_string().contains("not an SQLite database"), "{error}");
    assert!(error.needs_a_person());

    std::fs::remove_file(&options.path).unwrap();
    Connection::open(&options.path).unwrap().execute_batch("CREATE TABLE samples (mine)").unwrap();
    let error = refused(&options, 3);
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    assert!(error.needs_a_person());
    let clash = Options { table: "plant".into(), ..options.clone() };
    Connection::open(&options.path).unwrap().execute_batch("CREATE TABLE plant_data (mine)").unwrap();
    let error = refused(&clash, 3);
    assert!(error.to_string().contains("another `table`") && error.needs_a_person(), "{error}");

    let folder = Options { path: dir.path().into(), ..options };
    let error = refused(&folder, 3);
    assert!(error.to_string().contains("is it a folder"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_was_removed_is_not_written_any_more() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let (mut store, _) = open(&options, 1, 3);
    store.write(&[numbered(&names(1), 1, 1)]).unwrap();
    std::fs::remove_dir_all(options.path.parent().unwrap()).unwrap();
    let error = store.write(&[numbered(&names(1), 2, 1)]).unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    drop(store);
    // The next one begins a new file, with everything the journal still holds.
    let (mut store, resume) = open(&options, 1, 3);
    assert_eq!(resume, None);
    assert_eq!(store.write(&[numbered(&names(1), 2, 1)]).unwrap(), 1);
}

#[test]
fn the_second_index_comes_and_goes_with_its_setting() {
    let dir = TempDir::new().unwrap();
    let without = options(&dir);
    let with = Options { index_by_tag: true, ..without.clone() };
    let plan = "EXPLAIN QUERY PLAN SELECT * FROM samples WHERE path = 'm.t0'";
    let uses_index = |options: &Options| {
        open(options, 1, 3);
        read(options, plan).iter().any(|step| step.contains("samples_by_tag"))
    };
    assert!(!uses_index(&without));
    assert!(uses_index(&with));
    assert!(!uses_index(&without));
}

#[test]
fn flows_are_kept_in_bounds_and_never_confused() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir);
    let (mut store, _) = open(&options, 1, 3);
    for seq in 1..=3 * FLOWS_MAX as u64 {
        let flow = FlowNames {
            flow: "live".into(),
            tags: names(1).tags.clone(),
            renamed: [(TagId(0), format!("flow{seq}").into())].into(),
        };
        store.write(&[numbered(&Arc::new(flow), seq, 1)]).unwrap();
    }
    assert_eq!(store.known.flows.len(), FLOWS_MAX);
    let wrong = read(&options, "SELECT * FROM samples WHERE path <> 'flow' || value");
    assert!(wrong.is_empty(), "{wrong:?}");
}
