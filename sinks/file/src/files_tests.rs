//! Files are written, cut, rotated and read back.

use super::*;
use crate::fixture::*;
use crate::format::Column;
use crate::gzip;
use crate::path::Template;
use gwp_core::Value;
use gwp_core::batch::Times;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use tempfile::TempDir;

const HOUR_MS: i64 = 3_600_000;

fn options(dir: &TempDir, path: &str) -> Options {
    Options {
        path: Template::parse(&dir.path().join(path).to_string_lossy(), "demo").unwrap(),
        zone: TimeZone::UTC,
        columns: vec![Column::Value],
        separator: b',',
        rotate: None,
        gzip: false,
    }
}

/// Names and contents of all files in a folder; compressed ones unpacked.
fn contents(dir: &TempDir) -> BTreeMap<String, String> {
    let read = |path: &Path| match path.extension().is_some_and(|extension| extension == "gz") {
        true => {
            let mut text = String::new();
            flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
            text
        }
        false => std::fs::read_to_string(path).unwrap(),
    };
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

/// Expected names and contents.
fn files<const N: usize>(expected: [(&str, &str); N]) -> BTreeMap<String, String> {
    expected.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn pack_all(files: &mut Files) {
    while let Some(part) = files.take_finished() {
        gzip::pack(&part).unwrap();
    }
}

#[test]
fn samples_go_to_the_file_of_their_own_date() {
    let dir = TempDir::new().unwrap();
    let mut all = Files::new(options(&dir, "{date}-{hour}.csv"));
    let mut batch = batch(0, (0..6).map(Value::Int).collect());
    let hours = [0, 0, 1, 0, 25, 25];
    batch.times = Times::Each(hours.map(|hour| gwp_core::Timestamp::from_millis(hour * HOUR_MS)).into());
    let part = part(1, &names(6), batch);
    let delivery = Delivery { from: part.cursor, upto: part.cursor, parts: vec![part] };
    all.write(&[Arc::new(delivery)], Instant::now()).unwrap();
    assert_eq!(
        contents(&dir),
        files([
            ("1970-01-01-00.csv", "value\n0\n1\n3\n"),
            ("1970-01-01-01.csv", "value\n2\n"),
            ("1970-01-02-01.csv", "value\n4\n5\n"),
        ])
    );
}

#[test]
fn a_torn_line_is_cut_off_and_the_file_goes_on() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir, "demo.csv");
    Files::new(options.clone()).write(&[one(1, 0), one(2, 0)], Instant::now()).unwrap();
    let path = dir.path().join("demo.csv");
    for torn in ["3", "\"three\nlines\n", "\0\0\0\0"] {
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        drop(file);
        Files::new(options.clone()).write(&[one(3, 0)], Instant::now()).unwrap();
        assert_eq!(contents(&dir), files([("demo.csv", "value\n1\n2\n3\n")]), "{torn:?}");
        std::fs::write(&path, "value\n1\n2\n").unwrap();
    }
    // Even the header may be torn.
    std::fs::write(&path, "val").unwrap();
    Files::new(options).write(&[one(4, 0)], Instant::now()).unwrap();
    assert_eq!(contents(&dir), files([("demo.csv", "value\n4\n")]));
}

#[test]
fn a_file_with_other_columns_is_finished_as_it_is() {
    let dir = TempDir::new().unwrap();
    let options = options(&dir, "demo.csv");
    std::fs::write(dir.path().join("demo.csv"), "something,else\n1,2\n").unwrap();
    Files::new(options).write(&[one(1, 0)], Instant::now()).unwrap();
    assert_eq!(contents(&dir), files([("demo.1.csv", "something,else\n1,2\n"), ("demo.csv", "value\n1\n")]));
}

#[test]
fn a_full_file_gives_its_name_free() {
    let dir = TempDir::new().unwrap();
    let options = Options { rotate: Some(12), ..options(&dir, "demo.csv") };
    let mut all = Files::new(options.clone());
    let deliveries: Vec<_> = (1..=7).map(|seq| one(seq, 0)).collect();
    all.write(&deliveries, Instant::now()).unwrap();
    let expected = files([
        ("demo.1.csv", "value\n1\n2\n3\n"),
        ("demo.2.csv", "value\n4\n5\n6\n"),
        ("demo.csv", "value\n7\n"),
    ]);
    assert_eq!(contents(&dir), expected);
    // The size counts on over a restart, and so do the numbers.
    drop(all);
    Files::new(options).write(&[one(8, 0), one(9, 0)], Instant::now()).unwrap();
    assert_eq!(contents(&dir)["demo.3.csv"], "value\n7\n8\n9\n");
}

