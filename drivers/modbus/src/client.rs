//! One request and its answer: the protocol client under our rules.
//!
//! tokio-modbus frames and parses. It sets no time limit, reports the end of a
//! stream as whatever error the system had last, and takes a register count
//! for granted; this module turns all of that into a [`Fault`].

use crate::address::Table;
use crate::decode::Answer;
use crate::exception::Exception;
use crate::point::Span;
use crate::wire::{Recorded, Wire};
use crate::write::WriteRequest;
use gwp_driver_kit::wire_log::{Way, WireLogs};
use std::io;
use std::time::Duration;
use tokio_modbus::client::{Client as _, Context, rtu, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, ProtocolError, Request, Response, Slave};

/// How requests are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// With a transaction number (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).
    Tcp,
    /// With a checksum only (MODBUS over Serial Line V1.02, 2.5.1).
    Rtu,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("no answer in time")]
    Timeout,
    /// The unit or a gateway answered with an exception.
    #[error("exception {:#04x}: {}", .0.0, .0.text())]
    Exception(Exception),
    /// Bytes came that are no answer to this request.
    #[error("wrong answer: {0}")]
    Broken(String),
    /// The unit gave a proper answer, but to another question.
    #[error("an answer of {bytes} bytes from the {}, which was not asked for", .table.name())]
    Stale { table: Table, bytes: usize },
    /// Nothing was sent: an answer still owed could not be told from the one to this request.
    #[error("an earlier answer is still owed")]
    Owed,
    /// The stream ended or failed.
    #[error("connection lost")]
    Closed(#[source] io::Error),
    /// There is no connection now; nothing was sent.
    #[error("not connected")]
    Unavailable,
}

/// A client on one open wire.
pub struct Client {
    wire: Wire,
    context: Context,
    framing: Framing,
    logs: WireLogs,
}

impl Client {
    pub fn new(wire: Wire, framing: Framing, logs: WireLogs) -> Client {
        if logs.is_on() {
            wire.record();
        }
        Client { context: attach(&wire, framing), wire, framing, logs }
    }

    /// Begins anew on the same wire: nothing half sent or half received is left over.
    pub fn reattach(&mut self) {
        self.context = attach(&self.wire, self.framing);
    }

    /// Throws away bytes that nobody waits for; says how many.
    pub async fn drain(&mut self) -> Result<usize, Fault> {
        let drained = self.wire.drain().await;
        let came = self.wire.recorded().came;
        if came.length > 0 {
            let says = || "bytes that nobody asked for".into();
            self.logs.of_source().frame(Way::Came, &came.first, came.length, says);
        }
        drained.map_err(Fault::Closed)
    }

    /// Carries out a change; the answer repeats what was asked.
    pub async fn write(&mut self, unit: u8, request: &WriteRequest, timeout: Duration) -> Result<(), Fault> {
        self.context.set_slave(Slave(unit));
        let sent = match request {
            WriteRequest::Coil { address, on } => Request::WriteSingleCoil(*address, *on),
            WriteRequest::Register { address, value } => Request::WriteSingleRegister(*address, *value),
            WriteRequest::Coils { address, on } => {
                Request::WriteMultipleCoils(*address, on.as_slice().into())
            }
            WriteRequest::Registers { address, values } => {
                Request::WriteMultipleRegisters(*address, values.as_slice().into())
            }
        };
        let result = match tokio::time::timeout(timeout, self.context.call(sent)).await {
            Err(_) => Err(Fault::Timeout),
            Ok(Ok(Ok(response))) if is_echo(&response, request) => Ok(()),
            Ok(Ok(Ok(response))) => Err(Fault::Broken(format!("{response:?} to a write"))),
            Ok(Ok(Err(code))) => Err(Fault::Exception(Exception(code.into()))),
            Ok(Err(error)) => Err(fault(error)),
        };
        self.tell(unit, || request.summary(), result.as_ref().err());
        result
    }

    /// Reads `span` from `unit`; the answer has as many values as were asked for.
    pub async fn read(&mut self, unit: u8, span: Span, timeout: Duration) -> Result<Answer, Fault> {
        self.context.set_slave(Slave(unit));
        let request = match span.table {
            Table::Coils => Request::ReadCoils(span.start, span.count),
            Table::DiscreteInputs => Request::ReadDiscreteInputs(span.start, span.count),
            Table::InputRegisters => Request::ReadInputRegisters(span.start, span.count),
            Table::HoldingRegisters => Request::ReadHoldingRegisters(span.start, span.count),
        };
        let result = match tokio::time::timeout(timeout, self.context.call(request)).await {
            Err(_) => Err(Fault::Timeout),
            Ok(Ok(Ok(response))) => answer(response, span),
            Ok(Ok(Err(code))) => Err(Fault::Exception(Exception(code.into()))),
            Ok(Err(error)) => Err(fault(error)),
        };
        let asked = || format!("read {} {} from {}", span.count, span.table.name(), span.start);
        self.tell(unit, asked, result.as_ref().err());
        result
    }

