//! Cases, and a server that loses, repeats and reorders what it sends.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn numbers_in_order_are_handed_over_once_and_acknowledged_when_stored() {
    let mut sequence = Sequence::default();
    assert_eq!(sequence.arrived(1, &[]), Arrival::Fresh);
    assert_eq!(sequence.arrived(2, &[]), Arrival::Fresh);
    assert!(sequence.acknowledgements().is_empty());
    sequence.stored(1);
    assert_eq!(sequence.arrived(2, &[]), Arrival::Repeated);
    assert_eq!(sequence.acknowledgements(), [1], "2 is not in the log yet");
    sequence.stored(2);
    assert_eq!(sequence.acknowledgements(), [2]);
    assert_eq!(sequence.arrived(2, &[]), Arrival::Repeated);
    assert_eq!(sequence.acknowledgements(), [2], "the server did not get the first one");
    sequence.not_acknowledged([2]);
    assert_eq!(sequence.acknowledgements(), [2]);
}

#[test]
fn a_gap_is_asked_for_and_filled() {
    let mut sequence = Sequence::default();
    sequence.arrived(1, &[]);
    assert_eq!(sequence.arrived(4, &[]), Arrival::Fresh);
    assert_eq!(sequence.missing(), [2, 3]);
    assert_eq!(sequence.arrived(2, &[]), Arrival::Fresh);
    sequence.unavailable(3);
    assert_eq!((sequence.missing(), sequence.lost()), (vec![], 1));
    assert_eq!(sequence.arrived(3, &[]), Arrival::Fresh, "it was only late");
    assert_eq!(sequence.lost(), 0);
    assert_eq!(sequence.arrived(3, &[]), Arrival::Repeated);
    assert_eq!(sequence.arrived(5, &[]), Arrival::Fresh);
}

#[test]
fn a_keep_alive_shows_a_gap_at_the_end() {
    let mut sequence = Sequence::default();
    assert!(sequence.kept_alive(7).is_empty(), "nothing came yet: a server may begin where it likes");
    sequence.arrived(7, &[]);
    assert!(sequence.kept_alive(8).is_empty());
    assert_eq!(sequence.kept_alive(10), [8, 9]);
    assert!(sequence.kept_alive(7).is_empty());
    assert!(sequence.kept_alive(0).is_empty());
    assert_eq!(sequence.lost(), 0);
}

#[test]
fn of_a_run_before_only_what_the_log_lacks_is_asked_for_and_the_rest_is_acknowledged() {
    let mut sequence = Sequence::left(Some(6));
    assert_eq!(sequence.resumed(&[4, 5, 6, 7]), [6, 7]);
    assert_eq!(sequence.acknowledgements(), [4, 5], "the log has them, and the server has not heard so");
    assert_eq!(sequence.arrived(6, &[]), Arrival::Fresh);
    assert_eq!(sequence.arrived(7, &[]), Arrival::Fresh);
    assert_eq!(sequence.arrived(9, &[]), Arrival::Fresh);
    assert_eq!(sequence.missing(), [8], "from here on a gap is a gap");

    let mut sequence = Sequence::left(Some(6));
    assert!(sequence.resumed(&[]).is_empty(), "all was acknowledged before the crash");
    assert_eq!(sequence.arrived(8, &[5, 7, 8]), Arrival::Fresh);
    assert_eq!(sequence.missing(), [7], "5 is in the log");
    assert_eq!(Sequence::left(Some(6)).arrived(5, &[]), Arrival::Repeated);
    assert_eq!(Sequence::left(None).resumed(&[1, 2]), [1, 2], "nothing is known of it");
}

#[test]
fn after_a_transfer_only_what_never_came_is_asked_for() {
    let mut sequence = Sequence::default();
    sequence.arrived(1, &[]);
    sequence.arrived(2, &[]);
    sequence.arrived(5, &[]);
    assert_eq!(sequence.resumed(&[1, 2, 4, 5, 6, 7]), [4, 6, 7]);
    assert_eq!(Sequence::default().resumed(&[3, 4]), [3, 4]);
}

#[test]
fn the_first_notification_may_show_that_others_were_lost() {
    let mut sequence = Sequence::default();
    assert_eq!(sequence.arrived(3, &[2, 3]), Arrival::Fresh);
    assert_eq!(sequence.missing(), [2]);
}

