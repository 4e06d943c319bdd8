//! The checker finds each kind of fault in logs that were made up, and nothing in a sound one.

use crate::arrivals::{Arrival, Commit};
use crate::checker::{Evidence, Findings, Mark, Sink, check};
use crate::device::{Encoded, Served, Truth};
use crate::program::{DEVICE_PERIOD_NS, Kind, Stream};
use crate::report::{Outcome, Strictness, violations};
use crate::scenario::{Expect, Missing, Scenario};

const SLOTS: i64 = 20;
const NAMES: [&str; 2] = ["plc1.r0", "plc1.r1"];
const COUNTER: &str = "m1.x";

/// A sound log and what it is compared with; a test spoils it.
#[derive(Clone)]
struct Case {
    streams: Vec<Stream>,
    truth: Truth,
    rows: Vec<Arrival>,
    messages: Vec<Arrival>,
    commits: Vec<Commit>,
    marks: Vec<Mark>,
    disturbed: Option<(i64, i64)>,
    stalls: Vec<(i64, i64)>,
    clocks_moved: bool,
}

fn slot(number: i64) -> i64 {
    1_000 * DEVICE_PERIOD_NS + number * DEVICE_PERIOD_NS
}

fn arrival(stream: &str, number: i64, value: i64, position: Option<[u64; 4]>) -> Arrival {
    Arrival {
        at: (slot(number) + 20_000_000) as u64,
        stream: stream.into(),
        time_ns: slot(number),
        repeat: 0,
        value: Some(value),
        quality: "good".into(),
        position,
        is_backfill: false,
    }
}

fn sound() -> Case {
    let mut case = Case {
        streams: Vec::new(),
        truth: Truth::new(),
        rows: Vec::new(),
        messages: Vec::new(),
        commits: Vec::new(),
        marks: Vec::new(),
        disturbed: None,
        stalls: Vec::new(),
        clocks_moved: false,
    };
    for (register, name) in NAMES.iter().enumerate() {
        let kind = Kind::Device { device: 1, register: register as u32 };
        case.streams.push(Stream { name: (*name).into(), period_ns: DEVICE_PERIOD_NS, kind });
    }
    case.streams.push(Stream { name: COUNTER.into(), period_ns: DEVICE_PERIOD_NS, kind: Kind::Counter });
    for number in 0..SLOTS {
        let served = Served { boot: slot(number) as u64, utc: slot(number), reader: "a".into() };
        case.truth.insert((1, number as u32), served);
        let position = [1, number as u64, 0, 0];
        for (register, name) in NAMES.iter().enumerate() {
            let value = Encoded { device: 1, register: register as u32, number: number as u32 }.value();
            case.rows.push(arrival(name, number, i64::from(value), None));
            case.messages.push(arrival(name, number, i64::from(value), Some(position)));
        }
        case.rows.push(arrival(COUNTER, number, number, None));
        case.messages.push(arrival(COUNTER, number, number, Some(position)));
        case.commits.push([2, 1, number, 0]);
    }
    case
}

fn found(case: &Case) -> Findings {
    check(&Evidence {
        streams: &case.streams,
        truth: &case.truth,
        sinks: vec![
            Sink { name: "database", arrivals: &case.rows, is_transactional: true },
            Sink { name: "broker", arrivals: &case.messages, is_transactional: false },
        ],
        commits: &case.commits,
        marks: &case.marks,
        disturbed: case.disturbed,
        stalls: &case.stalls,
        clocks_moved: case.clocks_moved,
    })
}

/// What is found after a log was spoilt.
fn spoilt(spoil: impl FnOnce(&mut Case)) -> Findings {
    let mut case = sound();
    spoil(&mut case);
    found(&case)
}

#[test]
fn a_sound_log_is_sound() {
    let found = found(&sound());
    let expected = Findings { gap_ms: 100, outage_ms: 100, ..Findings::default() };
    assert_eq!(found, expected);
}

