//! Signals: what a simulated tag does over time.
//!
//! A signal is a pure function of the slot (its time and number), the seed
//! and the tag's path, so two nodes that simulate the same slot agree and a
//! test can foretell every value.

use gwp_core::time::{NS_PER_MS, NS_PER_S};
use std::f64::consts::TAU;

/// One parsed address.
#[derive(Clone, PartialEq, Debug)]
pub enum Signal {
    /// Sine between `low` and `high`; at phase 0 in the middle and rising.
    Sine { range: Range, cycle: Cycle },
    /// Rises in a line from `low` to `high`, then starts again.
    Ramp { range: Range, cycle: Cycle },
    /// `low` in the first half of each cycle, `high` in the second.
    Square { range: Range, cycle: Cycle },
    /// Evenly distributed, another value in each slot.
    Random { range: Range },
    /// Counts `step` per slot and wraps behind `last` to `first`, as a PLC's counter does.
    Counter { first: i64, last: i64, step: i64 },
    /// The text behind `constant`, read as the tag's type.
    Constant { text: String },
    /// One row of a file per slot, again from the first after the last.
    Replay { file: String, column: String },
}

/// Bounds of a signal, both reached.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

/// Period and shift of a periodic signal in nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cycle {
    pub period_ns: i64,
    pub phase_ns: i64,
}

/// Longest period a signal may have: a leap year.
const PERIOD_MAX_NS: i64 = 366 * 86_400 * NS_PER_S;

/// Whole numbers up to here are exact in a float.
const EXACT_MAX: i64 = 1 << 53;

/// Why an address is no signal.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    pub message: String,
    pub help: String,
}

impl AddressError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        AddressError { message: message.into(), help: help.into() }
    }
}

/// The slot a value is wanted for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slot {
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// Number on the group's grid.
    pub number: i64,
}

impl Range {
    pub const fn middle(self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    fn at(self, share: f64) -> f64 {
        // Both products are finite where `high - low` might not be.
        self.low * (1.0 - share) + self.high * share
    }
}

impl Cycle {
    /// Elapsed share of the running cycle, 0 to below 1.
    fn share(self, time_ns: i64) -> f64 {
        let shifted = time_ns.rem_euclid(self.period_ns) + self.phase_ns.rem_euclid(self.period_ns);
        (shifted.rem_euclid(self.period_ns)) as f64 / self.period_ns as f64
    }
}

impl Signal {
    /// The number this signal has in `slot`; `None` for constants and replayed columns,
    /// whose content is prepared by type. `key` is [`key`] of seed and path.
    pub fn number(&self, slot: Slot, key: u64) -> Option<f64> {
        Some(match self {
            Signal::Sine { range, cycle } => range.at((1.0 + (TAU * cycle.share(slot.time_ns)).sin()) / 2.0),
            Signal::Ramp { range, cycle } => range.at(cycle.share(slot.time_ns)),
            Signal::Square { range, cycle } => {
                if cycle.share(slot.time_ns) < 0.5 {
                    range.low
                } else {
                    range.high
                }
            }
            Signal::Random { range } => {
                let bits = mix(key ^ mix(slot.time_ns as u64)) >> 11;
                range.at(bits as f64 / ((1u64 << 53) - 1) as f64)
            }
            Signal::Counter { first, last, step } => {
                let span = i128::from(*last) - i128::from(*first) + 1;
                let offset = (i128::from(slot.number) * i128::from(*step)).rem_euclid(span);
                (i128::from(*first) + offset) as f64
            }
            Signal::Constant { .. } | Signal::Replay { .. } => return None,
        })
    }

