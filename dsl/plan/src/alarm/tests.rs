use super::*;
use crate::expr::Expr;
use crate::plan::AlarmSeverity;
use gwp_core::time::NS_PER_S;
use gwp_core::{TagId, Value};
use proptest::prelude::*;

const YES: (bool, Quality) = (true, Quality::GOOD);
const NO: (bool, Quality) = (false, Quality::GOOD);
const LOST: (bool, Quality) = (false, Quality::COMM_LOST);

fn alarm(on_s: i64, off_s: i64) -> Alarm {
    Alarm {
        name: "a".into(),
        orders: TagId(0),
        on_delay_ns: on_s * NS_PER_S,
        clear: None,
        off_delay_ns: off_s * NS_PER_S,
        severity: AlarmSeverity::High,
        message: Expr::Const(Value::Text("".into())),
        columns: [TagId(0); crate::plan::ALARM_COLUMNS],
    }
}

fn at(s: i64) -> Timestamp {
    Timestamp(s * NS_PER_S)
}

/// An alarm at work: what stands in `state` after each step, and the event.
struct Bench {
    alarm: Alarm,
    state: AlarmState,
}

impl Bench {
    fn new(on_s: i64, off_s: i64) -> Bench {
        Bench { alarm: alarm(on_s, off_s), state: AlarmState::default() }
    }

    fn put(&mut self, s: i64, condition: (bool, Quality)) -> (&'static str, Option<AlarmEvent>) {
        let event = self.state.step(&self.alarm, at(s), condition, None);
        (self.state.word(), event)
    }

    fn put_both(&mut self, s: i64, condition: (bool, Quality), clear: (bool, Quality)) -> Option<AlarmEvent> {
        self.state.step(&self.alarm, at(s), condition, Some(clear))
    }

    fn command(&mut self, s: i64, command: AlarmCommand) -> Result<AlarmEvent, AlarmRefusal> {
        self.state.command(at(s), command)
    }

    fn due(&self) -> Option<Timestamp> {
        self.state.due(&self.alarm)
    }
}

use AlarmCommand::{Acknowledge, Shelve, Unshelve};
use AlarmEvent::{Acknowledged, Cleared, Raised, Shelved, Unshelved};

#[test]
fn a_condition_is_raised_after_its_delay() {
    let mut bench = Bench::new(30, 0);
    assert_eq!(bench.put(600, YES), ("normal", None));
    assert_eq!(bench.due(), Some(at(630)));
    assert_eq!(bench.put(629, YES), ("normal", None));
    assert_eq!(bench.put(630, YES), ("unacknowledged", Some(Raised)));
    assert!(bench.state.is_active());
    assert_eq!(bench.due(), None);
    assert_eq!(bench.put(640, YES), ("unacknowledged", None));

    let mut short = Bench::new(30, 0);
    short.put(0, YES);
    assert_eq!(short.put(29, NO), ("normal", None));
    assert_eq!(short.due(), None);
    assert_eq!(short.put(30, YES), ("normal", None), "the delay begins anew");
    assert_eq!(short.due(), Some(at(60)));
}

#[test]
fn every_way_through_the_states() {
    let mut bench = Bench::new(0, 0);
    assert_eq!(bench.command(0, Acknowledge), Err(AlarmRefusal::NothingToAcknowledge));
    assert_eq!(bench.put(0, YES), ("unacknowledged", Some(Raised)));
    assert_eq!(bench.command(1, Acknowledge), Ok(Acknowledged));
    assert_eq!(bench.state.word(), "acknowledged");
    assert!(bench.state.is_active());
    assert_eq!(bench.command(1, Acknowledge), Err(AlarmRefusal::AlreadyAcknowledged));
    assert_eq!(bench.put(2, NO), ("normal", Some(Cleared)));
    assert_eq!(bench.put(3, YES), ("unacknowledged", Some(Raised)));
    assert_eq!(bench.put(4, NO), ("returned_unacknowledged", Some(Cleared)));
    assert!(!bench.state.is_active());
    assert_eq!(bench.put(5, YES), ("unacknowledged", Some(Raised)));
    assert_eq!(bench.put(6, NO), ("returned_unacknowledged", Some(Cleared)));
    assert_eq!(bench.command(7, Acknowledge), Ok(Acknowledged));
    assert_eq!(bench.put(8, NO), ("normal", None));
}

