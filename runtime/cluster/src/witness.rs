//! The witness as a process: a third vote, and no data.
//!
//! It needs no time of its own: it speaks only when it is spoken to, so one thread waits for datagrams
//! and for its disk.

use crate::disk::{self, Written};
use crate::driver::DriverError;
use crate::links::{Came, LinkAddresses, Links, Mailbox};
use crate::seal::{Sealer, Secret};
use crate::superblock::SuperblockFile;
use crate::wiring::Wiring;
use gwp_redundancy::member::Member;
use gwp_redundancy::mono::Mono;
use gwp_redundancy::timing::Timing;
use gwp_redundancy::witness::{Witness, WitnessInput, WitnessOutput};
use std::net::SocketAddr;
use std::num::NonZeroU128;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Notify;

/// What a witness is made of.
pub struct WitnessConfig {
    pub timing: Timing,
    pub secret: Secret,
    /// Random, for this start of the process alone.
    pub boot: NonZeroU128,
    pub listen: Vec<SocketAddr>,
    /// Where it keeps its vote.
    pub votes: PathBuf,
    pub clock: fn() -> Mono,
}

enum Word {
    Written(Written),
    End,
}

impl From<Written> for Word {
    fn from(written: Written) -> Word {
        Word::Written(written)
    }
}

/// A running witness. It ends when this is dropped.
pub struct WitnessHandle {
    inbox: Mailbox<Word>,
    thread: Option<JoinHandle<()>>,
    /// Addresses as bound.
    pub addresses: Vec<SocketAddr>,
    /// Told when it ends by itself: its disk failed, and it votes no more.
    pub ended: Arc<Notify>,
}

impl Drop for WitnessHandle {
    fn drop(&mut self) {
        self.inbox.send(Word::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a witness.
///
/// # Errors
/// Its vote cannot be read, or an address cannot be bound.
pub fn start(config: WitnessConfig) -> Result<WitnessHandle, DriverError> {
    let WitnessConfig { timing, secret, boot, listen, votes, clock } = config;
    let (file, block, _) = SuperblockFile::open(&votes)?;
    let links: Vec<LinkAddresses> =
        listen.into_iter().map(|here| LinkAddresses { here, others: Vec::new() }).collect();
    let (links, mut arrivals, inbox) = Links::bind(&links).map_err(DriverError::Link)?;
    let addresses = links.addresses();
    let disk = disk::start(file, inbox.clone()).map_err(DriverError::Thread)?;
    let mut wiring = Wiring::new(links, Sealer::new(&secret, Member::Witness, boot), Member::Witness, timing);
    let mut witness = Witness::boot(timing, block, clock());
    let ended = Arc::new(Notify::new());
    let tell = ended.clone();
    let run = move || {
        let mut out = Vec::new();
        loop {
            let input = match arrivals.next(None) {
                Came::Datagram(arrived) => match wiring.take(clock(), arrived) {
                    Some((Member::Node(from), message)) => WitnessInput::Message { from, message },
                    _ => continue,
                },
                Came::Word(Word::Written(Written(true))) => WitnessInput::Persisted,
                Came::Word(Word::Written(Written(false))) => return tell.notify_one(),
                Came::Word(Word::End) => return,
                Came::Nothing => continue,
            };
            let now = clock();
            witness.step(now, input, &mut out);
            for output in out.drain(..) {
                match output {
                    WitnessOutput::Send { to, message } => wiring.send(now, Member::Node(to), &message),
                    WitnessOutput::Persist(block) => {
                        let _ = disk.send(block);
                    }
                }
            }
        }
    };
    let thread =
        std::thread::Builder::new().name("gwp-witness".into()).spawn(run).map_err(DriverError::Thread)?;
    Ok(WitnessHandle { inbox, thread: Some(thread), addresses, ended })
}
