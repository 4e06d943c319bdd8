//! Fingerprints of parts of a plan: equal if the parts say the same, whatever numbers their tags have.
//!
//! A serializer, so that no field of a plan can be forgotten: everything is written as it is, and in place of
//! the number of a tag stands its path. Lists of nothing but tags are sets in a plan, and are written in the
//! order of their paths, as are the keys of maps.

use crate::plan::Plan;
use serde::de::Error as _;
use serde::ser::{self, Serialize};
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;

/// First 16 bytes of the BLAKE3 hash of a part. As text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of anything whose tags are those of `plan`.
    pub(crate) fn of(plan: &Plan, part: &impl Serialize) -> Fingerprint {
        let mut writer = Writer { plan, bytes: Vec::new(), tag: Tag::No };
        // The writer takes every type; only a `Serialize` of its own could refuse, and a plan has none.
        part.serialize(&mut writer).expect("a part of a plan can always be written");
        let mut own = [0; 16];
        own.copy_from_slice(&blake3::hash(&writer.bytes).as_bytes()[..16]);
        Fingerprint(own)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a fingerprint has 32 hexadecimal digits");
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut own = [0; 16];
        for (index, byte) in own.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Fingerprint(own))
    }
}

/// Whether what is being written is the number of a tag.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    No,
    Inside,
    Written,
}

struct Writer<'p> {
    plan: &'p Plan,
    bytes: Vec<u8>,
    tag: Tag,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Never> {
        self.bytes.extend_from_slice(bytes);
        self.tag = Tag::No;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Never> {
        self.put(&(text.len() as u64).to_le_bytes())?;
        self.put(text.as_bytes())
    }
}

/// Nothing is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Never(String);

impl ser::Error for Never {
    fn custom<T: fmt::Display>(message: T) -> Never {
        Never(message.to_string())
    }
}

/// A list, map or record being written.
struct Several<'w, 'p> {
    writer: &'w mut Writer<'p>,
    /// Where each element begins.
    starts: Vec<usize>,
    only_tags: bool,
}

impl<'w, 'p> Several<'w, 'p> {
    fn begin(writer: &'w mut Writer<'p>) -> Several<'w, 'p> {
        Several { writer, starts: Vec::new(), only_tags: true }
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Never> {
        self.starts.push(self.writer.bytes.len());
        value.serialize(&mut *self.writer)?;
        self.only_tags &= self.writer.tag == Tag::Written;
        Ok(())
    }

    /// Ends it with the number of its elements.
    fn finish(self, sort: bool) -> Result<(), Never> {
        let Several { writer, starts, .. } = self;
        if sort && let Some(&first) = starts.first() {
            let ends = starts.iter().skip(1).copied().chain([writer.bytes.len()]);
            let mut parts: Vec<Vec<u8>> =
                starts.iter().zip(ends).map(|(start, end)| writer.bytes[*start..end].to_vec()).collect();
            if !parts.is_sorted() {
                parts.sort_unstable();
                writer.bytes.truncate(first);
                parts.iter().for_each(|part| writer.bytes.extend_from_slice(part));
            }
        }
        writer.put(&(starts.len() as u64).to_le_bytes())
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Never> { self.put(&value.to_le_bytes()) })*
    };
}

impl<'w, 'p> Serializer for &'w mut Writer<'p> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Several<'w, 'p>;
    type SerializeTuple = Several<'w, 'p>;
    type SerializeTupleStruct = Several<'w, 'p>;
    type SerializeTupleVariant = Several<'w, 'p>;
    type SerializeMap = Several<'w, 'p>;
    type SerializeStruct = Several<'w, 'p>;
    type SerializeStructVariant = Several<'w, 'p>;

    numbers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64
    );

    fn serialize_u32(self, value: u32) -> Result<(), Never> {
        match self.plan.tags.get(value as usize) {
            Some(tag) if self.tag == Tag::Inside => {
                let path = tag.info.path.clone();
                self.text(&path)
            }
            _ => self.put(&value.to_le_bytes()),
        }
    }

    fn serialize_bool(self, value: bool) -> Result<(), Never> {
        self.put(&[u8::from(value)])
    }

    fn serialize_char(self, value: char) -> Result<(), Never> {
        self.serialize_u32(value.into())
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.put(&(value.len() as u64).to_le_bytes())?;
        self.put(value)
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.put(&[0])
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Never> {
        self.put(&[1])?;
        value.serialize(&mut *self)?;
        self.tag = Tag::No;
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Never> {
        self.put(&[])
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        self.put(&[])
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Never> {
        self.put(&index.to_le_bytes())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.tag = if name == "TagId" { Tag::Inside } else { Tag::No };
        value.serialize(&mut *self)?;
        self.tag = if name == "TagId" { Tag::Written } else { Tag::No };
        Ok(())
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.put(&index.to_le_bytes())?;
        value.serialize(&mut *self)?;
        self.tag = Tag::No;
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Several<'w, 'p>, Never> {
        Ok(Several::begin(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Several<'w, 'p>, Never> {
        Ok(Several::begin(self))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Several<'w, 'p>, Never> {
        Ok(Several::begin(self))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Several<'w, 'p>, Never> {
        self.put(&index.to_le_bytes())?;
        Ok(Several::begin(self))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Several<'w, 'p>, Never> {
        Ok(Several::begin(self))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Several<'w, 'p>, Never> {
        Ok(Several::begin(self))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Several<'w, 'p>, Never> {
        self.put(&index.to_le_bytes())?;
        Ok(Several::begin(self))
    }
}

impl ser::SerializeSeq for Several<'_, '_> {
    type Ok = ();
    type Error = Never;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Never> {
        self.element(value)
    }

    fn end(self) -> Result<(), Never> {
        let sort = self.only_tags;
        self.finish(sort)
    }
}

impl ser::SerializeMap for Several<'_, '_> {
    type Ok = ();
    type Error = Never;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Never> {
        self.element(key)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Never> {
        self.finish(true)
    }
}

/// What stands in a fixed order.
macro_rules! in_order {
    ($($of:ident :: $method:ident),*) => {
        $(impl ser::$of for Several<'_, '_> {
            type Ok = ();
            type Error = Never;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Never> {
                self.element(value)
            }

            fn end(self) -> Result<(), Never> {
                self.finish(false)
            }
        })*
    };
}

/// The same with names of fields, which say nothing that the order does not.
macro_rules! in_order_by_name {
    ($($of:ident),*) => {
        $(impl ser::$of for Several<'_, '_> {
            type Ok = ();
            type Error = Never;

            fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &'static str, value: &T) -> Result<(), Never> {
                self.element(value)
            }

            fn end(self) -> Result<(), Never> {
                self.finish(false)
            }
        })*
    };
}

in_order!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
in_order_by_name!(SerializeStruct, SerializeStructVariant);
