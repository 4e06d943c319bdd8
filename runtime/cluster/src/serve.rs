//! The active serves its peer: how it joins, a copy of the whole store if it needs one, then frame by frame.

use crate::apart::Apart;
use crate::bulk::{self, BulkError, Message, Receiver, Sender};
use crate::driver::Heard;
use crate::limits::{ACCEPT_PAUSE, SENT_AT_ONCE_BYTES, SERVED_MAX, SILENT_MAX};
use crate::mirror::hub::{Copying, Hub, Next};
use crate::route;
use crate::stream::{StreamError, StreamKeys};
use gwp_journal::{Snapshot, Standing, StoreError};
use gwp_redundancy::mirror::Place;
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::rejoin::Joining;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};

/// Makes a snapshot of the store while its writer goes on, or none when that has ended; blocks.
pub type Snapshots = Arc<dyn Fn() -> Option<Snapshot> + Send + Sync>;

/// Takes what the peer says besides of its copy. Nothing here may wait: frames do meanwhile.
pub trait FromPeer: Send + Sync {
    /// Readings of the peer's shadow that the log here may lack.
    fn fill(&self, bytes: Arc<[u8]>);

    /// Readings that the peer has set aside, or none: what is given is told once all that came so far is durable here.
    /// Dropped, it will not be.
    fn rejoin(&self, bytes: Arc<[u8]>) -> oneshot::Receiver<Kept>;

    /// Gateway time, nanoseconds since 1970.
    fn now(&self) -> i64;

    /// How far the peer's clock is from the one here.
    fn apart(&self, apart: Apart);
}

/// By which place of the log all is kept that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    pub place: Place,
    /// So many of the readings that came last are of another plan, and are not.
    pub refused: u32,
}

/// Why a peer is not served any more. It comes again.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("it says what was not asked")]
    OutOfTurn,
    #[error("it is too far behind for the frames that are kept, or another connection of it has come")]
    Lost,
    #[error("link {0} has fallen silent and another has not")]
    LinkSilent(usize),
    #[error("the store's writer has ended")]
    Stopping,
    #[error("reading the store has failed")]
    Task(#[from] JoinError),
}

