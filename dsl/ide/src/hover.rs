//! Hover texts: the declaration as it is written, and what the compiler knows beyond it.

use crate::Analysis;
use crate::names::{keyword_of, name_of};
use crate::settings;
use crate::target::{Target, target};
use gwp_compile::reference;
use gwp_core::{Kind, Manifest};
use gwp_plan::Origin;
use gwp_syntax::Span;
use gwp_syntax::ast::{Device, Item, Member};
use std::fmt::Write;
use std::ops::Range;

/// Longest declaration that is shown, in bytes.
const DECLARATION_MAX: usize = 400;

/// Devices whose addresses are listed.
const ADDRESSES_MAX: usize = 3;

/// What is shown of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The word, in bytes of the text.
    pub range: Range<usize>,
    pub markdown: String,
}

/// What is known of what stands at a byte offset of a text; `name` is the text's file.
pub fn hover(analysis: &Analysis, name: &str, text: &str, offset: usize) -> Option<Hover> {
    let (target, range) = target(analysis, name, text, offset)?;
    let markdown = match target {
        Target::Item(item) => analysis.item_text(item),
        Target::Member(home, member) => analysis.member_text(home, member),
        Target::Connected(source) => {
            format!(
                "{}\n\nTrue while `{}` is connected.",
                code(&format!("{}.connected : bool", source.name)),
                source.name
            )
        }
        Target::Alarms(item) => {
            let name = name_of(item).map_or("", |name| &name.text);
            format!("Rows of what happens to the alarms of `{name}`: alarm, event, severity, message, state.")
        }
        Target::Param(param) => code(&analysis.written(param.span)),
        Target::Column(column) => code(&analysis.written(column.span)),
        Target::Setting(entry) => format!("{}\n\n{}", code(&settings::describe(&entry)), entry.doc()),
        Target::Driver(manifest) => driver_text(manifest),
        Target::Word(word) => format!("{}\n\n{}", code(word.form), word.doc),
        Target::Unit(unit) => format!("`{unit}`: {}.", reference::unit_doc(&unit)?),
        Target::OwnUnit(unit) => code(&analysis.written(unit.span)),
        Target::File(file) => format!("`{}`", analysis.compiled.sources.get(file)?.name),
    };
    Some(Hover { range, markdown })
}

fn code(text: &str) -> String {
    format!("```gwp\n{text}\n```")
}

fn driver_text(manifest: &Manifest) -> String {
    let mut out = format!("{}\n\n{}", code(manifest.name), manifest.doc);
    for (form, meaning) in manifest.source().map_or(&[][..], |traits| traits.addresses) {
        let _ = write!(out, "\n- `{form}`: {meaning}");
    }
    out
}

impl Analysis {
    /// A piece of a program, cut if it is long.
    fn written(&self, span: Span) -> String {
        let text = self.compiled.sources.text(span);
        let mut cut = text.len().min(DECLARATION_MAX);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let more = if cut < text.len() { " ..." } else { "" };
        format!("{}{more}", text.get(..cut).unwrap_or("").trim_end())
    }

    /// Comments that stand directly above a declaration.
    fn comment_above(&self, span: Span) -> String {
        let Some(file) = self.compiled.sources.get(span.file) else { return String::new() };
        let before = file.text.get(..span.start as usize).unwrap_or("");
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let above = before.get(..line).unwrap_or("").lines().rev();
        let lines: Vec<&str> =
            above.map_while(|line| line.trim_start().strip_prefix("//")).take(10).collect();
        let text: Vec<&str> = lines.into_iter().rev().map(str::trim).collect();
        if text.is_empty() { String::new() } else { format!("\n\n{}", text.join("\n")) }
    }

