//! The links of a member: UDP sockets over which everything is said at once, and what its thread waits at.
//!
//! ```text
//! words of this process --Mailbox--\
//! sockets --------------------------+--> Inbox::next --> driver, on one thread
//! driver --sealed datagram--> every address of the member, over every link
//! ```
//! A link is one way to the others: a local address, and where the others are by it. A witness is told
//! no addresses: it answers where it heard from. Datagrams that wait are in the sockets, whose buffers bound them. A
//! thread for each socket would cost two wakes for a datagram instead of one, which at rest is most of what a pair
//! costs.

use crate::limits::{ADDRESS_KEPT, ADDRESSES_MAX, DATAGRAMS_BEFORE_A_LOOK, REFUSALS_PASSED, REFUSED_PAUSE};
use crate::seal::FRAME_MAX;
use gwp_redundancy::member::Member;
use gwp_redundancy::mono::Mono;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// One way to the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkAddresses {
    /// Local address, with the port that the others send to.
    pub here: SocketAddr,
    /// Where the others are by this link; none for a witness, which answers where it heard from.
    pub others: Vec<(Member, SocketAddr)>,
}

/// A datagram that has come.
#[derive(Debug)]
pub struct Arrived {
    pub link: usize,
    pub from: SocketAddr,
    pub datagram: Vec<u8>,
}

/// What a thread has waited for.
#[derive(Debug)]
pub enum Came<T> {
    Word(T),
    Datagram(Arrived),
    /// Its patience is over, or it was woken for nothing.
    Nothing,
}

/// An address where a member was heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    member: Member,
    address: SocketAddr,
    at: Mono,
}

struct Link {
    socket: Arc<UdpSocket>,
    others: Vec<(Member, SocketAddr)>,
    heard: Vec<Heard>,
}

/// The sockets of a member, to speak through.
pub struct Links(Vec<Link>);

/// What comes to a member: words of its own process, and datagrams.
pub struct Inbox<T> {
    words: Receiver<T>,
    poll: Poll,
    events: Events,
    sockets: Vec<Arc<UdpSocket>>,
    /// Sockets that may have more, and which of them is looked at first.
    ready: Vec<bool>,
    first: usize,
    /// Datagrams since all were looked at.
    taken: usize,
    /// One more than the longest, so that a longer one is seen to be too long.
    buffer: [u8; FRAME_MAX + 1],
}

/// Puts words into an [`Inbox`].
pub struct Mailbox<T> {
    words: Sender<T>,
    waker: Arc<Waker>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        Mailbox { words: self.words.clone(), waker: self.waker.clone() }
    }
}

impl<T> Mailbox<T> {
    /// False if nobody reads it any more.
    pub fn send(&self, word: T) -> bool {
        self.words.send(word).is_ok() && self.waker.wake().is_ok()
    }
}

impl<T> Inbox<T> {
    /// What comes next, words before datagrams; waits for `patience` at most, for good without one.
    pub fn next(&mut self, patience: Option<Duration>) -> Came<T> {
        if let Some(came) = self.take() {
            return came;
        }
        // What is left as ready only refuses, and may say no more that it has something.
        let refuses = self.ready.contains(&true);
        let patience =
            if refuses { Some(patience.unwrap_or(REFUSED_PAUSE).min(REFUSED_PAUSE)) } else { patience };
        // Interrupted by a signal: as woken for nothing.
        if self.poll.poll(&mut self.events, patience).is_ok() {
            for event in &self.events {
                if let Some(ready) = self.ready.get_mut(event.token().0) {
                    *ready = true;
                }
            }
        }
        self.take().unwrap_or(Came::Nothing)
    }

    fn take(&mut self) -> Option<Came<T>> {
        if let Ok(word) = self.words.try_recv() {
            return Some(Came::Word(word));
        }
        let count = self.sockets.len();
        for turn in 0..count {
            let link = (self.first + turn) % count;
            if let Some((length, from)) = self.receive(link) {
                // The others come first then.
                self.first = link + 1;
                self.taken += 1;
                if self.taken >= DATAGRAMS_BEFORE_A_LOOK {
                    self.taken = 0;
                    self.ready.fill(true);
                }
                let datagram = self.buffer[..length].to_vec();
                return Some(Came::Datagram(Arrived { link, from, datagram }));
            }
        }
        None
    }

    /// A datagram of a socket that may have one.
    fn receive(&mut self, link: usize) -> Option<(usize, SocketAddr)> {
        if !self.ready[link] {
            return None;
        }
        // What is refused is such as an answer that a port is closed. A socket that does nothing else is left until
        // something comes or the patience is over.
        for _ in 0..REFUSALS_PASSED {
            match self.sockets[link].recv_from(&mut self.buffer) {
                Ok(came) => return Some(came),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready[link] = false;
                    return None;
                }
                Err(_) => {}
            }
        }
        None
    }
}

impl Links {
    /// Binds all of them; what comes is in the inbox, with the words of the mailbox.
    ///
    /// # Errors
    /// An address cannot be bound; it is named.
    pub fn bind<T>(addresses: &[LinkAddresses]) -> io::Result<(Links, Inbox<T>, Mailbox<T>)> {
        let poll = Poll::new()?;
        let mut links = Vec::new();
        for (number, LinkAddresses { here, others }) in addresses.iter().enumerate() {
            let mut socket = UdpSocket::bind(*here)
                .map_err(|error| io::Error::new(error.kind(), format!("{here} cannot be bound: {error}")))?;
            poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            links.push(Link { socket: Arc::new(socket), others: others.clone(), heard: Vec::new() });
        }
        let waker = Arc::new(Waker::new(poll.registry(), Token(links.len()))?);
        let (words, read) = channel();
        let inbox = Inbox {
            words: read,
            poll,
            events: Events::with_capacity(links.len() + 1),
            sockets: links.iter().map(|link| link.socket.clone()).collect(),
            ready: vec![true; links.len()],
            first: 0,
            taken: 0,
            buffer: [0; FRAME_MAX + 1],
        };
        Ok((Links(links), inbox, Mailbox { words, waker }))
    }