/// Serves whoever comes as the peer over a link, until it is aborted.
pub async fn serve_peer(
    (listener, link): (TcpListener, usize),
    heard: watch::Receiver<Heard>,
    keys: StreamKeys,
    hub: Hub,
    snapshots: Snapshots,
    from_peer: Arc<dyn FromPeer>,
) {
    // They end with this task.
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok(_) if served.len() >= SERVED_MAX => {}
            Ok((tcp, from)) => {
                // One peer: the next connection of it takes the place of this one.
                let (keys, hub, snapshots) = (keys.clone(), hub.clone(), snapshots.clone());
                let (from_peer, mut heard) = (from_peer.clone(), heard.clone());
                served.spawn(async move {
                    let served = tokio::select! {
                        served = serve(tcp, &keys, &hub, &snapshots, &*from_peer) => served,
                        () = route::silent(&mut heard, link) => Err(ServeError::LinkSilent(link)),
                    };
                    if let Err(error) = served {
                        tracing::info!(%from, link, %error, "the peer does not copy any more");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of the peer cannot be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    tcp: TcpStream,
    keys: &StreamKeys,
    hub: &Hub,
    snapshots: &Snapshots,
    from_peer: &dyn FromPeer,
) -> Result<(), ServeError> {
    let (mut to, mut from) = bulk::split(keys.accept(tcp).await?, SILENT_MAX);
    let Message::Join(join) = from.receive().await? else { return Err(ServeError::OutOfTurn) };
    let theirs = join.complete.then_some(Standing {
        place: join.place,
        hash: join.hash,
        history: join.history,
        incarnation: join.incarnation,
    });
    let mut copying = None;
    let after = match hub.join(theirs.as_ref()) {
        Joining::Follow { after } => {
            say(&mut to, &Message::Follow { after }).await?;
            after
        }
        Joining::SetAside { above } => {
            say(&mut to, &Message::SetAside { above }).await?;
            return Ok(());
        }
        Joining::Resync { .. } => {
            // Frames that are made meanwhile are kept, so that the copy is of use.
            copying = Some(hub.copying());
            copy_all(&mut to, &mut from, hub, snapshots).await?
        }
    };
    tracing::info!(%after, "the peer follows");
    let attached = Attached { hub, number: hub.attach(after) };
    follow((&mut to, &mut from), &attached, copying, from_peer).await
}

/// A peer that follows, until this is dropped.
struct Attached<'h> {
    hub: &'h Hub,
    number: u64,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.hub.detach(self.number);
    }
}

/// Gives a copy of the whole store; the place up to which it goes.
async fn copy_all(
    to: &mut Sender,
    from: &mut Receiver,
    hub: &Hub,
    snapshots: &Snapshots,
) -> Result<Place, ServeError> {
    let make = snapshots.clone();
    let made = tokio::task::spawn_blocking(move || make()).await?;
    let mut snapshot = made.ok_or(ServeError::Stopping)?;
    let (place, hash) = (snapshot.place(), snapshot.hash());
    tracing::info!(%place, "the peer gets a copy of the whole store");
    say(to, &Message::Resync { after: place, hash }).await?;
    loop {
        let (back, piece) = tokio::task::spawn_blocking(move || {
            let piece = snapshot.next_piece();
            (snapshot, piece)
        })
        .await?;
        snapshot = back;
        let Some(bytes) = piece? else { break };
        hub.gave(bytes.len());
        say(to, &Message::Piece { bytes }).await?;
    }
    say(to, &Message::PiecesEnd { place, hash, pieces: snapshot.pieces() }).await?;
    // It is whole there before frames count.
    loop {
        match from.receive().await? {
            Message::Acknowledge { durable, .. } if durable >= place => return Ok(place),
            Message::Ping | Message::Acknowledge { .. } => {}
            _ => return Err(ServeError::OutOfTurn),
        }
    }
}

/// Frames to the peer, and what it says of them. It asks for the time so often that neither is taken for silent.
async fn follow(
    (to, from): (&mut Sender, &mut Receiver),
    &Attached { hub, number }: &Attached<'_>,
    mut copying: Option<Copying>,
    from_peer: &dyn FromPeer,
) -> Result<(), ServeError> {
    let mut keeping = None;
    loop {
        let rung = hub.rung();
        tokio::pin!(rung);
        // Registered before the look, so that no ring between is missed.
        rung.as_mut().enable();
        match hub.next(number, SENT_AT_ONCE_BYTES) {
            Next::Frames(frames) => {
                for (head, bytes) in frames {
                    if !to.has_room() {
                        flush(to).await?;
                    }
                    to.push(&Message::Frame { head, bytes })?;
                }
                flush(to).await?;
                continue;
            }
            // It has all that was made while it was copied.
            Next::Wait => drop(copying.take()),
            Next::Lost => return Err(ServeError::Lost),
        }
        tokio::select! {
            () = rung => {}
            said = from.receive() => match said? {
                Message::Acknowledge { received, durable } => hub.acknowledged(number, received, durable),
                Message::Readings { from: From::Rejoin, bytes } if keeping.is_none() => {
                    keeping = Some(from_peer.rejoin(bytes));
                }
                Message::Readings { from: From::Fill, bytes } => from_peer.fill(bytes),
                Message::AskTime { sent, apart } => {
                    let received = from_peer.now();
                    apart.into_iter().for_each(|apart| from_peer.apart(apart.reversed()));
                    say(to, &Message::Time { sent, received, answered: from_peer.now() }).await?;
                }
                // Of a version that still says it.
                Message::Ping => {}
                _ => return Err(ServeError::OutOfTurn),
            },
            kept = kept(&mut keeping) => {
                let Kept { place, refused } = kept.ok_or(ServeError::Stopping)?;
                say(to, &Message::KeptBy { place, refused }).await?;
            }
        }
    }
}

/// What was handed over is kept, if something is under way; `None` if it will not be.
async fn kept(keeping: &mut Option<oneshot::Receiver<Kept>>) -> Option<Kept> {
    let Some(answer) = keeping else { return std::future::pending().await };
    let kept = answer.await;
    *keeping = None;
    kept.ok()
}

async fn say(to: &mut Sender, message: &Message) -> Result<(), BulkError> {
    to.push(message)?;
    flush(to).await
}

/// A peer that takes nothing is as silent as one that says nothing.
async fn flush(to: &mut Sender) -> Result<(), BulkError> {
    tokio::time::timeout(SILENT_MAX, to.flush()).await.unwrap_or(Err(BulkError::Silent(SILENT_MAX)))
}
