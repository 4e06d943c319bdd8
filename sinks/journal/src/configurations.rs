//! What the gateway keeps of its programs. Opaque here; it stands in the store so that every copy of that has it, in
//! the row of changes: before the record that names a plan comes what its program is.
//!
//! ```text
//! meta   configuration         which is in force, and what is about to be
//!        b/<configuration>     a program with who put it in force
//! ```

use crate::replica::Replica;
use crate::store::{Store, StoreError};
use fjall::Keyspace;
use std::collections::BTreeSet;

/// Key in `meta` of the state.
const STATE: &str = "configuration";
/// Prefix of the programs.
const BUNDLE: &str = "b/";

/// What is to be kept, all of it in one change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptConfigurations {
    /// None: what was said of it stays.
    pub state: Option<Vec<u8>>,
    /// Programs by id that are new.
    pub put: Vec<(String, Vec<u8>)>,
    /// If set: all others go.
    pub only: Option<BTreeSet<String>>,
}

/// Reads what is kept. It holds the store open: not for longer than a look.
pub struct Configurations {
    meta: Keyspace,
}

impl Configurations {
    /// Which is in force; none if nothing was ever kept.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn state(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(STATE)?.map(|bytes| bytes.to_vec()))
    }

    /// A program.
    ///
    /// # Errors
    /// The same.
    pub fn get(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(key(id))?.map(|bytes| bytes.to_vec()))
    }

    /// The programs that are kept.
    ///
    /// # Errors
    /// The same.
    pub fn ids(&self) -> Result<BTreeSet<String>, StoreError> {
        let id = |guard: fjall::Guard| {
            let key = guard.key()?;
            let id = std::str::from_utf8(&key[BUNDLE.len()..]).map(str::to_owned);
            id.map_err(|_| StoreError::Damaged("the list of configurations".into()))
        };
        self.meta.prefix(BUNDLE).map(id).collect()
    }
}

impl Store {
    pub fn configurations(&self) -> Configurations {
        Configurations { meta: self.meta.clone() }
    }

    /// Keeps what the gateway says of its programs.
    ///
    /// # Errors
    /// The write failed.
    pub fn keep_configurations(&mut self, kept: &KeptConfigurations) -> Result<(), StoreError> {
        let gone: Vec<String> = match &kept.only {
            Some(only) => self.configurations().ids()?.difference(only).cloned().collect(),
            None => Vec::new(),
        };
        let mut change = self.trail.begin();
        for (id, bytes) in &kept.put {
            change.insert(&self.meta, key(id), bytes.as_slice());
        }
        gone.iter().for_each(|id| change.remove(&self.meta, key(id)));
        if let Some(state) = &kept.state {
            change.insert(&self.meta, STATE, state.as_slice());
        }
        self.trail.commit(change)
    }
}

impl Replica {
    /// What the copy has; none while it is empty or not finished.
    pub fn configurations(&self) -> Option<Configurations> {
        self.place().map(|_| Configurations { meta: self.meta().clone() })
    }
}

fn key(id: &str) -> String {
    format!("{BUNDLE}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_kept_until_others_take_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap().store;
        assert_eq!(store.configurations().state().unwrap(), None);
        let put = |id: &str| vec![(id.to_owned(), id.as_bytes().to_vec())];
        for id in ["a", "b", "c"] {
            let kept = KeptConfigurations { state: Some(id.into()), put: put(id), only: None };
            store.keep_configurations(&kept).unwrap();
        }
        let only = Some(["c".to_owned(), "d".to_owned()].into());
        store.keep_configurations(&KeptConfigurations { state: None, put: put("d"), only }).unwrap();
        drop(store);
        let store = Store::open(folder.path()).unwrap().store;
        let kept = store.configurations();
        assert_eq!(kept.state().unwrap().as_deref(), Some(&b"c"[..]));
        assert_eq!(kept.ids().unwrap(), ["c".to_owned(), "d".to_owned()].into());
        assert_eq!((kept.get("a").unwrap(), kept.get("c").unwrap()), (None, Some(b"c".to_vec())));
    }
}
