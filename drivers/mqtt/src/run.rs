//! Connections, one after the other: messages in, acknowledgements out.
//!
//! ```text
//! broker -> events -> samples -> arrived (bounded) -> outlet -> log on disk -> receipt -> PUBACK
//! ```
//! One task, nothing in it waits for anything else in it: while the log is behind, messages stay
//! unacknowledged, the broker's window fills and it sends no more. Events are awaited by one future
//! that is never dropped before it completes: the client library loses packets when it is cancelled.

use crate::client::{self, Ack, Client, Events, Incoming, Seen};
use crate::limits::{FINISH_TIMEOUT, RECONNECT_FIRST, RECONNECT_MAX, SUBSCRIBE_TIMEOUT};
use crate::settings::Options;
use crate::topics::{Message, Subscription, Topics};
use gwp_core::backoff::Backoff;
use gwp_core::edge::Receipt;
use gwp_core::record::SlotMark;
use gwp_core::sink::with_causes;
use gwp_core::source::{Emission, Outlet, SourceContext, SourceError};
use gwp_core::{Batch, BoxFuture};
use gwp_mqtt::{DISCONNECT_TIMEOUT, Fault, tls};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// Runs until stopped, connecting again whenever it must.
///
/// # Errors
/// The log takes no more.
pub async fn run(options: &Options, topics: &Topics, mut cx: SourceContext) -> Result<(), SourceError> {
    let mut backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_MAX, &options.link.client_id);
    let mut told = String::new();
    loop {
        let mut stop = cx.stop.clone();
        let ended = connection(options, topics, &mut cx, &mut backoff).await;
        let up = cx.meter.connected.load(Relaxed) == 1;
        if up && !stop.is_stopped() {
            // While the disk is full nothing is taken: stopping must not wait for it.
            tokio::select! {
                () = cx.connected(false) => {}
                () = stop.stopped() => {}
            }
        }
        let fault = match ended {
            Ended::Stopped => return Ok(()),
            Ended::LogFailed => return Err(SourceError { message: "the log takes no more".into() }),
            Ended::Fault(fault) => fault,
        };
        cx.meter.errors.fetch_add(1, Relaxed);
        let text = text_of(&fault);
        if up || text != told {
            let (broker, client_id) = (&options.link.broker, &options.link.client_id);
            match fault {
                Fault::Refused(_) | Fault::TakenOver(_) => {
                    tracing::error!(%broker, client_id, text, "not connected; a person must act")
                }
                _ => tracing::warn!(%broker, client_id, text, "not connected; trying again"),
            }
            told = text;
        }
        let wait = tokio::time::sleep(backoff.wait());
        let commands = cx.commands.clone();
        let refuse = async {
            loop {
                cx.refuse(commands.next().await);
            }
        };
        tokio::select! {
            () = wait => {}
            () = refuse => {}
            () = stop.stopped() => return Ok(()),
        }
    }
}

fn text_of(fault: &Fault) -> String {
    match fault {
        Fault::Lost(text) | Fault::Refused(text) | Fault::TakenOver(text) => text.clone(),
        Fault::PacketTooLarge => "a packet was too large".into(),
    }
}

/// Why a connection is over.
enum Ended {
    Stopped,
    LogFailed,
    Fault(Fault),
}

/// A message on its way into the log.
struct Arrived {
    batches: Vec<Batch>,
    ack: Option<Ack>,
}

/// A message that is in the log, or will be soon.
struct Handed {
    /// Of its last batch; `None` if it has no samples.
    receipt: Option<Receipt>,
    ack: Option<Ack>,
}