#[test]
fn clear_ends_an_alarm_when_the_condition_is_over() {
    let mut bench = Bench::new(0, 10);
    assert_eq!(bench.put_both(0, YES, NO), Some(Raised));
    assert_eq!(bench.put_both(1, NO, NO), None, "between both limits");
    assert_eq!(bench.due(), None);
    assert_eq!(bench.put_both(2, NO, YES), None);
    assert_eq!(bench.due(), Some(at(12)));
    assert_eq!(bench.put_both(5, NO, NO), None);
    assert_eq!(bench.put_both(6, NO, YES), None);
    assert_eq!(bench.put_both(16, NO, YES), Some(Cleared));
    let mut both = Bench::new(0, 0);
    assert_eq!(both.put_both(0, YES, YES), Some(Raised));
    assert_eq!(both.put_both(1, YES, YES), None, "the condition wins");
}

#[test]
fn bad_quality_neither_raises_nor_clears() {
    let mut bench = Bench::new(0, 0);
    bench.put(0, YES);
    assert_eq!(bench.put(1, LOST), ("unacknowledged", None));
    assert_eq!(bench.put_both(2, NO, LOST), None);
    assert_eq!(bench.put_both(3, LOST, YES), None);
    assert_eq!(bench.put(4, NO).1, Some(Cleared));
    assert_eq!(bench.put_both(5, NO, LOST), None, "what clears does not matter now");
    assert_eq!(bench.put_both(6, YES, LOST), Some(Raised));
}

#[test]
fn a_delay_keeps_its_beginning_through_bad_quality() {
    let mut bench = Bench::new(30, 0);
    bench.put(0, YES);
    bench.put(10, LOST);
    assert_eq!(bench.due(), None, "decides nothing while it is bad");
    assert_eq!(bench.put(50, LOST), ("normal", None));
    assert_eq!(bench.put(60, YES), ("unacknowledged", Some(Raised)));
    let mut over = Bench::new(30, 0);
    over.put(0, YES);
    over.put(10, LOST);
    assert_eq!(over.put(60, NO), ("normal", None));
    assert_eq!(over.due(), None);
}

#[test]
fn a_shelved_alarm_is_silent_and_raised_when_its_time_has_passed() {
    let mut bench = Bench::new(0, 0);
    bench.put(0, YES);
    assert_eq!(bench.command(1, Shelve { until: at(100) }), Ok(Shelved));
    assert_eq!(bench.state.word(), "shelved");
    assert!(!bench.state.is_active());
    assert_eq!(bench.command(2, Acknowledge), Err(AlarmRefusal::IsShelved));
    for (s, condition) in [(3, YES), (4, NO), (5, YES)] {
        assert_eq!(bench.put(s, condition), ("shelved", None));
    }
    assert_eq!(bench.due(), Some(at(100)));
    assert_eq!(bench.put(100, YES), ("normal", Some(Unshelved)));
    assert_eq!(bench.due(), Some(at(100)));
    assert_eq!(bench.put(100, YES), ("unacknowledged", Some(Raised)));
    assert_eq!(bench.due(), None);
}

#[test]
fn shelving_ends_by_command() {
    let mut bench = Bench::new(10, 0);
    assert_eq!(bench.command(0, Unshelve), Err(AlarmRefusal::NotShelved));
    assert_eq!(bench.command(0, Shelve { until: at(0) }), Err(AlarmRefusal::TimePassed));
    assert_eq!(bench.command(0, Shelve { until: at(50) }), Ok(Shelved));
    assert_eq!(bench.command(1, Shelve { until: at(90) }), Ok(Shelved), "another time");
    bench.put(2, YES);
    assert_eq!(bench.due(), Some(at(12)), "its delay runs in silence");
    assert_eq!(bench.put(12, YES), ("shelved", None));
    assert_eq!(bench.command(20, Unshelve), Ok(Unshelved));
    assert_eq!(bench.due(), Some(at(20)));
    assert_eq!(bench.put(20, YES), ("unacknowledged", Some(Raised)));

    let mut over = Bench::new(0, 0);
    over.put(0, YES);
    over.command(1, Shelve { until: at(50) }).unwrap();
    over.put(2, NO);
    assert_eq!(over.command(3, Unshelve), Ok(Unshelved));
    assert_eq!((over.state.word(), over.due()), ("normal", None));
}

