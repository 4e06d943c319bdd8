//! One connection to a PLC: requests and their answers, in an agreed time.
//!
//! Every answer carries the number of its request. What does not fit, comes late or is cut off ends
//! the connection, and late bytes end with it; so nothing of one exchange reaches a later one.

use crate::protocol::Malformed;
use crate::protocol::frame::{self, HEADER, OVERHEAD, PACKET_MAX, Tsaps, Unit};
use crate::protocol::refusal::{HeaderError, ReturnCode};
use crate::protocol::summary::summary;
use crate::protocol::telegram::{self, Agreement, Item, JOBS_MAX, PDU_MAX, Telegram};
use gwp_core::BoxFuture;
use gwp_driver_kit::wire::{Dial, Wire};
use gwp_driver_kit::wire_log::{Way, WireLog};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("no answer in time")]
    Timeout,
    /// The PLC refuses the request as a whole.
    #[error("{0}")]
    Refused(HeaderError),
    /// Bytes came that are no answer to this request.
    #[error("wrong answer: {0}")]
    Broken(#[from] Malformed),
    /// The stream ended or failed.
    #[error("connection lost")]
    Closed(#[from] io::Error),
    /// There is no connection now; nothing was sent.
    #[error("not connected")]
    Unavailable,
    /// The PLC has agreed to less than the request takes; nothing was sent.
    #[error("the agreed PDU of {0} bytes is too small for this")]
    TooLong(u16),
}

/// What came of each item of a request.
pub type Values = Vec<Result<Vec<u8>, ReturnCode>>;

/// A connection over which a PDU size is agreed.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    log: WireLog,
    /// Bytes that have come and are not used yet; at most one packet and what came with it.
    buffer: Vec<u8>,
    reference: u16,
    agreed: Agreement,
}

impl Client {
    /// Connects to the PLC behind a wire and agrees on a PDU of at most `pdu` bytes.
    ///
    /// # Errors
    /// The stream's own, or a sentence on what the PLC refused.
    pub async fn connect(wire: Wire, tsaps: Tsaps, pdu: u16, log: WireLog) -> io::Result<Client> {
        let wanted = Agreement { pdu, jobs: JOBS_MAX };
        let mut client = Client { wire, log, buffer: Vec::new(), reference: 0, agreed: wanted };
        client.send(&frame::connect(tsaps)).await?;
        let packet = client.packet().await.map_err(in_handshake)?;
        match frame::unit(&packet).map_err(|error| in_handshake(error.into()))? {
            Unit::Confirm => {}
            Unit::Disconnect(_) | Unit::Error(_) => {
                return Err(io::Error::other(
                    "the PLC refuses the connection: rack, slot or TSAP are wrong, or it has no connection left",
                ));
            }
            Unit::Data { .. } => return Err(io::Error::other("the PLC sends data before it is connected")),
        }
        client.agreed = client.agree(wanted).await.map_err(in_handshake)?;
        Ok(client)
    }

    async fn agree(&mut self, wanted: Agreement) -> Result<Agreement, Fault> {
        let reference = self.next_reference();
        self.send(&frame::data(&telegram::setup(reference, wanted))).await?;
        Ok(checked(&self.telegram().await?, reference)?.agreement(wanted)?)
    }

    /// What is agreed on with the PLC.
    pub fn agreed(&self) -> Agreement {
        self.agreed
    }

    /// Makes sure that nothing has come that nobody asked for. Waits for nothing.
    pub async fn is_quiet(&mut self) -> Result<(), Fault> {
        let stray = self.wire.drain().await? + self.buffer.len();
        if stray > 0 {
            self.log.frame(Way::Came, &self.buffer, stray, || "bytes that nobody asked for".into());
            return Err(Malformed::new(format!("{stray} bytes that nobody asked for")).into());
        }
        Ok(())
    }

    /// Asks for the values of items and does not wait for them; gives the number of the request.
    pub async fn ask(&mut self, items: &[Item]) -> Result<u16, Fault> {
        let reference = self.next_reference();
        let request = telegram::read(reference, items);
        self.fits(request.len())?;
        self.send(&frame::data(&request)).await?;
        Ok(reference)
    }

    /// The next answer, whichever request it belongs to.
    pub async fn answer(&mut self, timeout: Duration) -> Result<Vec<u8>, Fault> {
        in_time(timeout, self.telegram()).await
    }

    /// Reads items; one result for each.
    pub async fn read(&mut self, items: &[Item], timeout: Duration) -> Result<Values, Fault> {
        let reference = in_time(timeout, self.ask(items)).await?;
        values_of(&self.answer(timeout).await?, reference, items)
    }

