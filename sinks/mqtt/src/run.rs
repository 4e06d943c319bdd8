//! One connection: from deliveries to publishes, from acknowledgements to reports.
//!
//! ```text
//!  inlet.next() -> encode -> queue -> publisher (window) -> broker
//!  inlet.ack()  <- acks  <- events  <- PUBACK / PUBCOMP / written
//! ```
//!
//! Any fault ends the run with an error; the engine runs the sink again with
//! everything not acknowledged, in order. Events are awaited by one future
//! that is never dropped before it completes: the client library loses packets
//! when it is cancelled.

use crate::acks::{AckError, Acks, Report};
use crate::client::{self, Events, Publisher, Refusal, Seen, Terms};
use crate::encode::{Encoder, Message};
use crate::limits::{
    ACK_CHECK, ACK_TIMEOUT, CLIENT_CHANNEL, EARLY, EARLY_LOSSES_MAX, LEARNED_PACKET_MIN, PUBLISH_OVERHEAD,
    QOS_2_WINDOW_V311,
};
use crate::settings::{Options, Qos};
use crate::topic::TOPIC_BYTES_MAX;
use gwp_core::sink::{Delivery, Inlet, SinkContext, SinkError, SinkMeter, with_causes};
use gwp_mqtt::{DISCONNECT_TIMEOUT, Fault, Version, tls};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use tokio::time::{Instant, MissedTickBehavior};

/// What one connection teaches the next.
#[derive(Debug, Default)]
pub struct Lessons {
    /// Bytes of a packet the broker has shown to be too large for it; 0 = none so far.
    packet_max: AtomicUsize,
    /// Connections lost one after the other soon after they were made.
    early_losses: AtomicU32,
}

/// What one run knows.
struct Connection<'a> {
    options: &'a Options,
    lessons: &'a Lessons,
    publisher: Publisher,
    inlet: Inlet,
    meter: Arc<SinkMeter>,
    encoder: Encoder,
    acks: Acks,
    /// Messages of the newest delivery that do not fit the window yet.
    queue: VecDeque<Message>,
    /// The engine has no more deliveries.
    ended: bool,
    /// Messages not acknowledged at most, as agreed with the broker.
    window: usize,
    /// Window the client library has lost to refused messages.
    leaked: usize,
    /// Largest packet of this connection.
    largest: usize,
    connected: Instant,
    /// A delivery was done on this connection.
    fruitful: bool,
    /// When the broker last acknowledged something, or had nothing to acknowledge.
    progress: Instant,
}

/// Runs the sink until its inlet ends or the connection breaks.
///
/// # Errors
/// Whatever ended the connection.
pub async fn run(options: &Options, lessons: &Lessons, mut cx: SinkContext) -> Result<(), SinkError> {
    let tls = match options.link.broker.tls {
        true => {
            Some(tls::configure(&options.link.tls).map_err(|error| SinkError::halt(with_causes(&error)))?)
        }
        false => None,
    };
    let (publisher, mut events) = client::open(options, tls);
    let terms = {
        let mut connected = pin!(connect(&mut events));
        tokio::select! {
            terms = &mut connected => terms.map_err(|fault| error_of(options, "cannot connect to", fault))?,
            () = cx.stop.stopped() => return Ok(()),
        }
    };
    check_terms(options, terms)?;
    tracing::info!(
        broker = %options.link.broker,
        client_id = options.link.client_id,
        session_kept = terms.session_present,
        unacknowledged_max = terms.receive_max,
        packet_bytes_max = terms.packet_max,
        qos_max = terms.qos_max,
        "connected"
    );

    let mut encoder = Encoder::new(options.shape.clone(), options.payload_max);
    let told = terms.packet_max.map_or(usize::MAX, |bytes| bytes as usize);
    let learned = lessons.packet_max.load(Relaxed);
    encoder.set_packet_max(if learned == 0 { told } else { told.min(learned) });
    let mut connection = Connection {
        options,
        lessons,
        publisher,
        inlet: cx.inlet,
        meter: cx.meter,
        encoder,
        acks: Acks::default(),
        queue: VecDeque::new(),
        ended: false,
        window: usize::from(window(options, terms)),
        leaked: 0,
        largest: 0,
        connected: Instant::now(),
        fruitful: false,
        progress: Instant::now(),
    };
    connection.inlet.ready(None);
    let result = connection.serve(&mut events, &mut cx.stop).await;
    connection.meter.connected.store(0, Relaxed);
    if result.is_ok() && connection.acks.is_idle() {
        goodbye(&connection.publisher, &mut events).await;
    }
    result
}

