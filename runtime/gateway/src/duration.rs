//! Times that people write, on the command line and in `node.toml`.

use std::time::Duration;

/// Parses `10s`, `5 min`, `250ms`, `2h`, `90d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    let factor = match unit.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        other => return Err(format!("`{other}` is not a unit of time: ms, s, min, h, d")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}
