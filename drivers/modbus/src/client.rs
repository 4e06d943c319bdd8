//! One request and its answer: the protocol client under our rules.
//!
//! tokio-modbus frames and parses. It sets no time limit, reports the end of a
//! stream as whatever error the system had last, and takes a register count
//! for granted; this module turns all of that into a [`Fault`].

use crate::address::Table;
use crate::decode::Answer;
use crate::exception::Exception;
use crate::point::Span;
use crate::wire::Wire;
use crate::write::WriteRequest;
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
}

impl Client {
    pub fn new(wire: Wire, framing: Framing) -> Client {
        Client { context: attach(&wire, framing), wire, framing }
    }

    /// Begins anew on the same wire: nothing half sent or half received is left over.
    pub fn reattach(&mut self) {
        self.context = attach(&self.wire, self.framing);
    }

    /// Throws away bytes that nobody waits for; says how many.
    pub async fn drain(&mut self) -> Result<usize, Fault> {
        self.wire.drain().await.map_err(Fault::Closed)
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
        match tokio::time::timeout(timeout, self.context.call(sent)).await {
            Err(_) => Err(Fault::Timeout),
            Ok(Ok(Ok(response))) if is_echo(&response, request) => Ok(()),
            Ok(Ok(Ok(response))) => Err(Fault::Broken(format!("{response:?} to a write"))),
            Ok(Ok(Err(code))) => Err(Fault::Exception(Exception(code.into()))),
            Ok(Err(error)) => Err(fault(error)),
        }
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
        match tokio::time::timeout(timeout, self.context.call(request)).await {
            Err(_) => Err(Fault::Timeout),
            Ok(Ok(Ok(response))) => answer(response, span),
            Ok(Ok(Err(code))) => Err(Fault::Exception(Exception(code.into()))),
            Ok(Err(error)) => Err(fault(error)),
        }
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

    #[test]
    fn the_end_of_a_stream_is_a_lost_connection_whatever_the_system_says() {
        let of = |kind: io::ErrorKind| fault(Error::Transport(kind.into()));
        assert!(matches!(of(io::ErrorKind::BrokenPipe), Fault::Closed(_)));
        assert!(matches!(fault(Error::Transport(io::Error::from_raw_os_error(115))), Fault::Closed(_)));
        assert!(matches!(of(io::ErrorKind::InvalidData), Fault::Broken(_)));
    }
}