    /// Gives one item a value.
    pub async fn write(
        &mut self,
        item: &Item,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<Result<(), ReturnCode>, Fault> {
        let reference = self.next_reference();
        let request = telegram::write(reference, item, bytes);
        self.fits(request.len())?;
        in_time(timeout, async { Ok(self.send(&frame::data(&request)).await?) }).await?;
        Ok(checked(&self.answer(timeout).await?, reference)?.written()?)
    }

    fn fits(&self, bytes: usize) -> Result<(), Fault> {
        let pdu = self.agreed.pdu;
        if bytes > usize::from(pdu) { Err(Fault::TooLong(pdu)) } else { Ok(()) }
    }

    fn next_reference(&mut self) -> u16 {
        self.reference = self.reference.wrapping_add(1);
        self.reference
    }

    async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.log.frame(Way::Sent, packet, packet.len(), || summary(packet));
        self.wire.write_all(packet).await
    }

    /// The next whole telegram.
    async fn telegram(&mut self) -> Result<Vec<u8>, Fault> {
        let mut answer = Vec::new();
        loop {
            let packet = self.packet().await?;
            match frame::unit(&packet)? {
                Unit::Data { bytes, last } => {
                    answer.extend_from_slice(bytes);
                    if answer.len() > usize::from(PDU_MAX) {
                        return Err(Malformed::new("a telegram longer than agreed").into());
                    }
                    if last {
                        return Ok(answer);
                    }
                    if bytes.is_empty() {
                        return Err(Malformed::new("a part of a telegram without content").into());
                    }
                }
                Unit::Disconnect(_) => return Err(Fault::Closed(io::ErrorKind::ConnectionReset.into())),
                Unit::Error(cause) => {
                    return Err(Malformed::new(format!("the PLC finds a fault of cause {cause}")).into());
                }
                Unit::Confirm => return Err(Malformed::new("a second confirmation").into()),
            }
        }
    }

    /// The next whole packet.
    async fn packet(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<HEADER>() {
                let length = frame::packet_length(*header)?;
                if self.buffer.len() >= length {
                    let behind = self.buffer.split_off(length);
                    let packet = std::mem::replace(&mut self.buffer, behind);
                    self.log.frame(Way::Came, &packet, length, || summary(&packet));
                    return Ok(packet);
                }
            }
            let mut room = [0; PACKET_MAX];
            let count = self.wire.read(&mut room).await?;
            if count == 0 {
                return Err(Fault::Closed(io::ErrorKind::UnexpectedEof.into()));
            }
            self.buffer.extend_from_slice(room.get(..count).unwrap_or_default());
        }
    }
}

async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(Fault::Timeout))
}

/// The number of the request that an answer belongs to.
///
/// # Errors
/// It is none.
pub fn number_of(answer: &[u8]) -> Result<u16, Fault> {
    Ok(telegram::parse(answer)?.reference)
}

/// What an answer says of each item of its request.
///
/// # Errors
/// It refuses the request as a whole, or is the answer to another one.
pub fn values_of(answer: &[u8], reference: u16, items: &[Item]) -> Result<Values, Fault> {
    let values = checked(answer, reference)?.values(items)?;
    Ok(values.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect())
}

/// An answer with the number of its request, that does not refuse it.
fn checked(answer: &[u8], reference: u16) -> Result<Telegram<'_>, Fault> {
    let telegram = telegram::parse(answer)?;
    if telegram.reference != reference {
        let found = telegram.reference;
        return Err(Malformed::new(format!("the answer to request {found} and not to {reference}")).into());
    }
    match telegram.error {
        Some(error) => Err(Fault::Refused(error)),
        None => Ok(telegram),
    }
}

fn in_handshake(fault: Fault) -> io::Error {
    match fault {
        Fault::Closed(error) if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::other(
            "the PLC closes the connection: rack, slot or TSAP are wrong, or it has no connection left",
        ),
        Fault::Closed(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// A way to a connected PLC: a wire and the handshake over it.
#[derive(Clone, Debug)]
pub struct PlcDial {
    pub wires: Arc<dyn Dial>,
    pub tsaps: Tsaps,
    /// PDU asked for, in bytes.
    pub pdu: u16,
    pub log: WireLog,
}

impl Dial<Client> for PlcDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Client>> {
        Box::pin(async {
            Client::connect(self.wires.dial().await?, self.tsaps, self.pdu, self.log.clone()).await
        })
    }
}

/// Bytes of a request and its answer on the wire beside their telegrams.
pub const WIRE_OVERHEAD: usize = 2 * OVERHEAD;