async fn connect(events: &mut Events) -> Result<Terms, Fault> {
    loop {
        if let Seen::Connected(terms) = events.next().await? {
            return Ok(terms);
        }
    }
}

fn check_terms(options: &Options, terms: Terms) -> Result<(), SinkError> {
    let qos = match options.qos {
        Qos::Zero => 0,
        Qos::One => 1,
        Qos::Two => 2,
    };
    if qos > terms.qos_max {
        let max = terms.qos_max;
        return Err(SinkError::halt(format!(
            "the broker {} takes QoS {max} at most: set `qos = {max}`",
            options.link.broker
        )));
    }
    if options.retain && !terms.retain {
        return Err(SinkError::halt(format!(
            "the broker {} keeps no messages: remove `retain`",
            options.link.broker
        )));
    }
    Ok(())
}

/// Messages not acknowledged at most. A broker can tell its bound only in 5.0.
fn window(options: &Options, terms: Terms) -> u16 {
    match (options.link.version, options.qos) {
        (Version::V311, Qos::Two) => options.window.min(QOS_2_WINDOW_V311),
        _ => options.window.min(terms.receive_max),
    }
}

/// Lets the broker end the session in order; nothing depends on it.
async fn goodbye(publisher: &Publisher, events: &mut Events) {
    if publisher.disconnect() {
        let gone = async { while matches!(events.next().await, Ok(seen) if seen != Seen::Disconnected) {} };
        let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, gone).await;
    }
}