    /// Lowest and highest number it can give, where that is known before it runs.
    pub fn bounds(&self) -> Option<Range> {
        match self {
            Signal::Sine { range, .. }
            | Signal::Ramp { range, .. }
            | Signal::Square { range, .. }
            | Signal::Random { range } => Some(*range),
            Signal::Counter { first, last, .. } => Some(Range { low: *first as f64, high: *last as f64 }),
            Signal::Constant { .. } | Signal::Replay { .. } => None,
        }
    }
}

/// Start value of a tag's random numbers (FNV-1a of the path, mixed with the seed).
pub fn key(seed: i64, path: &str) -> u64 {
    let hash = path.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mix(hash ^ mix(seed as u64))
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Parses an address such as `sine 20..80 every 60 s`.
///
/// # Errors
/// What is wrong, with the form that would be right.
pub fn parse(address: &str) -> Result<Signal, AddressError> {
    let address = address.trim();
    let (word, rest) = address.split_once(char::is_whitespace).unwrap_or((address, ""));
    let rest = rest.trim();
    match word {
        "sine" | "ramp" | "square" => {
            let (range, cycle) = range_and_cycle(word, rest)?;
            Ok(match word {
                "sine" => Signal::Sine { range, cycle },
                "ramp" => Signal::Ramp { range, cycle },
                _ => Signal::Square { range, cycle },
            })
        }
        "random" => {
            let mut words = rest.split_whitespace();
            let range = range(&mut words, "random 8..12")?;
            end(&mut words, "random 8..12")?;
            Ok(Signal::Random { range })
        }
        "counter" => counter(rest),
        "constant" if !rest.is_empty() => Ok(Signal::Constant { text: rest.to_owned() }),
        "constant" => Err(AddressError::new("`constant` needs its value", "write for example `constant 5`")),
        "replay" => replay(rest),
        _ => Err(AddressError::new(
            format!("the simulator has no signal `{word}`"),
            "it has: sine, ramp, square, random, counter, constant, replay",
        )),
    }
}

fn range_and_cycle(word: &str, rest: &str) -> Result<(Range, Cycle), AddressError> {
    let form = format!("{word} 20..80 every 60 s");
    let mut words = rest.split_whitespace();
    let range = range(&mut words, &form)?;
    if words.next() != Some("every") {
        return Err(AddressError::new(
            format!("`{word}` needs its period"),
            format!("write for example `{form}`"),
        ));
    }
    let period_ns = duration(&mut words, &form)?;
    let phase_ns = match words.next() {
        None => 0,
        Some("phase") => duration(&mut words, &format!("{form} phase 15 s"))?,
        Some(other) => return Err(surplus(other, &format!("{form} phase 15 s"))),
    };
    end(&mut words, &form)?;
    if period_ns == 0 {
        return Err(AddressError::new("the period is too short", "write at least 1 ms"));
    }
    Ok((range, Cycle { period_ns, phase_ns }))
}

fn counter(rest: &str) -> Result<Signal, AddressError> {
    const FORM: &str = "counter 0..32767 step 1";
    let mut words = rest.split_whitespace();
    let bounds = range(&mut words, FORM)?;
    let step = match words.next() {
        None => Some(1),
        Some("step") => words.next().and_then(|word| word.parse::<i64>().ok()),
        Some(other) => return Err(surplus(other, FORM)),
    };
    end(&mut words, FORM)?;
    let whole =
        |value: f64| (value.fract() == 0.0 && value.abs() <= EXACT_MAX as f64).then_some(value as i64);
    match (whole(bounds.low), whole(bounds.high), step) {
        (Some(first), Some(last), Some(step)) if step != 0 => Ok(Signal::Counter { first, last, step }),
        _ => {
            Err(AddressError::new("a counter counts in whole numbers", format!("write for example `{FORM}`")))
        }
    }
}

fn replay(rest: &str) -> Result<Signal, AddressError> {
    match rest.rsplit_once(" column ") {
        Some((file, column)) if !file.trim().is_empty() && !column.trim().is_empty() => {
            Ok(Signal::Replay { file: file.trim().to_owned(), column: column.trim().to_owned() })
        }
        _ => Err(AddressError::new(
            "`replay` needs a file and a column",
            "write for example `replay data/press.csv column oil_temp`",
        )),
    }
}

fn range<'a>(words: &mut impl Iterator<Item = &'a str>, form: &str) -> Result<Range, AddressError> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let bounds = words.next().and_then(|word| word.split_once(".."));
    let Some((low, high)) = bounds.and_then(|(low, high)| Some((number(low)?, number(high)?))) else {
        return Err(AddressError::new("a range is missing", format!("write for example `{form}`")));
    };
    if low > high {
        return Err(AddressError::new(
            format!("the range {low}..{high} is upside down"),
            format!("write `{high}..{low}`"),
        ));
    }
    Ok(Range { low, high })
}

/// A span of time such as `60 s` or `60s`, in nanoseconds.
fn duration<'a>(words: &mut impl Iterator<Item = &'a str>, form: &str) -> Result<i64, AddressError> {
    let first = words.next().unwrap_or_default();
    let letters = first.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(first.len());
    let (number, attached) = first.split_at(letters);
    let unit = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
    let unit_ns = match unit {
        "ms" => Some(NS_PER_MS),
        "s" => Some(NS_PER_S),
        "min" => Some(60 * NS_PER_S),
        "h" => Some(3_600 * NS_PER_S),
        "d" => Some(86_400 * NS_PER_S),
        _ => None,
    };
    let number = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    let Some((number, unit_ns)) = number.zip(unit_ns) else {
        return Err(AddressError::new(
            "a span of time needs a number and one of ms, s, min, h, d",
            format!("write for example `{form}`"),
        ));
    };
    let ns = number * unit_ns as f64;
    if ns > PERIOD_MAX_NS as f64 {
        return Err(AddressError::new("the span of time is too long", "write at most 366 d"));
    }
    Ok(ns as i64)
}

fn surplus(word: &str, form: &str) -> AddressError {
    AddressError::new(format!("`{word}` is not expected here"), format!("the form is `{form}`"))
}