#[test]
fn a_missing_slot_is_found_and_told_from_one_in_a_fault() {
    let remove = |case: &mut Case| {
        let is_lost = |it: &Arrival| it.time_ns == slot(7) || it.time_ns == slot(8);
        case.rows.retain(|row| !is_lost(row));
        case.messages.retain(|message| !is_lost(message));
    };
    let lost = spoilt(remove);
    assert_eq!((lost.missing, lost.missing_undisturbed, lost.late, lost.gap_ms), (6, 12, 0, 300));
    let excused = spoilt(|case| {
        remove(case);
        case.disturbed = Some((slot(7), slot(8)));
    });
    assert_eq!((excused.missing, excused.missing_undisturbed), (6, 0));
    let stalled = spoilt(|case| {
        remove(case);
        case.stalls = vec![(slot(7), slot(7) + 90_000_000), (slot(12), slot(13))];
    });
    assert_eq!((stalled.missing, stalled.missing_undisturbed, stalled.stalled), (0, 0, 6));
    // A sample that is not good is no sample, and is counted apart.
    let bad = spoilt(|case| {
        for it in case.rows.iter_mut().chain(&mut case.messages).filter(|it| it.time_ns == slot(7)) {
            (it.value, it.quality) = (None, "bad(timeout)".into());
        }
    });
    assert_eq!((bad.missing, bad.bad), (3, 3));
    // One slot that is absent where devices were read late is counted apart.
    let late = spoilt(|case| {
        case.rows.retain(|row| row.time_ns != slot(7));
        case.messages.retain(|message| message.time_ns != slot(7));
        case.truth.get_mut(&(1, 6)).expect("it was served").utc += DEVICE_PERIOD_NS / 4;
    });
    assert_eq!((late.missing, late.late), (0, 3));
    let moved = spoilt(|case| {
        case.rows.retain(|row| row.time_ns != slot(7));
        case.messages.retain(|message| message.time_ns != slot(7));
        case.truth.get_mut(&(1, 6)).expect("it was served").utc += DEVICE_PERIOD_NS / 4;
        case.marks.push(Mark { boot: slot(5) as u64, utc: slot(5) });
    });
    assert_eq!((moved.missing, moved.late), (3, 0));
    let silent = spoilt(|case| case.rows.retain(|row| row.stream != COUNTER));
    assert_eq!(silent.missing_undisturbed, 1);
}

#[test]
fn one_destination_that_lacks_a_sample_is_found() {
    let lost = spoilt(|case| case.rows.retain(|row| (row.time_ns, &*row.stream) != (slot(7), NAMES[0])));
    assert_eq!((lost.missing, lost.wrong), (1, 1));
    assert!(lost.told.iter().any(|told| told.contains("not at database")), "{lost:?}");
}

#[test]
fn what_comes_twice_is_found() {
    let doubled = spoilt(|case| {
        case.rows.insert(30, case.rows[29].clone());
        case.messages.insert(30, case.messages[29].clone());
    });
    assert_eq!((doubled.doubled_rows, doubled.doubled_messages, doubled.disordered), (1, 1, 0));
}

#[test]
fn what_comes_out_of_order_is_found_but_for_backfill() {
    let swap = |case: &mut Case| case.rows.swap(3 * 5, 3 * 6);
    assert_eq!(spoilt(swap).disordered, 1);
    let swapped = spoilt(|case| case.messages.swap(3 * 5, 3 * 6));
    assert!(swapped.disordered > 0);
    let late = spoilt(|case| {
        let mut row = case.rows.remove(3 * 5);
        row.is_backfill = true;
        case.rows.push(row);
    });
    assert_eq!((late.disordered, late.backfilled), (0, 1));
    // A node that is not active any more brings something new that lies behind what was delivered.
    let zombie = spoilt(|case| {
        let message = case.messages.remove(30);
        case.messages.push(message);
    });
    assert!(zombie.disordered > 0);
}

#[test]
fn wrong_values_are_found() {
    let wrong = |spoil: fn(&mut Vec<Arrival>)| {
        spoilt(|case| {
            spoil(&mut case.rows);
            spoil(&mut case.messages);
        })
        .wrong
    };
    let value = |device, register, number| i64::from(Encoded { device, register, number }.value());
    assert!(value(1, 0, 7) > 0);
    // Of another register, of another device, never served, of another read than its neighbour, an old one.
    assert_eq!(
        wrong(|all| all[21].value = Some(i64::from(Encoded { device: 1, register: 1, number: 7 }.value()))),
        2
    );
    assert_eq!(
        wrong(|all| all[21].value = Some(i64::from(Encoded { device: 2, register: 0, number: 7 }.value()))),
        2
    );
    assert_eq!(
        wrong(|all| all[21].value = Some(i64::from(Encoded { device: 1, register: 0, number: 77 }.value()))),
        2
    );
    assert_eq!(
        wrong(|all| all[21].value = Some(i64::from(Encoded { device: 1, register: 0, number: 6 }.value()))),
        2
    );
    assert_eq!(wrong(|all| all[23].value = Some(6)), 2, "a counter that stands");
    assert_eq!(wrong(|all| all[23].stream = "m9.x".into()), 2, "a tag that nobody has");
    let old = spoilt(|case| {
        case.truth.values_mut().for_each(|served| served.utc -= 10_000_000_000);
    });
    assert!(old.wrong > 0, "values of another time");
    let again = wrong(|all| {
        let mut second = all[21].clone();
        second.repeat = 1;
        all.push(second);
    });
    assert_eq!(again, 2, "a second good sample of a slot");
    let other = spoilt(|case| case.rows[23].value = Some(8));
    assert_eq!(other.wrong, 2, "not the number of its slot, and another one at the broker");
}

