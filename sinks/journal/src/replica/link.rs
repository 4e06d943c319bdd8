//! A link between a store and its copy that does what links do, for tests.

use super::*;
use crate::change::Mirror;
use crate::snapshot::Snapshot;
use crate::store::model::copy_dir;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

pub(crate) type Contents = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

/// Everything in a database; a keyspace without entries is as good as none.
pub(crate) fn contents(db: &Database) -> Contents {
    let mut all = Contents::new();
    for name in db.list_keyspace_names() {
        let keyspace = db.keyspace(&name, keyspace_options).unwrap();
        let entries = keyspace.iter().map(|guard| guard.into_inner().unwrap());
        let entries: Vec<_> = entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        if !entries.is_empty() {
            all.insert(name.to_string(), entries);
        }
    }
    all
}

/// Names what differs, which whole databases in a message would not.
pub(crate) fn assert_equal(one: &Contents, other: &Contents) {
    let names = |all: &Contents| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
    for (name, entries) in one {
        for (left, right) in entries.iter().zip(&other[name]) {
            assert_eq!(left, right, "in {name} at {}", String::from_utf8_lossy(&left.0));
        }
        assert_eq!(entries.len(), other[name].len(), "entries of {name}");
    }
}

/// Keeps the frames of a store. Each is made before it is durable, and becomes it next.
#[derive(Clone, Default)]
pub(crate) struct Frames(Arc<Mutex<Vec<Made>>>);

/// A frame, and whether it is durable at the original.
type Made = (Head, Arc<[u8]>, bool);

impl Mirror for Frames {
    fn made(&mut self, head: &Head, frame: Option<Arc<[u8]>>) {
        let mut frames = self.0.lock().unwrap();
        if let Some((last, _, durable)) = frames.last() {
            assert!(*durable && last.place == head.before && last.hash == head.hash_before);
        }
        frames.push((*head, frame.unwrap(), false));
    }

    fn durable(&mut self, place: Place) {
        let mut frames = self.0.lock().unwrap();
        let (last, _, durable) = frames.last_mut().unwrap();
        assert!(!*durable && last.place == place);
        *durable = true;
    }
}

