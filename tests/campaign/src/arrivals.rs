//! What arrives at the two destinations, each arrival with the time it was seen: rows at the database by a trigger and
//! a reader that looks every 10 ms, messages at the broker by a subscriber.

use crate::clock;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

/// A destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feed {
    Database,
    Broker,
}

/// A sample as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Boot clock.
    pub at: u64,
    pub stream: String,
    pub time_ns: i64,
    pub repeat: u32,
    pub value: Option<i64>,
    pub quality: String,
    /// Where in the gateway's order its message stands; the database does not say.
    pub position: Option<[u64; 4]>,
    /// It says that it may come behind newer ones.
    pub is_backfill: bool,
}

/// A transaction at the database: epoch of who made it, and how far it went.
pub type Commit = [i64; 4];

/// What keeps each row and each commit that arrives, in order.
const SPY: &str = "begin immediate;
    create table spy_rows (n integer primary key, time_ns, tag, repeat, quality, value, backfill);
    create trigger spy_on_rows before insert on samples_data begin
        insert into spy_rows (time_ns, tag, repeat, quality, value, backfill)
        values (new.time_ns, new.tag, new.repeat, new.quality, new.value, ifnull(new.backfill, 0)); end;
    create table spy_commits (n integer primary key, epoch, position_epoch, position_seq, part);
    create trigger spy_on_commits after update of position_seq on gwp_cursor begin
        insert into spy_commits (epoch, position_epoch, position_seq, part)
        values (new.epoch, new.position_epoch, new.position_seq, new.part); end;
    commit;";

const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// Files with what arrived, and how far the destinations are.
pub struct Arrivals {
    folder: PathBuf,
    newest: [Arc<AtomicI64>; 2],
    /// Newest slot at the database when its arrivals began to be kept.
    pub begin: i64,
}

fn text(error: rusqlite::Error) -> String {
    error.to_string()
}

fn reader(database: &Path) -> rusqlite::Result<Connection> {
    let reader = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reader.busy_timeout(PATIENCE)?;
    Ok(reader)
}

impl Arrivals {
    pub fn new(folder: &Path) -> Result<Arrivals, String> {
        Ok(Arrivals { folder: folder.to_owned(), newest: Default::default(), begin: 0 })
    }

    fn log(&self, feed: Feed) -> PathBuf {
        self.folder.join(["arrived-rows.log", "arrived-messages.log"][feed as usize])
    }

    /// Newest slot that has arrived.
    pub fn newest(&self, feed: Feed) -> i64 {
        self.newest[feed as usize].load(SeqCst)
    }

    /// Keeps the messages of a subscriber, one a line.
    pub fn listen(&self, lines: ChildStdout) -> Result<(), String> {
        let mut log = File::create(self.log(Feed::Broker)).map_err(|error| error.to_string())?;
        let newest = self.newest[Feed::Broker as usize].clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{} {line}", clock::boot());
                let time =
                    serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|it| it["time"].as_i64());
                newest.fetch_max(time.unwrap_or(0) * 1_000_000, SeqCst);
            }
        });
        Ok(())
    }

    /// Keeps each row that arrives from now on.
    pub fn watch(&mut self, database: &Path) -> Result<(), String> {
        let writer = Connection::open(database).map_err(text)?;
        writer.busy_timeout(PATIENCE).map_err(text)?;
        writer.execute_batch(SPY).map_err(text)?;
        let newest = "select max(time_ns) from samples_data";
        self.begin = writer.query_row(newest, [], |row| row.get(0)).map_err(text)?;
        let mut log = File::create(self.log(Feed::Database)).map_err(|error| error.to_string())?;
        let (newest, database) = (self.newest[Feed::Database as usize].clone(), database.to_owned());
        std::thread::spawn(move || {
            let mut last = 0;
            loop {
                std::thread::sleep(LOOK);
                let Ok(connection) = reader(&database) else { continue };
                let Ok(mut query) =
                    connection.prepare("select n, time_ns from spy_rows where n > ? order by n")
                else {
                    continue;
                };
                loop {
                    let rows =
                        query.query_map([last], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
                    let Ok(rows) = rows else { break };
                    let now = clock::boot();
                    for (n, time) in rows.map_while(Result::ok) {
                        last = n;
                        let _ = writeln!(log, "{n} {now}");
                        newest.fetch_max(time, SeqCst);
                    }
                    std::thread::sleep(LOOK);
                }
            }
        });
        Ok(())
    }

    /// All rows, in the order of their arrival.
    pub fn rows(&self, database: &Path) -> Result<Vec<Arrival>, String> {
        let seen = std::fs::read_to_string(self.log(Feed::Database)).unwrap_or_default();
        let mut seen = seen.lines().filter_map(|line| {
            let (n, at) = line.split_once(' ')?;
            Some((n.parse::<i64>().ok()?, at.parse::<u64>().ok()?))
        });
        let connection = reader(database).map_err(text)?;
        let sql = "select n, time_ns, path, repeat, word, value, backfill from spy_rows \
            join samples_tags on samples_tags.id = tag left join samples_qualities on code = quality order by n";
        let mut query = connection.prepare(sql).map_err(text)?;
        let (mut at, mut next) = (0, seen.next());
        let rows = query.query_map([], |row| {
            let n: i64 = row.get(0)?;
            while let Some((seen_n, seen_at)) = next
                && seen_n <= n
            {
                (at, next) = (seen_at, seen.next());
            }
            Ok(Arrival {
                at,
                time_ns: row.get(1)?,
                stream: row.get(2)?,
                repeat: row.get(3)?,
                quality: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
                value: row.get::<_, Option<i64>>(5)?,
                position: None,
                is_backfill: row.get(6)?,
            })
        });
        rows.map_err(text)?.collect::<Result<_, _>>().map_err(text)
    }

    pub fn commits(&self, database: &Path) -> Result<Vec<Commit>, String> {
        let connection = reader(database).map_err(text)?;
        let sql = "select epoch, position_epoch, position_seq, part from spy_commits order by n";
        let mut query = connection.prepare(sql).map_err(text)?;
        let row = |row: &rusqlite::Row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        query.query_map([], row).map_err(text)?.collect::<Result<_, _>>().map_err(text)
    }

    /// All samples that came by messages, in the order of their arrival.
    pub fn messages(&self) -> Vec<Arrival> {
        let text = std::fs::read_to_string(self.log(Feed::Broker)).unwrap_or_default();
        text.lines().flat_map(samples).collect()
    }
}

/// The samples of a line: time of arrival, message.
fn samples(line: &str) -> Vec<Arrival> {
    let Some((at, message)) = line.split_once(' ') else { return Vec::new() };
    let Ok(message) = serde_json::from_str::<serde_json::Value>(message) else { return Vec::new() };
    let numbers = message["position"].as_str().map(|position| {
        let numbers: Vec<u64> = position.split([':', '/']).filter_map(|number| number.parse().ok()).collect();
        numbers
    });
    let position = numbers.and_then(|numbers| numbers.try_into().ok());
    let values = message["values"].as_object().into_iter().flatten();
    let sample = values.map(|(stream, value)| Arrival {
        at: at.parse().unwrap_or(0),
        stream: stream.clone(),
        time_ns: message["time"].as_i64().unwrap_or(0) * 1_000_000,
        repeat: message["repeat"].as_u64().and_then(|repeat| u32::try_from(repeat).ok()).unwrap_or(0),
        value: value.as_i64(),
        quality: message["quality"][stream].as_str().unwrap_or("good").to_owned(),
        position,
        is_backfill: message["backfill"].as_bool().unwrap_or(false),
    });
    sample.collect()
}