impl Connection<'_> {
    async fn serve(&mut self, events: &mut Events, stop: &mut gwp_core::stop::Stop) -> Result<(), SinkError> {
        let mut watch = tokio::time::interval(ACK_CHECK);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.ended && self.acks.is_idle()) {
            let mut next = pin!(events.next());
            let seen = loop {
                tokio::select! {
                    biased;
                    seen = &mut next => break seen,
                    () = stop.stopped() => return Ok(()),
                    delivery = self.inlet.next(), if self.queue.is_empty() && !self.ended => {
                        match delivery {
                            Some(delivery) => self.take(&delivery)?,
                            None => self.ended = true,
                        }
                        if self.ended && self.acks.is_idle() {
                            return Ok(());
                        }
                    }
                    _ = watch.tick() => self.check_progress()?,
                }
            };
            match seen {
                Ok(seen) => self.see(seen)?,
                Err(fault) => return Err(self.broken(fault)),
            }
        }
        Ok(())
    }

    /// Encodes a delivery and publishes what fits the window.
    fn take(&mut self, delivery: &Delivery) -> Result<(), SinkError> {
        if self.acks.span() == 0 {
            self.progress = Instant::now();
        }
        self.acks.open(delivery.upto, delivery.samples());
        for part in &delivery.parts {
            self.encoder.encode(part, &mut self.queue);
        }
        if let Some(reason) = self.queue.iter().find_map(|message| self.unfit(message)) {
            self.acks.refuse_newest(reason);
            self.queue.clear();
        }
        self.pump()
    }

    /// Why a message can never be published.
    fn unfit(&self, message: &Message) -> Option<String> {
        let max = self.encoder.payload_max(&message.topic);
        if message.topic.len() > TOPIC_BYTES_MAX {
            return Some("the topic is longer than 65,535 bytes".into());
        }
        (message.payload.len() > max).then(|| {
            let bytes = message.payload.len();
            format!(
                "packet too large: one sample makes {bytes} bytes, at most {max} are allowed on `{}`",
                message.topic
            )
        })
    }

    /// Publishes queued messages while the window and the channel have room.
    fn pump(&mut self) -> Result<(), SinkError> {
        while self.acks.span() < self.window_now() && self.acks.unsent() < CLIENT_CHANNEL {
            let Some(message) = self.queue.pop_front() else { break };
            let bytes = message.payload.len();
            self.largest = self.largest.max(PUBLISH_OVERHEAD + message.topic.len() + bytes);
            if !self.publisher.publish(&message.topic, message.payload, self.options.qos, self.options.retain)
            {
                // There is room in the channel, so it is the topic that the library does not like.
                self.acks.refuse_newest(format!("the topic `{}` is not valid", message.topic));
                self.queue.clear();
                continue;
            }
            self.acks.publish();
            self.meter.requests.fetch_add(1, Relaxed);
            self.meter.bytes.fetch_add(bytes as u64, Relaxed);
        }
        if self.queue.is_empty() {
            self.acks.close();
        }
        self.report();
        Ok(())
    }

    /// Some brokers close the connection over a message they refuse, and the reason is read only
    /// by who is not writing. So after early losses messages go one by one for a while, at
    /// least until a delivery is done.
    fn window_now(&self) -> usize {
        let careful = self.lessons.early_losses.load(Relaxed) >= EARLY_LOSSES_MAX
            && (!self.fruitful || self.connected.elapsed() < EARLY);
        if careful { self.window.min(1) } else { self.window }
    }

    fn report(&mut self) {
        while let Some(report) = self.acks.next_report() {
            self.fruitful = true;
            match report {
                Report::Ack { upto, samples } => {
                    self.meter.samples.fetch_add(samples as u64, Relaxed);
                    self.inlet.ack(upto);
                }
                Report::Reject { upto, reason } => {
                    tracing::debug!(%upto, reason, "delivery rejected");
                    self.inlet.reject(upto, reason);
                }
            }
        }
    }

    fn see(&mut self, seen: Seen) -> Result<(), SinkError> {
        let noted = match seen {
            Seen::Sent(_) if self.options.qos == Qos::Zero => self.advance(Acks::sent_for_good),
            Seen::Sent(packet) => self.acks.sent(packet),
            Seen::Acked(packet) => self.advance(|acks| acks.acked(packet)),
            Seen::Refused { packet, refusal } => return self.refused(packet, refusal),
            Seen::Connected(_) | Seen::Disconnected | Seen::Other => return Ok(()),
        };
        noted.map_err(|error| self.confused(&error))?;
        self.pump()
    }

    fn advance(&mut self, note: impl FnOnce(&mut Acks) -> Result<(), AckError>) -> Result<(), AckError> {
        self.progress = Instant::now();
        note(&mut self.acks)
    }

    fn refused(&mut self, packet: u16, refusal: Refusal) -> Result<(), SinkError> {
        let Refusal { reason, for_good, leaks } = refusal;
        if !for_good {
            return Err(SinkError::retry(format!("{}: {reason}", self.options.link.broker)));
        }
        self.advance(|acks| acks.refused(packet, reason)).map_err(|error| self.confused(&error))?;
        if self.acks.newest_is_refused() {
            self.queue.clear();
        }
        if leaks {
            self.leaked += 1;
            self.window -= 1;
            if self.window <= self.leaked {
                let text = "half of the window is lost to refused messages, connecting anew";
                return Err(SinkError::retry(format!("{}: {text}", self.options.link.broker)));
            }
        }
        self.pump()
    }

    fn check_progress(&mut self) -> Result<(), SinkError> {
        if self.acks.span() == 0 || self.progress.elapsed() < ACK_TIMEOUT {
            return Ok(());
        }
        let seconds = ACK_TIMEOUT.as_secs();
        Err(SinkError::retry(format!(
            "{} has not acknowledged anything for {seconds} s",
            self.options.link.broker
        )))
    }

    fn broken(&self, fault: Fault) -> SinkError {
        if self.connected.elapsed() < EARLY {
            self.lessons.early_losses.fetch_add(1, Relaxed);
        } else {
            self.lessons.early_losses.store(0, Relaxed);
        }
        if fault == Fault::PacketTooLarge {
            // The broker does not say what it takes: try half until it does.
            let learned = (self.largest / 2).max(LEARNED_PACKET_MIN);
            self.lessons.packet_max.store(learned, Relaxed);
            tracing::warn!(broker = %self.options.link.broker, bytes = learned, "packets are made smaller from here on");
        }
        error_of(self.options, "connection lost to", fault)
    }

    fn confused(&self, error: &AckError) -> SinkError {
        SinkError::retry(format!("{}: {error}", self.options.link.broker))
    }
}

fn error_of(options: &Options, doing: &str, fault: Fault) -> SinkError {
    let broker = format!("{} as client `{}`", options.link.broker, options.link.client_id);
    match fault {
        Fault::Lost(why) => SinkError::retry(format!("{doing} {broker}: {why}")),
        Fault::Refused(why) => SinkError::halt(format!("{doing} {broker}: {why}")),
        Fault::TakenOver(why) => SinkError::superseded(None, format!("{doing} {broker}: {why}")),
        Fault::PacketTooLarge => SinkError::retry(format!("{doing} {broker}: a packet was too large for it")),
    }
}
