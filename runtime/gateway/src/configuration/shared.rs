//! The configurations of a pair: what the history keeps stands in the store, too, and so in each copy of it.
//!
//! ```text
//! active: History::save --> Publisher --> store: programs, then { current, pending, probation }   (in the row of changes)
//!                                           | frames, or a whole copy
//! standby, takeover:                        +--> take_over --> data/configurations/ of this node
//! ```
//! A change is `pending` in the store before the record that names its plan, and `current` after it. So whoever takes
//! over finds in its copy what a node that starts again finds on its own disk, and decides by the same rule: the log.

use super::history::{History, Pending, Probation, State};
use crate::node::Node;
use anyhow::{Context, bail};
use gwp_journal::{Configurations, KeptConfigurations};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Version of the form in the store.
const VERSION: u8 = 1;

/// The newest configurations stand in the store: so many, and so many bytes of them, but for what is in force or about
/// to be.
const STORED_MAX: usize = 100;
const STORED_BYTES_MAX: usize = 64 << 20;

/// Configurations beyond that at which the oldest go.
const STORED_SLACK: usize = 20;

/// Bytes of configurations in one change of the store; one alone may be more.
const CHANGE_BYTES: usize = 8 << 20;

/// What both nodes know beside the configurations themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Shared {
    version: u8,
    current: Option<String>,
    pending: Option<Pending>,
    probation: Option<Probation>,
    active: Active,
}

/// Who wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Active {
    pub node: String,
    /// Where others reach its control interface, if `node.toml` says.
    pub control: Option<String>,
}

impl Active {
    /// This node.
    pub fn of(node: &Node) -> Active {
        let link = node.pair.iter().flat_map(|pair| &pair.links).next();
        let mut address = node.control;
        if let Some(link) = link.filter(|_| address.ip().is_unspecified()) {
            address.set_ip(link.here.ip());
        }
        let is_near = link.is_none_or(|link| link.here.ip().is_loopback());
        let is_reached = address.port() != 0 && (is_near || !address.ip().is_loopback());
        let scheme = if node.tls.is_some() { "https" } else { "http" };
        Active { node: node.id.clone(), control: is_reached.then(|| format!("{scheme}://{address}")) }
    }
}

type Keep = Box<dyn Fn(KeptConfigurations) + Send + Sync>;

/// Takes the history of the active to its store.
pub struct Publisher {
    active: Active,
    /// Configurations that are in the store.
    known: Mutex<BTreeSet<String>>,
    /// Once the engine runs.
    keep: OnceLock<Keep>,
}

impl Publisher {
    /// # Errors
    /// The store cannot be read.
    pub fn new(node: &Node, kept: &Configurations) -> anyhow::Result<Publisher> {
        let known = Mutex::new(kept.ids().context("the store cannot be read")?);
        Ok(Publisher { active: Active::of(node), known, keep: OnceLock::new() })
    }

    /// From now on each save of the history goes there.
    pub fn through(&self, keep: impl Fn(KeptConfigurations) + Send + Sync + 'static) {
        let _ = self.keep.set(Box::new(keep));
    }

    pub fn publish(&self, history: &History) {
        if let Some(keep) = self.keep.get() {
            self.news(history).into_iter().for_each(keep);
        }
    }

    /// What the store lacks, in the order in which it is to be kept; the last says what is in force.
    pub fn news(&self, history: &History) -> Vec<KeptConfigurations> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let State { current, pending, probation, .. } = history.state.clone();
        let shared = Shared { version: VERSION, current, pending, probation, active: self.active.clone() };
        // Plain data cannot fail.
        let state = serde_json::to_vec(&shared).expect("the state can always be encoded");
        let mut all: Vec<KeptConfigurations> = Vec::new();
        let (mut change, mut bytes) = (KeptConfigurations::default(), 0);
        for (id, text) in chain(history, &known) {
            bytes += text.len();
            known.insert(id.clone());
            change.put.push((id, text.into_bytes()));
            if bytes > CHANGE_BYTES {
                all.push(std::mem::take(&mut change));
                bytes = 0;
            }
        }
        all.push(change);
        if known.len() > STORED_MAX + STORED_SLACK {
            *known = chain(history, &BTreeSet::new()).into_keys().collect();
            if let Some(last) = all.last_mut() {
                last.only = Some(known.clone());
            }
        }
        // What is in force is not named before it is there.
        if let Some(last) = all.last_mut() {
            last.state = Some(state);
        }
        all
    }
}

/// What is in force or about to be, and what was before, as far as it is not known; bounded.
fn chain(history: &History, known: &BTreeSet<String>) -> BTreeMap<String, String> {
    let (mut found, mut bytes) = (BTreeMap::new(), 0);
    let State { current, pending, probation, .. } = &history.state;
    let heads =
        [pending.as_ref().map(|next| &next.id), current.as_ref(), probation.as_ref().map(|to| &to.back_to)];
    for head in heads.into_iter().flatten() {
        let mut next = Some(head.clone());
        let mut is_head = true;
        while let Some(id) = next.take().filter(|id| !known.contains(id) && !found.contains_key(id)) {
            let full = found.len() >= STORED_MAX || bytes >= STORED_BYTES_MAX;
            // What was deleted, or cannot be read any more, ends the row.
            let Some(text) = history.text(&id).ok().filter(|_| is_head || !full) else { break };
            next = history.get(&id).ok().and_then(|bundle| bundle.parent);
            bytes += text.len();
            found.insert(id, text);
            is_head = false;
        }
    }
    found
}

