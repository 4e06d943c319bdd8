//! A program in the making: sources, groups of tags and sinks, written down and formatted at the end.

use super::report::Report;
use super::text::{line, milliseconds, name, quoted};
use crate::catalog;
use crate::commands::program;
use gwp_syntax::{Severity, SourceMap};
use std::collections::HashMap;
use std::fmt::Write;

/// Width at which lists of names are broken.
const LINE_CHARS: usize = 100;

/// One tag of a source or device.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Tag {
    pub name: String,
    pub address: String,
    /// Word of the type, such as `uint`.
    pub plc_type: &'static str,
    pub unit: Option<String>,
    /// Behind `scale`.
    pub scale: Option<String>,
    /// Behind `scan`, in milliseconds.
    pub scan_ms: Option<u64>,
    pub desc: String,
    /// Comment behind it.
    pub note: String,
}

/// A line of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Tag(Tag),
    /// What is no tag here, with the reason.
    Comment(String),
}

/// Tags that stand together: in the source itself, or as a device with a template of its own.
#[derive(Default, Debug)]
pub struct Group {
    /// Name of the device; `None` for the source.
    pub device: Option<String>,
    /// Name of its template.
    pub template: String,
    /// Settings of the device.
    pub settings: Vec<String>,
    pub entries: Vec<Entry>,
}

/// One source with all that is read from it.
#[derive(Default, Debug)]
pub struct Source {
    pub name: String,
    pub driver: String,
    /// Settings, each with a comment or an empty text.
    pub settings: Vec<(String, String)>,
    pub groups: Vec<Group>,
    /// Why it cannot be as it is; then it stands in the program as a comment.
    pub wrong: Option<String>,
}

/// One sink.
#[derive(Clone, PartialEq, Debug)]
pub struct Sink {
    pub name: String,
    pub driver: &'static str,
    pub settings: Vec<String>,
}

/// The whole program.
#[derive(Default, Debug)]
pub struct Draft {
    /// Comment lines at the top.
    pub head: Vec<String>,
    pub sources: Vec<Source>,
    pub sinks: Vec<Sink>,
    /// Comment lines at the end.
    pub tail: Vec<String>,
}

impl Source {
    /// Takes the scan class that most tags have out of the tags.
    pub fn common_scan(&mut self) {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        let mut tags = 0usize;
        for tag in self.tags() {
            tags += 1;
            tag.scan_ms.into_iter().for_each(|ms| *counts.entry(ms).or_default() += 1);
        }
        let Some((common, count)) = counts.into_iter().max_by_key(|(ms, count)| (*count, *ms)) else {
            return;
        };
        // Tags without a scan class would get the common one.
        if count * 2 < tags {
            return;
        }
        self.settings.push((format!("scan = {}", milliseconds(common)), String::new()));
        let entries = self.groups.iter_mut().flat_map(|group| &mut group.entries);
        for entry in entries {
            if let Entry::Tag(tag) = entry {
                tag.scan_ms = tag.scan_ms.filter(|ms| *ms != common);
            }
        }
    }

    /// All its tags.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.groups.iter().flat_map(|group| &group.entries).filter_map(|entry| match entry {
            Entry::Tag(tag) => Some(tag),
            Entry::Comment(_) => None,
        })
    }

    /// True if this version can run it.
    pub fn is_known(&self) -> bool {
        catalog::driver(&self.driver).is_some()
    }

    /// True if it stands in the program as more than a comment.
    fn runs(&self) -> bool {
        self.is_known() && self.wrong.is_none()
    }

    /// Names that stand for it at the head of a flow.
    fn heads(&self) -> impl Iterator<Item = String> {
        let tags = |group: &&Group| group.entries.iter().any(|entry| matches!(entry, Entry::Tag(_)));
        self.groups.iter().filter(tags).map(|group| name(group.device.as_ref().unwrap_or(&self.name)))
    }

    /// It without its tags.
    fn shell(&self) -> String {
        let settings: Vec<&str> = self.settings.iter().map(|(setting, _)| setting.as_str()).collect();
        format!("source {} : {} {{ {} }}\n", name(&self.name), self.driver, settings.join(", "))
    }

    fn text(&self) -> String {
        let mut out = format!("source {} : {} {{\n", name(&self.name), self.driver);
        for (setting, note) in &self.settings {
            let _ = writeln!(out, "  {setting}{}", behind(note));
        }
        let own = self.groups.iter().filter(|group| group.device.is_none());
        own.for_each(|group| entries(&mut out, &group.entries));
        out.push_str("}\n");
        for group in &self.groups {
            let Some(device) = &group.device else { continue };
            let _ = writeln!(out, "\ntemplate {} {{", name(&group.template));
            entries(&mut out, &group.entries);
            let _ = write!(
                out,
                "}}\ndevice {} : {}() on {}",
                name(device),
                name(&group.template),
                name(&self.name)
            );
            match group.settings.is_empty() {
                true => out.push('\n'),
                false => {
                    let _ = writeln!(out, " {{ {} }}", group.settings.join(", "));
                }
            }
        }
        out
    }
}

impl Sink {
    fn text(&self) -> String {
        format!("sink {} : {} {{ {} }}\n", name(&self.name), self.driver, self.settings.join(", "))
    }
}

