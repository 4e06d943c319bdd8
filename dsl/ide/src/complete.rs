//! What can stand at a place: found from the tokens before it, so that it works while a text is being typed.

use crate::cursor::Cursor;
use crate::names::{Named, columns, keyword_of, name_of};
use crate::{Analysis, expressions, flows, settings};
use gwp_compile::reference::{self, Entry, Group, Word};
use gwp_syntax::ast::{Item, Member};
use gwp_syntax::{TokenKind, written_name};
use std::collections::BTreeMap;
use std::ops::Range;

/// Most proposals of one answer; what is typed narrows them down.
pub const COMPLETIONS_MAX: usize = 1_000;

/// What a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompletionKind {
    Item,
    Member,
    Setting,
    Value,
    Function,
    Keyword,
    Type,
    Unit,
    Driver,
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The name, for the list.
    pub label: String,
    /// What is written.
    pub insert: String,
    pub kind: CompletionKind,
    /// Its form or type, one line.
    pub detail: String,
    pub doc: String,
}

impl Completion {
    pub(crate) fn new(label: &str, kind: CompletionKind) -> Completion {
        let (detail, doc) = (String::new(), String::new());
        Completion { label: label.to_owned(), insert: label.to_owned(), kind, detail, doc }
    }

    fn of_word(word: &Word) -> Completion {
        let kind = match word.group {
            Group::Function | Group::Stateful | Group::Aggregate | Group::Reference => {
                CompletionKind::Function
            }
            Group::Type => CompletionKind::Type,
            Group::SampleWord | Group::Column => CompletionKind::Value,
            _ => CompletionKind::Keyword,
        };
        let detail = word.form.to_owned();
        Completion { detail, doc: word.doc.to_owned(), ..Completion::new(word.name, kind) }
    }

    pub(crate) fn of_item(item: &Item) -> Option<Completion> {
        let name = &name_of(item)?.text;
        let detail = keyword_of(item).to_owned();
        Some(Completion { insert: written_name(name), detail, ..Completion::new(name, CompletionKind::Item) })
    }

    fn of_setting(entry: &Entry) -> Completion {
        let block = matches!(entry, Entry::Table(setting)
            if matches!(setting.kind, gwp_core::manifest::SettingKind::Block(_)));
        let insert = format!("{} {}", entry.name(), if block { "{ }" } else { "= " });
        let detail = settings::describe(entry);
        let doc = entry.doc().to_owned();
        Completion { insert, detail, doc, ..Completion::new(entry.name(), CompletionKind::Setting) }
    }
}

/// Proposals for a byte offset of a text, with the range that each replaces.
pub fn completions(analysis: &Analysis, text: &str, offset: usize) -> (Range<usize>, Vec<Completion>) {
    let cursor = Cursor::new(text, offset);
    let range = cursor.typed();
    let number = cursor.at.is_some_and(|at| cursor.kind(at) == Some(TokenKind::Number));
    if cursor.in_words() || number {
        return (range, Vec::new());
    }
    let typed = text.get(range.clone()).unwrap_or("").trim_start_matches('\'').to_lowercase();
    let all = Place { analysis, cursor: &cursor }.proposals();
    // of one name the first meaning counts
    let mut found: Vec<Completion> = Vec::new();
    let mut seen: std::collections::HashSet<String> = Default::default();
    for proposal in all {
        if found.len() < COMPLETIONS_MAX
            && begins(&proposal.label, &typed)
            && seen.insert(proposal.label.clone())
        {
            found.push(proposal);
        }
    }
    (range, found)
}

/// True if what is typed is a part of the label; editors look closer.
fn begins(label: &str, typed: &str) -> bool {
    let label = label.to_lowercase();
    label.contains(typed)
}

pub(crate) struct Place<'a, 'c, 't> {
    pub analysis: &'a Analysis,
    pub cursor: &'c Cursor<'t>,
}

impl<'a> Place<'a, '_, '_> {
    /// The token before the place, as text; empty at the start of a statement.
    pub(crate) fn previous(&self) -> &str {
        self.cursor.previous().map_or("", |at| self.cursor.str(at))
    }

    /// True behind a number, where its unit may stand.
    pub(crate) fn after_number(&self) -> bool {
        self.cursor.previous().is_some_and(|at| self.cursor.kind(at) == Some(TokenKind::Number))
    }

    fn proposals(&self) -> Vec<Completion> {
        let (cursor, previous) = (self.cursor, self.previous());
        if previous == "." {
            return self.after_dot();
        }
        if self.after_number() {
            let attributes = if self.in_tag() { words(&[Group::Attribute]) } else { Vec::new() };
            return self.units().into_iter().chain(attributes).collect();
        }
        if !cursor.outermost().is_same(cursor) {
            return expressions::names(self);
        }
        let begins = cursor.blocks.is_empty() && cursor.before <= cursor.statement;
        if cursor.item_word() == "flow" && !begins {
            return flows::flow(self);
        }
        match cursor.braces().next() {
            None => self.head(),
            Some(_) => self.body(),
        }
    }

