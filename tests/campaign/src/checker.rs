//! Compares what arrived with what the devices served and with the grid of slots. Pure: logs in, faults out, so that
//! it can be shown that each kind of fault is found (`checker_tests.rs`).

use crate::arrivals::{Arrival, Commit};
use crate::device::{Encoded, Truth};
use crate::program::{DEVICE_PERIOD_NS, Kind, Stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Faults of one kind that are told at full length.
const TOLD: usize = 4;
/// How far the time of a sample may lie from the moment its device served it.
const EARLY_NS: i64 = 500_000_000;
const LATE_NS: i64 = 5_000_000_000;
/// How long the graph is about to move after what moves it.
const MOVE_NS: i64 = 3_000_000_000;

/// What arrived at one destination.
#[derive(Clone, Copy, Debug)]
pub struct Sink<'a> {
    pub name: &'a str,
    /// In the order of arrival.
    pub arrivals: &'a [Arrival],
    /// It keeps a cursor: nothing may come twice.
    pub is_transactional: bool,
}

/// A fault that was made, at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub boot: u64,
    pub utc: i64,
}

/// What is compared with what.
pub struct Evidence<'a> {
    pub streams: &'a [Stream],
    pub truth: &'a Truth,
    pub sinks: Vec<Sink<'a>>,
    pub commits: &'a [Commit],
    /// Faults whose time until the first new sample is a figure.
    pub marks: &'a [Mark],
    /// From the first fault until everything was whole again; none: nothing was broken. Only here slots may be absent.
    pub disturbed: Option<(i64, i64)>,
    /// When this machine let nobody run, as the campaign saw of itself (UTC): slots of then say nothing of the gateway.
    pub stalls: &'a [(i64, i64)],
    /// A clock was moved: times of samples do not tell when they were read.
    pub clocks_moved: bool,
}

/// Counts and what they are made of.
#[derive(Clone, Default, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Findings {
    /// Slots without a good sample at a destination, the worst destination, all streams.
    pub missing: u64,
    /// Of these, slots with a sample that is not good.
    pub bad: u64,
    /// Not counted in the others: absent while the machine let nobody run.
    pub stalled: u64,
    /// Not counted in the others: one slot or two absent where devices were read late.
    pub late: u64,
    /// Missing outside of what was disturbed.
    pub missing_undisturbed: u64,
    pub doubled_rows: u64,
    pub doubled_messages: u64,
    pub disordered: u64,
    /// Samples that say that they may come behind newer ones; such are not out of order.
    pub backfilled: u64,
    pub wrong: u64,
    /// Transactions of an epoch after those of a higher one.
    pub interleaved: u64,
    /// Longest time between two good samples of a stream, by their slots, or by what the device served if clocks moved.
    pub gap_ms: u64,
    /// Longest time without any arrival.
    pub outage_ms: u64,
    pub switches: u64,
    /// Per mark: until the first sample of after it had arrived at every destination.
    pub failover_ms: Vec<u64>,
    /// What was found, in words; at most a few of each kind.
    pub told: Vec<String>,
}

impl Findings {
    fn tell(&mut self, count: u64, words: impl FnOnce() -> String) {
        if count <= TOLD as u64 {
            self.told.push(words());
        }
    }
}

fn is_good(arrival: &Arrival) -> bool {
    arrival.value.is_some() && !arrival.quality.starts_with("bad")
}

pub fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    for sink in &evidence.sinks {
        order_and_doubles(sink, &mut findings);
        values(sink, evidence, &mut findings);
        slots(sink, evidence, &mut findings);
        let ends = sink.arrivals.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
        findings.outage_ms = findings.outage_ms.max(ends.max().unwrap_or(0) / 1_000_000);
    }
    between_sinks(evidence, &mut findings);
    epochs(evidence.commits, &mut findings);
    for mark in evidence.marks {
        let newest = |sink: &Sink| {
            let mut new = sink.arrivals.iter().filter(|it| it.at >= mark.boot && it.time_ns > mark.utc);
            new.next().map(|arrival| (arrival.at - mark.boot) / 1_000_000)
        };
        let times: Vec<Option<u64>> = evidence.sinks.iter().map(newest).collect();
        if let Some(slowest) =
            times.into_iter().collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max())
        {
            findings.failover_ms.push(slowest);
        }
    }
    findings
}

