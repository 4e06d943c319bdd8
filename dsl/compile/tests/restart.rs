//! A lane that is stored and restored at any record goes on as if nothing had happened: windows that are open, alarms
//! and timers that are pending, inputs that wait, revisions to come. And what arrives in another order gives the same.

mod manifests;
mod streams;

use std::sync::{Arc, OnceLock};

use gwp_core::{GroupId, Quality, Record, TagId, Timestamp, Value};
use gwp_plan::{Entry, Lane, Plan};
use manifests::{compiled, words};
use proptest::prelude::*;
use streams::{BEGINS, NS, activated, arriving, batch, samples, slots, sorted_by_arrival, steps, tick};

/// Both sources have these members.
const MEMBERS: &str = r#"
  tag x at "1" : real
  tag n at "2" : uint counter 0..999
  tag b at "3" : bool
  calc late_on = on_delay(b, 25 s)
  calc late_off = off_delay(b, 17 s)
  calc once = pulse(b, 12 s)
  calc total = integral(x)
  calc slow = smooth(x, 30 s)
  calc mean = moving_avg(x, 45 s)
  calc step = delta(n)
  calc runs = count_up(b, x > 1.5)
  calc old = stale(x, 40 s)
  calc own : int = (previous(own) otherwise 0) + 1
  calc day = within("06:00-22:00") and b
  alarm high when x > 1 for 20 s { clear = x < 0.5, clear_for = 10 s, message = "{x} at {time}" }
  alarm low when x < -0.5 { severity = high }
"#;

/// `stages` and `bad = last` act on samples as they arrive, so their outputs follow the order of arrival.
fn program(bad: &str, stages: &str) -> Arc<Plan> {
    let columns =
        "{ a = avg(x), hi = max(x), made = increase(n), t = time_in(b), c = count(n), r = max(rate(x)) }";
    let result = compiled(&format!(
        r#"gateway g {{ timezone = "Europe/Berlin" }}
source s : simulator {{
  scan = 5 s
{MEMBERS}}}
source p : reporter {{
  time = device, late = 30 s, on_disconnect = hold(10 min)
{MEMBERS}}}
device site {{
  calc sum = s.x + p.x
  calc both = s.late_on and p.b
  alarm much when sum > 1 for 15 s {{ clear_for = 5 s }}
}}
sink out : console {{ bad = {bad}, journal {{ full = drop_oldest }} }}
flow raw = s, p, site, *.alarms -> out
flow w1 = s -> every 1 min {columns} -> out
flow w2 = p -> every 1 min revise 1 h {columns} -> out
flow w3 = p -> every 10 s over 30 s {columns} -> out
flow w4 = site -> every 1 min wait 20 s {{ a = avg(sum), t = time_in(both) }} -> out
flow w5 = p -> on b {columns} -> out
flow w6 = s -> while b and x > 0 {columns} -> out
{stages}"#
    ));
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result))))
}

fn plain() -> &'static Arc<Plan> {
    static PLAN: OnceLock<Arc<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| program("send", ""))
}

fn staged() -> &'static Arc<Plan> {
    static PLAN: OnceLock<Arc<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| {
        program(
            "last",
            "flow t1 = s.x, p.x -> changes(deadband = 0.3, heartbeat = 30 s) -> out\n\
             flow t2 = s, p -> sample(20 s) -> where good(value) or p.b -> out\n\
             flow t3 = p -> changes() -> every 30 s { c = count(x), a = avg(x) } -> where c > 1 -> out\n",
        )
    })
}

/// One sample of one tag, as a sink gets it.
type Shown = (u32, TagId, Timestamp, u32, String, Quality);

fn shown(entries: &[Entry]) -> Vec<Shown> {
    let mut all = Vec::new();
    for entry in entries {
        let batch = entry.payload.batch();
        let one = |index: usize| {
            let value = format!("{:?}", batch.values.get(index));
            let (time, repeat) = (batch.times.get(index), batch.repeat(index));
            (entry.route, batch.tags[index], time, repeat, value, batch.qualities.get(index))
        };
        all.extend((0..batch.len()).map(one));
    }
    all
}

#[derive(Clone)]
/// A stream of both sources; the device's samples come so many milliseconds later.
struct Stream {
    polled: Vec<streams::Step>,
    reported: Vec<streams::Step>,
    delays_ms: Vec<i64>,
    /// Seconds at which the connection of the device breaks and comes back, in turn.
    breaks: Vec<i64>,
    begin: i64,
}

