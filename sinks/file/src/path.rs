//! Path templates: which file a sample goes to.

use gwp_core::Timestamp;
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// A parsed template such as `out/{sink}-{date}.csv`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
    sink: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Fixed(String),
    Date,
    Hour,
    Sink,
}

impl Template {
    /// Parses a template for a sink of this name.
    ///
    /// # Errors
    /// What is wrong, lower-case.
    pub fn parse(text: &str, sink: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                pieces.push(Piece::Fixed(rest[..open].into()));
            }
            let close = rest[open..].find('}').ok_or("a `{` in the path is not closed")? + open;
            pieces.push(match &rest[open + 1..close] {
                "date" => Piece::Date,
                "hour" => Piece::Hour,
                "sink" => Piece::Sink,
                other => return Err(format!("the path cannot hold `{{{other}}}`")),
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Fixed(rest.into()));
        }
        if text.contains('\0') {
            return Err("the path holds a character that no file name may hold".into());
        }
        if text.is_empty() || text.ends_with(std::path::is_separator) {
            return Err(format!("`{text}` names no file"));
        }
        if pieces.contains(&Piece::Hour) && !pieces.contains(&Piece::Date) {
            return Err("with {hour} alone every day would be written into the same files".into());
        }
        let sink = sink.chars().map(|c| if matches!(c, '/' | '\\' | '\0') { '_' } else { c }).collect();
        Ok(Template { pieces, sink })
    }

    /// The folder of all its files, as far as that is always the same.
    pub fn fixed_folder(&self) -> PathBuf {
        match self.pieces.first() {
            Some(Piece::Fixed(text)) => {
                let end = text.rfind(std::path::is_separator).map_or(0, |at| at + 1);
                PathBuf::from(&text[..end])
            }
            _ => PathBuf::new(),
        }
    }

    /// The file of a sample with this time. Times that the calendar does not know go where 1970 goes.
    pub fn render(&self, time: Timestamp, zone: &TimeZone) -> PathBuf {
        let time =
            jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let local = zone.to_datetime(time);
        let mut path = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => path.push_str(text),
                Piece::Date => path.push_str(&local.date().to_string()),
                Piece::Hour => path.push_str(&format!("{:02}", local.hour())),
                Piece::Sink => path.push_str(&self.sink),
            }
        }
        path.into()
    }

    /// True when a file of this name (without its folder) may come from this template.
    pub fn matches(&self, name: &str) -> bool {
        // Only what stands after the last folder.
        let mut pattern: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => match text.rsplit_once(std::path::is_separator) {
                    Some((_, file)) => pattern = vec![Piece::Fixed(file.into())],
                    None => pattern.push(piece.clone()),
                },
                _ => pattern.push(piece.clone()),
            }
        }
        let mut rest = name;
        for piece in &pattern {
            let taken = match piece {
                Piece::Fixed(text) => rest.strip_prefix(text.as_str()),
                Piece::Sink => rest.strip_prefix(self.sink.as_str()),
                Piece::Date => strip_digits(rest, "dddd-dd-dd"),
                Piece::Hour => strip_digits(rest, "dd"),
            };
            let Some(taken) = taken else { return false };
            rest = taken;
        }
        rest.is_empty()
    }
}

/// Takes a form away from the front of a text; `d` stands for a digit.
fn strip_digits<'a>(text: &'a str, form: &str) -> Option<&'a str> {
    let front = text.get(..form.len())?;
    let fits = |(c, form): (char, char)| if form == 'd' { c.is_ascii_digit() } else { c == form };
    front.chars().zip(form.chars()).all(fits).then(|| &text[form.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T23:30:00Z.
    const EVE: Timestamp = Timestamp(1_767_310_200_000_000_000);

    #[test]
    fn dates_and_hours_are_those_of_the_zone() {
        let template = Template::parse("out/{sink}/{date}-{hour}.csv", "a/b").unwrap();
        let show = |zone: &str| template.render(EVE, &TimeZone::get(zone).unwrap()).display().to_string();
        assert_eq!(show("UTC"), "out/a_b/2026-01-01-23.csv");
        assert_eq!(show("Europe/Berlin"), "out/a_b/2026-01-02-00.csv");
        assert_eq!(show("Asia/Kolkata"), "out/a_b/2026-01-02-05.csv");
        let far = template.render(Timestamp(i64::MAX), &TimeZone::UTC).display().to_string();
        assert_eq!(far, "out/a_b/2262-04-11-23.csv");
    }

    #[test]
    fn wrong_templates_are_refused() {
        for wrong in ["", "out/", "a{date", "a{day}.csv", "a{hour}.csv", "a\0.csv"] {
            assert!(Template::parse(wrong, "s").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn files_of_a_template_are_recognised() {
        let template = Template::parse("x/{date}/{sink}-{date}T{hour}.csv", "demo").unwrap();
        assert!(template.matches("demo-2026-01-31T07.csv"));
        for other in
            ["demo-2026-01-31T07.csv.gz", "demo-2026-01-31T7.csv", "damo-2026-01-31T07.csv", "demo-2026é01"]
        {
            assert!(!template.matches(other), "{other}");
        }
        let template = Template::parse("demo.csv", "s").unwrap();
        assert!(template.matches("demo.csv") && !template.matches("demo.csv2"));
        // Folders may be written as the system writes them.
        let path = format!("x{0}y{0}demo.csv", std::path::MAIN_SEPARATOR);
        assert!(Template::parse(&path, "s").unwrap().matches("demo.csv"));
    }
}