impl Frames {
    pub(crate) fn get(&self, index: usize) -> Option<(Head, Arc<[u8]>)> {
        self.0.lock().unwrap().get(index).map(|(head, frame, _)| (*head, frame.clone()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Index of the frame after a place.
    fn after(&self, place: Place) -> usize {
        self.0.lock().unwrap().partition_point(|(head, ..)| head.place <= place)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum LinkStep {
    /// The next frames arrive, one by one or together.
    Deliver {
        count: u8,
        together: bool,
    },
    /// A frame that was there before comes again.
    Again {
        back: u8,
    },
    /// A frame is lost on the way.
    Lose,
    /// The copy is opened anew, after a kill or an orderly end.
    Open {
        killed: bool,
    },
    /// A full copy begins, whatever was there.
    Full,
    Pieces(u8),
}

pub(crate) fn link_steps() -> impl Strategy<Value = LinkStep> {
    prop_oneof![
        6 => (1u8..8, any::<bool>()).prop_map(|(count, together)| LinkStep::Deliver { count, together }),
        1 => (1u8..5).prop_map(|back| LinkStep::Again { back }),
        1 => Just(LinkStep::Lose),
        1 => any::<bool>().prop_map(|killed| LinkStep::Open { killed }),
        1 => Just(LinkStep::Full),
        4 => (1u8..20).prop_map(LinkStep::Pieces),
    ]
}

/// A copy and what is on its way to it.
pub(crate) struct Link {
    pub dir: tempfile::TempDir,
    pub replica: Option<Replica>,
    pub frames: Frames,
    snapshot: Option<Snapshot>,
}

impl Link {
    /// An empty copy; the store tells its changes from now on.
    pub(crate) fn new(store: &mut Store) -> Link {
        let dir = tempfile::tempdir().unwrap();
        let replica = Some(Replica::open(dir.path()).unwrap());
        let link = Link { dir, replica, frames: Frames::default(), snapshot: None };
        store.set_mirror(Some(Box::new(link.frames.clone())));
        link
    }

    pub(crate) fn replica(&mut self) -> &mut Replica {
        self.replica.as_mut().unwrap()
    }

    pub(crate) fn step(&mut self, store: &Store, step: &LinkStep) {
        match *step {
            LinkStep::Deliver { count, together } => self.deliver(usize::from(count), together),
            LinkStep::Again { back } => self.again(usize::from(back)),
            LinkStep::Lose => self.lose(),
            LinkStep::Open { killed } => self.open(killed),
            LinkStep::Full => self.begin_full(store),
            LinkStep::Pieces(count) => self.pieces(usize::from(count)),
        }
    }

    fn deliver(&mut self, count: usize, together: bool) {
        let Some(place) = self.replica().place() else {
            if let Some((head, frame)) = self.frames.get(0) {
                let before = contents(&self.replica().db);
                assert_eq!(self.replica().apply(&head, &frame).unwrap(), Verdict::Gap { after: Place::ZERO });
                assert_equal(&contents(&self.replica().db), &before);
            }
            return;
        };
        let start = self.frames.after(place);
        let next: Vec<_> = (start..start + count).map_while(|index| self.frames.get(index)).collect();
        let Some(last) = next.last().map(|(head, _)| *head) else { return };
        if together {
            let frames = next.iter().map(|(head, frame)| (head, &**frame));
            assert_eq!(self.replica().apply_many(frames).unwrap(), Verdict::Append);
        } else {
            for (head, frame) in &next {
                assert_eq!(self.replica().apply(head, frame).unwrap(), Verdict::Append);
            }
        }
        assert_eq!(self.replica().place(), Some(last.place));
        assert_eq!(self.replica().standing().unwrap().unwrap().hash, last.hash);
    }

    fn again(&mut self, back: usize) {
        let Some(place) = self.replica().place() else { return };
        let start = self.frames.after(place);
        for (head, frame) in
            (start.saturating_sub(back)..start).filter_map(|index| self.frames.get(index)).collect::<Vec<_>>()
        {
            assert_eq!(self.replica().apply(&head, &frame).unwrap(), Verdict::Have);
        }
        assert_eq!(self.replica().place(), Some(place));
    }

    fn lose(&mut self) {
        let Some(place) = self.replica().place() else { return };
        if let Some((head, frame)) = self.frames.get(self.frames.after(place) + 1) {
            assert_eq!(self.replica().apply(&head, &frame).unwrap(), Verdict::Gap { after: place });
            assert_eq!(self.replica().place(), Some(place));
        }
    }

    fn open(&mut self, killed: bool) {
        let before = (contents(&self.replica().db), self.replica().standing().unwrap());
        if killed {
            // As after a kill: the files as they are while it still runs.
            let copy = tempfile::tempdir().unwrap();
            copy_dir(self.dir.path(), copy.path());
            self.replica = None;
            self.dir = copy;
        }
        self.replica = None;
        self.snapshot = None;
        if before.1.is_none() && before.0.contains_key("meta") {
            let refused = Store::open(self.dir.path());
            assert!(matches!(refused.map(|_| ()), Err(StoreError::Unfinished)), "half a copy is no store");
        }
        self.replica = Some(Replica::open(self.dir.path()).unwrap());
        assert_eq!(self.replica().standing().unwrap(), before.1);
        assert_equal(&contents(&self.replica().db), &before.0);
    }

    fn begin_full(&mut self, store: &Store) {
        let snapshot = store.snapshot().unwrap().with_piece_bytes(700);
        self.replica().begin_full(snapshot.place(), snapshot.hash()).unwrap();
        assert_eq!(self.replica().place(), None);
        self.snapshot = Some(snapshot);
    }

    fn pieces(&mut self, count: usize) {
        let Some(mut snapshot) = self.snapshot.take() else { return };
        for _ in 0..count {
            let Some(piece) = snapshot.next_piece().unwrap() else {
                assert!(self.replica().end_full(snapshot.pieces() + 1).is_err(), "a piece is missing");
                self.replica().end_full(snapshot.pieces()).unwrap();
                assert_eq!(self.replica().place(), Some(snapshot.place()));
                return;
            };
            self.replica().piece(&piece).unwrap();
            assert!(self.replica().piece(&piece).is_err(), "it is here already");
            assert!(self.replica().end_full(0).is_err());
        }
        self.snapshot = Some(snapshot);
    }

    /// Everything arrives.
    pub(crate) fn finish(&mut self, store: &Store) {
        if self.replica().place().is_none() {
            if self.snapshot.is_none() {
                self.begin_full(store);
            }
            self.pieces(usize::MAX);
        }
        while self.replica().place() != Some(store.standing().unwrap().place) {
            self.deliver(100, true);
        }
        assert_eq!(self.replica().standing().unwrap(), Some(store.standing().unwrap()));
        assert_equal(&contents(&store.db), &contents(&self.replica().db));
    }

    /// The original ends: what a full copy reads is held by it.
    pub(crate) fn drop_snapshot(&mut self) {
        self.snapshot = None;
    }
}
