//! Writing: from a value to one request, and from its answer to what became of it.
//!
//! | value | function | if the device lacks it |
//! |---|---|---|
//! | a coil | 5 write single coil | 15 write multiple coils |
//! | one register | 6 write single register | 16 write multiple registers |
//! | several registers | 16 | - |
//!
//! Source: MODBUS Application Protocol V1.1b3, 6.5, 6.6, 6.11, 6.12.

use crate::address::Order;
use crate::client::Fault;
use crate::point::{Form, Point};
use gwp_core::Value;
use gwp_core::command::CommandFault;
use gwp_core::time::NS_PER_MS;

/// One write, as it goes over the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteRequest {
    Coil { address: u16, on: bool },
    Register { address: u16, value: u16 },
    Coils { address: u16, on: Vec<bool> },
    Registers { address: u16, values: Vec<u16> },
}

impl WriteRequest {
    /// The request that gives a point a value.
    ///
    /// # Errors
    /// The value does not fit the point; in words.
    pub fn new(point: &Point, value: &Value) -> Result<WriteRequest, String> {
        let address = point.span.start;
        let unfit = || format!("{value} does not fit {}", point.plc_type);
        if point.form == Form::Bit {
            let Value::Bool(on) = value else { return Err(unfit()) };
            return Ok(WriteRequest::Coil { address, on: *on });
        }
        let values = registers(point, value)?.ok_or_else(unfit)?;
        match values.as_slice() {
            [value] => Ok(WriteRequest::Register { address, value: *value }),
            _ => Ok(WriteRequest::Registers { address, values }),
        }
    }

    /// What it writes and where, in a few words.
    pub fn summary(&self) -> String {
        match self {
            WriteRequest::Coil { address, .. } => format!("write coil {address}"),
            WriteRequest::Register { address, .. } => format!("write register {address}"),
            WriteRequest::Coils { address, on } => format!("write {} coils from {address}", on.len()),
            WriteRequest::Registers { address, values } => {
                format!("write {} registers from {address}", values.len())
            }
        }
    }

    /// The same change with the function for several values.
    pub fn multiple(&self) -> Option<WriteRequest> {
        match *self {
            WriteRequest::Coil { address, on } => Some(WriteRequest::Coils { address, on: vec![on] }),
            WriteRequest::Register { address, value } => {
                Some(WriteRequest::Registers { address, values: vec![value] })
            }
            WriteRequest::Coils { .. } | WriteRequest::Registers { .. } => None,
        }
    }
}

/// Registers in the order of the device; `None` if the value is of another kind or too large.
fn registers(point: &Point, value: &Value) -> Result<Option<Vec<u16>>, String> {
    let bits = match (point.form, value) {
        (Form::Text { bytes }, Value::Text(text)) => return text_registers(point, text, bytes).map(Some),
        (Form::Float32, Value::Float(number)) => u64::from((*number as f32).to_bits()),
        (Form::Float64, Value::Float(number)) => number.to_bits(),
        (Form::Time64, Value::Time(time)) => time.0.div_euclid(NS_PER_MS).cast_unsigned(),
        (_, Value::Int(number)) => number.cast_unsigned(),
        (_, Value::UInt(number)) => *number,
        _ => return Ok(None),
    };
    let fits = match value {
        Value::Int(number) => point
            .plc_type
            .whole_bounds()
            .is_some_and(|(low, high)| (low..=high).contains(&i128::from(*number))),
        Value::UInt(number) => {
            point.plc_type.whole_bounds().is_some_and(|(_, high)| i128::from(*number) <= high)
        }
        _ => true,
    };
    if !fits {
        return Ok(None);
    }
    let width = point.form.width();
    // The highest first; a cast takes the lowest sixteen bits.
    let high_first = (0..width).rev().map(|register| (bits >> (16 * register)) as u16);
    Ok(Some(ordered(point, high_first.collect())))
}

/// Text with zero bytes behind it.
fn text_registers(point: &Point, text: &str, bytes: u16) -> Result<Vec<u16>, String> {
    let (have, room) = (text.len(), usize::from(bytes));
    if have > room {
        return Err(format!("the text has {have} bytes, the tag {room}"));
    }
    let mut padded = text.as_bytes().to_vec();
    padded.resize(usize::from(point.form.width()) * 2, 0);
    let pairs = padded.chunks_exact(2).map(|pair| match point.bytes {
        Order::HighFirst => u16::from_be_bytes([pair[0], pair[1]]),
        Order::LowFirst => u16::from_le_bytes([pair[0], pair[1]]),
    });
    Ok(pairs.collect())
}

fn ordered(point: &Point, mut registers: Vec<u16>) -> Vec<u16> {
    if point.words == Order::LowFirst {
        registers.reverse();
    }
    if point.bytes == Order::LowFirst {
        registers.iter_mut().for_each(|register| *register = register.swap_bytes());
    }
    registers
}

