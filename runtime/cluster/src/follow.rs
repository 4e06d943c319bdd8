//! The standby follows the active: its store becomes a copy, frame by frame.
//!
//! ```text
//! the active is heard --> connect over a link --> Join: what is here
//!        ^                     |  Follow: frame by frame, durable, acknowledged
//!        |                     |  Resync: the whole store in pieces, then frame by frame
//!        +-- lost, stopped ----+  SetAside: what is here is no copy: kept beside, and joined anew, empty
//! ```
//! What was kept beside is handed over while it follows: see [`tail`](crate::tail).

use crate::apart::{Apart, Measured};
use crate::bulk::{self, BulkError, Join, Message, Receiver, Sender};
use crate::driver::Heard;
use crate::limits::{APPLIED_AT_ONCE_BYTES, ASK_EVERY, PING_EVERY, RETRY_AFTER, SILENT_MAX};
use crate::route;
use crate::stream::{StreamError, StreamKeys};
use crate::tail::{Due, HandingOver, Making, NotAsked, Tails};
use gwp_core::{PlanId, Position, Record};
use gwp_journal::{
    AsideError, DecodeError, LogReader, PlanReader, Replica, StoreError, TagLists, records_of_change,
    set_aside,
};
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::{Head, History, MirrorMode, Place, RunningHash, Verdict};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior};

/// Is told what the copy of the log holds, and what it does not any more. Frames wait for it.
pub trait Copied: Send + Sync {
    /// The copy follows from here: learns what it holds of late.
    ///
    /// # Errors
    /// It cannot be read.
    fn compare(&self, log: &mut LogReader, plans: &PlanReader) -> Result<(), StoreError>;

    /// Whether what it holds is known.
    fn is_compared(&self) -> bool;

    /// Whether these records, which are durable in it, are numbered by a plan that is not known here.
    fn lacks_plan_of(&self, records: &[(PlanId, Arc<Record>)]) -> bool;

    /// Learns it.
    ///
    /// # Errors
    /// It cannot be read.
    fn learn(&self, records: &[(PlanId, Arc<Record>)], plans: &PlanReader) -> Result<(), StoreError>;

    /// These records are durable in it, with the plan that numbers them.
    fn arrived(&self, records: &[(PlanId, Arc<Record>)]);

    /// It is compared anew before anything counts.
    fn forget(&self);

    /// What the active's log lacks and this node has; none if there is nothing.
    fn offers(&self) -> Option<Arc<[u8]>>;

    /// Gateway time, nanoseconds since 1970.
    fn now(&self) -> i64;

    /// How far the active's clock is from the one here.
    fn apart(&self, apart: Apart);
}

/// What a follower is made of.
pub struct Follower {
    /// The data directory, with the store.
    pub data: PathBuf,
    /// Where the peer is, by link.
    pub peers: Vec<SocketAddr>,
    pub keys: StreamKeys,
    pub heard: watch::Receiver<Heard>,
    /// Told how far the copy has come, for people.
    pub progress: Box<dyn Fn(&str) + Send + Sync>,
    /// Told of the copy, whole, each time that something has come: what it has besides samples may be of use now. On
    /// the thread that writes it, which waits.
    pub came: Arc<dyn Fn(&Replica) + Send + Sync>,
    /// Whoever reads on this node, too.
    pub copied: Arc<dyn Copied>,
    /// What is set aside here.
    pub tails: Arc<dyn Tails>,
    /// What the active waits for.
    pub mirror: MirrorMode,
}