    /// Outside of braces.
    fn head(&self) -> Vec<Completion> {
        let (cursor, previous) = (self.cursor, self.previous());
        if cursor.before == cursor.statement {
            return words(&[Group::Item]);
        }
        let in_brackets = !cursor.blocks.is_empty();
        match (cursor.item_word(), previous) {
            ("source", ":") => self.drivers(false),
            ("sink", ":") => self.drivers(true),
            ("device", ":") => self.items(&["template"]),
            ("device", "on") | ("write", "from") => self.items(&["source"]),
            ("write", "to") => self.items(&["device", "source"]),
            ("device", _) if !in_brackets && previous != "=" => keywords(&["on"]),
            ("const" | "template", ":") => words(&[Group::Type]),
            ("const" | "template", _) if self.after_type() => self.units(),
            ("write", _) => keywords(&["to", "from", "at"]),
            ("unit" | "use" | "gwp" | "gateway", _) => Vec::new(),
            ("const" | "template" | "device", _) => expressions::names(self),
            _ => Vec::new(),
        }
    }

    /// Between the braces of an item that is no flow.
    fn body(&self) -> Vec<Completion> {
        let cursor = self.cursor;
        let entry = cursor.entry();
        if cursor.before == entry {
            return self.entries();
        }
        match cursor.str(entry) {
            "tag" | "calc" => self.member(entry),
            "alarm" => match self.previous() {
                "for" => Vec::new(),
                _ if cursor.before == entry + 1 => Vec::new(),
                _ if cursor.before == entry + 2 => keywords(&["when"]),
                _ => expressions::names(self),
            },
            name => self.value(name, entry),
        }
    }

    /// What begins an entry of a block.
    fn entries(&self) -> Vec<Completion> {
        let mut found = Vec::new();
        let members = matches!(self.cursor.item_word(), "source" | "device" | "template");
        if members && self.cursor.braces().count() == 1 {
            found.extend(words(&[Group::Member]));
        }
        if self.cursor.item_word() == "test" {
            found.extend(keywords(&["at"]));
        }
        let settings = self.analysis.settings_at(self.cursor).unwrap_or_default();
        found.extend(settings.iter().map(Completion::of_setting));
        found
    }

    /// Behind the name of a tag or calc.
    fn member(&self, entry: usize) -> Vec<Completion> {
        let cursor = self.cursor;
        let written = entry..cursor.before;
        if cursor.before <= entry + 1 {
            return Vec::new();
        }
        if cursor.str(entry) == "calc" && cursor.has(written.clone(), "=") {
            return expressions::names(self);
        }
        if self.previous() == ":" {
            return words(&[Group::Type]);
        }
        let mut found = if self.after_type() { self.units() } else { Vec::new() };
        if cursor.has(written.clone(), ":") {
            let all = words(&[Group::Attribute]).into_iter();
            found.extend(all.filter(|word| !cursor.has(written.clone(), &word.label)));
        } else {
            found.extend(keywords(if cursor.str(entry) == "tag" { &["at"] } else { &[] }));
        }
        found
    }

    /// Behind `name =`.
    fn value(&self, name: &str, entry: usize) -> Vec<Completion> {
        let cursor = self.cursor;
        if cursor.str(entry + 1) != "=" {
            return expressions::names(self);
        }
        let settings = self.analysis.settings_at(cursor).unwrap_or_default();
        let Some(setting) = settings.iter().find(|setting| setting.name() == name) else {
            return expressions::names(self);
        };
        match name {
            "dead_letter" => return self.items(&["sink"]),
            "clear" | "message" => return expressions::names(self),
            _ => {}
        }
        let mut found: Vec<Completion> = settings::words_of(setting)
            .into_iter()
            .map(|word| Completion::new(word, CompletionKind::Value))
            .collect();
        if settings::takes_reference(setting) {
            found.extend(words(&[Group::Reference]));
        }
        let consts = self.items(&["const"]).into_iter();
        found.extend(consts.filter(|_| settings::words_of(setting).is_empty()));
        if cursor.item_word() == "device" {
            found.push(Completion::new("index", CompletionKind::Value));
        }
        found
    }

    /// Behind `device.`.
    fn after_dot(&self) -> Vec<Completion> {
        let Some(dot) = self.cursor.previous() else { return Vec::new() };
        let path = self.cursor.path_before(dot + 1);
        let Some((root, _)) = path.first().copied() else { return Vec::new() };
        let of_tag = || {
            let words = reference_words(&[Group::SampleWord]);
            words.filter(|word| matches!(word.name, "quality" | "time")).map(Completion::of_word).collect()
        };
        if path.len() > 1 {
            return of_tag();
        }
        if self.cursor.str(root) == "*" {
            return self.of_any();
        }
        match self.analysis.named(self.cursor, self.cursor.name(root)) {
            Some(Named::Item(item)) => self.of_device(item),
            Some(_) => of_tag(),
            None => Vec::new(),
        }
    }

