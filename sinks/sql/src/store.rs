//! One SQLite file, open: where its cursor stands, and one transaction per call.
//!
//! Everything here blocks and runs on a thread of its own. After an error the
//! store is thrown away; the next one reads from the file what was committed.

use crate::rows::{Known, Rows};
use crate::schema::{self, Sql};
use crate::settings::Options;
use gwp_core::sink::{Delivery, SinkIdentity};
use gwp_core::{Cursor, Position};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time to wait for another program that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot make the folder `{}`", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("{doing} `{}`{}", path.display(), remedy(source))]
    Sqlite { doing: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("`{}` keeps no write-ahead log: use a file on a local disk", path.display())]
    NoLog { path: PathBuf },
    #[error("`{}` has a table `{table}` of somebody else: name another `table`", path.display())]
    Taken { path: PathBuf, table: String },
    #[error("`{}` was written by epoch {found}, this gateway is at {own}: a newer one has taken over", path.display())]
    Fenced { path: PathBuf, found: u32, own: u32 },
    #[error("somebody else writes for this sink into `{}`", path.display())]
    Displaced { path: PathBuf },
    #[error("`{}` was removed or replaced", path.display())]
    Moved { path: PathBuf },
}

impl StoreError {
    /// True when it stays so until a person acts.
    pub fn needs_a_person(&self) -> bool {
        match self {
            StoreError::NoLog { .. } | StoreError::Taken { .. } | StoreError::Fenced { .. } => true,
            StoreError::Folder { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
            StoreError::Displaced { .. } | StoreError::Moved { .. } => false,
            StoreError::Sqlite { source, .. } => !matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::CannotOpen
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::SchemaChanged
                )
            ),
        }
    }
}

/// What SQLite's error means in a plant; empty when it says it well enough itself.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ": the disk is full; it goes on by itself when there is room",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ": another program keeps it locked",
        Some(ErrorCode::NotADatabase) => {
            ": it is not an SQLite database; move it away or name another `path`"
        }
        Some(ErrorCode::DatabaseCorrupt) => ": it is damaged; repair it or move it away",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => ": the gateway may not write it",
        Some(ErrorCode::CannotOpen) => ": is it a folder, or not allowed?",
        Some(ErrorCode::Unknown) => ": if its tables are not the gateway's, name another `table`",
        _ => "",
    }
}

/// A file, open for one sink.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    file: FileId,
    sql: Sql,
    identity: SinkIdentity,
    /// Everything at or below is in the file.
    done: Cursor,
    /// What is known of the file's tags and qualities.
    known: Known,
}

impl Store {
    /// Opens or makes a file and claims it for this epoch. Gives where it stands, if it
    /// has taken samples of this sink and store before.
    ///
    /// # Errors
    /// When it cannot be opened, or a newer epoch has claimed it.
    pub fn open(options: &Options, identity: SinkIdentity) -> Result<(Store, Option<Cursor>), StoreError> {
        let path = options.path.clone();
        let failed = |doing| {
            let path = path.clone();
            move |source| StoreError::Sqlite { doing, path, source }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { folder: folder.into(), source })?;
        }
        // No URI: a path means what it says. One thread at a time uses the connection.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed("cannot open"))?;
        let sql = Sql::new(options);
        let logs = prepare(&connection, &sql).map_err(failed("cannot open"))?;
        if !logs {
            return Err(StoreError::NoLog { path });
        }
        if !is_ours(&connection, &options.table).map_err(failed("cannot open"))? {
            return Err(StoreError::Taken { path, table: options.table.clone() });
        }
        let resume = claim(&mut connection, &identity, &path)?;
        let file = FileId::of(&path);
        let done = resume.unwrap_or(Cursor::ZERO);
        let store = Store { connection, path, file, sql, identity, done, known: Known::default() };
        Ok((store, resume))
    }

    /// Writes deliveries and the new cursor in one transaction; gives the number of samples written.
    ///
    /// # Errors
    /// Nothing is written then.
    pub fn write(&mut self, deliveries: &[Arc<Delivery>]) -> Result<usize, StoreError> {
        let Some(upto) = deliveries.last().map(|delivery| delivery.upto).filter(|upto| *upto > self.done)
        else {
            return Ok(0);
        };
        if FileId::of(&self.path) != self.file {
            return Err(StoreError::Moved { path: self.path.clone() });
        }
        let path = &self.path;
        let failed = |source| StoreError::Sqlite { doing: "cannot write", path: path.clone(), source };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if !move_cursor(&transaction, &self.identity, self.done, upto).map_err(failed)? {
            let found = read_cursor(&transaction, &self.identity).map_err(failed)?;
            return Err(match found {
                Some((found, _)) if found > self.identity.epoch => {
                    StoreError::Fenced { path: path.clone(), found, own: self.identity.epoch }
                }
                _ => StoreError::Displaced { path: path.clone() },
            });
        }
        let mut rows = Rows::new(&transaction, &self.sql, &mut self.known).map_err(failed)?;
        let mut samples = 0;
        let parts = deliveries.iter().flat_map(|delivery| &delivery.parts);
        // What is at or below the cursor is there, however deliveries were cut before.
        for part in parts.filter(|part| part.cursor > self.done) {
            rows.insert(part).map_err(failed)?;
            samples += part.batch.len();
        }
        drop(rows);
        transaction.commit().map_err(failed)?;
        self.done = upto;
        Ok(samples)
    }
}