    /// Writes a request and what came of it into the wire log.
    fn tell(&self, unit: u8, asked: impl FnOnce() -> String, fault: Option<&Fault>) {
        if !self.logs.is_on() {
            return;
        }
        let Recorded { sent, came } = self.wire.recorded();
        let log = self.logs.of(unit);
        log.frame(Way::Sent, &sent.first, sent.length, || format!("unit {unit}: {}", asked()));
        let answered = || fault.map_or_else(|| "answered".into(), Fault::to_string);
        log.frame(Way::Came, &came.first, came.length, || format!("unit {unit}: {}", answered()));
    }
}

fn attach(wire: &Wire, framing: Framing) -> Context {
    match framing {
        Framing::Tcp => tcp::attach_slave(wire.clone(), Slave(0)),
        Framing::Rtu => rtu::attach_slave(wire.clone(), Slave(0)),
    }
}

/// True for the answer to just this change.
fn is_echo(response: &Response, request: &WriteRequest) -> bool {
    let count = |values: usize| u16::try_from(values).unwrap_or(u16::MAX);
    match (response, request) {
        (Response::WriteSingleCoil(at, is), WriteRequest::Coil { address, on }) => (at, is) == (address, on),
        (Response::WriteSingleRegister(at, is), WriteRequest::Register { address, value }) => {
            (at, is) == (address, value)
        }
        (Response::WriteMultipleCoils(at, done), WriteRequest::Coils { address, on }) => {
            (*at, *done) == (*address, count(on.len()))
        }
        (Response::WriteMultipleRegisters(at, done), WriteRequest::Registers { address, values }) => {
            (*at, *done) == (*address, count(values.len()))
        }
        _ => false,
    }
}

/// Takes the values of a response, if it is one to reading `span`.
fn answer(response: Response, span: Span) -> Result<Answer, Fault> {
    let (table, bytes) = signature(&response)?;
    if (table, bytes) != (span.table, span.answer_bytes()) {
        return Err(Fault::Stale { table, bytes });
    }
    match response {
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => Ok(Answer::Bits(bits)),
        Response::ReadInputRegisters(registers) | Response::ReadHoldingRegisters(registers) => {
            Ok(Answer::Registers(registers))
        }
        _ => Err(Fault::Broken("no values".into())),
    }
}

