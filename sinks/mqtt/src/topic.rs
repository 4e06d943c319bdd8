//! Topic templates: which topic a tag's samples go to.
//!
//! Names in a program may hold characters that MQTT forbids or gives a meaning
//! (`+`, `#`, control characters, `$` in front), so names are cleaned before
//! they become part of a topic. The fixed text of a template is checked instead.
//! Source: MQTT 5.0, 4.7 (topic names and filters) and 1.5.4 (UTF-8 strings).

use gwp_core::TagId;
use gwp_core::sink::FlowNames;

/// Bytes of one topic at most (MQTT 5.0, 1.5.4: a length of 16 bits).
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// A parsed template such as `gwp/{device}/{tag}`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Fixed(Box<str>),
    Name(Name),
}

/// A name that may stand in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Device (or source) of the tag.
    Device,
    /// The tag in its device.
    Tag,
    /// The tag as the flow names it: its path, or what `rename` gave it.
    Path,
    /// The flow the sample came through.
    Flow,
}

/// What is wrong with a template, and the edit that mends it.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateError {
    pub message: String,
    pub help: String,
}

const NAMES_HELP: &str = "a topic may hold {device}, {tag}, {path} and {flow}";

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Template, Vec<TemplateError>> {
        let mut pieces = Vec::new();
        let mut errors = Vec::new();
        let fixed = |text: &str, pieces: &mut Vec<Piece>| {
            if !text.is_empty() {
                pieces.push(Piece::Fixed(text.into()));
            }
        };
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            fixed(&rest[..open], &mut pieces);
            let inside = &rest[open + 1..];
            let Some(close) = inside.find('}') else {
                errors.push(error("a `{` in the topic is not closed", NAMES_HELP));
                rest = "";
                break;
            };
            match Name::parse(&inside[..close]) {
                Some(name) => pieces.push(Piece::Name(name)),
                None => errors
                    .push(error(format!("the topic cannot hold `{{{}}}`", &inside[..close]), NAMES_HELP)),
            }
            rest = &inside[close + 1..];
        }
        fixed(rest, &mut pieces);
        errors.extend(check_fixed_text(text, &pieces));
        if errors.is_empty() { Ok(Template { pieces }) } else { Err(errors) }
    }

    /// True when a name stands in the template.
    pub fn has(&self, name: Name) -> bool {
        self.pieces.contains(&Piece::Name(name))
    }

    /// True when no two tags can share a topic.
    pub fn distinguishes_tags(&self) -> bool {
        self.has(Name::Path) || (self.has(Name::Device) && self.has(Name::Tag))
    }

    /// True when no two devices can share a topic.
    pub fn distinguishes_devices(&self) -> bool {
        self.has(Name::Path) || self.has(Name::Device)
    }

    /// The topic of one tag.
    pub fn render(&self, names: &FlowNames, tag: TagId) -> String {
        let mut topic = String::new();
        for piece in &self.pieces {
            let name = match piece {
                Piece::Fixed(text) => {
                    topic.push_str(text);
                    continue;
                }
                Piece::Name(Name::Device) => names.info(tag).map_or("?", |info| &*info.device),
                Piece::Name(Name::Tag) => names.info(tag).map_or("?", |info| &*info.tag),
                Piece::Name(Name::Path) => names.name(tag),
                Piece::Name(Name::Flow) => &*names.flow,
            };
            push_clean(&mut topic, name);
        }
        topic
    }
}

impl Name {
    fn parse(word: &str) -> Option<Name> {
        Some(match word {
            "device" => Name::Device,
            "tag" => Name::Tag,
            "path" => Name::Path,
            "flow" => Name::Flow,
            _ => return None,
        })
    }
}

fn error(message: impl Into<String>, help: impl Into<String>) -> TemplateError {
    TemplateError { message: message.into(), help: help.into() }
}

fn check_fixed_text(text: &str, pieces: &[Piece]) -> Vec<TemplateError> {
    let mut errors = Vec::new();
    if text.is_empty() {
        errors.push(error("the topic is empty", "for example `topic = \"plant/{device}\"`"));
    }
    let in_fixed = |wanted: fn(char) -> bool| {
        pieces.iter().any(|piece| matches!(piece, Piece::Fixed(text) if text.contains(wanted)))
    };
    if in_fixed(|c| c == '+' || c == '#') {
        errors.push(error(
            "`+` and `#` are wildcards of subscribers; a topic cannot hold them",
            "leave them out",
        ));
    }
    if in_fixed(|c| c.is_control()) {
        errors.push(error("the topic holds a control character", "leave it out"));
    }
    if in_fixed(|c| c == '}') {
        errors.push(error("a `}` in the topic was never opened", NAMES_HELP));
    }
    if text.starts_with("$SYS") || text.starts_with("$share") {
        errors.push(error(
            "brokers keep `$SYS` and `$share` for themselves",
            "begin the topic with another word",
        ));
    }
    if text.len() > TOPIC_BYTES_MAX {
        errors.push(error("the topic is longer than 65,535 bytes", "shorten it"));
    }
    errors
}

/// Appends a name with everything replaced by `_` that would change the meaning of the topic.
fn push_clean(topic: &mut String, name: &str) {
    for c in name.chars() {
        let unsafe_here = matches!(c, '+' | '#') || c.is_control() || (c == '$' && topic.is_empty());
        topic.push(if unsafe_here { '_' } else { c });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::names;

    #[test]
    fn a_template_takes_every_name() {
        let names = names(&["press.oil_temp", "press.TT-101"]);
        let template = Template::parse("plant/{flow}/{device}/{tag}/{path}").unwrap();
        assert_eq!(template.render(&names, TagId(0)), "plant/live/press/oil_temp/press.oil_temp");
        assert_eq!(template.render(&names, TagId(99)), "plant/live/?/?/?");
        assert!(template.distinguishes_tags());
        assert!(!Template::parse("plant/{tag}").unwrap().distinguishes_tags());
        assert!(!Template::parse("plant/{tag}").unwrap().distinguishes_devices());
    }

    #[test]
    fn names_cannot_change_the_meaning_of_a_topic() {
        let names = names(&["$a+b#.c\u{0}d\ne$"]);
        let template = Template::parse("{device}/{tag}").unwrap();
        assert_eq!(template.render(&names, TagId(0)), "_a_b_/c_d_e$");
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = Template::parse("a/+/{tga}/{").unwrap_err();
        let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the topic cannot hold `{tga}`",
                "a `{` in the topic is not closed",
                "`+` and `#` are wildcards of subscribers; a topic cannot hold them"
            ]
        );
        for wrong in ["", "a}b", "$SYS/x", "a\u{0}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong:?}");
        }
        // Vendors give topics of their own a leading `$`; fixed text is the user's own word.
        assert!(Template::parse("$aws/rules/gwp/{device}").is_ok());
    }
}
