//! What a run has shown, whether that is allowed, and the table of a campaign.

use crate::checker::Findings;
use crate::scenario::{Missing, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Samples that may come twice to a destination without a cursor each time the graph moves: the deliveries that the
/// MQTT sink has under way at most, each with what two slots of all tags hold.
const TWICE_PER_MOVE: u64 = 64 * 22;

/// Samples that reads which were late may cost a run where time is not strict.
const LATE_MAX: u64 = 200;

/// One line of `runs.jsonl`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub scenario: String,
    pub seed: u64,
    pub profile: String,
    pub standby: String,
    pub net: String,
    pub findings: Findings,
    /// Samples that were compared.
    pub samples: u64,
    /// The longest that a sync of a file which nobody else has took on the nodes' disk.
    #[serde(default)]
    pub slowest_sync_ms: u64,
    /// Exit codes of nodes that ended by themselves; -1 for a signal.
    pub exits: Vec<i32>,
    /// Stores set aside.
    pub asides: u64,
    pub seconds: u64,
    pub notes: Vec<String>,
    /// Why it was not run.
    pub skipped: Option<String>,
    /// What is not allowed.
    pub violations: Vec<String>,
}

/// How strict a verdict is.
#[derive(Clone, Copy, Debug)]
pub struct Strictness {
    /// The standby reads.
    pub is_hot: bool,
    pub is_fast: bool,
    /// Bounds of time are multiplied by this: a busy machine and a debug build are slower.
    pub slack: u64,
}

impl Findings {
    /// Of two checks of one run the worse of each.
    pub fn worst(self, other: Findings) -> Findings {
        let mut told = self.told;
        told.extend(other.told);
        let mut once = std::collections::BTreeSet::new();
        told.retain(|line| once.insert(line.clone()));
        Findings {
            missing: self.missing.max(other.missing),
            bad: self.bad.max(other.bad),
            stalled: self.stalled.max(other.stalled),
            late: self.late.max(other.late),
            missing_undisturbed: self.missing_undisturbed.max(other.missing_undisturbed),
            doubled_rows: self.doubled_rows.max(other.doubled_rows),
            doubled_messages: self.doubled_messages.max(other.doubled_messages),
            disordered: self.disordered.max(other.disordered),
            backfilled: self.backfilled.max(other.backfilled),
            wrong: self.wrong.max(other.wrong),
            interleaved: self.interleaved.max(other.interleaved),
            gap_ms: self.gap_ms.max(other.gap_ms),
            outage_ms: self.outage_ms.max(other.outage_ms),
            switches: self.switches.max(other.switches),
            failover_ms: other.failover_ms,
            told,
        }
    }
}

/// What of it is not allowed.
pub fn violations(outcome: &Outcome, scenario: &Scenario, strict: Strictness) -> Vec<String> {
    let (found, expect) = (&outcome.findings, &scenario.expect);
    let mut violations = Vec::new();
    let mut never = |count: u64, what: &str| {
        if count > 0 {
            violations.push(format!("{count} {what}"));
        }
    };
    never(found.wrong, "wrong values");
    never(found.interleaved, "transactions of an epoch behind a higher one");
    never(found.doubled_rows, "rows doubled at the database");
    never(found.disordered, "samples out of order");
    never(found.missing_undisturbed, "slots missing while nothing was broken");
    let may_miss = match expect.missing {
        Missing::Never => false,
        Missing::IfCold => !strict.is_hot,
        Missing::Disturbed => true,
    };
    // On a busy machine a read is late now and then; on a quiet one it is the gateway that was.
    never(
        if strict.slack > 1 { found.late.saturating_sub(LATE_MAX) } else { found.late },
        "slots skipped by late reads",
    );
    if !may_miss {
        never(found.missing, "slots missing");
    }
    let moves = found.switches + outcome.exits.len() as u64;
    never(
        found.doubled_messages.saturating_sub(moves * TWICE_PER_MOVE),
        "samples doubled at the broker beyond its bound",
    );
    let (least, most) = expect.switches;
    if !(least..=most).contains(&found.switches) {
        violations.push(format!("{} switches, {least} to {most} expected", found.switches));
    }
    let bound = if strict.is_fast { expect.gap_ms.0 } else { expect.gap_ms.1 } * strict.slack;
    if found.gap_ms > bound {
        violations.push(format!("a gap of {} ms, {bound} ms allowed", found.gap_ms));
    }
    if let Some(slow) = found.failover_ms.iter().find(|ms| **ms > bound) {
        violations.push(format!("a failover of {slow} ms, {bound} ms allowed"));
    }
    for exit in outcome.exits.iter().filter(|exit| !expect.exits.contains(exit)) {
        violations.push(format!("a node ended by itself with {exit}"));
    }
    violations
}

fn percentile(sorted: &[u64], percent: usize) -> String {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or("-".into(), u64::to_string)
}

/// A table in Markdown: one line a scenario, in their order.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut by_scenario: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        by_scenario.entry(&outcome.scenario).or_default().push(outcome);
    }
    let mut text =
        "| Scenario | Runs | Failover p50 / p99 / max ms | Longest gap ms | No delivery ms | Missing \
        | Doubled db / mqtt | Out of order | Wrong | Switches | Slowest sync ms | Verdict |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (scenario, runs) in by_scenario {
        let ran: Vec<&&Outcome> = runs.iter().filter(|run| run.skipped.is_none()).collect();
        if ran.is_empty() {
            let why = runs[0].skipped.clone().unwrap_or_default();
            let _ = writeln!(text, "| {scenario} | 0 | - | - | - | - | - | - | - | - | - | not run: {why} |");
            continue;
        }
        let mut times: Vec<u64> = ran.iter().flat_map(|run| run.findings.failover_ms.clone()).collect();
        times.sort_unstable();
        let most = |of: fn(&Findings) -> u64| ran.iter().map(|run| of(&run.findings)).max().unwrap_or(0);
        let least = ran.iter().map(|run| run.findings.switches).min().unwrap_or(0);
        let failed = ran.iter().filter(|run| !run.violations.is_empty()).count();
        let verdict = if failed == 0 { "holds".into() } else { format!("**{failed} failed**") };
        let _ = writeln!(
            text,
            "| {scenario} | {} | {} / {} / {} | {} | {} | {} | {} / {} | {} | {} | {least} to {} | {} | {verdict} |",
            ran.len(),
            percentile(&times, 50),
            percentile(&times, 99),
            percentile(&times, 100),
            most(|it| it.gap_ms),
            most(|it| it.outage_ms),
            most(|it| it.missing),
            most(|it| it.doubled_rows),
            most(|it| it.doubled_messages),
            most(|it| it.disordered),
            most(|it| it.wrong),
            most(|it| it.switches),
            ran.iter().map(|run| run.slowest_sync_ms).max().unwrap_or(0),
        );
    }
    text
}
