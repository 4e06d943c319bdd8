//! `gwp journal`: looking into a store, and sending again.

mod recompute;

use crate::cli::JournalCommand;
use crate::status_line::grouped;
use anyhow::{Context, bail};
use gwp_core::sink::{FlowNames, Part};
use gwp_core::{Batch, Cursor, PlanId, SinkId, TagTable, Timestamp};
use gwp_engine::alarms::BOARD;
use gwp_journal::{LiveEntry, Store, StoreError};
use gwp_plan::Plan;
use gwp_sink_file::Format;
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of samples read in one go.
const READ_BYTES: usize = 1 << 20;

pub fn journal(command: &JournalCommand, data: &Path) -> anyhow::Result<ExitCode> {
    if !data.join("store").exists() {
        bail!("{} holds no store; name the data directory with --data", data.display());
    }
    let opened = match Store::open(data) {
        Err(StoreError::Locked { path }) => bail!(
            "a gateway runs on {}: `gwp status` shows its journals while it does; stop it to look into the store",
            path.display()
        ),
        other => other?,
    };
    let mended = opened.salvaged.is_some();
    if let Some(salvaged) = opened.salvaged {
        eprintln!(
            "the store was damaged and has been mended: {} whole batches kept, what came behind them was cut off and is in {}",
            salvaged.batches,
            salvaged.kept_as.display()
        );
    }
    let mut store = opened.store;
    match command {
        JournalCommand::Ls => ls(&store),
        JournalCommand::Stat => stat(&store),
        JournalCommand::Verify => return verify(&store, mended),
        JournalCommand::Tail { sink, n } => tail(&store, sink, *n)?,
        JournalCommand::Export { sink } => export(&store, sink)?,
        JournalCommand::Recompute { sink } => recompute::recompute(&store, sink)?,
        JournalCommand::Replay { sink, from, upto } => {
            replay(
                &mut store,
                sink,
                from.map_or(Cursor::ZERO, |p| Cursor::new(p, 0)),
                upto.map(Cursor::complete),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn ls(store: &Store) {
    println!(
        "{:<20} {:>14} {:>14} {:>12} {:>14} {:>12}",
        "SINK", "WAITING", "BYTES", "OLDEST", "DELIVERED", "DROPPED"
    );
    // The place of the board of alarms holds no samples.
    for sink in store.sinks().filter(|sink| *sink.name != *BOARD) {
        let age = sink.oldest().map_or("-".to_owned(), |oldest| {
            let seconds = now().since(oldest).as_secs();
            format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        });
        println!(
            "{:<20} {:>14} {:>14} {:>12} {:>14} {:>12}",
            sink.name,
            grouped(sink.pending_samples()),
            grouped(sink.pending_bytes()),
            age,
            grouped(sink.state.delivered_samples),
            grouped(sink.state.dropped_samples),
        );
    }
}

fn stat(store: &Store) {
    let hex: String = store.incarnation().iter().map(|byte| format!("{byte:02x}")).collect();
    let (from, upto) = store.log_span();
    println!("incarnation  {hex}");
    println!("epoch        {}", store.epoch());
    println!("plan         {}", store.plan());
    println!(
        "log          {} .. {upto}, {} bytes",
        from.map_or("-".to_owned(), |from| from.to_string()),
        grouped(store.log_bytes())
    );
    println!("running hash {:016x}", store.running_hash());
    for sink in store.sinks() {
        let (covered, delivered) = (sink.state.covered, sink.state.delivered);
        match *sink.name == *BOARD {
            // It has no journal: it keeps how alarms stand.
            true => println!("alarms               covered {covered}"),
            false => println!("sink {:<15} covered {covered}  delivered {delivered}", sink.name),
        }
    }
    let lines = store.ledger().lines();
    if !lines.is_empty() {
        println!("gap ledger:");
    }
    for line in lines {
        println!(
            "  {} .. {}  {}  {} samples ({}), {} .. {}",
            line.since,
            line.until,
            line.sink,
            grouped(line.samples),
            line.reason,
            line.from,
            line.upto
        );
    }
}

fn verify(store: &Store, mended: bool) -> anyhow::Result<ExitCode> {
    match store.verify() {
        Ok(verified) => {
            println!(
                "whole: {} records with {} samples, {} entries with {} samples waiting",
                grouped(verified.records),
                grouped(verified.samples),
                grouped(verified.entries),
                grouped(verified.pending)
            );
            // What was cut off may have waited for delivery: that is damage, too.
            Ok(if mended { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(StoreError::Damaged(what)) => {
            println!("damaged: {what}");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

fn sink_id(store: &Store, name: &str) -> anyhow::Result<SinkId> {
    let found = store.sinks().find(|sink| &*sink.name == name).map(|sink| sink.id);
    found.with_context(|| {
        let known: Vec<&str> = store.sinks().map(|sink| &*sink.name).filter(|name| *name != BOARD).collect();
        format!("the store has no sink `{name}`; it has: {}", known.join(", "))
    })
}

/// Calls `take` with everything kept after a cursor.
fn for_each_entry(
    store: &Store,
    sink: SinkId,
    after: Cursor,
    mut take: impl FnMut(PlanId, LiveEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = store.journal_reader(sink).context("the journal is gone")?;
    let mut at = after;
    loop {
        let entries = reader.entries_after(at, READ_BYTES)?;
        let Some((_, last)) = entries.last() else { return Ok(()) };
        at = last.entry.cursor;
        for (plan, live) in entries {
            take(plan, live)?;
        }
    }
}

/// A plan that was in force once.
fn plan_of(store: &Store, plan: PlanId) -> anyhow::Result<Plan> {
    let bytes = store.plan_reader().get(plan)?.with_context(|| format!("plan {plan} is not kept"))?;
    Ok(Plan::from_bytes(&bytes)?)
}

/// Names of the plan read last.
struct PlanNames<'a> {
    store: &'a Store,
    sink: SinkId,
    known: Option<(PlanId, Plan, Arc<TagTable>)>,
}

impl PlanNames<'_> {
    /// An entry with the names its flow shows.
    fn part(&mut self, plan: PlanId, live: &LiveEntry) -> anyhow::Result<Part> {
        self.named(plan, live.entry.cursor, live.entry.route, &live.batch)
    }

    fn named(
        &mut self,
        plan: PlanId,
        cursor: Cursor,
        route: u32,
        batch: &Arc<Batch>,
    ) -> anyhow::Result<Part> {
        if self.known.as_ref().is_none_or(|(known, ..)| *known != plan) {
            let read = plan_of(self.store, plan)?;
            let tags = Arc::new(read.tag_table());
            self.known = Some((plan, read, tags));
        }
        let (_, plan, tags) = self.known.as_ref().context("no plan")?;
        let journal =
            self.store.sinks().find(|journal| journal.id == self.sink).context("the journal is gone")?;
        let by_name = |name: &str| plan.sinks.iter().find(|sink| &*sink.name == name);
        let route =
            journal.names().find(cursor.position, by_name).and_then(|sink| sink.routes.get(route as usize));
        let flow = FlowNames {
            flow: route.map_or_else(|| "?".into(), |route| route.flow.clone()),
            tags: tags.clone(),
            renamed: route.map(|route| route.names.clone()).unwrap_or_default(),
        };
        Ok(Part { cursor, flow: Arc::new(flow), batch: batch.clone() })
    }
}

/// Lines as the sink `csv` writes them.
fn lines_of_csv() -> Format {
    use gwp_sink_file::Column::{Flow, Path, Quality, Time, Unit, Value};
    Format::new(vec![Time, Path, Value, Quality, Unit, Flow], b',')
}

fn tail(store: &Store, name: &str, count: usize) -> anyhow::Result<()> {
    let sink = sink_id(store, name)?;
    let mut names = PlanNames { store, sink, known: None };
    let floor =
        store.sinks().find(|journal| journal.id == sink).map_or(Cursor::ZERO, |journal| journal.floor());
    let mut format = lines_of_csv();
    let mut last: VecDeque<Vec<u8>> = VecDeque::new();
    for_each_entry(store, sink, floor, |plan, live| {
        let part = names.part(plan, &live)?;
        for index in part.batch.len().saturating_sub(count)..part.batch.len() {
            if last.len() == count {
                last.pop_front();
            }
            let mut line = format!("{}  ", live.entry.cursor).into_bytes();
            format.lines(&part, index..index + 1, &mut line);
            last.push_back(line);
        }
        Ok(())
    })?;
    let mut out = std::io::stdout().lock();
    last.iter().try_for_each(|line| out.write_all(line))?;
    Ok(())
}

pub(super) fn export(store: &Store, name: &str) -> anyhow::Result<()> {
    let sink = sink_id(store, name)?;
    let mut names = PlanNames { store, sink, known: None };
    let floor =
        store.sinks().find(|journal| journal.id == sink).map_or(Cursor::ZERO, |journal| journal.floor());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut format = lines_of_csv();
    out.write_all(&format.header())?;
    let mut lines = Vec::new();
    for_each_entry(store, sink, floor, |plan, live| {
        let part = names.part(plan, &live)?;
        lines.clear();
        format.lines(&part, 0..part.batch.len(), &mut lines);
        Ok(out.write_all(&lines)?)
    })?;
    out.flush()?;
    Ok(())
}

/// Puts what is still kept in a range into the journal again, as new entries.
fn replay(store: &mut Store, name: &str, from: Cursor, upto: Option<Cursor>) -> anyhow::Result<()> {
    let sink = sink_id(store, name)?;
    let end = upto.unwrap_or(Cursor::complete(gwp_core::Position::MAX));
    let mut again: Vec<(PlanId, u32, Arc<Batch>)> = Vec::new();
    let mut lost = 0u64;
    let mut reader = store.journal_reader(sink).context("the journal is gone")?;
    let mut at = from;
    loop {
        match reader.entries_after(at, 1) {
            Ok(entries) if entries.is_empty() => break,
            Ok(entries) => {
                for (plan, live) in entries {
                    at = live.entry.cursor;
                    if at <= end {
                        again.push((plan, live.entry.route, live.batch));
                    }
                }
            }
            // References whose log is trimmed already cannot be read any more.
            Err(StoreError::Damaged(_)) => {
                let Some((next, samples)) = reader.skip_frame(at)? else { break };
                lost += u64::from(samples);
                at = next;
            }
            Err(error) => return Err(error.into()),
        }
        if at > end {
            break;
        }
    }
    let samples: u64 = again.iter().map(|(.., batch)| batch.len() as u64).sum();
    let mut index = 0;
    while index < again.len() {
        let plan = again[index].0;
        let run: Vec<(u32, Arc<Batch>)> = again[index..]
            .iter()
            .take_while(|(of, ..)| *of == plan)
            .take(1_000)
            .map(|(_, route, batch)| (*route, batch.clone()))
            .collect();
        index += run.len();
        store.inject(sink, plan, run, now())?;
    }
    println!("{} samples will be delivered to `{name}` again", grouped(samples));
    if lost > 0 {
        println!("{} samples of that range are no longer kept", grouped(lost));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_in_use_points_to_the_gateway_that_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let used = Store::open(folder.path()).unwrap();
        let told = journal(&JournalCommand::Ls, folder.path()).unwrap_err().to_string();
        assert!(told.contains("`gwp status`"), "{told}");
        drop(used);
        assert!(journal(&JournalCommand::Ls, folder.path()).is_ok());
    }
}