fn end<'a>(words: &mut impl Iterator<Item = &'a str>, form: &str) -> Result<(), AddressError> {
    words.next().map_or(Ok(()), |word| Err(surplus(word, form)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(seconds: f64) -> Slot {
        Slot { time_ns: (seconds * NS_PER_S as f64) as i64, number: seconds as i64 }
    }

    fn at(address: &str, seconds: f64) -> f64 {
        parse(address).unwrap().number(slot(seconds), key(0, "demo.level")).unwrap()
    }

    #[test]
    fn periodic_signals_follow_the_time() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(at("sine 20..80 every 60 s", 0.0), 50.0);
        close(at("sine 20..80 every 60 s", 15.0), 80.0);
        close(at("sine 20..80 every 60 s", 45.0), 20.0);
        close(at("sine 20..80 every 1 min phase 15 s", 0.0), 80.0);
        close(at("ramp 0..100 every 10 s", 1_000_002.5), 25.0);
        close(at("ramp -5..5 every 500ms", 0.25), 0.0);
        close(at("square 0..1 every 10 s", 4.9), 0.0);
        close(at("square 0..1 every 10 s", 5.0), 1.0);
    }

    #[test]
    fn counters_count_slots_and_wrap_like_a_plc() {
        assert_eq!(at("counter 0..32767 step 1", 32_767.0), 32_767.0);
        assert_eq!(at("counter 0..32767 step 1", 32_768.0), 0.0);
        assert_eq!(at("counter 0..9 step 4", 3.0), 2.0);
        assert_eq!(at("counter 10..19", 25.0), 15.0);
        assert_eq!(at("counter 0..9 step -1", 1.0), 9.0);
    }

    #[test]
    fn random_depends_on_seed_path_and_slot_only() {
        let random = parse("random 8..12").unwrap();
        let value = |seed, path, seconds| random.number(slot(seconds), key(seed, path)).unwrap();
        assert_eq!(value(1, "a.x", 5.0), value(1, "a.x", 5.0));
        assert_ne!(value(1, "a.x", 5.0), value(1, "a.x", 6.0));
        assert_ne!(value(1, "a.x", 5.0), value(2, "a.x", 5.0));
        assert_ne!(value(1, "a.x", 5.0), value(1, "a.y", 5.0));
        let mean = (0..1_000).map(|s| value(1, "a.x", f64::from(s))).sum::<f64>() / 1_000.0;
        assert!((9.8..10.2).contains(&mean), "{mean}");
    }

    #[test]
    fn wrong_addresses_say_what_would_be_right() {
        for (address, message, help) in [
            ("sinus 1..2", "the simulator has no signal `sinus`", "it has: sine,"),
            ("sine 1..2", "`sine` needs its period", "`sine 20..80 every 60 s`"),
            ("ramp every 5 s", "a range is missing", "`ramp 20..80 every 60 s`"),
            ("ramp 5..1 every 5 s", "the range 5..1 is upside down", "`1..5`"),
            ("ramp 0..1 every 5", "a span of time needs a number", "60 s"),
            ("ramp 0..1 every 0 s", "the period is too short", "1 ms"),
            ("ramp 0..1 every 1000 d", "the span of time is too long", "366 d"),
            ("square 0..1 every 5 s twice", "`twice` is not expected here", "phase 15 s"),
            ("random 0..1 2", "`2` is not expected here", "`random 8..12`"),
            ("counter 0..1.5", "a counter counts in whole numbers", "counter 0..32767"),
            ("counter 0..5 step 0", "a counter counts in whole numbers", "counter 0..32767"),
            ("constant", "`constant` needs its value", "constant 5"),
            ("replay a.csv", "`replay` needs a file and a column", "column oil_temp"),
            ("", "the simulator has no signal ``", "it has: sine,"),
        ] {
            let error = parse(address).unwrap_err();
            assert!(error.message.starts_with(message), "{address}: {}", error.message);
            assert!(error.help.contains(help), "{address}: {}", error.help);
        }
    }

    #[test]
    fn replay_takes_names_with_blanks() {
        let signal = Signal::Replay { file: "my data.csv".into(), column: "oil temp".into() };
        assert_eq!(parse("replay my data.csv column oil temp"), Ok(signal));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn values_stay_in_their_range(
            low in -1e6..1e6f64, width in 0.0..1e6f64, time_ns: i64, number in 0..i64::MAX, path in "[a-z.]{1,12}",
        ) {
            let range = Range { low, high: low + width };
            let cycle = Cycle { period_ns: 7 * NS_PER_S, phase_ns: NS_PER_S };
            let counter = Signal::Counter { first: low as i64, last: (low + width) as i64 + 1, step: 3 };
            let signals = [
                Signal::Sine { range, cycle },
                Signal::Ramp { range, cycle },
                Signal::Square { range, cycle },
                Signal::Random { range },
                counter,
            ];
            for signal in signals {
                let bounds = signal.bounds().unwrap();
                let value = signal.number(Slot { time_ns, number }, key(1, &path)).unwrap();
                let slack = 1e-9 * (1.0 + low.abs() + width);
                prop_assert!(value >= bounds.low - slack && value <= bounds.high + slack, "{signal:?}: {value}");
            }
        }
    }
}