#[test]
fn epochs_that_interleave_are_found() {
    let switched = spoilt(|case| case.commits[10..].iter_mut().for_each(|commit| commit[0] = 3));
    assert_eq!((switched.switches, switched.interleaved), (1, 0));
    let zombie = spoilt(|case| {
        case.commits[10..].iter_mut().for_each(|commit| commit[0] = 3);
        case.commits[15][0] = 2;
    });
    assert_eq!((zombie.switches, zombie.interleaved), (1, 1));
}

#[test]
fn the_time_of_a_failover_is_that_of_the_slower_destination() {
    let took = spoilt(|case| {
        case.marks.push(Mark { boot: slot(9) as u64 + 1, utc: slot(9) + 1 });
        case.messages.iter_mut().filter(|it| it.time_ns >= slot(10)).for_each(|it| it.at += 500_000_000);
    });
    assert_eq!((took.failover_ms, took.outage_ms), (vec![619], 600));
}

#[test]
fn gaps_are_those_of_reads_where_clocks_moved() {
    let moved = |spoil: fn(&mut Case)| {
        spoilt(|case| {
            case.clocks_moved = true;
            for it in case.rows.iter_mut().chain(&mut case.messages).filter(|it| it.time_ns > slot(9)) {
                it.time_ns += 3 * 3_600_000_000_000;
            }
            case.streams.retain(|stream| stream.name != COUNTER);
            case.rows.retain(|row| row.stream != COUNTER);
            case.messages.retain(|row| row.stream != COUNTER);
            spoil(case);
        })
    };
    let jump = moved(|_| {});
    assert_eq!((jump.gap_ms, jump.missing, jump.wrong), (100, 0, 0));
    let lost = moved(|case| {
        let numbers =
            case.truth.keys().filter(|(_, number)| (5..8).contains(number)).copied().collect::<Vec<_>>();
        let lost = |it: &Arrival| {
            let number = it.value.and_then(Encoded::of).map(|of| of.number);
            !numbers.iter().any(|(_, lost)| Some(*lost) == number)
        };
        case.rows.retain(lost);
        case.messages.retain(lost);
    });
    assert_eq!(lost.gap_ms, 400);
}

#[test]
fn a_verdict_names_all_that_is_not_allowed() {
    let strict = Strictness { is_hot: false, is_fast: false, slack: 1 };
    let scenario = |expect| Scenario::new("S00", "", Vec::new(), expect);
    let calm = scenario(Expect::calm());
    let outcome = |findings| Outcome { findings, ..Outcome::default() };
    assert_eq!(violations(&outcome(Findings::default()), &calm, strict), Vec::<String>::new());
    let each: [Findings; 9] = [
        Findings { missing: 1, ..Findings::default() },
        Findings { missing_undisturbed: 1, ..Findings::default() },
        Findings { doubled_rows: 1, ..Findings::default() },
        Findings { doubled_messages: 1, ..Findings::default() },
        Findings { disordered: 1, ..Findings::default() },
        Findings { wrong: 1, ..Findings::default() },
        Findings { interleaved: 1, ..Findings::default() },
        Findings { switches: 1, ..Findings::default() },
        Findings { gap_ms: 3_600, ..Findings::default() },
    ];
    for findings in each {
        assert_eq!(violations(&outcome(findings.clone()), &calm, strict).len(), 1, "{findings:?}");
    }
    let ended = Outcome { exits: vec![3], ..Outcome::default() };
    assert_eq!(violations(&ended, &calm, strict).len(), 1);
    assert_eq!(violations(&ended, &scenario(Expect::calm().exits(&[3])), strict).len(), 0);

    // Slots of a takeover are missing with a standby that does not read, and never with one that does.
    let taken = outcome(Findings { missing: 14, switches: 1, gap_ms: 1_500, ..Findings::default() });
    let failover = scenario(Expect::failover());
    assert_eq!(violations(&taken, &failover, strict).len(), 0);
    let hot = Strictness { is_hot: true, ..strict };
    assert_eq!(violations(&taken, &failover, hot).len(), 1);
    let both_down = scenario(Expect::failover().missing(Missing::Disturbed));
    assert_eq!(violations(&taken, &both_down, hot).len(), 0);
}
