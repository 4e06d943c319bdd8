use super::super::certificate::tests::certificate;
use super::*;

const URL: &str = "opc.tcp://10.1.4.40:4840";

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

#[test]
fn an_unknown_server_is_kept_until_it_is_trusted() {
    let store = Store::at(crate::scratch("store"));
    let plc = certificate("line 1", &[]);
    assert_eq!(store.judge(&plc, URL, time(0)).unwrap(), Trust::Rejected);
    assert_eq!(store.judge(&plc, "opc.tcp://elsewhere", time(9)).unwrap(), Trust::Rejected);
    let entry = store.find(&plc.thumbprint[..8]).unwrap();
    assert_eq!(entry.trust, Trust::Rejected);
    assert_eq!(entry.seen, Some(Seen { url: URL.into(), time: time(0) }));

    assert!(store.put(&entry.facts, Trust::Trusted).unwrap());
    assert!(!store.put(&entry.facts, Trust::Trusted).unwrap());
    assert_eq!(store.judge(&plc, URL, time(10)).unwrap(), Trust::Trusted);
    let (entries, strange) = store.list().unwrap();
    assert_eq!((entries.len(), strange.len()), (1, 0));
    assert_eq!(entries[0].file, store.folder().join("trusted").join(&plc.file_name));
    assert_eq!(entries[0].seen.as_ref().unwrap().time, time(0));

    assert!(store.put(&plc, Trust::Rejected).unwrap());
    assert_eq!(store.judge(&plc, URL, time(11)).unwrap(), Trust::Rejected);
    fs::remove_dir_all(store.folder()).unwrap();
}

#[test]
fn a_file_that_was_put_there_by_hand_counts() {
    let store = Store::at(crate::scratch("byhand"));
    let plc = certificate("line 2", &[]);
    store.judge(&plc, URL, time(0)).unwrap();
    // A copy under a name of the operator's, the rejected one still there: trusted wins.
    fs::write(store.folder().join("trusted/my plc.crt"), &plc.der).unwrap();
    assert_eq!(store.judge(&plc, URL, time(1)).unwrap(), Trust::Trusted);
    let (entries, _) = store.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].file.file_name().unwrap().to_str().unwrap(), plc.file_name);
    // What is no certificate is told, and in nobody's way.
    fs::write(store.folder().join("trusted/notes.txt"), "call Anna").unwrap();
    assert_eq!(store.list().unwrap().1, [store.folder().join("trusted/notes.txt")]);
    fs::remove_dir_all(store.folder()).unwrap();
}

#[test]
fn rejected_certificates_are_bounded_and_the_oldest_go() {
    let store = Store::at(crate::scratch("bounded"));
    let all: Vec<Facts> =
        (0..REJECTED_MAX + 3).map(|number| certificate(&format!("line {number}"), &[])).collect();
    for (facts, second) in all.iter().zip(0..) {
        store.judge(facts, URL, time(second)).unwrap();
    }
    assert_eq!(store.list().unwrap().0.len(), REJECTED_MAX);
    for (number, facts) in all.iter().enumerate() {
        assert_eq!(store.find(&facts.thumbprint).is_ok(), number >= 3, "{number}");
    }
    let files = fs::read_dir(store.folder().join("rejected")).unwrap().count();
    assert_eq!(files, 2 * REJECTED_MAX);
    fs::remove_dir_all(store.folder()).unwrap();
}

#[test]
fn thumbprints_are_found_as_people_write_them() {
    let store = Store::at(crate::scratch("find"));
    assert!(matches!(store.find("ab"), Err(StoreError::Unknown(_))));
    let plc = certificate("line 1", &[]);
    store.put(&plc, Trust::Trusted).unwrap();
    let spaced: Vec<String> =
        plc.thumbprint.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).to_uppercase()).collect();
    assert_eq!(store.find(&spaced.join(":")).unwrap().facts.der, plc.der);
    assert!(matches!(store.find("xyz"), Err(StoreError::Unknown(_))));
    assert!(matches!(store.find(""), Err(StoreError::Unknown(_))));
    fs::remove_dir_all(store.folder()).unwrap();
}

#[test]
fn a_name_that_would_leave_the_folder_is_refused() {
    let store = Store::at(crate::scratch("names"));
    let mut plc = certificate("line 1", &[]);
    for name in ["..\\..\\x.der".to_owned(), "a:b.der".into(), "x".repeat(300), "a\nb".into()] {
        plc.file_name = name;
        assert!(matches!(store.put(&plc, Trust::Trusted), Err(StoreError::Name { .. })));
    }
    fs::remove_dir_all(store.folder()).unwrap();
}
