//! Over which link the store is copied: one over which the peer is heard.
//!
//! ```text
//! datagrams over each link --driver--> Heard.silent --> connect: silent links last, the next one when one takes long
//!                                                  \-> a link is silent and another is not: its stream has ended
//! ```
//! TCP itself takes seconds to notice, and deliveries wait for the copy meanwhile. Both sides look, as each hears one
//! direction only.

use crate::driver::Heard;
use crate::limits::NEXT_LINK_AFTER;
use crate::stream::{Stream, StreamError, StreamKeys};
use gwp_redundancy::mono::Mono;
use std::net::SocketAddr;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Links, a bit for each by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkSet(u32);

impl LinkSet {
    pub fn contains(self, link: usize) -> bool {
        self.0 & bit(link) != 0
    }
}

impl FromIterator<usize> for LinkSet {
    fn from_iter<T: IntoIterator<Item = usize>>(links: T) -> LinkSet {
        LinkSet(links.into_iter().fold(0, |set, link| set | bit(link)))
    }
}

/// No bit for links that no node has.
fn bit(link: usize) -> u32 {
    u32::try_from(link).ok().and_then(|link| 1u32.checked_shl(link)).unwrap_or(0)
}

/// When the peer was heard over each link.
#[derive(Debug)]
pub struct LinkTimes {
    /// Over each; the moment it came back, if it was not heard at all before.
    heard: Vec<Mono>,
    newest: Option<Mono>,
    /// Nanoseconds.
    silent_after: u64,
}

impl LinkTimes {
    /// A link is silent when `silent_after` nanoseconds lie between what was heard over it last and what was heard over
    /// another.
    pub fn new(links: usize, silent_after: u64) -> LinkTimes {
        LinkTimes { heard: vec![Mono(0); links], newest: None, silent_after }
    }

    /// The peer was heard over this link. If it was silent as a whole before, no link is: its first words over each
    /// come one after the other.
    pub fn heard(&mut self, link: usize, now: Mono) {
        if self.newest.is_none_or(|newest| now.since(newest) >= self.silent_after) {
            self.heard.fill(now);
        }
        self.newest = Some(now);
        if let Some(heard) = self.heard.get_mut(link) {
            *heard = now;
        }
    }

    /// Links that are silent while another is not.
    pub fn silent(&self) -> LinkSet {
        let Some(newest) = self.newest else { return LinkSet::default() };
        let times = self.heard.iter().enumerate();
        times.filter(|(_, heard)| newest.since(**heard) >= self.silent_after).map(|(link, _)| link).collect()
    }
}

/// Returns when this link is silent and another is not.
pub async fn silent(heard: &mut watch::Receiver<Heard>, link: usize) {
    if heard.wait_for(|heard| heard.silent.contains(link)).await.is_err() {
        // The driver has ended, and so will whoever waits here.
        std::future::pending().await
    }
}

/// The order in which links are tried: those that are not silent, then the others, each beginning with `first` and going
/// round.
fn order(links: usize, silent: LinkSet, first: usize) -> Vec<usize> {
    let round = (0..links).map(|link| (first % links + link) % links);
    let (mut tried, rest): (Vec<_>, Vec<_>) = round.partition(|link| !silent.contains(*link));
    tried.extend(rest);
    tried
}

/// Opens a stream to the peer over one of its addresses, by link, and tells which. Begins with `first` among those that
/// are not silent; when one takes long the next is tried beside it.
///
/// # Errors
/// None leads there: what the last one says.
pub async fn connect(
    keys: &StreamKeys,
    peers: &[SocketAddr],
    silent: LinkSet,
    first: usize,
) -> Result<(usize, Stream), StreamError> {
    let mut tries = JoinSet::new();
    let mut last = StreamError::Closed;
    let mut left = order(peers.len(), silent, first).into_iter();
    loop {
        let next = left.next().and_then(|link| Some((link, *peers.get(link)?)));
        let is_last = next.is_none();
        if let Some((link, peer)) = next {
            let keys = keys.clone();
            tries.spawn(async move { (link, keys.connect(peer).await) });
        }
        loop {
            tokio::select! {
                done = tries.join_next() => match done {
                    Some(Ok((link, Ok(stream)))) => return Ok((link, stream)),
                    Some(Ok((_, Err(error)))) => last = error,
                    Some(Err(_)) => {}
                    None if is_last => return Err(last),
                    None => break,
                },
                () = tokio::time::sleep(NEXT_LINK_AFTER), if !is_last => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Secret;
    use gwp_redundancy::member::NodeId::{Backup, Primary};
    use tokio::net::TcpListener;

    fn set(links: &[usize]) -> LinkSet {
        links.iter().copied().collect()
    }

    #[test]
    fn silent_links_are_tried_last_and_all_in_turn() {
        assert_eq!(order(2, set(&[0]), 0), [1, 0]);
        assert_eq!(order(3, set(&[1]), 1), [2, 0, 1]);
        assert_eq!(order(3, set(&[0, 1, 2]), 2), [2, 0, 1]);
        assert_eq!(order(0, set(&[]), 2), [0usize; 0]);
        assert!(!set(&[500]).contains(500));
    }

    #[test]
    fn a_link_is_silent_only_while_another_is_heard() {
        let at = |ns| Mono(ns);
        let mut times = LinkTimes::new(2, 8);
        assert_eq!(times.silent(), set(&[]));
        // The first words come over one link after the other.
        times.heard(0, at(100));
        assert_eq!(times.silent(), set(&[]));
        times.heard(1, at(101));
        times.heard(0, at(108));
        assert_eq!(times.silent(), set(&[]));
        times.heard(0, at(109));
        assert_eq!(times.silent(), set(&[1]));
        times.heard(1, at(110));
        assert_eq!(times.silent(), set(&[]));
        // Silent as a whole, and back over one link.
        times.heard(0, at(150));
        assert_eq!(times.silent(), set(&[]));
        times.heard(0, at(157));
        times.heard(7, at(158));
        assert_eq!(times.silent(), set(&[1]));
    }

    #[tokio::test]
    async fn a_link_that_takes_what_is_sent_and_says_nothing_costs_a_moment_only() {
        let secret = Secret::new([3; 32]).unwrap();
        let keys = |me| StreamKeys::new(&secret, me).unwrap();
        let (primary, backup) = (keys(Primary), keys(Backup));
        let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peers = [hole.local_addr().unwrap(), good.local_addr().unwrap()];
        let serving =
            tokio::spawn(async move { primary.accept(good.accept().await.unwrap().0).await.is_ok() });
        // Neither is silent: nothing tells that the first one leads nowhere.
        let connected = connect(&backup, &peers, set(&[]), 0).await;
        assert_eq!(connected.map(|(link, _)| link).ok(), Some(1));
        assert!(serving.await.unwrap());
    }

    #[tokio::test]
    async fn that_no_link_leads_there_is_said() {
        let keys = StreamKeys::new(&Secret::new([3; 32]).unwrap(), Backup).unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = closed.local_addr().unwrap();
        drop(closed);
        assert!(matches!(connect(&keys, &[at, at], set(&[]), 7).await, Err(StreamError::Io(_))));
        assert!(matches!(connect(&keys, &[], set(&[]), 0).await, Err(StreamError::Closed)));
    }
}
