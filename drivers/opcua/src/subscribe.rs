//! The running source by subscription: a session, its subscriptions, and the publish loop.
//!
//! ```text
//!          ok                  set up                     lost
//! dial ---------> take up or make ---------> publish ---------------> back at once? -- no --> dial
//!   ^  pause      subscriptions    up: true     |   ^                     | yes
//!   |                                           |   +---- take up <-------+
//!   +------------- up: false <------------------+ silent, session gone
//! ```
//! A lost connection that comes back at once is no change of `connected`. Subscriptions outlive it at the server:
//! they are taken up again with all that was not acknowledged, by Republish in the same session, by
//! TransferSubscriptions in a new one; only when the server has lost them they are made anew. The same when this
//! process has died, or the other node of a pair had them: where a run stands is in its bookmarks.

mod audit;
mod notify;
mod past;
mod take_up;

use crate::bookmark::{self, Progress, Standing};
use crate::calls::{Call, What};
use crate::dial::{Dialer, Presence, without_connection};
use crate::items::{self, Item, Subscription};
use crate::limits::{ACKS_PER_PUBLISH, FINISH_TIMEOUT, PUBLISH_PAUSE, PUBLISHES_MAX};
use crate::link::{Event, Link};
use crate::prepare::Prepared;
use crate::queue::{LogFailed, Number, Queue};
use crate::redundant::Levels;
use crate::security::ConnectError;
use crate::server::Facts;
use crate::tags::Tags;
use crate::write::{self, Types};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gwp_core::source::{BROKEN, SourceContext, SourceError};
use gwp_core::{BoxFuture, Timestamp};
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::services::Publish;
use opcua::client::{Session, UARequest};
use opcua::types::{Error, PublishResponse, StatusCode};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often silence, and nodes that are to be asked for again, are looked for.
const TICK: Duration = Duration::from_millis(250);

/// Runs until stopped, connecting again whenever it must.
///
/// # Errors
/// The log takes no more.
pub async fn run(prepared: &Prepared, cx: SourceContext) -> Result<(), SourceError> {
    let mut stop = cx.stop.clone();
    let mut subscriber = Subscriber::new(prepared, cx);
    tokio::select! {
        LogFailed = subscriber.go_on() => {
            return Err(SourceError { message: "the log takes no more".into() });
        }
        () = stop.stopped() => {}
    }
    let _ = tokio::time::timeout(FINISH_TIMEOUT, subscriber.finish()).await;
    Ok(())
}

/// Why a session is over.
#[derive(Debug)]
enum Fault {
    LogFailed,
    /// It ended with this.
    Ended(StatusCode),
    /// Connected, and nothing comes.
    Silent {
        subscription: u32,
    },
    /// Another server of the set is better.
    Better,
    /// A request has failed without which it cannot go on.
    Request {
        what: &'static str,
        error: Error,
    },
}

impl From<LogFailed> for Fault {
    fn from(_: LogFailed) -> Fault {
        Fault::LogFailed
    }
}

/// A publish request that has come back.
struct Published {
    acknowledged: Vec<Number>,
    /// How often subscriptions had been given up when it was sent.
    losses: u32,
    result: Result<PublishResponse, Error>,
}

