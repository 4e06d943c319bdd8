//! Round trips, torn and damaged files, locks, failures.

use super::*;
use crate::samples;
use gwp_redundancy::member::NodeId;
use gwp_redundancy::vote::{Mark, Promise};
use proptest::prelude::*;
use std::fs;

fn block(epoch: u32) -> Superblock {
    Superblock {
        promise: Promise { epoch, holder: Some(NodeId::Backup) },
        before: Promise { epoch: epoch - 1, holder: None },
        led: epoch.saturating_sub(2),
        whole: 0,
        mark: epoch.is_multiple_of(2).then_some(Mark { holder: NodeId::Primary, epoch, turn: 4, solo: true }),
    }
}

/// A file of two written slots (sequences 2 and 3, epochs 8 and 9), closed.
fn two_blocks() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes");
    let (mut file, ..) = SuperblockFile::open(&path).unwrap();
    file.write(&block(8)).unwrap();
    file.write(&block(9)).unwrap();
    (folder, path)
}

fn kept(path: &Path) -> Superblock {
    let (_, block, found) = SuperblockFile::open(path).unwrap();
    assert_eq!(found, Found::Kept);
    block
}

fn error(path: &Path) -> OpenError {
    SuperblockFile::open(path).unwrap_err()
}

#[test]
fn a_new_file_is_empty_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes");
    let (_, block, found) = SuperblockFile::open(&path).unwrap();
    assert_eq!((block, found), (Superblock::default(), Found::Fresh));
    assert_eq!(fs::metadata(&path).unwrap().len(), FILE as u64);
    assert_eq!(kept(&path), Superblock::default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other name is left");
}

#[test]
fn a_start_that_died_while_it_made_the_file_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes");
    fs::write(folder.path().join("votes.new"), vec![7; 3 * SLOT]).unwrap();
    let (file, block, found) = SuperblockFile::open(&path).unwrap();
    assert_eq!((block, found), (Superblock::default(), Found::Fresh));
    drop(file);
    fs::write(folder.path().join("votes.new"), b"of a process that was too late").unwrap();
    assert_eq!(kept(&path), Superblock::default());
}

#[test]
fn who_was_not_the_quickest_to_make_it_opens_it() {
    let (_folder, path) = two_blocks();
    let (file, found) = create(&path).unwrap();
    assert_eq!(found, Found::Kept);
    assert!(leads_to(&path, &file) && !path.with_extension("new").exists());
    assert!(matches!(create(&path), Err(OpenError::Locked { .. })));
}

#[test]
fn a_write_torn_at_any_byte_leaves_the_block_before_or_is_whole() {
    let (_folder, path) = two_blocks();
    let before = fs::read(&path).unwrap();
    let next = slot(4, &block(10));
    let length = next.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in 0..=length {
        for from_the_end in [false, true] {
            let mut torn = before.clone();
            let range = if from_the_end { cut..SLOT } else { 0..cut };
            torn[range.clone()].copy_from_slice(&next[range]);
            let all = torn[..SLOT] == next[..];
            assert_eq!(
                newest(&torn, &path).unwrap(),
                if all { (4, block(10)) } else { (3, block(9)) },
                "{cut}"
            );
        }
    }
    // And once through the file.
    let mut torn = before.clone();
    torn[..30].copy_from_slice(&next[..30]);
    fs::write(&path, torn).unwrap();
    assert_eq!(kept(&path), block(9));
}

#[test]
fn a_torn_slot_is_the_next_to_be_written() {
    let (_folder, path) = two_blocks();
    let mut bytes = fs::read(&path).unwrap();
    bytes[place(3) + HEAD] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (mut file, found, _) = SuperblockFile::open(&path).unwrap();
    assert_eq!(found, block(8));
    file.write(&block(11)).unwrap();
    drop(file);
    assert_eq!(kept(&path), block(11));
    let bytes = fs::read(&path).unwrap();
    assert_eq!(whole(&bytes[place(3)..]).map(|slot| slot.sequence), Some(3));
    assert_eq!(whole(&bytes[..SLOT]).map(|slot| slot.sequence), Some(2));
}