/// What one connection knows.
struct Connection<'a> {
    options: &'a Options,
    topics: &'a Topics,
    client: Client,
    outlet: Outlet,
    arrived: VecDeque<Arrived>,
    /// The message that is being handed over.
    handing: Option<BoxFuture<'static, Handed>>,
    /// In order of arrival, as they must be acknowledged (MQTT 5.0, 4.6).
    handed: VecDeque<Handed>,
    stored: VecDeque<Ack>,
    subscriptions: Vec<Subscription>,
    /// Topics of SUBSCRIBE packets that are not answered yet.
    unanswered: VecDeque<Vec<Subscription>>,
    /// How many topics are asked for.
    asked: usize,
    /// Until when the next SUBSCRIBE must be answered.
    patience: Option<Instant>,
}

async fn connection(
    options: &Options,
    topics: &Topics,
    cx: &mut SourceContext,
    backoff: &mut Backoff,
) -> Ended {
    let tls = match options.link.broker.tls.then(|| tls::configure(&options.link.tls)).transpose() {
        Ok(tls) => tls,
        Err(error) => return Ended::Fault(Fault::Refused(with_causes(&error))),
    };
    let (client, mut events) = client::open(options, tls);
    let mut connection = Connection {
        options,
        topics,
        client,
        outlet: cx.outlet.clone(),
        arrived: VecDeque::new(),
        handing: None,
        handed: VecDeque::new(),
        stored: VecDeque::new(),
        subscriptions: topics.subscriptions(),
        unanswered: VecDeque::new(),
        asked: 0,
        patience: None,
    };
    let ended = connection.serve(&mut events, cx, backoff).await;
    if matches!(ended, Ended::Stopped) {
        let _ = tokio::time::timeout(FINISH_TIMEOUT, connection.finish(&mut events)).await;
        goodbye(&connection.client, &mut events).await;
    }
    ended
}

/// Lets the broker know that this is no fault; the session is kept.
async fn goodbye(client: &Client, events: &mut Events) {
    let gone = async {
        // Acknowledgements in the channel go before it, and may fill it.
        let mut asked = client.disconnect();
        while !matches!(events.next().await, Ok(Seen::Disconnected) | Err(_)) {
            asked = asked || client.disconnect();
        }
    };
    let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, gone).await;
}

