//! What stands costs nothing, and is as if it had been computed: a lane that sees full batches which repeat the values
//! before them gives the same rows, and has the same state, as one to which a tag that nobody reads makes every batch
//! a new one.

mod manifests;
mod streams;

use std::sync::{Arc, OnceLock};

use gwp_core::record::SlotMark;
use gwp_core::{Fact, Quality, Record, TagId, Timestamp, Value};
use gwp_plan::{Entry, Lane, Plan};
use manifests::{compiled, words};
use proptest::prelude::*;
use streams::{BEGINS, NS, activated, batch, group_of, record, tick};

const DEVICES: usize = 5;

/// Devices whose windows one tag feeds, one that has a calc as well, one whose windows remember, and a tag that
/// nobody reads. One more window goes over all of them, another one behind a stage.
fn plan() -> &'static Arc<Plan> {
    static PLAN: OnceLock<Arc<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| {
        let result = compiled(
            r#"gateway g { timezone = "Europe/Berlin" }
source s : simulator { scan = 1 s }
device m[1..5] on s { tag x at "1" : real }
device site { calc more = m5.x + 1 }
device other on s { tag noise at "2" : real }
sink out : console { journal { full = drop_oldest } }
flow w1 = m[*] -> every 1 min by device { a = avg(x), hi = max(x), i = integral(x), c = coverage } -> out
flow w2 = m[*] -> every 10 s over 30 s by device { a = avg(x), l = last(x) } -> out
flow w3 = m1, m2 -> every 30 s { a = avg(m1.x), b = avg(m2.x + m1.x) } -> out
flow w4 = m5, site -> every 30 s { a = avg(m5.x), b = min(site.more) } -> out
flow w5 = m[*] -> every 1 min by device { n = count(x), a = avg(x) } -> out
flow w6 = m[*] -> where value > 1 -> every 20 s by device { a = avg(x), n = count(x) } -> out
flow w7 = m[*] -> every 40 s wait 5 s by device { a = avg(x) } -> out
"#,
        );
        let mut plan = Plan::clone(result.plan.as_ref().unwrap_or_else(|| panic!("{}", words(&result))));
        // All in one, as simulated devices of one source answer in a test.
        let mut tags: Vec<TagId> = plan.groups.iter().flat_map(|group| group.tags.to_vec()).collect();
        tags.sort_unstable();
        plan.groups.truncate(1);
        plan.groups[0].tags = tags.into();
        Arc::new(plan)
    })
}

/// What comes next.
#[derive(Clone, Debug)]
enum Next {
    /// So many slots with what is there.
    Stands(u8),
    /// One device has another value, or a bad one.
    Changes(usize, Option<u8>),
    /// Only one device answers.
    Part(usize, u8),
    Failed,
    /// Nobody reads for so many seconds; the gateway itself may have been away.
    Pause(u8, bool),
    /// The lane is stored, and another one goes on.
    Restored,
}

fn next() -> impl Strategy<Value = Next> {
    let device = 0..DEVICES;
    prop_oneof![
        6 => (1u8..70).prop_map(Next::Stands),
        4 => (device.clone(), proptest::option::weighted(0.8, 0u8..4)).prop_map(|(at, to)| Next::Changes(at, to)),
        1 => (device, 0u8..4).prop_map(|(at, to)| Next::Part(at, to)),
        1 => Just(Next::Failed),
        1 => (1u8..200, any::<bool>()).prop_map(|(seconds, away)| Next::Pause(seconds, away)),
        1 => Just(Next::Restored),
    ]
}

/// Rows in the order in which they come, as text.
fn rows(entries: &[Entry]) -> Vec<String> {
    let one = |entry: &Entry| format!("{} {:?}", entry.route, entry.payload.batch());
    entries.iter().map(one).collect()
}

/// A lane to which something happens.
struct Run {
    lane: Lane,
    ids: Vec<TagId>,
    noise: TagId,
    noisy: bool,
    now: i64,
    values: [Option<Value>; DEVICES],
    rows: Vec<String>,
}

impl Run {
    fn new(noisy: bool, begin: i64) -> Run {
        let by_path = plan().tag_ids();
        let id = |path: String| by_path[&Arc::from(path.as_str())];
        let ids = (1..=DEVICES).map(|device| id(format!("m{device}.x"))).collect();
        let noise = id("other.noise".into());
        let values = std::array::from_fn(|_| Some(Value::Float(1.0)));
        let mut run = Run {
            lane: Lane::new(plan().clone(), 0),
            ids,
            noise,
            noisy,
            now: begin,
            values,
            rows: Vec::new(),
        };
        run.step(&activated(begin));
        run
    }

    fn step(&mut self, record: &Record) {
        let mut out = Vec::new();
        self.lane.step(record, &mut out);
        self.rows.extend(rows(&out));
    }

    fn slot(&mut self) {
        self.now += NS;
        let mut samples: Vec<(TagId, Option<Value>)> =
            self.ids.iter().copied().zip(self.values.iter().cloned()).collect();
        let noise = if self.noisy { self.now as f64 } else { 0.0 };
        samples.push((self.noise, Some(Value::Float(noise))));
        samples.sort_by_key(|(tag, _)| *tag);
        let group = group_of(plan(), self.noise);
        self.step(&batch(group, self.now, &samples));
        self.step(&tick(self.now));
    }

    fn happens(&mut self, next: &Next) {
        let group = group_of(plan(), self.noise);
        match next {
            Next::Stands(slots) => (0..*slots).for_each(|_| self.slot()),
            Next::Changes(device, to) => {
                self.values[*device] = to.map(|to| Value::Float(f64::from(to)));
                self.slot();
            }
            Next::Part(device, to) => {
                self.now += NS;
                let value = Some(Value::Float(f64::from(*to)));
                self.step(&batch(group, self.now, &[(self.ids[*device], value)]));
            }
            Next::Failed => {
                self.now += NS;
                let slot = SlotMark { number: (self.now / NS) as u64, skipped: 0 };
                let (time, why) = (Timestamp(self.now), Quality::NOT_CONNECTED);
                self.step(&record(Fact::Failed { group, slot, time, why }));
            }
            Next::Pause(seconds, away) => {
                self.now += i64::from(*seconds) * NS;
                match away {
                    true => self.step(&activated(self.now)),
                    false => self.step(&tick(self.now)),
                }
            }
            Next::Restored => {
                let id = plan().id();
                let state = self.lane.snapshot(id);
                self.lane = Lane::new(plan().clone(), 0);
                self.lane.restore(id, &state).expect("a state of the same plan");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_stands_is_as_if_it_had_been_computed(
        story in proptest::collection::vec(next(), 1..30),
        begin in proptest::sample::select(BEGINS.to_vec()),
    ) {
        let (mut still, mut noisy) = (Run::new(false, begin * NS), Run::new(true, begin * NS));
        for next in &story {
            still.happens(next);
            noisy.happens(next);
            prop_assert_eq!(std::mem::take(&mut still.rows), std::mem::take(&mut noisy.rows));
        }
        let id = plan().id();
        prop_assert_eq!(still.lane.snapshot(id), noisy.lane.snapshot(id));
    }
}