/// Settings of the connection and all tables. False when there is no write-ahead log.
fn prepare(connection: &Connection, sql: &Sql) -> rusqlite::Result<bool> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(16);
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.execute_batch(&sql.pragmas)?;
    // A checkpoint each 8 MiB; a log that a slow reader has made long is cut again.
    connection.query_row("PRAGMA wal_autocheckpoint = 2048", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    let old: bool = connection.query_row(&sql.is_without_backfill, [], |row| row.get(0))?;
    let update = if old { &*sql.add_backfill } else { "" };
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {update} {} COMMIT;", sql.create))?;
    // Tables of somebody else with our names show here, not at the first sample.
    for statement in [&sql.insert, &sql.find_tag, &sql.add_tag, &sql.add_quality] {
        connection.prepare_cached(statement)?;
    }
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// True when the name people read is a view: `IF NOT EXISTS` also takes a table of somebody else.
fn is_ours(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let view = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'view')";
    connection.query_row(view, [table], |row| row.get(0))
}

/// Claims the cursor of this sink and store for this epoch.
fn claim(
    connection: &mut Connection,
    identity: &SinkIdentity,
    path: &Path,
) -> Result<Option<Cursor>, StoreError> {
    let failed = |source| StoreError::Sqlite { doing: "cannot claim", path: path.into(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = read_cursor(&transaction, identity).map_err(failed)?;
    let who = params![identity.incarnation, identity.sink.0, identity.epoch];
    match found {
        Some((epoch, _)) if epoch > identity.epoch => {
            return Err(StoreError::Fenced { path: path.into(), found: epoch, own: identity.epoch });
        }
        Some(_) => transaction.execute(schema::CLAIM_CURSOR, who),
        None => transaction.execute(schema::ADD_CURSOR, who),
    }
    .map_err(failed)?;
    if found.is_none() {
        let others: bool = transaction
            .query_row(schema::OTHER_STORES, [&identity.incarnation], |row| row.get(0))
            .map_err(failed)?;
        if others {
            tracing::warn!(
                path = %path.display(),
                "the file holds samples of another store of this gateway; everything in the journal is written to it"
            );
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(found.map(|(_, cursor)| cursor))
}

/// Epoch and cursor of this sink and store.
fn read_cursor(connection: &Connection, identity: &SinkIdentity) -> rusqlite::Result<Option<(u32, Cursor)>> {
    connection
        .query_row(schema::READ_CURSOR, params![identity.incarnation, identity.sink.0], |row| {
            let seq: i64 = row.get(2)?;
            let position = Position::new(row.get(1)?, seq as u64);
            Ok((row.get(0)?, Cursor::new(position, row.get(3)?)))
        })
        .optional()
}

/// Moves the cursor; false when it is not where this connection left it.
fn move_cursor(
    connection: &Connection,
    who: &SinkIdentity,
    from: Cursor,
    upto: Cursor,
) -> rusqlite::Result<bool> {
    let changed = connection.prepare_cached(schema::MOVE_CURSOR)?.execute(params![
        who.incarnation,
        who.sink.0,
        who.epoch,
        upto.position.epoch,
        upto.position.seq as i64,
        upto.part,
        from.position.epoch,
        from.position.seq as i64,
        from.part
    ])?;
    Ok(changed == 1)
}

/// Which file a path leads to: SQLite would go on writing into one that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(Option<(u64, u64)>);

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId(std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino())))
    }

    /// Elsewhere an open file cannot be deleted.
    #[cfg(not(unix))]
    fn of(_path: &Path) -> FileId {
        FileId(None)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