fn order_and_doubles(sink: &Sink, findings: &mut Findings) {
    let mut seen: HashMap<(&str, i64, u32), ()> = HashMap::new();
    let mut last: HashMap<&str, (i64, u32)> = HashMap::new();
    let mut highest: Option<[u64; 4]> = None;
    let backfilled = sink.arrivals.iter().filter(|arrival| arrival.is_backfill).count() as u64;
    findings.backfilled = findings.backfilled.max(backfilled);
    for arrival in sink.arrivals {
        let stream = arrival.stream.as_str();
        if seen.insert((stream, arrival.time_ns, arrival.repeat), ()).is_some() {
            let count = if sink.is_transactional {
                &mut findings.doubled_rows
            } else {
                &mut findings.doubled_messages
            };
            *count += 1;
            let count = *count;
            if sink.is_transactional {
                findings.tell(count, || format!("{}: {stream} at {} came twice", sink.name, arrival.time_ns));
            }
            continue;
        }
        let is_behind = highest.is_some_and(|highest| arrival.position.is_some_and(|here| here < highest));
        highest = highest.max(arrival.position);
        let before = last.get(stream).copied();
        let is_older = before.is_some_and(|before| (arrival.time_ns, arrival.repeat) <= before);
        if (is_older || is_behind) && !arrival.is_backfill {
            findings.disordered += 1;
            let count = findings.disordered;
            findings.tell(count, || {
                format!(
                    "{}: {stream} at {} arrives behind {before:?}, {highest:?}",
                    sink.name, arrival.time_ns
                )
            });
        }
        if !is_older {
            last.insert(stream, (arrival.time_ns, arrival.repeat));
        }
    }
}

fn values(sink: &Sink, evidence: &Evidence, findings: &mut Findings) {
    let kinds: HashMap<&str, &Stream> = evidence.streams.iter().map(|it| (it.name.as_str(), it)).collect();
    let mut starts: HashMap<&str, i64> = HashMap::new();
    let mut numbers: HashMap<(u32, i64, u32), u32> = HashMap::new();
    let mut good: HashMap<(&str, i64), u32> = HashMap::new();
    for arrival in sink.arrivals {
        let Some(stream) = kinds.get(arrival.stream.as_str()) else {
            wrong(findings, sink, arrival, "nobody has this tag");
            continue;
        };
        let Some(value) = arrival.value else { continue };
        if is_good(arrival)
            && *good.entry((&arrival.stream, arrival.time_ns)).or_insert(arrival.repeat) != arrival.repeat
        {
            wrong(findings, sink, arrival, "a second good sample of its slot");
        }
        match stream.kind {
            Kind::Counter => {
                let start = arrival.time_ns - value * stream.period_ns;
                if *starts.entry(&arrival.stream).or_insert(start) != start {
                    wrong(findings, sink, arrival, "not the number of its slot");
                }
            }
            Kind::Device { device, register } => {
                let of = Encoded::of(value).filter(|of| (of.device, of.register) == (device, register));
                let Some(of) = of else {
                    wrong(findings, sink, arrival, "the value of another register");
                    continue;
                };
                let Some(served) = evidence.truth.get(&(device, of.number)) else {
                    wrong(findings, sink, arrival, "never served");
                    continue;
                };
                let late = served.utc - arrival.time_ns;
                if !evidence.clocks_moved && !(-EARLY_NS..=LATE_NS).contains(&late) {
                    wrong(findings, sink, arrival, "served at another time");
                }
                // All registers of a device are read in one request.
                if *numbers.entry((device, arrival.time_ns, arrival.repeat)).or_insert(of.number) != of.number
                {
                    wrong(findings, sink, arrival, "of another read than its neighbours");
                }
            }
        }
    }
}

fn wrong(findings: &mut Findings, sink: &Sink, arrival: &Arrival, why: &str) {
    findings.wrong += 1;
    let count = findings.wrong;
    findings.tell(count, || format!("{}: {} at {}: {why}", sink.name, arrival.stream, arrival.time_ns));
}

/// The slots of each stream from its first sample to its last one.
fn slots(sink: &Sink, evidence: &Evidence, findings: &mut Findings) {
    let mut by_stream: HashMap<&str, BTreeMap<i64, &Arrival>> = HashMap::new();
    for arrival in sink.arrivals {
        let known = by_stream.entry(&arrival.stream).or_default();
        let entry = known.entry(arrival.time_ns).or_insert(arrival);
        if is_good(arrival) {
            *entry = arrival;
        }
    }
    let (mut missing, mut bad, mut stalled, mut late) = (0, 0, 0, 0);
    let late_reads = late_reads(evidence.truth);
    for stream in evidence.streams {
        let Some(found) = by_stream.get(stream.name.as_str()) else {
            findings.missing_undisturbed += 1;
            findings.told.push(format!("{}: nothing of {}", sink.name, stream.name));
            continue;
        };
        let good: Vec<&&Arrival> = found.values().filter(|arrival| is_good(arrival)).collect();
        for pair in good.windows(2) {
            findings.gap_ms = findings.gap_ms.max(gap(pair[0], pair[1], stream, evidence));
            if evidence.clocks_moved {
                continue;
            }
            let mut slot = pair[0].time_ns + stream.period_ns;
            while slot < pair[1].time_ns {
                let is_disturbed = evidence.disturbed.is_some_and(|(from, to)| (from..=to).contains(&slot));
                let near = |stall: &(i64, i64)| {
                    (stall.0 - stream.period_ns..=stall.1 + stream.period_ns).contains(&slot)
                };
                if is_late(pair[0], pair[1], stream, evidence.marks, &late_reads) {
                    late += 1;
                    slot += stream.period_ns;
                    continue;
                }
                if evidence.stalls.iter().any(near) {
                    stalled += 1;
                    slot += stream.period_ns;
                    continue;
                }
                missing += 1;
                bad += u64::from(found.contains_key(&slot));
                if !is_disturbed {
                    findings.missing_undisturbed += 1;
                    let count = findings.missing_undisturbed;
                    findings.tell(count, || format!("{}: {} at {slot} is missing", sink.name, stream.name));
                }
                slot += stream.period_ns;
            }
        }
    }
    findings.missing = findings.missing.max(missing);
    findings.bad = findings.bad.max(bad);
    findings.stalled = findings.stalled.max(stalled);
    findings.late = findings.late.max(late);
}