/// Why it does not follow any more. It tries again.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Aside(#[from] AsideError),
    #[error("the active says what was not asked")]
    OutOfTurn,
    #[error("a frame does not follow on what is here: {0:?}")]
    Verdict(Verdict),
    #[error("link {0} has fallen silent and another has not")]
    LinkSilent(usize),
    #[error("the active refuses: {0}")]
    Refused(String),
    #[error("what the active has sent cannot be read: {0}")]
    Damaged(#[from] DecodeError),
    #[error("writing the copy has failed")]
    Task(#[from] JoinError),
}

impl std::convert::From<NotAsked> for FollowError {
    fn from(NotAsked: NotAsked) -> FollowError {
        FollowError::OutOfTurn
    }
}

/// Follows whoever is active until `stop` is set. Gives the copy, open and whole up to its last frame, if it has been
/// opened.
pub async fn follow(follower: Follower, mut stop: watch::Receiver<bool>) -> Option<Replica> {
    let (mut next, mut replica, mut said) = (0, None, String::new());
    let mut is_doubtful = false;
    loop {
        let mut heard = follower.heard.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return replica,
            active = heard.wait_for(|heard| heard.is_active) => if active.is_err() { return replica },
        }
        if follower.peers.is_empty() {
            return replica;
        }
        // A frame that is being written is written to its end: only waiting is cut short.
        match once(&follower, next, (&mut replica, &mut is_doubtful), &mut stop).await {
            Ok(()) => said.clear(),
            Err(error) => {
                // What the disk refused is believed only when it is read again.
                if matches!(error, FollowError::Store(_) | FollowError::Task(_)) {
                    replica = None;
                }
                // What was not taken whole was not told. A stream that broke changes nothing: a takeover that follows
                // need not read the log to know what it holds.
                let is_untold = matches!(error, FollowError::Damaged(_) | FollowError::Verdict(_));
                if replica.is_none() || is_untold {
                    follower.copied.forget();
                }
                // It is tried several times a second: the same is said once.
                let why = error.to_string();
                if why != said {
                    tracing::info!(%error, "the copy of the active's store does not go on; trying again");
                    (follower.progress)(&why);
                    said = why;
                }
            }
        }
        next = next.wrapping_add(1);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return replica,
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}

/// Runs blocking work with the copy, opened if it is not.
async fn with<T: Send + 'static>(
    follower: &Follower,
    place: &mut Option<Replica>,
    work: impl FnOnce(&mut Replica) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FollowError> {
    let (taken, data) = (place.take(), follower.data.clone());
    let run = move || {
        let mut replica = match taken {
            Some(replica) => replica,
            None => Replica::open(&data)?,
        };
        let done = work(&mut replica);
        Ok::<_, StoreError>((replica, done))
    };
    let (replica, done) = tokio::task::spawn_blocking(run).await??;
    *place = Some(replica);
    Ok(done?)
}

/// What cuts waiting short.
struct Until<'s> {
    stop: &'s mut watch::Receiver<bool>,
    heard: watch::Receiver<Heard>,
    /// The link that the connection goes over.
    link: usize,
}

/// What is waited for, until it is to stop.
async fn until<T>(stop: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => None,
        done = work => Some(done),
    }
}

/// The disk has refused to take a frame. What is read of it after that may come from memory and not be on it: the copy
/// is made anew, as a whole. It is a copy and nothing else, so nothing is lost with it.
fn is_of_disk(ended: &Result<(), FollowError>) -> bool {
    matches!(ended, Err(FollowError::Store(_) | FollowError::Task(_)))
}

/// Follows over one connection, link `first` if that is as good as others. A copy that is doubtful is not joined with,
/// but made anew.
async fn once(
    follower: &Follower,
    first: usize,
    (replica, is_doubtful): (&mut Option<Replica>, &mut bool),
    stop: &mut watch::Receiver<bool>,
) -> Result<(), FollowError> {
    let silent = follower.heard.borrow().silent;
    let connecting = route::connect(&follower.keys, &follower.peers, silent, first);
    let Some(connected) = until(stop, connecting).await else { return Ok(()) };
    let (link, stream) = connected?;
    let (mut to, mut from) = bulk::split(stream, SILENT_MAX);
    let until = &mut Until { stop, heard: follower.heard.clone(), link };
    let standing = with(follower, replica, |replica| replica.standing()).await?;
    let join = match &standing {
        Some(standing) if !*is_doubtful => Join {
            epoch: follower.heard.borrow().active_epoch,
            incarnation: standing.incarnation,
            place: standing.place,
            hash: standing.hash,
            complete: true,
            history: standing.history.clone(),
        },
        _ => Join {
            epoch: follower.heard.borrow().active_epoch,
            incarnation: [0; 16],
            place: Place::ZERO,
            hash: RunningHash::EMPTY,
            complete: false,
            history: History::default(),
        },
    };
    say(&mut to, &Message::Join(join)).await?;
    let Some(answer) = receive(&mut from, until).await? else { return Ok(()) };
    match answer {
        Message::Follow { after } => {
            tracing::info!(%after, link, "following the active");
            let came = follower.came.clone();
            with(follower, replica, move |replica| {
                came(replica);
                Ok(())
            })
            .await?;
            let ended = frames(follower, replica, (&mut to, &mut from), until).await;
            *is_doubtful |= is_of_disk(&ended);
            ended
        }
        Message::SetAside { above } => {
            follower.copied.forget();
            keep_beside(follower, replica, above).await
        }
        Message::Resync { after, hash } => {
            follower.copied.forget();
            tracing::info!(%after, "copying the whole store of the active");
            if !pieces(follower, replica, (after, hash), (&mut to, &mut from), until).await? {
                return Ok(());
            }
            *is_doubtful = false;
            let ended = frames(follower, replica, (&mut to, &mut from), until).await;
            *is_doubtful |= is_of_disk(&ended);
            ended
        }
        Message::Refused { why } => Err(FollowError::Refused(why)),
        _ => Err(FollowError::OutOfTurn),
    }
}