impl Connection<'_> {
    async fn serve(&mut self, events: &mut Events, cx: &mut SourceContext, backoff: &mut Backoff) -> Ended {
        let room = usize::from(self.options.window).max(1);
        let (mut stop, commands) = (cx.stop.clone(), cx.commands.clone());
        loop {
            let mut next = pin!(events.next());
            let seen = loop {
                self.subscribe();
                self.acknowledge();
                self.hand_over();
                let patience = self.patience;
                tokio::select! {
                    biased;
                    () = stop.stopped() => return Ended::Stopped,
                    stored = settled(self.handed.front_mut()) => match (stored, self.handed.pop_front()) {
                        (true, Some(handed)) => self.stored.extend(handed.ack),
                        _ => return Ended::LogFailed,
                    },
                    handed = of(&mut self.handing) => {
                        self.handing = None;
                        self.handed.push_back(handed);
                    }
                    command = commands.next() => cx.refuse(command),
                    () = until(patience) => {
                        return Ended::Fault(Fault::Lost("the broker does not answer a subscription".into()));
                    }
                    seen = &mut next, if self.arrived.len() < room => break seen,
                }
            };
            match seen {
                Ok(Seen::Connected { session_present }) => {
                    tracing::info!(
                        broker = %self.options.link.broker,
                        client_id = self.options.link.client_id,
                        session_kept = session_present,
                        topics = self.subscriptions.len(),
                        "connected"
                    );
                    self.patience = Some(Instant::now() + SUBSCRIBE_TIMEOUT);
                    tokio::select! {
                        () = cx.connected(true) => {}
                        () = stop.stopped() => return Ended::Stopped,
                    }
                }
                Ok(Seen::Subscribed(refused)) => {
                    if let Err(fault) = self.subscribed(&refused) {
                        return Ended::Fault(fault);
                    }
                    if self.patience.is_none() {
                        backoff.reset();
                    }
                }
                Ok(Seen::Message(mut incoming)) => self.take(&mut incoming, cx),
                Ok(Seen::Disconnected | Seen::Other) => {}
                Err(fault) => return Ended::Fault(fault),
            }
        }
    }

    /// Acknowledges what the log is still about to store, and takes no more.
    async fn finish(&mut self, events: &mut Events) {
        self.arrived.clear();
        loop {
            let mut next = pin!(events.next());
            let seen = loop {
                self.acknowledge();
                if self.handing.is_none() && self.handed.is_empty() && self.stored.is_empty() {
                    return;
                }
                tokio::select! {
                    stored = settled(self.handed.front_mut()) => match (stored, self.handed.pop_front()) {
                        (true, Some(handed)) => self.stored.extend(handed.ack),
                        _ => return,
                    },
                    handed = of(&mut self.handing) => {
                        self.handing = None;
                        self.handed.push_back(handed);
                    }
                    seen = &mut next => break seen,
                }
            };
            if seen.is_err() {
                return;
            }
        }
    }

    /// Asks for what the channel has room for, once connected.
    fn subscribe(&mut self) {
        if self.patience.is_none() {
            return;
        }
        let left = self.subscriptions.get(self.asked..).unwrap_or_default();
        let mut asked = Vec::new();
        for portion in client::portions(left) {
            if !self.client.subscribe(portion) {
                break;
            }
            asked.push(portion.to_vec());
        }
        self.asked += asked.iter().map(Vec::len).sum::<usize>();
        self.unanswered.extend(asked);
        if self.subscriptions.is_empty() {
            self.patience = None;
        }
    }

    fn subscribed(&mut self, refused: &[bool]) -> Result<(), Fault> {
        let topics = self.unanswered.pop_front().unwrap_or_default();
        if let Some((subscription, _)) = topics.iter().zip(refused).find(|(_, refused)| **refused) {
            let topic = &subscription.topic;
            let text = format!("the broker refuses the topic `{topic}`: check its access list");
            return Err(Fault::Refused(text));
        }
        let done = self.unanswered.is_empty() && self.asked == self.subscriptions.len();
        self.patience = (!done).then(|| Instant::now() + SUBSCRIBE_TIMEOUT);
        Ok(())
    }

    fn take(&mut self, incoming: &mut Incoming, cx: &SourceContext) {
        cx.meter.requests.fetch_add(1, Relaxed);
        let message = Message {
            topic: &incoming.topic,
            payload: &incoming.payload,
            retained: incoming.retained,
            repeated: incoming.repeated,
            time: incoming.time.as_deref(),
        };
        let batches = self.topics.samples(self.options, &message, cx.clock.now());
        self.arrived.push_back(Arrived { batches, ack: incoming.ack.take() });
    }

    /// Begins to hand over the next message, if none is under way.
    fn hand_over(&mut self) {
        if self.handing.is_none()
            && let Some(Arrived { batches, ack }) = self.arrived.pop_front()
        {
            let outlet = self.outlet.clone();
            self.handing = Some(Box::pin(async move {
                let mut receipt = None;
                for batch in batches {
                    let emission = Emission::Samples { slot: SlotMark::default(), batch };
                    receipt = outlet.emit_for_receipt(emission).await;
                }
                Handed { receipt, ack }
            }));
        }
    }

    /// Acknowledges what is stored, as far as the channel has room.
    fn acknowledge(&mut self) {
        while self.stored.front().is_some_and(|ack| self.client.acknowledge(ack)) {
            self.stored.pop_front();
        }
    }
}

/// The future that is there, or none that ever completes.
async fn of<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// True when the log holds the message; waits for ever if there is none.
async fn settled(handed: Option<&mut Handed>) -> bool {
    match handed {
        Some(Handed { receipt: Some(receipt), .. }) => receipt.settled().await,
        Some(Handed { receipt: None, .. }) => true,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
