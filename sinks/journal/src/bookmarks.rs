//! Where sources stand: what a device or a server keeps for the gateway, by the names that a next run needs. Opaque
//! here; it stands in the row of changes, so every copy of the store has it.
//!
//! ```text
//! meta   m/<source>/<name>     bytes of the source's own making
//! ```
//! A commit has a bookmark with all records that were asked for before it, or after them: what a bookmark says to be
//! in the log is there. The other way round a crash may leave records that no bookmark tells of; a source is given
//! those once more.

use crate::change::Change;
use crate::store::{Store, StoreError};
use gwp_core::source::Bookmarks;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Prefix in `meta`. Names of sources have no slash.
const MARK: &str = "m/";

impl Store {
    /// What is kept of all sources, by their names.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn bookmarks(&self) -> Result<BTreeMap<String, Bookmarks>, StoreError> {
        let mut of_sources: BTreeMap<String, Bookmarks> = BTreeMap::new();
        for guard in self.meta.prefix(MARK) {
            let (key, value) = guard.into_inner()?;
            let (source, name) = parts(&key)?;
            of_sources.entry(source.to_owned()).or_default().insert(name.to_owned(), Arc::from(&value[..]));
        }
        Ok(of_sources)
    }

    /// Forgets sources that are not there any more.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn keep_bookmarks_of(&mut self, is_there: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        for guard in self.meta.prefix(MARK) {
            let key = guard.key()?;
            if !is_there(parts(&key)?.0) {
                gone.push(key);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let mut change = self.trail.begin();
        gone.into_iter().for_each(|key| change.remove(&self.meta, key));
        self.trail.commit(change)
    }

    /// One without bytes is none.
    pub(crate) fn put_bookmarks(
        &self,
        change: &mut Change,
        bookmarks: &BTreeMap<(Arc<str>, String), Arc<[u8]>>,
    ) {
        for ((source, name), bytes) in bookmarks {
            let key = format!("{MARK}{source}/{name}");
            match bytes.is_empty() {
                true => change.remove(&self.meta, key),
                false => change.insert(&self.meta, key, &bytes[..]),
            }
        }
    }
}

fn parts(key: &[u8]) -> Result<(&str, &str), StoreError> {
    let key = key.get(MARK.len()..).and_then(|key| std::str::from_utf8(key).ok());
    key.and_then(|key| key.split_once('/')).ok_or_else(|| StoreError::Damaged("where a source stands".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Work;
    use gwp_core::Timestamp;

    fn put(store: &mut Store, source: &str, name: &str, bytes: &[u8]) {
        let bookmarks = [((source.into(), name.into()), bytes.into())].into();
        store.commit(Work { bookmarks, ..Work::default() }, Timestamp(1)).unwrap();
    }

    #[test]
    fn the_last_word_of_each_source_is_kept_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap().store;
        for (source, name, bytes) in
            [("a", "x", "1"), ("a", "y", "2"), ("b", "x", "3"), ("a", "x", "4"), ("a", "y", "")]
        {
            put(&mut store, source, name, bytes.as_bytes());
        }
        drop(store);
        let mut store = Store::open(folder.path()).unwrap().store;
        let kept = |store: &Store| -> Vec<(String, String, Vec<u8>)> {
            let of_sources = store.bookmarks().unwrap().into_iter();
            let each = |(source, bookmarks): (String, Bookmarks)| {
                bookmarks.into_iter().map(move |(name, bytes)| (source.clone(), name, bytes.to_vec()))
            };
            of_sources.flat_map(each).collect()
        };
        let all = [("a", "x", "4"), ("b", "x", "3")];
        let all = all.map(|(source, name, bytes)| (source.into(), name.into(), bytes.into()));
        assert_eq!(kept(&store), all);
        store.keep_bookmarks_of(|source| source == "b").unwrap();
        assert_eq!(kept(&store), all[1..]);
        let place = store.place();
        store.keep_bookmarks_of(|source| source == "b").unwrap();
        assert_eq!(store.place(), place, "nothing is written when none is gone");
    }
}
