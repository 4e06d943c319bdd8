//! Values of samples.
//!
//! PLC integers compute as 64-bit signed, `ulint`/`lword` are kept unsigned,
//! reals are 64-bit floats. A sample that has no value (its quality is then
//! bad) has kind [`Kind::Nothing`]; expressions never see it as a number.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Kind of a value, one byte on disk and wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    Nothing = 0,
    Bool = 1,
    Int = 2,
    UInt = 3,
    Float = 4,
    Text = 5,
    Bytes = 6,
    Time = 7,
}

impl Kind {
    /// Reads the byte that `as u8` gives; `None` for any other byte.
    pub const fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            0 => Kind::Nothing,
            1 => Kind::Bool,
            2 => Kind::Int,
            3 => Kind::UInt,
            4 => Kind::Float,
            5 => Kind::Text,
            6 => Kind::Bytes,
            7 => Kind::Time,
            _ => return None,
        })
    }
}

/// One value, used where single values matter; streams use [`crate::Column`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Value {
    Nothing,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Time(Timestamp),
}

impl Value {
    pub const fn kind(&self) -> Kind {
        match self {
            Value::Nothing => Kind::Nothing,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::UInt(_) => Kind::UInt,
            Value::Float(_) => Kind::Float,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Time(_) => Kind::Time,
        }
    }

    /// The value as a float, for numbers and booleans.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::Int(i) => Some(*i as f64),
            Value::UInt(u) => Some(*u as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nothing => f.write_str("-"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::UInt(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v}"),
            Value::Text(v) => f.write_str(v),
            Value::Bytes(v) => v.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::Time(v) => write!(f, "{v}"),
        }
    }
}