/// All that is known of the server and its subscriptions.
struct Subscriber<'a> {
    prepared: &'a Prepared,
    cx: SourceContext,
    presence: Presence,
    link: Option<Link>,
    facts: Facts,
    tags: Tags,
    /// By node.
    items: Vec<Item>,
    subscriptions: Vec<Subscription>,
    types: Types,
    queue: Queue,
    publishes: FuturesUnordered<BoxFuture<'static, Published>>,
    /// How often all subscriptions had to be given up.
    losses: u32,
    /// Publish requests that the server takes.
    window: usize,
    /// No publish request before this.
    pause: Option<Instant>,
    /// When tags that are bad since a break and of which nothing came are read.
    refresh: Option<Instant>,
    /// Namespaces by index have been warned of.
    warned: bool,
    /// Subscriptions of a run before, not taken up yet; the namespaces by which their nodes were numbered.
    left_by: Option<u64>,
    /// When it was told last that a queue was too short.
    overflow_told: Option<Instant>,
    /// What the bookmark says of subscriptions and items is so no more.
    has_moved: bool,
    /// Address of the server that has the subscriptions, and when it was started.
    home: String,
    home_start: Option<i64>,
    /// Subscriptions of a run before that are of no use to this one.
    useless: Vec<u32>,
    /// Nodes whose history is to be read, and since when.
    owed: BTreeMap<usize, Timestamp>,
    levels: Levels<'a>,
    /// A session with a better server, and which of the set it is.
    next: Option<(usize, Link)>,
    /// When and from which node on it is looked whether the server reports what it has.
    audit_at: Instant,
    audit_from: usize,
}