#[test]
fn past_files_are_compressed_once_they_rest() {
    let dir = TempDir::new().unwrap();
    let mut all = Files::new(Options { gzip: true, ..options(&dir, "{sink}-{date}-{hour}.csv") });
    let start = Instant::now();
    all.write(&[one(1, 0), one(2, HOUR_MS)], start).unwrap();
    all.retire(start + IDLE - Duration::from_secs(1)).unwrap();
    all.write(&[one(3, 0)], start + IDLE - Duration::from_secs(1)).unwrap();
    all.retire(start + IDLE).unwrap();
    assert_eq!(all.take_finished(), None, "the late line keeps it open, and the newest stays");
    all.retire(start + 3 * IDLE).unwrap();
    pack_all(&mut all);
    let packed = ("demo-1970-01-01-00.csv.gz", "value\n1\n3\n");
    assert_eq!(contents(&dir), files([packed, ("demo-1970-01-01-01.csv", "value\n2\n")]));
    // Later still: never into what is finished, and never over it.
    all.write(&[one(4, 0)], start + 4 * IDLE).unwrap();
    all.retire(start + 5 * IDLE).unwrap();
    pack_all(&mut all);
    let late = ("demo-1970-01-01-00.1.csv.gz", "value\n4\n");
    assert_eq!(contents(&dir), files([packed, late, ("demo-1970-01-01-01.csv", "value\n2\n")]));
}

#[test]
fn what_an_earlier_run_left_is_finished() {
    let dir = TempDir::new().unwrap();
    let left = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    left("demo-1969-12-30.csv", "value\n1\n");
    left("demo-1969-12-31.4.csv.gz.part", "value\n2\n");
    left("other.csv", "not ours");
    left("other.csv.gz.part", "not ours");
    let mut all = Files::new(Options { gzip: true, ..options(&dir, "{sink}-{date}.csv") });
    all.write(&[one(3, 0)], Instant::now()).unwrap();
    pack_all(&mut all);
    assert_eq!(
        contents(&dir),
        files([
            ("demo-1969-12-30.csv.gz", "value\n1\n"),
            ("demo-1969-12-31.4.csv.gz", "value\n2\n"),
            ("demo-1970-01-01.csv", "value\n3\n"),
            ("other.csv", "not ours"),
            ("other.csv.gz.part", "not ours"),
        ])
    );
}

#[test]
fn many_dates_at_once_stay_in_bounds() {
    let dir = TempDir::new().unwrap();
    let mut all = Files::new(options(&dir, "{date}.csv"));
    for round in 0..2 {
        let deliveries: Vec<_> =
            (0..30).map(|day| one(round * 30 + day, day as i64 * 24 * HOUR_MS)).collect();
        all.write(&deliveries, Instant::now()).unwrap();
        assert!(all.open.len() <= OPEN_MAX);
    }
    let found = contents(&dir);
    assert_eq!(found.len(), 30);
    assert_eq!(found["1970-01-30.csv"], "value\n29\n59\n");
}

#[test]
fn two_sinks_cannot_write_one_file() {
    let dir = TempDir::new().unwrap();
    let mut first = Files::new(options(&dir, "demo.csv"));
    first.write(&[one(1, 0)], Instant::now()).unwrap();
    let error = Files::new(options(&dir, "demo.csv")).write(&[one(2, 0)], Instant::now()).unwrap_err();
    assert!(matches!(error, FileError::Busy { .. }), "{error}");
    assert_eq!(contents(&dir), files([("demo.csv", "value\n1\n")]));
}

#[cfg(unix)]
#[test]
fn a_file_that_was_removed_is_noticed_and_begun_anew() {
    let dir = TempDir::new().unwrap();
    let mut all = Files::new(options(&dir, "demo.csv"));
    all.write(&[one(1, 0)], Instant::now()).unwrap();
    std::fs::remove_file(dir.path().join("demo.csv")).unwrap();
    let later = Instant::now() + Duration::from_millis(1);
    let error = all.write(&[one(2, 0)], later).unwrap_err();
    assert!(matches!(error, FileError::Moved { .. }), "{error}");
    Files::new(options(&dir, "demo.csv")).write(&[one(2, 0)], later).unwrap();
    assert_eq!(contents(&dir), files([("demo.csv", "value\n2\n")]));
}

#[test]
fn lines_of_a_failed_write_are_cut_off_again() {
    let dir = TempDir::new().unwrap();
    let mut all = Files::new(options(&dir, "{date}.csv"));
    all.write(&[one(1, 0)], Instant::now()).unwrap();
    // The second day's file cannot be made: a folder stands in its place.
    std::fs::create_dir(dir.path().join("1970-01-02.csv")).unwrap();
    let large: Vec<_> = (0..60_000).map(|seq| one(seq, 0)).chain([one(3, 24 * HOUR_MS)]).collect();
    let error = all.write(&large, Instant::now()).unwrap_err();
    assert!(error.needs_a_person() && error.to_string().ends_with("it is a folder"), "{error}");
    let text = std::fs::read_to_string(dir.path().join("1970-01-01.csv")).unwrap();
    assert_eq!(text, "value\n1\n");
}

#[test]
fn errors_say_what_to_do() {
    let error =
        |kind| FileError::Io { doing: "write", path: "a.csv".into(), source: std::io::Error::from(kind) };
    let full = error(ErrorKind::StorageFull);
    assert!(full.to_string().contains("the disk is full") && !full.needs_a_person());
    assert!(error(ErrorKind::PermissionDenied).needs_a_person());
}