    /// The head of an item, and what it holds.
    fn item_text(&self, item: &Item) -> String {
        let whole = self.written(item.span());
        let head = match item {
            Item::Flow(_) | Item::Const(_) | Item::Write(_) => whole,
            _ => whole.split('{').next().unwrap_or("").trim_end().to_owned(),
        };
        let mut out = code(&head);
        let count = self.members(item).count();
        if count > 0 {
            let _ = write!(out, "\n\n{count} {}", if count == 1 { "member" } else { "members" });
        }
        if let Item::Device(Device { family: Some(_), name, .. }) = item {
            let devices = self.devices_of(&name.text).len();
            let _ = write!(out, " in each of {devices} devices");
        }
        let driver = match item {
            Item::Source(source) => self.catalog.source(&source.driver.text),
            Item::Sink(sink) => self.catalog.sink(&sink.driver.text),
            _ => None,
        };
        if let Some(manifest) = driver {
            let _ = write!(out, "\n\n{}", manifest.doc);
        }
        out + &self.comment_above(item.span())
    }

    fn member_text(&self, home: &Item, member: &Member) -> String {
        let span = match member {
            Member::Tag(tag) => tag.span,
            Member::Calc(calc) => calc.span,
            Member::Alarm(alarm) => alarm.span,
        };
        let mut out = code(&self.written(span));
        let devices = self.devices_with(home);
        let tags: Vec<_> = devices
            .iter()
            .filter_map(|device| self.tags.get(&format!("{device}.{}", member.name().text)))
            .filter_map(|at| self.plan().and_then(|plan| plan.tags.get(*at)))
            .collect();
        if let Some(tag) = tags.first() {
            let kind = match tag.kind {
                Kind::Bool => "true or false",
                Kind::Int | Kind::UInt => "integer",
                Kind::Float => "real",
                Kind::Text => "text",
                Kind::Time => "point in time",
                Kind::Bytes | Kind::Nothing => "value",
            };
            let unit =
                if tag.info.unit.is_empty() { String::new() } else { format!(" in {}", tag.info.unit) };
            let _ = write!(out, "\n\n{kind}{unit}");
            if !tag.info.desc.is_empty() {
                let _ = write!(out, "\n\n{}", tag.info.desc);
            }
        }
        for tag in tags.iter().take(ADDRESSES_MAX) {
            if let Origin::Point { address, .. } = &tag.origin {
                let _ = write!(out, "\n- `{}` at `{address}`", tag.info.path);
            }
        }
        if tags.len() > ADDRESSES_MAX {
            let _ = write!(out, "\n- and {} more", tags.len() - ADDRESSES_MAX);
        }
        let owner = name_of(home).map_or("", |name| &name.text);
        let _ = write!(out, "\n\nof {} `{owner}`", keyword_of(home));
        out + &self.comment_above(span)
    }

    fn plan(&self) -> Option<&gwp_plan::Plan> {
        self.compiled.plan.as_ref().or(self.compiled.draft.as_ref())
    }

    /// Names of the devices that an item stands for: itself, those of a family, those of a template.
    fn devices_with(&self, item: &Item) -> Vec<String> {
        match item {
            Item::Template(template) => {
                let models = self.all_items().filter_map(|item| match item {
                    Item::Device(device) => {
                        let model = device.model.as_ref()?;
                        (model.template.text == template.name.text).then_some(&device.name.text)
                    }
                    _ => None,
                });
                models.flat_map(|name| self.devices_of(name)).collect()
            }
            _ => name_of(item).map_or(Vec::new(), |name| self.devices_of(&name.text)),
        }
    }

    /// The devices of a family by its name, or the one device.
    fn devices_of(&self, name: &str) -> Vec<String> {
        let Some(Item::Device(Device { family: Some(family), .. })) = self.item(name) else {
            return vec![name.to_owned()];
        };
        let (first, last) = (family.first.text.parse::<u64>(), family.last.text.parse::<u64>());
        let (Ok(first), Ok(last)) = (first, last) else { return Vec::new() };
        let width = family.first.text.len();
        let except: Vec<u64> = family.except.iter().filter_map(|digits| digits.text.parse().ok()).collect();
        let numbers = (first..=last).take(gwp_compile::limits::FAMILY_MAX);
        numbers
            .filter(|number| !except.contains(number))
            .map(|number| format!("{name}{number:0width$}"))
            .collect()
    }
}