impl<'a> Subscriber<'a> {
    fn new(prepared: &'a Prepared, cx: SourceContext) -> Subscriber<'a> {
        let tags = prepared.tags.iter().map(|tag| (tag.id, tag.group));
        let deadband = prepared.options.deadband > 0.0;
        let items = (0..prepared.nodes.len()).map(|node| Item::new(deadband && prepared.is_number(node)));
        let mut tags = Tags::new(tags, prepared.options.stamp);
        let left = cx.outlet.bookmark(bookmark::SUBSCRIPTIONS);
        let left = left.and_then(|bytes| Standing::read(&bytes));
        let (left, other): (Option<Standing>, _) = match left {
            Some(left) if left.is_of(prepared) => (Some(left), None),
            other => (None, other),
        };
        let progress = cx.outlet.bookmark(bookmark::PROGRESS).and_then(|bytes| Progress::read(&bytes));
        match (&left, cx.outlet.broken()) {
            // What has been so since before is told as what is so now: nobody would look at a sample of last week.
            (None, _) => tags.break_off(cx.clock.now()),
            (Some(_), Some(since)) => tags.break_off(since),
            // The log has what they are.
            (Some(_), None) => {}
        }
        let mut subscriber = Subscriber {
            prepared,
            presence: Presence::new(cx.clone()),
            link: None,
            facts: Facts::default(),
            tags,
            items: items.collect(),
            subscriptions: Vec::new(),
            types: Types::default(),
            queue: Queue::new(cx.outlet.clone(), progress.unwrap_or_default()),
            publishes: FuturesUnordered::new(),
            losses: 0,
            window: PUBLISHES_MAX,
            pause: None,
            refresh: None,
            warned: false,
            left_by: None,
            has_moved: false,
            overflow_told: None,
            home: String::new(),
            home_start: None,
            useless: Vec::new(),
            owed: BTreeMap::new(),
            levels: Levels::new(prepared),
            next: None,
            audit_at: Instant::now() + prepared.options.retry,
            audit_from: 0,
            cx,
        };
        if let Some(other) = other {
            subscriber.useless = other.subscriptions.iter().map(|left| left.id).collect();
            (subscriber.home, subscriber.home_start) = (other.server, other.start);
        }
        left.into_iter().for_each(|left| subscriber.go_on_with(left));
        subscriber
    }

    async fn go_on(&mut self) -> LogFailed {
        let mut dialer = Dialer::new(self.prepared);
        // Who has the subscriptions comes first.
        let servers = self.prepared.options.servers();
        dialer.at = servers.iter().position(|server| server.url == self.home).unwrap_or(0);
        loop {
            let opened = match self.next.take() {
                Some((at, link)) => Ok(dialer.opened(at, link)),
                None => without_connection(&self.cx, dialer.open()).await,
            };
            let pause = match opened {
                Ok(link) => {
                    self.link = Some(link);
                    match self.serve(&mut dialer).await {
                        Fault::LogFailed => return LogFailed,
                        fault => {
                            self.leave(&fault).await;
                            self.ended(fault, &mut dialer)
                        }
                    }
                }
                Err(pause) => Some(pause),
            };
            let Some(pause) = pause else { continue };
            self.break_off().await;
            without_connection(&self.cx, tokio::time::sleep(pause)).await;
        }
    }

    /// A session that is there and of no use is closed, as small servers have few. Its subscriptions stay.
    async fn leave(&mut self, fault: &Fault) {
        if let (Fault::Better, Some(session)) = (fault, self.session_now()) {
            let _ = tokio::time::timeout(FINISH_TIMEOUT, session.disconnect()).await;
        } else if let (Fault::Silent { .. } | Fault::Request { .. }, Some(session)) =
            (fault, self.session_now())
        {
            let farewell = session.disconnect_without_delete_subscriptions();
            let _ = tokio::time::timeout(FINISH_TIMEOUT, farewell).await;
        }
        self.collect();
    }

    /// The session is over; how long to wait before another one, if at all.
    fn ended(&mut self, fault: Fault, dialer: &mut Dialer<'_>) -> Option<Duration> {
        let link = self.link.take();
        if !matches!(fault, Fault::Better) {
            self.cx.meter.errors.fetch_add(1, Relaxed);
        }
        let url = link.as_ref().map(|link| link.context.url.clone()).unwrap_or_default();
        let source = &self.prepared.name;
        match fault {
            Fault::Ended(status) => {
                let error = link.map(|link| link.context.explain(status));
                return error.map(|error| dialer.failed(&error));
            }
            Fault::Silent { subscription } => {
                self.cx.meter.timeouts.fetch_add(1, Relaxed);
                tracing::warn!(%source, url, subscription, "connected but silent: the session is set up anew");
            }
            Fault::Request { what, error } => {
                let status = error.status();
                tracing::warn!(%source, url, %status, "{what} failed: the session is set up anew");
                let error = ConnectError::Other { url, status };
                return Some(dialer.failed(&error));
            }
            Fault::Better => {
                tracing::info!(%source, url, "another server of the set is better: its place is taken by that");
            }
            Fault::LogFailed => {}
        }
        None
    }

    /// Until the session is over.
    async fn serve(&mut self, dialer: &mut Dialer<'_>) -> Fault {
        // What another session has found out is of no use.
        self.levels = Levels::new(self.prepared);
        if let Some(link) = &self.link {
            crate::types::load(&link.session, self.prepared).await;
        }
        let mut same_session = false;
        loop {
            let Err(fault) = self.session(same_session, dialer).await;
            let Fault::Ended(StatusCode::Good) = fault else { return fault };
            // The connection is lost and one attempt to come back is under way.
            let Some(link) = &mut self.link else { return fault };
            let event = without_connection(&self.cx, link.event());
            same_session = match tokio::time::timeout(self.prepared.options.connect_timeout, event).await {
                Ok(Event::Back { same_session }) => same_session,
                Ok(Event::Ended(status)) => return Fault::Ended(status),
                Ok(Event::Lost) | Err(_) => return Fault::Ended(StatusCode::BadTimeout),
            };
        }
    }

    /// As long as the connection holds; `Ended(Good)` when it is lost and may be back at once.
    async fn session(&mut self, same_session: bool, dialer: &mut Dialer<'_>) -> Result<Infallible, Fault> {
        self.collect();
        self.window = PUBLISHES_MAX;
        self.pause = None;
        let session = self.session_now().ok_or(Fault::Ended(StatusCode::BadNotConnected))?;
        self.set_up(&session, same_session).await?;
        let commands = self.cx.commands.clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.publish(&session);
            let Some(link) = &mut self.link else { return Err(Fault::Ended(StatusCode::BadNotConnected)) };
            tokio::select! {
                biased;
                event = link.event() => match event {
                    Event::Lost => return Err(Fault::Ended(StatusCode::Good)),
                    Event::Back { .. } => {}
                    Event::Ended(status) => return Err(Fault::Ended(status)),
                },
                stored = self.queue.stored() => {
                    if let Some(number) = stored? {
                        self.acknowledge(number);
                    }
                }
                Some(published) = self.publishes.next() => {
                    if self.published(&session, published).await? {
                        dialer.proved();
                    }
                }
                found = self.levels.found() => {
                    for at in &found.refused {
                        dialer.refused(*at);
                    }
                    if found.better.is_some() {
                        self.next = found.better;
                        return Err(Fault::Better);
                    }
                }
                command = commands.next() => write::carry_out(&session, &self.facts, self.prepared, &self.types, command).await,
                _ = ticks.tick() => {
                    self.tick(&session).await?;
                    self.levels.look(&session, dialer).await;
                }
            }
        }
    }

