//! `gwp journal recompute`: what the program makes of the log, computed once more from its beginning.
//!
//! A gateway that was killed goes on from its checkpoints; this reads the same records as if nothing had happened.
//! Both must give the same samples and rows, which is how a restart is checked, and where a value came from is found.

use super::{PlanNames, READ_BYTES, plan_of, sink_id};
use anyhow::{Context, bail};
use gwp_core::{Cursor, Fact, PlanId, Position, Record};
use gwp_journal::{SinkNames, Store};
use gwp_plan::{Entry, Lane};
use gwp_sink_file::Format;
use std::io::Write;
use std::sync::Arc;

/// The lane of a sink under the plans of the log.
struct Computing<'a> {
    store: &'a Store,
    /// As plans know the sink: it may have moved.
    sink: SinkNames,
    /// The plan in force, and the lane if it has the sink.
    plan: PlanId,
    lane: Option<Lane>,
    /// The plan in force has no such sink.
    idle: bool,
    /// The record before the first plan, which tells a lane of that plan when it all began.
    begin: Option<Record>,
}

pub(super) fn recompute(store: &Store, sink: &str) -> anyhow::Result<()> {
    let (first, _) = store.log_span();
    let Some(first) = first else { bail!("the log is empty") };
    let id = sink_id(store, sink)?;
    let journal = store.sinks().find(|journal| journal.id == id).context("the journal is gone")?;
    let mut computing = Computing {
        store,
        sink: journal.names(),
        plan: PlanId::default(),
        lane: None,
        idle: false,
        begin: None,
    };
    let mut names = PlanNames { store, sink: id, known: None };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut format = lines();
    out.write_all(&format.header())?;
    let mut reader = store.log_reader();
    let (mut at, mut seen) = (Position::ZERO, false);
    let (mut entries, mut text) = (Vec::new(), Vec::new());
    loop {
        let records = reader.records_after(at, READ_BYTES)?;
        let Some((_, last)) = records.last() else { break };
        at = last.position;
        for (plan, record) in records {
            computing.step(plan, &record, &mut entries)?;
            seen |= computing.lane.is_some();
            for (part, entry) in (0u32..).zip(entries.drain(..)) {
                let cursor = Cursor::new(record.position, part);
                let named = names.named(computing.plan, cursor, entry.route, entry.payload.batch())?;
                text.clear();
                format.lines(&named, 0..named.batch.len(), &mut text);
                out.write_all(&text)?;
            }
        }
    }
    out.flush()?;
    if !seen {
        bail!("no plan of the log has a sink `{sink}`");
    }
    if first.position > Position::new(1, 1) {
        eprintln!("the log is kept from {first} only: what was computed of older records is missing");
    }
    Ok(())
}

impl Computing<'_> {
    /// Computes a record that was read under a plan.
    fn step(&mut self, plan: PlanId, record: &Record, out: &mut Vec<Entry>) -> anyhow::Result<()> {
        let plan = match record.fact {
            Fact::Configured { plan } => plan,
            _ => plan,
        };
        if plan != self.plan && plan != PlanId::default() {
            self.change(plan, record.position)?;
        }
        if self.plan == PlanId::default() {
            self.begin = Some(record.clone());
        }
        if let Some(lane) = self.lane.as_mut().filter(|_| !self.idle) {
            if let Some(begin) = self.begin.take() {
                lane.step(&begin, out);
            }
            lane.step(record, out);
        }
        self.begin = self.begin.take().filter(|_| self.plan == PlanId::default());
        Ok(())
    }

    /// As a lane at work does: a plan without the sink leaves its state for the next one.
    fn change(&mut self, plan: PlanId, at: Position) -> anyhow::Result<()> {
        let next = Arc::new(plan_of(self.store, plan).context("the log goes on under another plan")?);
        self.plan = plan;
        let sink = next.sinks.iter().position(|one| one.name == *self.sink.at(at));
        self.idle = sink.is_none();
        let Some(sink) = sink else { return Ok(()) };
        self.lane = Some(match &mut self.lane {
            Some(lane) => lane.migrate(next, sink),
            None => Lane::new(next, sink),
        });
        Ok(())
    }
}

/// Every column that tells samples apart.
fn lines() -> Format {
    use gwp_sink_file::Column::{Flow, Path, Quality, Repeat, Time, Unit, Value};
    Format::new(vec![Time, Path, Value, Quality, Unit, Repeat, Flow], b',')
}
