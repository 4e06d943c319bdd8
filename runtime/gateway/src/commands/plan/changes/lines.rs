//! Which changes share a line, and what stands in it.

use super::{Waiting, samples};
use gwp_plan::diff::{Change, Changes, Detail, Journal, Sign};
use std::collections::BTreeMap;

/// Characters of details in a line; longer ones are cut.
const DETAILS_MAX: usize = 160;

/// A line: one change, or the same change of several devices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub sign: Sign,
    pub item: String,
    pub details: String,
    pub effect: String,
    /// Changes that it stands for.
    pub count: usize,
}

/// All lines: the gravest first, then by item.
pub fn lines(changes: &Changes, waiting: &Waiting) -> Vec<Line> {
    let mut groups: BTreeMap<Alike, Vec<&str>> = BTreeMap::new();
    for change in changes.changes.iter().filter(|change| change.sign != Sign::Follows) {
        let (alike, number) = Alike::of(change, waiting);
        groups.entry(alike).or_default().push(number);
    }
    groups.into_iter().map(|(alike, numbers)| alike.line(&numbers)).collect()
}

/// What changes of one line have in common. In names stands `#` for the number of the device.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    rank: usize,
    item: Name,
    from: Option<Name>,
    details: String,
    effect: String,
    sign: Sign,
}

/// Before and behind the number of a device: `tag/meter`, `.power`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String, String);

impl Alike {
    /// With the number of the device; empty if it has none, or another one than before.
    fn of<'c>(change: &'c Change, waiting: &Waiting) -> (Alike, &'c str) {
        let (before, number, behind) = split(&change.item);
        let from = change.from.as_deref().map(split);
        let one = from.is_some_and(|(_, old, _)| old != number);
        let name = |whole: &str, (before, behind): (&str, &str)| match one {
            true => Name(whole.to_owned(), String::new()),
            false => Name(before.to_owned(), behind.to_owned()),
        };
        let old = change.from.as_deref().unwrap_or_default();
        let (details, effect) = words(change, waiting);
        let alike = Alike {
            rank: rank(change.sign),
            item: name(&change.item, (before, behind)),
            from: from.map(|(before, _, behind)| name(old, (before, behind))),
            details,
            effect,
            sign: change.sign,
        };
        (alike, if one { "" } else { number })
    }

    fn line(self, numbers: &[&str]) -> Line {
        let number = match numbers {
            [one] => (*one).to_owned(),
            several => ranges(several),
        };
        let full = |Name(before, behind): &Name| format!("{before}{number}{behind}");
        let item = match &self.from {
            Some(from) => format!("{} -> {} (moved)", full(from), full(&self.item)),
            None => full(&self.item),
        };
        Line { sign: self.sign, item, details: self.details, effect: self.effect, count: numbers.len() }
    }
}

const fn rank(sign: Sign) -> usize {
    match sign {
        Sign::Replaced => 0,
        Sign::Changed => 1,
        Sign::Added => 2,
        Sign::Moved => 3,
        Sign::Removed | Sign::Follows => 4,
    }
}

/// The number at the end of the device: `tag/meter07.power` is `tag/meter`, `07`, `.power`.
fn split(name: &str) -> (&str, &str, &str) {
    let slash = name.find('/').map_or(0, |at| at + 1);
    let end = name[slash..].find('.').map_or(name.len(), |at| slash + at);
    let digits = name[slash..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    (&name[..end - digits], &name[end - digits..end], &name[end..])
}

/// `[01..12, 14..40]`.
fn ranges(numbers: &[&str]) -> String {
    let mut numbers: Vec<(u64, &str)> =
        numbers.iter().map(|digits| (digits.parse().unwrap_or(u64::MAX), *digits)).collect();
    numbers.sort_unstable();
    let mut parts: Vec<(&str, &str, u64)> = Vec::new();
    for (number, digits) in numbers {
        match parts.last_mut() {
            Some((_, last, at)) if at.checked_add(1) == Some(number) => (*last, *at) = (digits, number),
            _ => parts.push((digits, digits, number)),
        }
    }
    let shown = |(first, last, _): &(&str, &str, u64)| match first == last {
        true => (*first).to_owned(),
        false => format!("{first}..{last}"),
    };
    format!("[{}]", parts.iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn words(change: &Change, waiting: &Waiting) -> (String, String) {
    let mut details: Vec<String> = change.details.iter().map(Detail::to_string).collect();
    let mut effect = change.effect.words.join(", ");
    let of_sink = change.name_before().strip_prefix("sink/").and_then(|sink| waiting.get(sink));
    match (of_sink, change.effect.journal) {
        (Some(count), Some(Journal::Kept)) => {
            effect = effect.replacen("journal kept", &format!("journal kept: {}", samples(*count)), 1);
        }
        (Some(count), Some(Journal::Drains)) => details.push(format!("journal holds {}", samples(*count))),
        _ => {}
    }
    (cut(&details.join(", ")), effect)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(DETAILS_MAX) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}