impl Stream {
    fn records(&self, plan: &Plan) -> Vec<Record> {
        let begin = self.begin * NS;
        let (polled, _) = slots(plan, "s", &self.polled, begin, 5);
        let time = |record: &Record| match &record.fact {
            gwp_core::Fact::Samples { batch, .. } => batch.times.get(0).0,
            gwp_core::Fact::Failed { time, .. } => time.0,
            _ => begin,
        };
        let mut all: Vec<(i64, Record)> = polled.into_iter().map(|record| (time(&record), record)).collect();
        let made = samples(&self.reported, begin, 4);
        let delays: Vec<i64> = self.delays_ms.iter().map(|delay| delay * 1_000_000).collect();
        all.extend(arriving(plan, "p", &made, &delays, begin));
        let connected = plan.tag_ids()[&Arc::from("p.connected")];
        for (index, second) in self.breaks.iter().enumerate() {
            let at = begin + second * NS;
            let value = Some(Value::Bool(index % 2 == 1));
            all.push((at, batch(GroupId::NONE, at, &[(connected, value)])));
        }
        // All has arrived by then, however late it is.
        let spoken = made.iter().map(|sample| sample.time).chain(all.iter().map(|(_, record)| time(record)));
        let last = spoken.max().unwrap_or(begin) + 100 * NS;
        all.extend((1..8).map(|index| (last + index * 20 * NS, tick(last + index * 20 * NS))));
        let mut records = vec![activated(begin)];
        records.extend(sorted_by_arrival(all));
        records
    }
}

fn stream(most_ms: i64, breaks: usize) -> impl Strategy<Value = Stream> {
    let parts = (
        steps(),
        steps(),
        proptest::collection::vec(0..most_ms, 1..30),
        proptest::collection::btree_set(0i64..600, 0..=breaks),
        0..BEGINS.len(),
    );
    parts.prop_map(|(polled, reported, delays_ms, breaks, begin)| Stream {
        polled,
        reported,
        delays_ms,
        breaks: breaks.into_iter().collect(),
        begin: BEGINS[begin],
    })
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stream { polled, reported, delays_ms, breaks, begin } = self;
        write!(f, "{begin}: {polled:?} {reported:?} {delays_ms:?} {breaks:?}")
    }
}

fn run(lane: &mut Lane, record: &Record) -> Vec<Shown> {
    let mut out = Vec::new();
    lane.step(record, &mut out);
    shown(&out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Samples may come behind `late`, and the connection may break.
    #[test]
    fn a_restart_at_any_record_changes_nothing(
        stream in stream(90_000, 4), cuts in proptest::collection::vec(0usize..12, 1..40),
    ) {
        let plan = staged();
        let id = plan.id();
        let mut whole = Lane::new(plan.clone(), 0);
        let mut parts = Lane::new(plan.clone(), 0);
        for (index, record) in stream.records(plan).iter().enumerate() {
            prop_assert_eq!(run(&mut parts, record), run(&mut whole, record), "record {}", index);
            if cuts[index % cuts.len()] == 0 {
                let stored = parts.snapshot(id);
                parts = Lane::new(plan.clone(), 0);
                parts.restore(id, &stored).expect("restored");
                prop_assert_eq!(parts.snapshot(id), stored);
            }
        }
        prop_assert_eq!(parts.snapshot(id), whole.snapshot(id));
    }

    #[test]
    fn arrival_in_another_order_inside_late_gives_the_same(stream in stream(30_000, 0)) {
        let plan = plain();
        let all = |stream: &Stream| {
            let mut lane = Lane::new(plan.clone(), 0);
            let mut all: Vec<Shown> =
                stream.records(plan).iter().flat_map(|record| run(&mut lane, record)).collect();
            all.push((0, TagId(0), Timestamp(0), 0, format!("{} late", lane.late()), Quality::GOOD));
            all.sort();
            all
        };
        let named = |list: &[Shown], other: &[Shown]| -> Vec<String> {
            let new = list.iter().filter(|one| !other.contains(one));
            new.map(|one| format!("{} {one:?}", plan.tag(one.1).map_or("", |tag| &tag.info.path))).collect()
        };
        let in_order = Stream { delays_ms: vec![0], ..stream.clone() };
        let (got, meant) = (all(&stream), all(&in_order));
        let begin = Timestamp(stream.begin * NS);
        let early = meant.iter().skip(1).find(|one| {
            one.2 < begin && plan.tag(one.1).is_some_and(|tag| tag.origin != gwp_plan::Origin::Column)
        });
        prop_assert_eq!(early, None, "nothing is computed for the time before the beginning");
        prop_assert_eq!(named(&got, &meant), named(&meant, &got));
    }
}