/// A comment behind a statement.
fn behind(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!("  // {}", line(note)) }
}

fn entries(out: &mut String, entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Comment(text) => {
                let _ = writeln!(out, "  // {}", line(text));
            }
            Entry::Tag(tag) => {
                let _ =
                    write!(out, "  tag {} at {} : {}", name(&tag.name), quoted(&tag.address), tag.plc_type);
                tag.unit.iter().for_each(|unit| out.extend([" ", unit]));
                tag.scale.iter().for_each(|scale| out.extend(["  scale ", scale]));
                tag.scan_ms.iter().for_each(|ms| out.extend(["  scan ", &milliseconds(*ms)]));
                if !tag.desc.is_empty() {
                    out.extend(["  desc ", &quoted(&tag.desc)]);
                }
                out.push_str(&behind(&tag.note));
                out.push('\n');
            }
        }
    }
}

impl Draft {
    /// The program, formatted and checked: a source or sink that the drivers refuse becomes a comment with the reason.
    ///
    /// # Errors
    /// As of [`Draft::written`].
    pub fn finished(mut self, report: &mut Report) -> anyhow::Result<String> {
        let text = self.written()?;
        if error_in(&text).is_none() {
            return Ok(text);
        }
        // What is in order so far, without its tags: a file or port must not be had twice.
        let mut shells = String::new();
        for source in self.sources.iter_mut().filter(|source| source.runs()) {
            let shell = source.shell();
            let Some(why) = error_in(&source.text()).or_else(|| error_in(&format!("{shells}{shell}"))) else {
                shells.push_str(&shell);
                continue;
            };
            let tags = source.tags().count();
            report.tags = report.tags.saturating_sub(tags);
            report.comments += tags;
            report.remind(format!(
                "mend `{}`, which stands in the program as a comment: {}",
                source.name,
                line(&why)
            ));
            source.wrong = Some(why);
        }
        for sink in std::mem::take(&mut self.sinks) {
            match error_in(&format!("{shells}{}", sink.text())) {
                Some(why) => {
                    self.tail.push(format!("To be mended: {}", line(&why)));
                    self.tail.push(sink.text().trim_end().to_owned());
                    report.remind(format!("mend the sink `{}`: {}", sink.name, line(&why)));
                }
                None => {
                    shells.push_str(&sink.text());
                    self.sinks.push(sink);
                }
            }
        }
        self.written()
    }

    /// The program, formatted. What needs a driver that this version does not have is a comment.
    ///
    /// # Errors
    /// The program is too large, or (a fault of the import) would not be read again; in words.
    pub fn written(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        self.head.iter().for_each(|text| comment(&mut out, text));
        for source in &self.sources {
            out.push('\n');
            if source.runs() {
                out.push_str(&source.text());
                continue;
            }
            let why = match &source.wrong {
                Some(wrong) => format!("To be mended: {}", line(wrong)),
                None => {
                    format!("This version has no driver `{}`. With it, this would be right:", source.driver)
                }
            };
            comment(&mut out, &why);
            formatted(&source.text())?.lines().for_each(|text| comment(&mut out, text));
        }
        out.push('\n');
        for sink in &self.sinks {
            out.push_str(&sink.text());
        }
        let heads: Vec<String> =
            self.sources.iter().filter(|source| source.runs()).flat_map(Source::heads).collect();
        let sinks: Vec<String> = self.sinks.iter().map(|sink| name(&sink.name)).collect();
        if !heads.is_empty() && !sinks.is_empty() {
            let _ = write!(out, "\nflow all = {}\n  -> {}\n", broken(&heads), broken(&sinks));
        } else if !heads.is_empty() {
            comment(&mut out, "Say where it goes, for example:");
            comment(&mut out, "  sink screen : console {}");
            comment(&mut out, &format!("  flow all = {} -> screen", heads.join(", ")));
        }
        if !self.tail.is_empty() {
            out.push('\n');
            self.tail.iter().for_each(|text| comment(&mut out, text));
        }
        formatted(out.trim_start())
    }
}

/// The first error of a program.
fn error_in(text: &str) -> Option<String> {
    let found = program::of_text("import.gwp", text).diagnostics;
    found.into_iter().find(|found| found.severity == Severity::Error).map(|found| found.message)
}

/// Names with commas between them, over several lines if there are many.
fn broken(names: &[String]) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            width += name.chars().count() + 2;
            out.push_str(if width > LINE_CHARS { ",\n" } else { ", " });
            width = if width > LINE_CHARS { 0 } else { width };
        }
        out.push_str(name);
    }
    out
}

/// A comment of one line.
fn comment(out: &mut String, text: &str) {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(out, "{}", format!("// {plain}").trim_end());
}

fn formatted(text: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        text.len() <= gwp_syntax::limits::FILE_BYTES_MAX,
        "the program would have {} bytes, which are too many for one file: import parts of it",
        text.len()
    );
    let file = SourceMap::default().add("import.gwp", text.to_owned());
    gwp_syntax::format(file, text).map_err(|error| match error {
        gwp_syntax::FormatError::Syntax(found) => {
            let first = found.first().map(|found| found.message.clone()).unwrap_or_default();
            anyhow::anyhow!("the program would not be read again, which is a fault of the import: {first}")
        }
        other => anyhow::anyhow!("{other}"),
    })
}