    fn session_now(&self) -> Option<Arc<Session>> {
        self.link.as_ref().map(|link| link.session.clone())
    }

    fn acknowledge(&mut self, (subscription, number): Number) {
        // One that is gone needs no acknowledgement.
        if let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == subscription) {
            found.sequence.stored(number);
        }
    }

    /// Sends publish requests, as many as the server takes and the log has room for.
    fn publish(&mut self, session: &Arc<Session>) {
        if self.subscriptions.is_empty() || self.pause.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let wanted = (self.subscriptions.len() + 1).clamp(2, PUBLISHES_MAX).min(self.window);
        while self.publishes.len() < wanted && self.queue.has_room() {
            let acknowledged = self.acknowledgements();
            self.cx.meter.requests.fetch_add(1, Relaxed);
            let patience = self.subscriptions.iter().map(|found| found.patience).max().unwrap_or_default();
            let log = self.prepared.options.log.clone();
            self.publishes.push(
                request(session.clone(), log, acknowledged, self.losses, patience.saturating_mul(2)).boxed(),
            );
        }
        if self.publishes.is_empty() {
            // Nobody was asked, so nobody was silent.
            self.subscriptions.iter_mut().for_each(|found| found.heard = Instant::now());
        }
    }

    fn acknowledgements(&mut self) -> Vec<Number> {
        let mut numbers = Vec::new();
        for subscription in &mut self.subscriptions {
            if numbers.len() < ACKS_PER_PUBLISH {
                let id = subscription.id;
                numbers
                    .extend(subscription.sequence.acknowledgements().into_iter().map(|number| (id, number)));
            }
        }
        numbers
    }

    /// Whether a publish request was answered with what it was meant for.
    async fn published(&mut self, session: &Arc<Session>, published: Published) -> Result<bool, Fault> {
        match published.result {
            Ok(answer) => {
                self.notified(session, answer).await?;
                Ok(true)
            }
            Err(error) => {
                self.not_acknowledged(published.acknowledged);
                self.publish_failed(session, error, published.losses).await?;
                Ok(false)
            }
        }
    }

    fn not_acknowledged(&mut self, numbers: Vec<Number>) {
        for (subscription, number) in numbers {
            if let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == subscription) {
                found.sequence.not_acknowledged([number]);
            }
        }
    }

    /// What the publish requests of a lost connection have come to: some may have been answered just before.
    fn collect(&mut self) {
        while let Some(Some(published)) = self.publishes.next().now_or_never() {
            match published.result {
                Ok(answer) => self.keep(&answer),
                Err(_) => self.not_acknowledged(published.acknowledged),
            }
        }
        self.publishes.clear();
    }

    async fn publish_failed(
        &mut self,
        session: &Arc<Session>,
        error: Error,
        losses: u32,
    ) -> Result<(), Fault> {
        let status = error.status();
        tracing::debug!(source = %self.prepared.name, %status, "a publish request failed");
        match status {
            StatusCode::BadTooManyPublishRequests => {
                self.window = self.publishes.len().max(1);
                self.pause = Some(Instant::now() + PUBLISH_PAUSE);
                return Ok(());
            }
            // It was sent before those were made that are there now.
            StatusCode::BadNoSubscription if losses != self.losses => return Ok(()),
            StatusCode::BadNoSubscription => {
                self.losses = self.losses.wrapping_add(1);
                self.pause = Some(Instant::now() + PUBLISH_PAUSE);
                tracing::warn!(source = %self.prepared.name, "the server has lost the subscriptions: they are made anew");
                self.forget(|_| true);
                return self.place_lost(session).await;
            }
            StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionNotActivated
            | StatusCode::BadSecureChannelIdInvalid => {
                return Err(Fault::Request { what: "publishing", error });
            }
            StatusCode::BadTimeout => self.cx.meter.timeouts.fetch_add(1, Relaxed),
            _ => self.cx.meter.errors.fetch_add(1, Relaxed),
        };
        // If the connection is at fault, that is told by its event.
        self.pause = Some(Instant::now() + PUBLISH_PAUSE);
        Ok(())
    }

    /// What is to be done from time to time.
    async fn tick(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        let now = Instant::now();
        let silent = self.subscriptions.iter().find(|found| now.duration_since(found.heard) > found.patience);
        if let Some(silent) = silent {
            return self.silent(session, silent.id, silent.is_unproved).await;
        }
        self.place_due(session, now).await?;
        self.set_bookmark().await;
        self.audit(session, now).await?;
        // What is so now is told behind what happened before.
        let is_behind = self.subscriptions.iter().any(|found| found.is_catching_up);
        if !is_behind && self.refresh.is_some_and(|at| at <= now) {
            self.refresh = None;
            self.read_broken(session).await?;
            if self.cx.outlet.broken().is_some() {
                self.queue.all_handed().await;
                self.cx.outlet.set_bookmark(BROKEN, [].into()).await;
            }
        }
        Ok(())
    }

    /// A subscription says nothing. Some servers hand one over and then forget whom to tell: if the server answers, it
    /// is that, and another session would be told nothing, either.
    async fn silent(&mut self, session: &Arc<Session>, id: u32, is_unproved: bool) -> Result<(), Fault> {
        if !is_unproved || Facts::ask(session, &self.prepared.options.log).await.is_err() {
            return Err(Fault::Silent { subscription: id });
        }
        tracing::warn!(source = %self.prepared.name, subscription = id, "silent since it was taken over: it is made anew, and what the server kept of it is lost unless it has history");
        items::give_up(session, vec![id]).await;
        self.forget(|found| found == id);
        self.place_lost(session).await
    }

    /// The connection is gone: what came is handed over first, then all tags turn bad.
    async fn break_off(&mut self) {
        if self.presence.is_news(false) {
            self.queue.all_handed().await;
            self.presence.is(false).await;
            let now = self.cx.clock.now();
            self.tags.break_off(now);
            self.cx.outlet.set_broken(now).await;
        }
    }

    /// Lets the log take what has come. The subscriptions stay, for the next run here or on the other node; the server
    /// keeps them for `lifetime`.
    async fn finish(&mut self) {
        self.publishes.clear();
        let stored = async { while !self.queue.is_empty() && self.queue.stored().await.is_ok() {} };
        let half = FINISH_TIMEOUT / 2;
        let _ = tokio::time::timeout(half, stored).await;
        if let Some(session) = self.session_now() {
            let farewell = session.disconnect_without_delete_subscriptions();
            let _ = tokio::time::timeout(half, farewell).await;
        }
    }
}

/// One publish request, with what it acknowledges.
async fn request(
    session: Arc<Session>,
    log: WireLog,
    acknowledged: Vec<Number>,
    losses: u32,
    patience: Duration,
) -> Published {
    let mut request = Publish::new(&session).timeout(patience);
    for (subscription, number) in &acknowledged {
        request = request.ack(*subscription, *number);
    }
    let call = Call::begin(&log, What("Publish, acknowledgements", acknowledged.len()));
    let result = call.answer(request.send(session.channel()).await);
    Published { acknowledged, losses, result }
}

/// A failed request that ends the session.
fn failed(what: &'static str) -> impl FnOnce(Error) -> Fault {
    move |error| Fault::Request { what, error }
}