    /// Local addresses, as bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|link| link.socket.local_addr().ok()).collect()
    }

    /// A member was heard at an address of a link: it is answered there if no other is known.
    pub fn heard(&mut self, link: usize, member: Member, address: SocketAddr, now: Mono) {
        let Some(link) = self.0.get_mut(link) else { return };
        if link.others.iter().any(|(other, _)| *other == member) {
            return;
        }
        let known = link.heard.iter_mut().find(|heard| (heard.member, heard.address) == (member, address));
        if let Some(known) = known {
            known.at = now;
            return;
        }
        link.heard.retain(|heard| now.since(heard.at) < ADDRESS_KEPT);
        if link.heard.iter().filter(|heard| heard.member == member).count() >= ADDRESSES_MAX {
            let of_member = link.heard.iter().enumerate().filter(|(_, heard)| heard.member == member);
            if let Some((oldest, _)) = of_member.min_by_key(|(_, heard)| heard.at) {
                link.heard.remove(oldest);
            }
        }
        link.heard.push(Heard { member, address, at: now });
    }

    /// Sends a datagram to a member over every link. What a link refuses is as lost on the way.
    pub fn send(&self, to: Member, datagram: &[u8], now: Mono) {
        for link in &self.0 {
            let told = link.others.iter().filter(|(member, _)| *member == to).map(|(_, address)| *address);
            let heard = link.heard.iter().filter(|heard| heard.member == to);
            let heard = heard.filter(|heard| now.since(heard.at) < ADDRESS_KEPT).map(|heard| heard.address);
            for address in told.chain(heard) {
                let _ = link.socket.send_to(datagram, address);
            }
        }
    }

    /// Answers where something came from, and only there.
    pub fn send_to(&self, link: usize, address: SocketAddr, datagram: &[u8]) {
        if let Some(link) = self.0.get(link) {
            let _ = link.socket.send_to(datagram, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(20));

    fn member(links: usize) -> (Links, Inbox<u32>, Mailbox<u32>) {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        Links::bind(&vec![LinkAddresses { here, others: Vec::new() }; links]).unwrap()
    }

    fn datagram(came: Came<u32>) -> (usize, Vec<u8>) {
        match came {
            Came::Datagram(Arrived { link, datagram, .. }) => (link, datagram),
            other => panic!("{other:?} is no datagram"),
        }
    }

    #[test]
    fn words_come_first_and_no_link_keeps_another_from_its_turn() {
        let (links, mut inbox, mailbox) = member(2);
        let (other, mut theirs, _) = member(1);
        let [first, second] = links.addresses().try_into().unwrap();
        for (to, text) in [(first, "a"), (first, "b"), (first, "c"), (second, "d")] {
            other.send_to(0, to, text.as_bytes());
        }
        // On loopback they are there by now.
        assert!(mailbox.send(7));
        assert!(matches!(inbox.next(LONG), Came::Word(7)));
        let came: Vec<(usize, Vec<u8>)> = (0..4).map(|_| datagram(inbox.next(LONG))).collect();
        let texts: Vec<_> = came.iter().map(|(link, text)| (*link, &text[..])).collect();
        assert_eq!(texts, [(0, &b"a"[..]), (1, b"d"), (0, b"b"), (0, b"c")]);
        let nothing = inbox.next(Some(Duration::from_millis(1)));
        assert!(matches!(nothing, Came::Nothing));
        links.send_to(1, other.addresses()[0], b"back");
        assert_eq!(datagram(theirs.next(LONG)), (0, b"back".to_vec()));
    }

    #[test]
    fn a_flood_over_one_link_does_not_hide_another() {
        let (links, mut inbox, _mailbox) = member(2);
        let (other, _, _) = member(1);
        let [first, second] = links.addresses().try_into().unwrap();
        // Both are known to have nothing.
        assert!(matches!(inbox.next(Some(Duration::from_millis(1))), Came::Nothing));
        let flood = 3 * DATAGRAMS_BEFORE_A_LOOK;
        (0..flood).for_each(|_| other.send_to(0, first, b"flood"));
        assert_eq!(datagram(inbox.next(LONG)).0, 0);
        other.send_to(0, second, b"word");
        let before = (1..flood).take_while(|_| datagram(inbox.next(LONG)).0 == 0).count();
        assert!(before <= DATAGRAMS_BEFORE_A_LOOK, "after {before} others");
    }

    #[test]
    fn a_word_wakes_who_waits() {
        let (_links, mut inbox, mailbox) = member(1);
        let waiting = std::thread::spawn(move || {
            loop {
                match inbox.next(None) {
                    Came::Word(word) => return (word, inbox),
                    Came::Datagram(_) | Came::Nothing => {}
                }
            }
        });
        assert!(mailbox.send(3));
        let (word, inbox) = waiting.join().unwrap();
        assert_eq!(word, 3);
        drop(inbox);
        assert!(!mailbox.send(4), "nobody reads it");
    }

    #[test]
    fn an_address_in_use_is_named() {
        let (links, _, _) = member(1);
        let here = links.addresses()[0];
        let error =
            Links::bind::<u32>(&[LinkAddresses { here, others: Vec::new() }]).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(&here.to_string()), "{error}");
    }
}