/// One thing that happens to an alarm.
#[derive(Clone, Debug)]
enum Act {
    Step((bool, Quality), Option<(bool, Quality)>),
    Command(AlarmCommand),
}

fn acts() -> impl Strategy<Value = Vec<(i64, Act)>> {
    let input = || prop_oneof![3 => Just(YES), 3 => Just(NO), 1 => Just(LOST)];
    let act = prop_oneof![
        6 => (input(), proptest::option::of(input())).prop_map(|(condition, clear)| Act::Step(condition, clear)),
        1 => Just(Act::Command(Acknowledge)),
        1 => (0..60_i64).prop_map(|s| Act::Command(Shelve { until: at(s * 2) })),
        1 => Just(Act::Command(Unshelve)),
    ];
    proptest::collection::vec((0..6_i64, act), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// The rules of the states, whatever happens, with every due time kept.
    #[test]
    fn events_tell_the_whole_story(on_s in 0..5_i64, off_s in 0..5_i64, acts in acts()) {
        let alarm = alarm(on_s, off_s);
        let (mut state, mut now) = (AlarmState::default(), 0);
        let mut held = (NO, None);
        let mut told_active = false;
        for (ahead, act) in acts {
            let next = now + ahead;
            let mut turns = 0;
            // Due times before the act come first, those at its time after it.
            while let Some(due) = state.due(&alarm).filter(|due| *due < at(next)) {
                prop_assert!(due >= at(now));
                let event = state.step(&alarm, due, held.0, held.1);
                told_active = told(told_active, event);
                prop_assert_eq!(told_active, state.is_active());
                turns += 1;
                prop_assert!(turns < 10, "due for ever at {:?}", due);
            }
            now = next;
            let stored = postcard::to_stdvec(&state).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<AlarmState>(&stored).unwrap(), &state);
            let before = state.clone();
            let event = match act {
                Act::Step(condition, clear) => {
                    held = (condition, clear);
                    let event = state.step(&alarm, at(now), condition, clear);
                    if condition.1.is_bad() {
                        prop_assert!(state.standing == before.standing, "bad input decides nothing");
                    }
                    event
                }
                Act::Command(command) => match state.command(at(now), command) {
                    Ok(event) => Some(event),
                    Err(_) => {
                        prop_assert_eq!(&state, &before, "a refusal changes nothing");
                        None
                    }
                },
            };
            told_active = told(told_active, event);
            prop_assert_eq!(told_active, state.is_active());
            if state.word() == "shelved" {
                prop_assert!(!state.is_active());
                prop_assert!(!matches!(event, Some(Raised | Cleared | Acknowledged)));
            }
        }
    }

    /// Delays against a condition read second by second: it stands once it has been true for
    /// the whole of the delay, and no more once it has been false for the whole of the other.
    #[test]
    fn delays_equal_those_counted_by_the_second(
        on_s in 0..6_usize,
        off_s in 0..6_usize,
        runs in proptest::collection::vec((any::<bool>(), 1..9_usize), 1..30),
    ) {
        let input: Vec<bool> = runs.iter().flat_map(|(on, seconds)| vec![*on; *seconds]).collect();
        let alarm = alarm(on_s as i64, off_s as i64);
        let mut state = AlarmState::default();
        let mut stands = false;
        for now in 0..input.len() {
            let sampled = now == 0 || input[now] != input[now - 1];
            if sampled || state.due(&alarm) == Some(at(now as i64)) {
                state.step(&alarm, at(now as i64), (input[now], Quality::GOOD), None);
            }
            let delay = if stands { off_s } else { on_s };
            let since_start = (now + 1).min(delay + 1);
            if now >= delay && input[now + 1 - since_start..=now].iter().all(|on| *on != stands) {
                stands = !stands;
            }
            prop_assert_eq!(state.is_active(), stands, "at {}", now);
        }
    }
}

/// Whether the alarm is active for one who only hears of events.
fn told(active: bool, event: Option<AlarmEvent>) -> bool {
    match event {
        Some(Raised) => {
            assert!(!active, "raised twice");
            true
        }
        Some(Cleared) => {
            assert!(active, "cleared without having been raised");
            false
        }
        Some(Shelved) => false,
        Some(Acknowledged | Unshelved | AlarmEvent::Refused) | None => active,
    }
}
