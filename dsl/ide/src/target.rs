//! What stands at a place: the item, member, setting, function or unit that a word means there.

use crate::Analysis;
use crate::cursor::Cursor;
use crate::names::Named;
use gwp_compile::reference::{self, Entry, Group, Word};
use gwp_core::Manifest;
use gwp_syntax::ast::{Column, Item, Member, Param, Source, UnitDef};
use gwp_syntax::{FileId, Span, TokenKind};
use std::ops::Range;

/// What a word means.
pub(crate) enum Target<'a> {
    Item(&'a Item),
    /// A member as the device, source or template of the first has it.
    Member(&'a Item, &'a Member),
    /// `connected` of a source.
    Connected(&'a Source),
    /// Events of the alarms of a device.
    Alarms(&'a Item),
    Param(&'a Param),
    Column(&'a Column),
    Setting(Entry),
    Driver(&'static Manifest),
    Word(&'static Word),
    /// A unit as written.
    Unit(String),
    OwnUnit(&'a UnitDef),
    File(FileId),
}

impl Target<'_> {
    /// Where it is declared, if it is in the program.
    pub(crate) fn declared(&self) -> Option<Span> {
        Some(match self {
            Target::Item(item) => crate::names::name_of(item)?.span,
            Target::Member(_, member) => member.name().span,
            Target::Connected(source) => source.name.span,
            Target::Alarms(item) => crate::names::name_of(item)?.span,
            Target::Param(param) => param.name.span,
            Target::Column(column) => column.name.span,
            Target::OwnUnit(unit) => unit.unit.span,
            Target::File(file) => Span::new(*file, 0, 0),
            Target::Setting(_) | Target::Driver(_) | Target::Word(_) | Target::Unit(_) => return None,
        })
    }
}

/// What stands at a byte offset, with the bytes of its word.
pub(crate) fn target<'a>(
    analysis: &'a Analysis,
    file: &str,
    text: &str,
    offset: usize,
) -> Option<(Target<'a>, Range<usize>)> {
    let cursor = Cursor::new(text, offset);
    let at = cursor.at?;
    let place = At { analysis, cursor: &cursor, at };
    match cursor.kind(at)? {
        TokenKind::Text => place.used_file(file).map(|file| (Target::File(file), cursor.range(at))),
        TokenKind::Word | TokenKind::Quoted => place.meaning(),
        _ => None,
    }
}

struct At<'a, 'c, 't> {
    analysis: &'a Analysis,
    cursor: &'c Cursor<'t>,
    at: usize,
}

impl<'a> At<'a, '_, '_> {
    fn used_file(&self, file: &str) -> Option<FileId> {
        let used = self.at.checked_sub(1).is_some_and(|before| self.cursor.str(before) == "use");
        let path = self.cursor.str(self.at).trim_matches('"');
        used.then(|| self.analysis.file(&gwp_compile::file_of_use(file, path))).flatten()
    }

    fn previous(&self) -> &str {
        self.at.checked_sub(1).map_or("", |at| self.cursor.str(at))
    }

    fn next(&self) -> &str {
        self.cursor.str(self.at + 1)
    }

    fn meaning(&self) -> Option<(Target<'a>, Range<usize>)> {
        let range = self.cursor.range(self.at);
        if let Some((unit, range)) = self.unit() {
            return Some((unit, range));
        }
        let path = self.cursor.path(self.at);
        let found = if path.len() > 1 { self.in_path(&path) } else { self.alone() };
        found.map(|target| (target, range))
    }

    /// The last name of `device.member`.
    fn in_path(&self, path: &[(usize, bool)]) -> Option<Target<'a>> {
        let [(root, _), (member, _), rest @ ..] = path else { return None };
        let name = self.cursor.name(*member);
        let home = match self.analysis.named(self.cursor, self.cursor.name(*root))? {
            Named::Item(item) => item,
            // a tag has `.quality` and `.time`
            _ => return sample_word(name),
        };
        if let Some(last) = rest.last() {
            return sample_word(self.cursor.name(last.0));
        }
        if let Some(member) = self.analysis.member(home, name) {
            return Some(Target::Member(home, member));
        }
        match (home, name) {
            (Item::Source(source), "connected") => Some(Target::Connected(source)),
            (Item::Device(_) | Item::Source(_), "alarms") => Some(Target::Alarms(home)),
            (Item::Write(_), device) => self.analysis.item(device).map(Target::Item),
            _ => None,
        }
    }

    fn alone(&self) -> Option<Target<'a>> {
        self.declared_here().or_else(|| self.by_place()).or_else(|| self.by_name())
    }

    /// The name in a declaration, or the keyword before it.
    fn declared_here(&self) -> Option<Target<'a>> {
        let cursor = self.cursor;
        let entry = cursor.entry();
        let keyword = cursor.str(entry);
        let in_braces = cursor.braces().next().is_some();
        let group = if in_braces { Group::Member } else { Group::Item };
        let word = reference::find(keyword, &[group])?;
        if self.at == entry {
            let names =
                matches!(cursor.kind(entry + 1), Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Text));
            return names.then_some(Target::Word(word));
        }
        if self.at != entry + 1 {
            return None;
        }
        let name = cursor.name(self.at);
        if in_braces {
            let home = self.analysis.item_at(cursor)?;
            return self.analysis.member(home, name).map(|member| Target::Member(home, member));
        }
        match keyword {
            "unit" => own_unit(self.analysis, name),
            _ => self.analysis.item(name).map(Target::Item),
        }
    }

    /// What only the place tells: settings, drivers, types, attributes, stages.
    fn by_place(&self) -> Option<Target<'a>> {
        let (cursor, name) = (self.cursor, self.cursor.name(self.at));
        let begins = self.at == cursor.statement && matches!(self.next(), "=" | "{");
        let settings = if begins {
            cursor.outermost().is_same(cursor).then(|| self.analysis.settings_at(cursor))
        } else {
            None
        };
        if let Some(entry) =
            settings.flatten().and_then(|list| list.into_iter().find(|entry| entry.name() == name))
        {
            return Some(Target::Setting(entry));
        }
        let word = |groups: &[Group]| reference::find(name, groups).map(Target::Word);
        match self.previous() {
            ":" => {
                let head = cursor.blocks.is_empty();
                return match cursor.item_word() {
                    "source" if head => self.analysis.catalog.source(name).map(Target::Driver),
                    "sink" if head => self.analysis.catalog.sink(name).map(Target::Driver),
                    "device" if head => self.analysis.item(name).map(Target::Item),
                    _ => word(&[Group::Type]),
                };
            }
            "->" | "," if cursor.item_word() == "flow" && self.next() != "=" => {
                let item = self.analysis.item(name).map(Target::Item);
                return item.or_else(|| word(&[Group::Stage, Group::Window]));
            }
            "on" | "from" => return self.analysis.item(name).map(Target::Item),
            _ => {}
        }
        if self.next() == "(" {
            return word(&[Group::Function, Group::Stateful, Group::Aggregate, Group::Reference]);
        }
        let statement = cursor.str(cursor.entry());
        if matches!(statement, "tag" | "calc") && self.previous() != "=" {
            return word(&[Group::Attribute]);
        }
        let in_window = cursor.item_word() == "flow" && cursor.blocks.is_empty();
        if in_window {
            word(&[Group::WindowWord]).filter(|_| self.next() != "." && self.previous() != "=")
        } else {
            None
        }
    }

    fn by_name(&self) -> Option<Target<'a>> {
        let name = self.cursor.name(self.at);
        let named = self.analysis.named(self.cursor, name);
        match named {
            Some(Named::Param(param)) => Some(Target::Param(param)),
            Some(Named::Member(home, member)) => Some(Target::Member(home, member)),
            Some(Named::Column(column)) => Some(Target::Column(column)),
            Some(Named::Item(item)) => Some(Target::Item(item)),
            None if self.cursor.outermost().item_word() == "flow" => {
                let groups = [Group::SampleWord, Group::Column];
                reference::find(name, &groups).map(Target::Word)
            }
            None => None,
        }
    }

    /// The unit that the word is part of: behind a number or a type.
    fn unit(&self) -> Option<(Target<'a>, Range<usize>)> {
        let cursor = self.cursor;
        let joined = |left: usize, right: usize| cursor.range(left).end == cursor.range(right).start;
        let part =
            |at: usize| cursor.kind(at) == Some(TokenKind::Word) || matches!(cursor.str(at), "/" | "." | "%");
        let mut first = self.at;
        while first > 0 && part(first - 1) && joined(first - 1, first) {
            first -= 1;
        }
        let before = first.checked_sub(1)?;
        let number = cursor.kind(before) == Some(TokenKind::Number);
        let of_type = reference::find(cursor.str(before), &[Group::Type]).is_some()
            && before.checked_sub(1).is_some_and(|colon| cursor.str(colon) == ":");
        let reserved = gwp_syntax::is_reserved(cursor.str(first));
        if reserved || !(number || of_type || cursor.str(before) == "unit") {
            return None;
        }
        let mut last = self.at;
        while part(last + 1) && joined(last, last + 1) {
            last += 1;
        }
        let range = cursor.range(first).start..cursor.range(last).end;
        let written: String = (first..=last).map(|at| cursor.str(at)).collect();
        if let Some(unit) = own_unit(self.analysis, &written) {
            return Some((unit, range));
        }
        reference::unit_doc(&written).map(|_| (Target::Unit(written), range))
    }
}

fn sample_word<'a>(name: &str) -> Option<Target<'a>> {
    let word = reference::find(name, &[Group::SampleWord])?;
    matches!(name, "quality" | "time").then_some(Target::Word(word))
}

fn own_unit<'a>(analysis: &'a Analysis, name: &str) -> Option<Target<'a>> {
    let units =
        analysis.all_items().filter_map(|item| if let Item::Unit(unit) = item { Some(unit) } else { None });
    units.into_iter().find(|unit| unit.unit.text == name).map(Target::OwnUnit)
}