#[test]
fn without_a_whole_slot_it_is_an_error() {
    let (_folder, path) = two_blocks();
    let good = fs::read(&path).unwrap();
    let mut both = good.clone();
    both[HEAD] ^= 1;
    both[SLOT + HEAD] ^= 0x80;
    let mut long = good.clone();
    long.push(0);
    let cases = [both, vec![0; FILE], Vec::new(), good[..SLOT].to_vec(), good[..FILE - 1].to_vec(), long];
    for bytes in cases {
        fs::write(&path, &bytes).unwrap();
        let error = error(&path);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("vote twice") && error.to_string().contains("move the file away"));
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it was found");
    }
}

/// A slot whose CRC is right, whatever it says.
fn sealed(mut slot: Vec<u8>, body: usize) -> Vec<u8> {
    let crc = crc32fast::hash(&slot[..HEAD + body]).to_le_bytes();
    slot[HEAD + body..HEAD + body + CRC].copy_from_slice(&crc);
    slot
}

#[test]
fn another_version_and_strange_bodies_are_errors_beside_a_whole_slot() {
    let (_folder, path) = two_blocks();
    let good = fs::read(&path).unwrap();
    let body = u16::from_le_bytes([good[10], good[11]]) as usize;
    let with = |at: usize, byte: u8| {
        let mut slot = good[..SLOT].to_vec();
        slot[at] = byte;
        let mut bytes = good.clone();
        bytes[..SLOT].copy_from_slice(&sealed(slot, body));
        bytes
    };
    fs::write(&path, with(8, 2)).unwrap();
    let found = error(&path);
    assert!(matches!(found, OpenError::Version { version: 2, .. }), "{found}");
    assert!(found.to_string().contains("format 2, this one reads 1"));
    // No such holder; a sequence number that belongs into the other slot.
    for (at, byte) in [(HEAD + 4, 9), (12, 3)] {
        fs::write(&path, with(at, byte)).unwrap();
        assert!(matches!(error(&path), OpenError::Damaged { .. }));
    }
    fs::write(&path, with(8, 1)).unwrap();
    assert_eq!(kept(&path), block(9));
}

#[test]
fn a_second_one_is_kept_out() {
    let (_folder, path) = two_blocks();
    let (file, ..) = SuperblockFile::open(&path).unwrap();
    assert!(matches!(error(&path), OpenError::Locked { .. }));
    drop(file);
    assert_eq!(kept(&path), block(9));
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let found = error(&folder.path().join("no/votes"));
    assert!(matches!(found, OpenError::Io { action: "create", .. }), "{found}");
}

#[test]
fn after_a_failed_write_there_is_none() {
    let (_folder, path) = two_blocks();
    let (mut file, ..) = SuperblockFile::open(&path).unwrap();
    let writable = std::mem::replace(&mut file.file, File::open(&path).unwrap());
    assert!(matches!(file.write(&block(10)), Err(WriteError::Io { .. })));
    file.file = writable;
    assert!(matches!(file.write(&block(10)), Err(WriteError::Unusable { .. })), "also when it could");
    drop(file);
    assert_eq!(kept(&path), block(9));
}

#[cfg(unix)]
#[test]
fn a_vote_in_a_file_that_was_removed_is_none() {
    let (_folder, path) = two_blocks();
    let (mut file, ..) = SuperblockFile::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(file.write(&block(10)), Err(WriteError::Moved { .. })));
    assert!(matches!(file.write(&block(10)), Err(WriteError::Unusable { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_written_last_is_found(blocks in prop::collection::vec(samples::superblock(), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("votes");
        for block in &blocks {
            let (mut file, ..) = SuperblockFile::open(&path).unwrap();
            file.write(block).unwrap();
            file.write(block).unwrap();
            file.write(block).unwrap();
            drop(file);
            prop_assert_eq!(&kept(&path), block);
        }
    }

    #[test]
    fn any_two_slots_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 64), at in 0..FILE - 64) {
        let (_folder, path) = (0, Path::new("votes"));
        let mut file = [slot(2, &block(8)), slot(3, &block(9))].concat();
        file[at..at + 64].swap_with_slice(&mut bytes);
        if let Ok((sequence, found)) = newest(&file, path) {
            prop_assert!((sequence, found) == (2, block(8)) || (sequence, found) == (3, block(9)));
        }
    }
}