#[test]
fn the_range_ends_in_one() {
    let mut sequence = Sequence::default();
    sequence.arrived(u32::MAX - 1, &[]);
    sequence.arrived(2, &[]);
    assert_eq!(sequence.missing(), [u32::MAX, 1]);
    assert_eq!(sequence.arrived(u32::MAX, &[]), Arrival::Fresh);
    assert_eq!(sequence.next(), 3);
    assert_eq!(after(u32::MAX), 1);
}

#[test]
fn a_leap_is_bounded() {
    let mut sequence = Sequence::default();
    sequence.arrived(1, &[]);
    sequence.arrived(1_000_000, &[]);
    assert_eq!(sequence.missing().len(), GAP_MAX as usize);
    assert_eq!(sequence.lost(), 1_000_000 - 2 - u64::from(GAP_MAX));
    for number in 0..20 {
        sequence.arrived(2_000_000 + number * 100_000, &[]);
    }
    assert!(sequence.missing.len() <= REMEMBERED_MAX);
}

/// What may happen between a server and a client.
#[derive(Clone, Debug)]
enum Event {
    /// The server sends the next notification; it may be lost on its way.
    Send { lost: bool },
    /// The same once more.
    SendAgain(usize),
    /// All that is missing is asked for.
    Republish,
    /// The log has stored the oldest so many.
    Store(usize),
    /// A publish request takes acknowledgements along; it may be lost on its way.
    Publish { lost: bool },
    /// The connection broke and the subscription was taken up again.
    Resume,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => prop::bool::weighted(0.2).prop_map(|lost| Event::Send { lost }),
        1 => (0usize..8).prop_map(Event::SendAgain),
        2 => Just(Event::Republish),
        4 => (1usize..4).prop_map(Event::Store),
        4 => prop::bool::weighted(0.2).prop_map(|lost| Event::Publish { lost }),
        1 => Just(Event::Resume),
    ]
}

#[derive(Default)]
struct World {
    sequence: Sequence,
    /// What the server keeps.
    kept: BTreeSet<u32>,
    sent: u32,
    handed: VecDeque<u32>,
    /// How often each was handed over.
    times: BTreeMap<u32, u32>,
    in_log: BTreeSet<u32>,
}

impl World {
    fn receive(&mut self, number: u32) {
        if self.sequence.arrived(number, &[]) == Arrival::Fresh {
            self.handed.push_back(number);
            *self.times.entry(number).or_default() += 1;
        }
    }

    fn ask_for(&mut self, numbers: Vec<u32>) {
        for number in numbers {
            if self.kept.contains(&number) {
                self.receive(number);
            } else {
                self.sequence.unavailable(number);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { lost } => {
                self.sent += 1;
                self.kept.insert(self.sent);
                // The first one must come: a later one cannot show what was before it.
                if !lost || self.sent == 1 {
                    self.receive(self.sent);
                }
            }
            Event::SendAgain(index) => {
                if let Some(number) = self.kept.iter().nth(index).copied() {
                    let known = self.times.contains_key(&number);
                    self.receive(number);
                    assert!(!known || self.times[&number] == 1);
                }
            }
            Event::Republish => self.ask_for(self.sequence.missing()),
            Event::Store(count) => {
                for _ in 0..count {
                    let Some(number) = self.handed.pop_front() else { break };
                    self.in_log.insert(number);
                    self.sequence.stored(number);
                }
            }
            Event::Publish { lost } => {
                let numbers = self.sequence.acknowledgements();
                for number in &numbers {
                    assert!(self.in_log.contains(number), "{number} is acknowledged and not in the log");
                }
                if lost {
                    self.sequence.not_acknowledged(numbers);
                } else {
                    numbers.iter().for_each(|number| {
                        self.kept.remove(number);
                    });
                }
            }
            Event::Resume => {
                let available: Vec<u32> = self.kept.iter().copied().collect();
                let wanted = self.sequence.resumed(&available);
                self.ask_for(wanted);
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_nothing_comes_twice_and_the_server_forgets_only_what_is_stored(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut world = World::default();
        events.into_iter().for_each(|event| world.happen(event));
        world.happen(Event::Send { lost: false });
        world.happen(Event::Republish);
        world.happen(Event::Store(1_000));
        for number in 1..=world.sent {
            prop_assert_eq!(world.times.get(&number), Some(&1), "{}", number);
        }
        prop_assert_eq!(world.sequence.lost(), 0);
        for _ in 0..3 {
            world.happen(Event::Publish { lost: false });
        }
        prop_assert!(world.kept.is_empty(), "{:?}", world.kept);
    }
}
