//! Rows: samples of a part as SQLite keeps them.
//!
//! A row names its tag and quality by number. The numbers are looked up once
//! per flow and tag and then found by index.

use crate::schema::Sql;
use gwp_core::batch::Blob;
use gwp_core::sink::{FlowNames, Part};
use gwp_core::{Batch, Kind, Quality, TagId};
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::collections::HashSet;
use std::sync::Arc;

/// Flows whose tag numbers are kept at most; the one not used for longest goes first.
pub const FLOWS_MAX: usize = 8;

/// What is known to be in the file. Not to be used again after a transaction that failed:
/// its tags are not there.
#[derive(Default)]
pub struct Known {
    /// Most recently used last.
    pub flows: Vec<FlowTags>,
    /// Qualities whose word is in the file.
    qualities: HashSet<Quality>,
}

/// Numbers of the tags of one flow.
pub struct FlowTags {
    /// Held so that its address stays its own.
    names: Arc<FlowNames>,
    /// By tag; 0 = not looked up yet. The one beyond the last stands for all unknown tags.
    ids: Vec<i64>,
}

/// Rows of one transaction.
pub struct Rows<'a> {
    connection: &'a Connection,
    sql: &'a Sql,
    insert: CachedStatement<'a>,
    known: &'a mut Known,
}

impl<'a> Rows<'a> {
    pub fn new(connection: &'a Connection, sql: &'a Sql, known: &'a mut Known) -> rusqlite::Result<Rows<'a>> {
        Ok(Rows { connection, sql, insert: connection.prepare_cached(&sql.insert)?, known })
    }

    /// Writes the samples of one part.
    pub fn insert(&mut self, part: &Part) -> rusqlite::Result<()> {
        let mut flow = self.take_flow(&part.flow);
        let batch = &*part.batch;
        let backfill = batch.backfill.then_some(1);
        // Mostly all samples share one quality: look it up once per change.
        let mut known = None;
        for (index, tag) in batch.tags.iter().enumerate() {
            let tag = self.tag_id(&mut flow, *tag)?;
            let (value, quality) = value_of(batch, index);
            if known != Some(quality) {
                self.add_quality(quality)?;
                known = Some(quality);
            }
            let time = batch.times.get(index).0;
            let row = params![time, tag, batch.repeat(index), quality.0, value, backfill];
            self.insert.execute(row)?;
        }
        self.known.flows.push(flow);
        Ok(())
    }

    fn take_flow(&mut self, names: &Arc<FlowNames>) -> FlowTags {
        if let Some(index) = self.known.flows.iter().position(|flow| Arc::ptr_eq(&flow.names, names)) {
            return self.known.flows.remove(index);
        }
        if self.known.flows.len() >= FLOWS_MAX {
            self.known.flows.remove(0);
        }
        FlowTags { names: names.clone(), ids: Vec::new() }
    }

    fn tag_id(&mut self, flow: &mut FlowTags, tag: TagId) -> rusqlite::Result<i64> {
        let index = tag.index().min(flow.names.tags.tags.len());
        match flow.ids.get(index) {
            Some(id) if *id != 0 => return Ok(*id),
            Some(_) => {}
            None => flow.ids.resize(index + 1, 0),
        }
        let unit = flow.names.info(tag).map_or("", |info| &*info.unit);
        let path = flow.names.name(tag);
        let found = self
            .connection
            .prepare_cached(&self.sql.find_tag)?
            .query_row([path, unit], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => self.connection.prepare_cached(&self.sql.add_tag)?.insert([path, unit])?,
        };
        flow.ids[index] = id;
        Ok(id)
    }

    fn add_quality(&mut self, quality: Quality) -> rusqlite::Result<()> {
        if self.known.qualities.insert(quality) {
            let mut add = self.connection.prepare_cached(&self.sql.add_quality)?;
            add.execute(params![quality.0, quality.to_string()])?;
        }
        Ok(())
    }
}

/// The value as SQLite keeps it, and its quality. NaN, which SQL has not, is no value and bad;
/// whole numbers beyond 64 bits with sign are kept exactly, as text.
fn value_of(batch: &Batch, index: usize) -> (ToSqlOutput<'_>, Quality) {
    const NULL: ToSqlOutput<'static> = ToSqlOutput::Borrowed(ValueRef::Null);
    let quality = batch.qualities.get(index);
    let cell = batch.values.cells.get(index).copied().unwrap_or(0);
    let value = match batch.values.kind(index) {
        Kind::Float => {
            let value = f64::from_bits(cell);
            if value.is_nan() {
                return (NULL, quality.worst(Quality::NOT_A_NUMBER));
            }
            ToSqlOutput::Borrowed(ValueRef::Real(value))
        }
        Kind::UInt => match i64::try_from(cell) {
            Ok(value) => ToSqlOutput::Borrowed(ValueRef::Integer(value)),
            Err(_) => ToSqlOutput::Owned(Owned::Text(cell.to_string())),
        },
        Kind::Bool | Kind::Int | Kind::Time => ToSqlOutput::Borrowed(ValueRef::Integer(cell as i64)),
        Kind::Text | Kind::Bytes => match batch.values.blobs.get(cell as usize) {
            Some(Blob::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Some(Blob::Bytes(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            None => NULL,
        },
        Kind::Nothing => NULL,
    };
    (value, quality)
}