/// What a fault says of the device's value.
pub fn unwritten(fault: &Fault) -> CommandFault {
    match fault {
        // 5: it has taken the request and is still at it; 0x0B: a gateway waited in vain.
        Fault::Exception(exception) if matches!(exception.0, 0x05 | 0x0B) => {
            CommandFault::Unknown(fault.to_string())
        }
        Fault::Exception(_) => CommandFault::Failed(format!("the device refuses it: {fault}")),
        Fault::Unavailable | Fault::Owed => CommandFault::Failed(fault.to_string()),
        Fault::Timeout | Fault::Broken(_) | Fault::Stale { .. } | Fault::Closed(_) => {
            CommandFault::Unknown(fault.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::parse;
    use crate::exception::Exception;
    use crate::point::Traits;
    use gwp_core::Timestamp;
    use gwp_core::source::PlcType;

    fn point(address: &str, plc_type: PlcType, words: Order, bytes: Order) -> Point {
        let traits = Traits { words, bytes, registers_max: 125 };
        Point::new(parse(address).unwrap(), plc_type, true, traits).unwrap()
    }

    fn written(address: &str, plc_type: PlcType, value: Value) -> Vec<u16> {
        let change = WriteRequest::new(&point(address, plc_type, Order::HighFirst, Order::HighFirst), &value);
        match change.unwrap() {
            WriteRequest::Register { value, .. } => vec![value],
            WriteRequest::Registers { values, .. } => values,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_type_becomes_its_registers() {
        assert_eq!(written("hr 7", PlcType::Int, Value::Int(-2)), [0xFFFE]);
        assert_eq!(written("hr 7", PlcType::Sint, Value::Int(-2)), [0xFFFE]);
        assert_eq!(written("hr 7", PlcType::Uint, Value::Int(65_535)), [0xFFFF]);
        assert_eq!(written("hr 7", PlcType::Dint, Value::Int(-2)), [0xFFFF, 0xFFFE]);
        assert_eq!(written("hr 7", PlcType::Udint, Value::Int(0x0102_0304)), [0x0102, 0x0304]);
        assert_eq!(written("hr 7", PlcType::Ulint, Value::UInt(u64::MAX)), [0xFFFF; 4]);
        assert_eq!(written("hr 7", PlcType::Real, Value::Float(1.5)), [0x3FC0, 0]);
        assert_eq!(written("hr 7", PlcType::Lreal, Value::Float(1.5)), [0x3FF8, 0, 0, 0]);
        assert_eq!(written("hr 7", PlcType::Time, Value::Time(Timestamp::from_millis(5))), [0, 0, 0, 5]);
        assert_eq!(written("hr 7 len 5", PlcType::String, Value::Text("abc".into())), [0x6162, 0x6300, 0]);
        let coil = WriteRequest::new(
            &point("co 3", PlcType::Bool, Order::HighFirst, Order::HighFirst),
            &Value::Bool(true),
        );
        assert_eq!(coil, Ok(WriteRequest::Coil { address: 3, on: true }));
        assert_eq!(coil.unwrap().multiple(), Some(WriteRequest::Coils { address: 3, on: vec![true] }));
    }

    #[test]
    fn words_and_bytes_are_in_the_order_of_the_device() {
        let of = |words, bytes| {
            let point = point("hr 7", PlcType::Udint, words, bytes);
            match WriteRequest::new(&point, &Value::Int(0x0102_0304)).unwrap() {
                WriteRequest::Registers { values, .. } => values,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(Order::LowFirst, Order::HighFirst), [0x0304, 0x0102]);
        assert_eq!(of(Order::HighFirst, Order::LowFirst), [0x0201, 0x0403]);
        assert_eq!(of(Order::LowFirst, Order::LowFirst), [0x0403, 0x0201]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let point = |plc_type| point("hr 7", plc_type, Order::HighFirst, Order::HighFirst);
        assert_eq!(
            WriteRequest::new(&point(PlcType::Int), &Value::Int(40_000)),
            Err("40000 does not fit int".into())
        );
        assert_eq!(
            WriteRequest::new(&point(PlcType::Uint), &Value::Int(-1)),
            Err("-1 does not fit uint".into())
        );
        assert!(WriteRequest::new(&point(PlcType::Real), &Value::Text("x".into())).is_err());
        let text = Point::new(
            parse("hr 7 len 4").unwrap(),
            PlcType::String,
            true,
            Traits { words: Order::HighFirst, bytes: Order::HighFirst, registers_max: 125 },
        );
        let error = WriteRequest::new(&text.unwrap(), &Value::Text("abcde".into())).unwrap_err();
        assert_eq!(error, "the text has 5 bytes, the tag 4");
    }

    #[test]
    fn only_a_clear_no_says_that_nothing_changed() {
        assert!(matches!(unwritten(&Fault::Exception(Exception(2))), CommandFault::Failed(_)));
        assert!(matches!(unwritten(&Fault::Unavailable), CommandFault::Failed(_)));
        assert!(matches!(unwritten(&Fault::Exception(Exception(0x0B))), CommandFault::Unknown(_)));
        assert!(matches!(unwritten(&Fault::Timeout), CommandFault::Unknown(_)));
    }
}