/// Takes what a store says of the configurations over to the history of this node, which is not saved. Gives who is
/// active by that; none if the store says nothing.
///
/// # Errors
/// The store is damaged or of a later version, or the disk refuses.
pub fn take_over(history: &mut History, kept: &Configurations) -> anyhow::Result<Option<Active>> {
    let Some(bytes) = kept.state()? else { return Ok(None) };
    let shared: Shared =
        serde_json::from_slice(&bytes).context("what the store says of the configurations is damaged")?;
    if shared.version != VERSION {
        bail!(
            "the configurations in the store have form {}: run the same version of gwp on both nodes",
            shared.version
        );
    }
    for id in kept.ids()?.difference(&history.ids()?) {
        let text = kept.get(id)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.with_context(|| format!("configuration {id} in the store is no text"))?;
        history.put_text(id, &text)?;
    }
    let Shared { current, pending, probation, active, .. } = shared;
    history.state = State { current, pending, probation, ..history.state.clone() };
    Ok(Some(active))
}

/// The same where a node begins to run what its store says. `logged`: the plan the log names. If the store says another
/// and the history of this node that one, the gateway has run without a peer meanwhile, and the history is right.
///
/// # Errors
/// The same.
pub fn take_over_at_start(history: &mut History, kept: &Configurations, logged: &str) -> anyhow::Result<()> {
    let own = history.clone();
    let is_logged = |mut history: History| {
        history.resolve(logged);
        history.current().ok().flatten().is_some_and(|(_, bundle)| bundle.plan == logged)
    };
    take_over(history, kept)?;
    if !is_logged(history.clone()) && is_logged(own.clone()) {
        history.state = own.state;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::bundle::{Bundle, File};
    use gwp_journal::Store;
    use std::path::Path;

    fn store(dir: &Path) -> Store {
        Store::open(dir).unwrap().store
    }

    fn add(history: &mut History, text: String) -> String {
        let file = File { name: "a.gwp".into(), text };
        let parent = history.state.current.clone();
        let id = history.put(&Bundle::new(parent, "anna", "", "plan".into(), vec![file])).unwrap();
        history.state.current = Some(id.clone());
        id
    }

    fn keep(store: &mut Store, publisher: &Publisher, history: &History) {
        for kept in publisher.news(history) {
            store.keep_configurations(&kept).unwrap();
        }
    }

    #[test]
    fn another_node_has_the_history_and_what_is_under_way() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut store = store(here.path());
        let mut history = History::open(here.path()).unwrap();
        let publisher = Publisher::new(&Node::default(), &store.configurations()).unwrap();
        let mut ids: Vec<String> = (0..3).map(|n| add(&mut history, n.to_string())).collect();
        keep(&mut store, &publisher, &history);
        assert_eq!(publisher.news(&history)[0].put, [], "once");
        ids.push(add(&mut history, "x".repeat(CHANGE_BYTES)));
        history.state.current = Some(ids[2].clone());
        history.state.pending = Some(Pending { id: ids[3].clone(), plan: "new".into(), probation: None });
        keep(&mut store, &publisher, &history);

        let mut other = History::open(there.path()).unwrap();
        other.state.seen = Some("own".into());
        assert!(take_over(&mut other, &store.configurations()).unwrap().is_some());
        assert_eq!(other.ids().unwrap(), ids.iter().cloned().collect());
        assert_eq!(other.state, State { seen: Some("own".into()), ..history.state.clone() });
        other.resolve("new");
        assert_eq!(other.list(9).len(), 4);
        let foreign =
            KeptConfigurations { state: Some(b"{\"version\":9}".to_vec()), ..KeptConfigurations::default() };
        store.keep_configurations(&foreign).unwrap();
        assert!(take_over(&mut other, &store.configurations()).is_err());
    }

    #[test]
    fn the_store_keeps_the_newest_only() {
        let here = tempfile::tempdir().unwrap();
        let mut store = store(here.path());
        let mut history = History::open(here.path()).unwrap();
        let publisher = Publisher::new(&Node::default(), &store.configurations()).unwrap();
        let mut newest = String::new();
        for number in 0..STORED_MAX + STORED_SLACK + 5 {
            newest = add(&mut history, number.to_string());
            keep(&mut store, &publisher, &history);
        }
        let kept = store.configurations().ids().unwrap();
        assert!(kept.len() <= STORED_MAX + STORED_SLACK && kept.len() >= STORED_MAX, "{}", kept.len());
        assert!(kept.contains(&newest));
    }

    #[test]
    fn what_ran_without_a_peer_meanwhile_is_not_forgotten() {
        let here = tempfile::tempdir().unwrap();
        let mut store = store(here.path());
        let mut history = History::open(here.path()).unwrap();
        let publisher = Publisher::new(&Node::default(), &store.configurations()).unwrap();
        let first = add(&mut history, "1".into());
        keep(&mut store, &publisher, &history);
        let second = history.put(&Bundle::new(Some(first.clone()), "", "", "other".into(), vec![])).unwrap();
        history.state.current = Some(second.clone());
        let mut alone = history.clone();
        take_over_at_start(&mut alone, &store.configurations(), "other").unwrap();
        assert_eq!(alone.state.current, Some(second));
        take_over_at_start(&mut history, &store.configurations(), "plan").unwrap();
        assert_eq!(history.state.current, Some(first));
    }
}