/// When devices were read late by a quarter of a period or more, whatever the slot: in order.
fn late_reads(truth: &Truth) -> Vec<i64> {
    let is_late = |at: &i64| at.rem_euclid(DEVICE_PERIOD_NS) >= DEVICE_PERIOD_NS / 4;
    let mut late: Vec<i64> = truth.values().map(|served| served.utc).filter(is_late).collect();
    late.sort_unstable();
    late
}

/// One slot or two are absent, and some device was read late round about it: the machine let nobody run in time.
fn is_late(first: &Arrival, second: &Arrival, stream: &Stream, marks: &[Mark], late_reads: &[i64]) -> bool {
    // While the graph moves nothing is put down to the machine.
    let moves = |mark: &Mark| (mark.utc - MOVE_NS..mark.utc + MOVE_NS).contains(&first.time_ns);
    if second.time_ns - first.time_ns > 3 * stream.period_ns || marks.iter().any(moves) {
        return false;
    }
    let next = late_reads.partition_point(|at| *at < first.time_ns);
    late_reads.get(next).is_some_and(|at| *at < second.time_ns + stream.period_ns)
}

fn gap(first: &Arrival, second: &Arrival, stream: &Stream, evidence: &Evidence) -> u64 {
    let Kind::Device { device, .. } = stream.kind else {
        // The simulator goes by the clock that was moved.
        let gap = if evidence.clocks_moved { 0 } else { second.time_ns - first.time_ns };
        return u64::try_from(gap).unwrap_or(0) / 1_000_000;
    };
    let served = |arrival: &Arrival| {
        let number = arrival.value.and_then(Encoded::of)?.number;
        evidence.truth.get(&(device, number)).map(|served| served.boot)
    };
    let gap = if evidence.clocks_moved {
        served(second).zip(served(first)).map_or(0, |(second, first)| second.saturating_sub(first))
    } else {
        u64::try_from(second.time_ns - first.time_ns).unwrap_or(0)
    };
    gap / 1_000_000
}

/// What both destinations get is the same.
fn between_sinks(evidence: &Evidence, findings: &mut Findings) {
    let [first, second] = &evidence.sinks[..] else { return };
    let by_key = |sink: &Sink| -> BTreeMap<(String, i64, u32), Option<i64>> {
        let key = |it: &Arrival| ((it.stream.clone(), it.time_ns, it.repeat), it.value);
        sink.arrivals.iter().map(key).collect()
    };
    let (first_has, second_has) = (by_key(first), by_key(second));
    // Streams that go to both, between the latest begin and the earliest end.
    let names = |has: &BTreeMap<(String, i64, u32), Option<i64>>| -> BTreeSet<String> {
        has.keys().map(|(stream, ..)| stream.clone()).collect()
    };
    let both: BTreeSet<String> = names(&first_has).intersection(&names(&second_has)).cloned().collect();
    let bounds = |has: &BTreeMap<(String, i64, u32), Option<i64>>| -> (i64, i64) {
        let times = || has.keys().filter(|(stream, ..)| both.contains(stream)).map(|(_, time, _)| *time);
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    };
    let (one, two) = (bounds(&first_has), bounds(&second_has));
    // One slot of slack at both ends, where one destination has a message of several that belong together.
    let slack = 100_000_000;
    let inside = (one.0.max(two.0) + slack)..(one.1.min(two.1) - slack);
    for (here, there, from, lacks, compares) in
        [(&first_has, &second_has, first, second, true), (&second_has, &first_has, second, first, false)]
    {
        for ((stream, time, repeat), value) in here.iter().filter(|((stream, ..), _)| both.contains(stream)) {
            if !inside.contains(time) {
                continue;
            }
            let told = match there.get(&(stream.clone(), *time, *repeat)) {
                Some(other) if other == value || !compares => continue,
                Some(other) => format!("{stream} at {time} is {value:?} and {other:?}"),
                None => format!("{stream} at {time} is at {} and not at {}", from.name, lacks.name),
            };
            findings.wrong += 1;
            let count = findings.wrong;
            findings.tell(count, || told);
        }
    }
}

fn epochs(commits: &[Commit], findings: &mut Findings) {
    let mut highest = commits.first().map_or(0, |commit| commit[0]);
    for commit in commits {
        let epoch = commit[0];
        if epoch > highest {
            findings.switches += 1;
            highest = epoch;
        } else if epoch < highest {
            findings.interleaved += 1;
            let count = findings.interleaved;
            findings.tell(count, || format!("epoch {epoch} delivers after epoch {highest}"));
        }
    }
}