/// What is here is no copy: it is set aside, as what it has above a position the active has not.
async fn keep_beside(
    follower: &Follower,
    replica: &mut Option<Replica>,
    above: Position,
) -> Result<(), FollowError> {
    with(follower, replica, move |replica| replica.note_above(above)).await?;
    let (closed, data) = (replica.take(), follower.data.clone());
    let set_aside = move || {
        drop(closed);
        set_aside(&data)
    };
    let kept = tokio::task::spawn_blocking(set_aside).await??;
    if let Some(number) = kept {
        tracing::warn!(%above, kept_as = format!("store.aside-{number}"), "the log here has records that the active does not have; they are kept beside, the active's store is copied, and they are handed over to the active");
    }
    Ok(())
}

/// The next message; `None` when it is to stop.
async fn receive(from: &mut Receiver, until: &mut Until<'_>) -> Result<Option<Message>, FollowError> {
    tokio::select! {
        _ = until.stop.wait_for(|stop| *stop) => Ok(None),
        said = from.receive() => Ok(Some(said?)),
        () = route::silent(&mut until.heard, until.link) => Err(FollowError::LinkSilent(until.link)),
    }
}

/// A message that has come already.
async fn ready(from: &mut Receiver) -> Option<Result<Message, BulkError>> {
    tokio::select! {
        biased;
        said = from.receive() => Some(said),
        () = std::future::ready(()) => None,
    }
}

async fn say(to: &mut Sender, message: &Message) -> Result<(), BulkError> {
    to.push(message)?;
    to.flush().await
}

/// The whole store; false when it is to stop before that is here.
async fn pieces(
    follower: &Follower,
    replica: &mut Option<Replica>,
    (place, hash): (Place, RunningHash),
    (to, from): (&mut Sender, &mut Receiver),
    until: &mut Until<'_>,
) -> Result<bool, FollowError> {
    with(follower, replica, move |replica| replica.begin_full(place, hash)).await?;
    let mut bytes_copied = 0;
    let mut last_ping = Instant::now();
    loop {
        let Some(said) = receive(from, until).await? else { return Ok(false) };
        match said {
            Message::Piece { bytes } => {
                bytes_copied += bytes.len();
                with(follower, replica, move |replica| replica.piece(&bytes)).await?;
                (follower.progress)(&format!("copying the whole store: {} MB so far", bytes_copied >> 20));
                if last_ping.elapsed() > PING_EVERY {
                    last_ping = Instant::now();
                    say(to, &Message::Ping).await?;
                }
            }
            Message::PiecesEnd { pieces, .. } => {
                let came = follower.came.clone();
                let end = move |replica: &mut Replica| replica.end_full(pieces).map(|()| came(replica));
                with(follower, replica, end).await?;
                say(to, &Message::Acknowledge { received: place, durable: place }).await?;
                return Ok(true);
            }
            Message::Ping => {}
            _ => return Err(FollowError::OutOfTurn),
        }
    }
}

fn compare(copied: &dyn Copied, replica: &Replica) -> Result<(), StoreError> {
    copied.compare(&mut replica.log_reader()?, &replica.plan_reader())
}

/// What the active may lack, and the question for its time. The copy is compared anew if that must be.
async fn offer(
    follower: &Follower,
    replica: &mut Option<Replica>,
    to: &mut Sender,
    apart: Option<Apart>,
) -> Result<(), FollowError> {
    let copied = &follower.copied;
    if !copied.is_compared() {
        let copied = copied.clone();
        with(follower, replica, move |replica| compare(&*copied, replica)).await?;
    }
    if let Some(bytes) = copied.offers() {
        say(to, &Message::Readings { from: From::Fill, bytes }).await?;
    }
    Ok(say(to, &Message::AskTime { sent: copied.now(), apart }).await?)
}

/// Frame by frame, until it is to stop or the link is lost; beside them, what is set aside is handed over.
async fn frames(
    follower: &Follower,
    replica: &mut Option<Replica>,
    ways: (&mut Sender, &mut Receiver),
    until: &mut Until<'_>,
) -> Result<(), FollowError> {
    let mut making = Making::default();
    let ended = frames_and_tails(follower, replica, ways, &mut making, until).await;
    // Until then the store is open; a takeover need not wait for that.
    let is_stopped = *until.stop.borrow();
    making.end(!is_stopped).await;
    ended
}

