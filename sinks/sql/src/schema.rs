//! Texts of all SQL of the `sqlite` sink, made once per connection.
//!
//! People read the view; it is put together from three tables so that a row
//! takes about 25 bytes. Rows are kept in the order of time: new ones go to the
//! end of the tree whatever the number of tags, so a transaction writes few pages.
//!
//! ```text
//! view  samples            time, path, value, quality, unit, repeat, time_ns, backfill
//! table samples_data       time_ns, tag, repeat, quality, value, backfill (NULL or 1)   key (time_ns, tag, repeat)
//! table samples_tags       id, path, unit
//! table samples_qualities  code, word
//! table gwp_cursor         incarnation, sink, epoch, position_epoch, position_seq, part
//! ```

use crate::settings::{Options, Synchronous};

/// All statements for one table name.
#[derive(Debug)]
pub struct Sql {
    /// Settings of the connection that give no answer.
    pub pragmas: String,
    pub create: String,
    /// Tells whether tables of a version without `backfill` are there, and what brings them up to date.
    pub is_without_backfill: String,
    pub add_backfill: String,
    pub insert: String,
    pub find_tag: String,
    pub add_tag: String,
    pub add_quality: String,
}

/// Reads a cursor: epoch, position (epoch, seq), part.
pub const READ_CURSOR: &str = "SELECT epoch, position_epoch, position_seq, part FROM gwp_cursor \
                               WHERE incarnation = ?1 AND sink = ?2";

/// True when rows of another store are there.
pub const OTHER_STORES: &str = "SELECT EXISTS (SELECT 1 FROM gwp_cursor WHERE incarnation <> ?1)";

/// Begins a cursor before every entry.
pub const ADD_CURSOR: &str = "INSERT INTO gwp_cursor (incarnation, sink, epoch, position_epoch, position_seq, part) \
                              VALUES (?1, ?2, ?3, 0, 0, 0)";

/// Claims a cursor for an epoch.
pub const CLAIM_CURSOR: &str =
    "UPDATE gwp_cursor SET epoch = ?3 WHERE incarnation = ?1 AND sink = ?2 AND epoch <= ?3";

/// Moves a cursor on from where this connection left it; no row means that somebody else writes.
pub const MOVE_CURSOR: &str = "UPDATE gwp_cursor SET position_epoch = ?4, position_seq = ?5, part = ?6 \
     WHERE incarnation = ?1 AND sink = ?2 AND epoch = ?3 \
     AND position_epoch = ?7 AND position_seq = ?8 AND part = ?9";

impl Sql {
    pub fn new(options: &Options) -> Sql {
        let name = |suffix: &str| quoted(&format!("{}{suffix}", options.table));
        let (view, data, tags, qualities) = (name(""), name("_data"), name("_tags"), name("_qualities"));
        let index = match options.index_by_tag {
            true => format!("CREATE INDEX IF NOT EXISTS {} ON {data} (tag, time_ns);", name("_by_tag")),
            false => format!("DROP INDEX IF EXISTS {};", name("_by_tag")),
        };
        let synchronous = match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        Sql {
            // 4 MiB of pages in memory; a checkpoint each 8 MiB; a log that a reader made long is cut again.
            pragmas: format!(
                "PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;"
            ),
            create: format!(
                "CREATE TABLE IF NOT EXISTS {tags} (
                   id INTEGER PRIMARY KEY, path TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE (path, unit));
                 CREATE TABLE IF NOT EXISTS {qualities} (code INTEGER PRIMARY KEY, word TEXT NOT NULL);
                 CREATE TABLE IF NOT EXISTS {data} (
                   time_ns INTEGER NOT NULL, tag INTEGER NOT NULL, repeat INTEGER NOT NULL,
                   quality INTEGER NOT NULL, value, backfill INTEGER, PRIMARY KEY (time_ns, tag, repeat)) WITHOUT ROWID;
                 CREATE VIEW IF NOT EXISTS {view} AS SELECT
                   strftime('%Y-%m-%dT%H:%M:%S', time_ns / 1000000000, 'unixepoch')
                     || printf('.%03dZ', time_ns / 1000000 % 1000) AS time,
                   path, value, word AS quality, unit, repeat, time_ns,
                   ifnull(backfill, 0) AS backfill
                   FROM {data} JOIN {tags} ON {tags}.id = {data}.tag
                   LEFT JOIN {qualities} ON {qualities}.code = {data}.quality;
                 {index}
                 CREATE TABLE IF NOT EXISTS gwp_cursor (
                   incarnation BLOB NOT NULL, sink INTEGER NOT NULL, epoch INTEGER NOT NULL,
                   position_epoch INTEGER NOT NULL, position_seq INTEGER NOT NULL, part INTEGER NOT NULL,
                   PRIMARY KEY (incarnation, sink)) WITHOUT ROWID;"
            ),
            is_without_backfill: format!(
                "SELECT count(*) FILTER (WHERE name IN ('time_ns', 'tag', 'repeat', 'quality', 'value')) = 5
                   AND count(*) FILTER (WHERE name = 'backfill') = 0
                   AND EXISTS (SELECT 1 FROM sqlite_schema WHERE name = {} COLLATE NOCASE AND type = 'view')
                 FROM pragma_table_info({})",
                text(&options.table),
                text(&format!("{}_data", options.table))
            ),
            add_backfill: format!("DROP VIEW {view}; ALTER TABLE {data} ADD COLUMN backfill INTEGER;"),
            insert: format!(
                "INSERT INTO {data} (time_ns, tag, repeat, quality, value, backfill) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET
                   quality = excluded.quality, value = excluded.value, backfill = excluded.backfill"
            ),
            find_tag: format!("SELECT id FROM {tags} WHERE path = ?1 AND unit = ?2"),
            add_tag: format!("INSERT INTO {tags} (path, unit) VALUES (?1, ?2)"),
            add_quality: format!(
                "INSERT INTO {qualities} (code, word) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
            ),
        }
    }
}

/// An identifier that SQL takes as it is, whatever it holds (SQLite: double quotes, doubled inside).
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
