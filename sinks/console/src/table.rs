//! The live table: the latest sample of each tag, drawn to fit a terminal. Without I/O.

use crate::text::{judged, shown, visible};
use gwp_core::quality::Severity;
use gwp_core::sink::Part;
use gwp_core::{Quality, Timestamp};
use std::collections::HashMap;

/// Tags kept at most; no terminal shows more, the others are only said to be there.
pub const TAGS_MAX: usize = 10_000;

/// Characters of a value at most.
const VALUE_WIDTH_MAX: usize = 40;

/// Latest samples by path, in the order in which the tags first came.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    by_path: HashMap<String, usize>,
    /// A tag did not find room.
    overflow: bool,
}

#[derive(Debug)]
struct Row {
    path: String,
    /// With its unit.
    value: String,
    quality: Quality,
    time: Timestamp,
}

/// One line to draw.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub text: String,
    /// `None` for the frame around the rows.
    pub severity: Option<Severity>,
}

impl Table {
    /// Takes the samples of a part; a later one replaces an earlier one.
    pub fn update(&mut self, part: &Part) {
        for (index, tag) in part.batch.tags.iter().enumerate() {
            let name = part.flow.name(*tag);
            let row = match self.by_path.get(name) {
                Some(row) => *row,
                None if self.rows.len() >= TAGS_MAX => {
                    self.overflow = true;
                    continue;
                }
                None => {
                    self.by_path.insert(name.into(), self.rows.len());
                    let (path, value) = (visible(name), String::new());
                    self.rows.push(Row { path, value, quality: Quality::WAITING, time: Timestamp(0) });
                    self.rows.len() - 1
                }
            };
            let (value, quality) = judged(part, index);
            let mut value = shown(&value, &part.flow, *tag, true);
            if let Some(info) = part.flow.info(*tag).filter(|info| !info.unit.is_empty()) {
                value.push(' ');
                value.push_str(&info.unit);
            }
            let row = &mut self.rows[row];
            (row.value, row.quality, row.time) = (value, quality, part.batch.times.get(index));
        }
    }

    /// The lines of a terminal of this size, its last line left free.
    pub fn draw(&self, width: usize, height: usize) -> Vec<Line> {
        let room = height.saturating_sub(3).max(1);
        let shown = if self.rows.len() <= room { self.rows.len() } else { room.saturating_sub(1).max(1) };
        let rows = &self.rows[..shown];
        let longest = |field: fn(&Row) -> &str, least: usize| {
            rows.iter().map(|row| field(row).chars().count()).max().unwrap_or(0).max(least)
        };
        let path_width = longest(|row| &row.path, 3).min(width / 2);
        let value_width = longest(|row| &row.value, 5).min(VALUE_WIDTH_MAX);
        let quality_width = rows.iter().map(|row| row.quality.to_string().len()).max().unwrap_or(0).max(7);
        let line = |path: &str, value: &str, quality: &str, time: &str| {
            let path = fit(path, path_width);
            let value = fit(value, value_width);
            let text =
                format!("{path:<path_width$}  {value:>value_width$}  {quality:<quality_width$}  {time}");
            fit(text.trim_end(), width)
        };
        let mut lines = vec![Line { text: line("tag", "value", "quality", "time (UTC)"), severity: None }];
        lines.extend(rows.iter().map(|row| {
            let time = row.time.to_string();
            let time = time.split_once('T').map_or(time.as_str(), |(_, clock)| clock);
            let text = line(&row.path, &row.value, &row.quality.to_string(), time.trim_end_matches('Z'));
            Line { text, severity: Some(row.quality.severity()) }
        }));
        let more = self.rows.len() - shown;
        if more > 0 || self.overflow {
            let and = if self.overflow { " and others" } else { "" };
            lines.push(Line { text: fit(&format!("... {more} more{and}"), width), severity: None });
        }
        lines
    }
}

/// A text cut to a number of characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…'].into_iter().take(width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use gwp_core::Value;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_latest_sample_of_each_tag_is_a_row() {
        let names = names(3, "kW", 2);
        let mut table = Table::default();
        table.update(&part(1, &names, batch(0, vec![Value::Float(1.0), Value::Int(2), Value::Int(1)])));
        let mut later = batch(3_723_004, vec![Value::Nothing, Value::Int(1_000)]);
        later.qualities.set(0, Quality::COMM_LOST, 2);
        table.update(&part(2, &names, later));
        let lines = table.draw(80, 24);
        assert_eq!(
            texts(&lines),
            [
                "tag        value  quality         time (UTC)",
                "m.t0        - kW  bad(comm_lost)  01:02:03.004",
                "m.t1     1000 kW  good            01:02:03.004",
                "m.t2  running kW  good            00:00:00.000",
            ]
        );
        let severities: Vec<_> = lines.iter().map(|line| line.severity).collect();
        assert_eq!(severities, [None, Some(Severity::Bad), Some(Severity::Good), Some(Severity::Good)]);
    }

    #[test]
    fn a_small_terminal_shows_what_fits_and_says_what_does_not() {
        let names = names(50, "", 99);
        let mut table = Table::default();
        table.update(&part(1, &names, batch(0, (0..50).map(Value::Int).collect())));
        for (width, height) in [(30, 10), (10, 5), (1, 1), (0, 0), (200, 52), (200, 53)] {
            let lines = table.draw(width, height);
            assert!(lines.len() < height.max(4), "{width} x {height}: {}", lines.len());
            assert!(lines.iter().all(|line| line.text.chars().count() <= width));
            let rows = lines.iter().filter(|line| line.severity.is_some()).count();
            let more = lines.iter().any(|line| line.text.starts_with("... ")) || width < 4;
            assert!(rows == 50 || more, "{width} x {height}");
        }
        assert_eq!(table.draw(80, 10).last().unwrap().text, "... 44 more");
        assert_eq!(table.draw(80, 53).len(), 51);
    }

    #[test]
    fn tags_are_kept_in_bounds() {
        let names = names(TAGS_MAX + 5, "", usize::MAX);
        let mut table = Table::default();
        table.update(&part(1, &names, batch(0, (0..TAGS_MAX as i64 + 5).map(Value::Int).collect())));
        assert_eq!(table.rows.len(), TAGS_MAX);
        assert!(table.draw(80, 24).last().unwrap().text.ends_with("more and others"));
    }

    #[test]
    fn values_cannot_command_the_terminal() {
        let names = names(1, "", 99);
        let mut table = Table::default();
        table.update(&part(1, &names, batch(0, vec![Value::Text("\x1b[31mred\r\n".into())])));
        assert!(table.draw(80, 24).iter().all(|line| !line.text.contains(char::is_control)));
    }
}