    /// Members of a device, source or write.
    fn of_device(&self, item: &'a Item) -> Vec<Completion> {
        let mut found: Vec<_> =
            self.analysis.members(item).map(|member| self.analysis.proposed(member)).collect();
        if found.iter().any(|member| member.detail.starts_with("alarm")) {
            found.push(Completion {
                doc: "Rows of alarm events.".into(),
                ..Completion::new("alarms", CompletionKind::Member)
            });
        }
        if matches!(item, Item::Source(_)) {
            let doc = "True while the source is connected.".to_owned();
            found.push(Completion { doc, ..Completion::new("connected", CompletionKind::Member) });
        }
        if matches!(item, Item::Write(_)) {
            return self.items(&["device"]);
        }
        found
    }

    /// Members of any device, each name once.
    fn of_any(&self) -> Vec<Completion> {
        let members = self.analysis.all_items().flat_map(|item| self.analysis.members(item));
        let mut found: BTreeMap<String, Completion> = BTreeMap::new();
        for member in members {
            found.entry(member.name().text.clone()).or_insert_with(|| self.analysis.proposed(member));
        }
        found.insert("alarms".into(), Completion::new("alarms", CompletionKind::Member));
        found.into_values().collect()
    }

    /// Items of some kinds.
    pub(crate) fn items(&self, kinds: &[&str]) -> Vec<Completion> {
        let items = self.analysis.all_items().filter(|item| kinds.contains(&keyword_of(item)));
        items.filter_map(Completion::of_item).collect()
    }

    fn drivers(&self, sinks: bool) -> Vec<Completion> {
        let manifests = self.analysis.catalog.manifests().iter();
        let of_kind = manifests.filter(|manifest| manifest.sink().is_some() == sinks);
        of_kind
            .map(|manifest| {
                let doc = manifest.doc.to_owned();
                Completion { doc, ..Completion::new(manifest.name, CompletionKind::Driver) }
            })
            .collect()
    }

    pub(crate) fn units(&self) -> Vec<Completion> {
        let own = self.analysis.all_items().filter_map(|item| match item {
            Item::Unit(unit) => Some(Completion::new(&unit.unit.text, CompletionKind::Unit)),
            _ => None,
        });
        let built_in = reference::units().map(|unit| {
            let doc = reference::unit_doc(unit).unwrap_or_default();
            Completion { doc, ..Completion::new(unit, CompletionKind::Unit) }
        });
        own.chain(built_in).collect()
    }

    /// True behind `: real`, where a unit may stand.
    fn after_type(&self) -> bool {
        let Some(at) = self.cursor.previous() else { return false };
        let colon = at.checked_sub(1).is_some_and(|before| self.cursor.str(before) == ":");
        colon && reference::find(self.cursor.str(at), &[Group::Type]).is_some()
    }

    fn in_tag(&self) -> bool {
        let (cursor, entry) = (self.cursor, self.cursor.entry());
        cursor.braces().next().is_some()
            && cursor.str(entry) == "tag"
            && cursor.has(entry..cursor.before, ":")
    }

    /// Columns of the windows of the flow the place is in.
    pub(crate) fn window_columns(&self) -> Vec<Completion> {
        let Some(Item::Flow(flow)) = self.analysis.item_at(self.cursor) else { return Vec::new() };
        let names = columns(flow).into_iter().map(|column| &column.name.text);
        names.map(|name| Completion::new(name, CompletionKind::Value)).collect()
    }
}

impl Analysis {
    /// A member as a proposal.
    pub(crate) fn proposed(&self, member: &Member) -> Completion {
        let name = &member.name().text;
        let (word, ty) = match member {
            Member::Tag(tag) => ("tag", Some(&tag.ty)),
            Member::Calc(calc) => ("calc", calc.ty.as_ref()),
            Member::Alarm(_) => ("alarm", None),
        };
        let ty = ty.map_or("", |ty| self.compiled.sources.text(ty.span));
        let detail = format!("{word} {ty}").trim_end().to_owned();
        Completion { insert: written_name(name), detail, ..Completion::new(name, CompletionKind::Member) }
    }
}

fn reference_words(groups: &[Group]) -> impl Iterator<Item = &'static Word> {
    reference::words().iter().filter(|word| groups.contains(&word.group))
}

/// All words of some groups.
pub(crate) fn words(groups: &[Group]) -> Vec<Completion> {
    reference_words(groups).map(Completion::of_word).collect()
}

pub(crate) fn keywords(words: &[&str]) -> Vec<Completion> {
    words.iter().map(|word| Completion::new(word, CompletionKind::Keyword)).collect()
}