async fn frames_and_tails(
    follower: &Follower,
    replica: &mut Option<Replica>,
    (to, from): (&mut Sender, &mut Receiver),
    making: &mut Making,
    until: &mut Until<'_>,
) -> Result<(), FollowError> {
    let copied = follower.copied.clone();
    with(follower, replica, move |replica| compare(&*copied, replica)).await?;
    let mut lists = TagLists::default();
    let mut ask = tokio::time::interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut measured, mut apart) = (Measured::default(), None);
    let mut handing = HandingOver::new(Instant::now());
    loop {
        let said = tokio::select! {
            said = receive(from, until) => said?,
            _ = ask.tick() => {
                offer(follower, replica, to, apart).await?;
                continue;
            }
            () = handing.rested() => {
                let due = handing.due(Instant::now(), follower.tails.any());
                hand_over(follower, replica, to, making, due).await?;
                continue;
            }
            made = making.done() => {
                if handing.made(Instant::now(), made.is_some()) {
                    let bytes = made.unwrap_or_default();
                    say(to, &Message::Readings { from: From::Rejoin, bytes }).await?;
                }
                continue;
            }
        };
        let Some(said) = said else { return Ok(()) };
        let mut gathered: Vec<(Head, Arc<[u8]>)> = Vec::new();
        let mut bytes = 0;
        let mut said = Some(said);
        // All that has come already goes to the disk at once.
        while let Some(one) = said.take() {
            match one {
                Message::Frame { head, bytes: frame } => {
                    bytes += frame.len();
                    gathered.push((head, frame));
                }
                Message::Time { sent, received, answered } => {
                    apart = measured.answer(sent, (received, answered), follower.copied.now());
                    apart.into_iter().for_each(|apart| follower.copied.apart(apart));
                }
                Message::KeptBy { place, refused } => handing.kept_by(place, refused)?,
                // Of a version that still says it.
                Message::Ping => {}
                _ => return Err(FollowError::OutOfTurn),
            }
            if bytes < APPLIED_AT_ONCE_BYTES {
                said = ready(from).await.transpose()?;
            }
        }
        if !gathered.is_empty() {
            apply(follower, replica, to, gathered, &mut lists).await?;
        }
        if let Some(place) = replica.as_ref().and_then(Replica::place) {
            let due = handing.reached(Instant::now(), place);
            hand_over(follower, replica, to, making, due).await?;
        }
    }
}

/// Makes frames durable in the copy, and says so; that they are in memory, too, if the active waits for no more.
/// A takeover waits until they are durable. If the disk refuses them then, what the active let out on that word is
/// nowhere but there: with `memory` its death in the same moment is the second fault.
async fn apply(
    follower: &Follower,
    replica: &mut Option<Replica>,
    to: &mut Sender,
    frames: Vec<(Head, Arc<[u8]>)>,
    lists: &mut TagLists,
) -> Result<(), FollowError> {
    let mut told = Ok(());
    if let (MirrorMode::Memory, Some((head, _))) = (follower.mirror, frames.last()) {
        let durable = replica.as_ref().and_then(Replica::place).unwrap_or(Place::ZERO);
        told = say(to, &Message::Acknowledge { received: head.place, durable }).await;
    }
    let came = follower.came.clone();
    let apply = move |replica: &mut Replica| {
        let verdict = replica.apply_many(frames.iter().map(|(head, frame)| (head, &frame[..])))?;
        came(replica);
        Ok((verdict, frames))
    };
    let applied = match with(follower, replica, apply).await? {
        (Verdict::Append | Verdict::Have, applied) => applied,
        (other, _) => return Err(FollowError::Verdict(other)),
    };
    // A link that is lost is no reason to have less than what came, nor to know less of it.
    if let (Ok(()), Some(place)) = (&told, replica.as_ref().and_then(Replica::place)) {
        (follower.progress)(&format!("a copy of the active's store up to {place}"));
        told = say(to, &Message::Acknowledge { received: place, durable: place }).await;
    }
    for (_, frame) in &applied {
        let records = records_of_change(frame, lists)?;
        if follower.copied.lacks_plan_of(&records) {
            let (copied, records) = (follower.copied.clone(), records.clone());
            with(follower, replica, move |replica| copied.learn(&records, &replica.plan_reader())).await?;
        }
        follower.copied.arrived(&records);
    }
    Ok(told?)
}

/// Does what handing over asks for.
async fn hand_over(
    follower: &Follower,
    replica: &mut Option<Replica>,
    to: &mut Sender,
    making: &mut Making,
    due: Due,
) -> Result<(), FollowError> {
    match due {
        Due::Nothing => {}
        Due::Ask => say(to, &Message::Readings { from: From::Rejoin, bytes: [].into() }).await?,
        Due::Make { note } => {
            let log = with(follower, replica, |replica| replica.log_reader()).await?;
            making.begin(&follower.tails, log, note);
        }
    }
    Ok(())
}