/// Table and number of bytes that a response was read from.
fn signature(response: &Response) -> Result<(Table, usize), Fault> {
    match response {
        Response::ReadCoils(bits) => Ok((Table::Coils, bits.len() / 8)),
        Response::ReadDiscreteInputs(bits) => Ok((Table::DiscreteInputs, bits.len() / 8)),
        Response::ReadInputRegisters(registers) => Ok((Table::InputRegisters, registers.len() * 2)),
        Response::ReadHoldingRegisters(registers) => Ok((Table::HoldingRegisters, registers.len() * 2)),
        other => Err(Fault::Broken(format!("function {:#04x}", other.function_code().value()))),
    }
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Protocol(ProtocolError::FunctionCodeMismatch { result: Ok(response), .. }) => {
            signature(&response).map_or_else(|fault| fault, |(table, bytes)| Fault::Stale { table, bytes })
        }
        Error::Protocol(error) => Fault::Broken(error.to_string()),
        // Frames that cannot be parsed arrive as these two kinds; the end of a stream as any other.
        Error::Transport(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            Fault::Broken(error.to_string())
        }
        Error::Transport(error) => Fault::Closed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_driver_contract::log::Log;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn an_answer_must_have_the_table_and_length_asked_for() {
        let hr = |count| Span { table: Table::HoldingRegisters, start: 0, count };
        let co = |count| Span { table: Table::Coils, start: 0, count };
        assert_eq!(
            answer(Response::ReadHoldingRegisters(vec![1, 2]), hr(2)).unwrap(),
            Answer::Registers(vec![1, 2])
        );
        let stale = |response, span| match answer(response, span) {
            Err(Fault::Stale { table, bytes }) => (table, bytes),
            other => panic!("{other:?}"),
        };
        assert_eq!(stale(Response::ReadHoldingRegisters(vec![1, 2]), hr(3)), (Table::HoldingRegisters, 4));
        assert_eq!(stale(Response::ReadInputRegisters(vec![1, 2]), hr(2)), (Table::InputRegisters, 4));
        assert!(matches!(answer(Response::ReadCoils(vec![true; 8]), co(3)), Ok(Answer::Bits(_))));
        assert_eq!(stale(Response::ReadCoils(vec![true; 16]), co(3)), (Table::Coils, 2));
        assert_eq!(stale(Response::ReadCoils(vec![true; 16]), hr(1)), (Table::Coils, 2));
        assert!(matches!(answer(Response::WriteSingleRegister(1, 2), hr(1)), Err(Fault::Broken(_))));
    }

    fn log(word: &str) -> WireLogs {
        let mut settings = gwp_core::manifest::Settings::default();
        settings.set("wire_log", gwp_core::manifest::SettingValue::Text(word.into()));
        WireLogs::new(&"press".into(), &settings, [])
    }

    /// Lines of the wire log without what all have in common.
    fn said(log: &Log) -> Vec<String> {
        let line = |line: String| {
            let (_, said) = line.split_once("wire: ")?;
            Some(said.strip_suffix(" source=press")?.to_owned())
        };
        log.lines().into_iter().map(|text| line(text).expect("a line of this source")).collect()
    }

    #[tokio::test]
    async fn the_wire_log_has_requests_answers_and_what_nobody_asked_for() {
        let (near, mut far) = tokio::io::duplex(4_096);
        let written = Log::capture();
        let mut client = Client::new(Wire::new(near), Framing::Tcp, log("bytes"));
        let (second, span) =
            (Duration::from_secs(1), Span { table: Table::HoldingRegisters, start: 7, count: 1 });
        far.write_all(&[0, 0, 0, 0, 0, 5, 1, 3, 2, 4, 0xd2]).await.unwrap();
        assert!(client.read(1, span, second).await.is_ok());
        far.write_all(&[0, 1, 0, 0, 0, 3, 1, 0x86, 2]).await.unwrap();
        assert!(client.write(1, &WriteRequest::Register { address: 9, value: 5 }, second).await.is_err());
        far.write_all(&[9, 9]).await.unwrap();
        assert_eq!(client.drain().await.unwrap(), 2);
        assert!(client.read(1, span, Duration::from_millis(1)).await.is_err());
        assert_eq!(
            said(&written),
            [
                "-> unit 1: read 1 holding registers from 7, 12 bytes: 00 00 00 00 00 06 01 03 00 07 00 01",
                "<- unit 1: answered, 11 bytes: 00 00 00 00 00 05 01 03 02 04 d2",
                "-> unit 1: write register 9, 12 bytes: 00 01 00 00 00 06 01 06 00 09 00 05",
                "<- unit 1: exception 0x02: illegal data address, 9 bytes: 00 01 00 00 00 03 01 86 02",
                "<- bytes that nobody asked for, 2 bytes: 09 09",
                "-> unit 1: read 1 holding registers from 7, 12 bytes: 00 02 00 00 00 06 01 03 00 07 00 01",
                "<- unit 1: no answer in time, 0 bytes",
            ]
        );
    }

    #[tokio::test]
    async fn the_wire_log_of_a_serial_line_has_its_checksums() {
        let (near, mut far) = tokio::io::duplex(4_096);
        let written = Log::capture();
        let mut client = Client::new(Wire::new(near), Framing::Rtu, log("bytes"));
        let span = Span { table: Table::InputRegisters, start: 8, count: 1 };
        far.write_all(&[0x11, 4, 2, 0, 10, 0xf8, 0xf4]).await.unwrap();
        assert!(client.read(0x11, span, Duration::from_secs(1)).await.is_ok());
        assert_eq!(
            said(&written),
            [
                "-> unit 17: read 1 input registers from 8, 8 bytes: 11 04 00 08 00 01 b2 98",
                "<- unit 17: answered, 7 bytes: 11 04 02 00 0a f8 f4",
            ]
        );
    }

    #[test]
    fn the_end_of_a_stream_is_a_lost_connection_whatever_the_system_says() {
        let of = |kind: io::ErrorKind| fault(Error::Transport(kind.into()));
        assert!(matches!(of(io::ErrorKind::BrokenPipe), Fault::Closed(_)));
        assert!(matches!(fault(Error::Transport(io::Error::from_raw_os_error(115))), Fault::Closed(_)));
        assert!(matches!(of(io::ErrorKind::InvalidData), Fault::Broken(_)));
    }
}
