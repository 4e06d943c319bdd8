//! Reads a file item by item, and a broken item entry by entry, so that one mistake costs one error.

use crate::ast::{Body, File, Item, Name, Settings};
use crate::diagnostic::Diagnostic;
use crate::grammar::{self, Rule, Stop};
use crate::lexer::{self, Kind, Lexed, Token};
use crate::limits::{DIAGNOSTICS_MAX, FILE_BYTES_MAX, WHOLE_ITEM_BYTES_MAX};
use crate::mistakes::Place;
use crate::span::{FileId, Span};
use crate::split::{self, Unit};
use crate::tree::{Entry, TestEntry, Tree};

/// The tree of a file, as far as it could be read, and everything that is wrong with its syntax.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub file: File,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads one file. Never fails: what cannot be read is reported and left out of the tree.
pub fn parse(file: FileId, text: &str) -> Parsed {
    parse_items(file, text, WHOLE_ITEM_BYTES_MAX)
}

/// `whole_max` is the size in bytes up to which an item is read as a whole, before it is tried entry by entry.
pub(crate) fn parse_items(file: FileId, text: &str, whole_max: usize) -> Parsed {
    let mut tree = File { file, ..File::default() };
    if text.len() > FILE_BYTES_MAX {
        let message = format!("this file is larger than {} MiB", FILE_BYTES_MAX >> 20);
        let fault = Diagnostic::new("E020", Span::new(file, 0, 0), message)
            .help("split it into several files and name them with `use`");
        return Parsed { file: tree, diagnostics: vec![fault] };
    }
    let mut lexed = lexer::lex(file, text);
    let units = split::items(file, text, &mut lexed);
    tree.comments = std::mem::take(&mut lexed.comments);
    let mut diagnostics = std::mem::take(&mut lexed.faults);
    lexed.unreadable.sort_unstable();
    let mended = lexed.mended.take().and_then(|bytes| String::from_utf8(bytes).ok());
    let mut reader = Reader {
        file,
        text,
        mended: mended.as_deref().unwrap_or(text),
        lexed: &lexed,
        whole_max,
        faults: Vec::new(),
    };
    for (index, unit) in units.iter().enumerate() {
        if reader.is_full() {
            break;
        }
        reader.item(unit, index == 0, &mut tree);
    }
    diagnostics.append(&mut reader.faults);
    diagnostics.sort_by_key(|fault| fault.span);
    Parsed { file: tree, diagnostics }
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    /// The text with foreign signs replaced; the same length.
    mended: &'a str,
    lexed: &'a Lexed,
    whole_max: usize,
    faults: Vec<Diagnostic>,
}

/// What became of a unit.
enum Outcome<T> {
    Read(T),
    /// Its fault is reported.
    Broken,
}

impl Reader<'_> {
    /// Reads one item into the tree; falls back to its entries when it cannot be read as a whole.
    fn item(&mut self, unit: &Unit, first: bool, tree: &mut File) {
        let tokens = unit.tokens(self.lexed);
        let before = self.faults.len();
        let mut whole_fault = None;
        let (start, end) = ends(tokens);
        let by_entries = end - start > self.whole_max && has_entries(tokens, self.text);
        if !unit.unreadable && !by_entries && !self.is_unreadable(tokens) {
            match self.try_item(unit, first, tree) {
                Ok(()) => return,
                Err(fault) => whole_fault = fault,
            }
        }
        if unit.unreadable || self.faults.len() > before {
            tree.broken.extend(self.item_name(tokens));
            return self.mention(tokens, tree);
        }
        let whole = self.entry_by_entry(unit, tree);
        if !whole {
            tree.broken.extend(self.item_name(tokens));
        }
        // the entries were all fine, so the mistake lies between them
        if self.faults.len() == before {
            self.faults.extend(whole_fault);
        }
        // where a fault was reported before, as of a bracket, the item may be unreadable without one of its own
        if !whole || self.faults.len() > before || self.is_unreadable(tokens) {
            self.mention(tokens, tree);
        }
    }

    /// `Err(None)` when the reason is already in `faults`.
    fn try_item(&mut self, unit: &Unit, first: bool, tree: &mut File) -> Result<(), Option<Diagnostic>> {
        let tokens = unit.tokens(self.lexed);
        let (start, end) = ends(tokens);
        let written = format!("{}{}", self.mended.get(start..end).unwrap_or(""), unit.closers);
        let pairs =
            grammar::parse(Rule::chunk, &written).map_err(|stop| Some(self.explain(tokens, &stop)))?;
        let mut builder = Tree::new(self.file, start, self.text.len(), &self.lexed.tokens);
        for node in pairs.flat_map(|chunk| chunk.into_inner()) {
            match node.as_rule() {
                Rule::EOI => {}
                Rule::header => {
                    let version = builder.header(node);
                    if !first {
                        let fault = Diagnostic::new(
                            "E016",
                            self.span(tokens),
                            "`gwp` must be the first line of a file",
                        );
                        self.faults.push(fault.help("move it to the top, or leave it out"));
                    } else if version.as_ref().is_none_or(|version| version.text != "1") {
                        let fault = Diagnostic::new(
                            "E016",
                            self.span(tokens),
                            "this version of the language is not known here",
                        );
                        self.faults.push(fault.help("write `gwp 1`, or install a newer gwp"));
                    }
                    tree.version = version;
                }
                _ => match builder.item(node) {
                    Some(item) => tree.items.push(item),
                    None if builder.faults.is_empty() => self.faults.push(unreadable(self.span(tokens))),
                    None => {}
                },
            }
        }
        if builder.faults.is_empty() {
            Ok(())
        } else {
            self.faults.append(&mut builder.faults);
            Err(None)
        }
    }

    /// Reads the head and the entries of a block one by one. False if no item came of it.
    fn entry_by_entry(&mut self, unit: &Unit, tree: &mut File) -> bool {
        let tokens = unit.tokens(self.lexed);
        let word = tokens.first().map_or("", |token| token.str(self.text));
        let Some(rule) = entry_rule(word) else {
            self.unit_fault(unit);
            return false;
        };
        let Some(brace) =
            tokens.iter().position(|token| token.str(self.text) == "{" && token.kind == Kind::Open)
        else {
            self.unit_fault(unit);
            return false;
        };
        let closed = unit.closers.is_empty() && tokens.last().is_some_and(|token| token.kind == Kind::Close);
        let inside_end = if closed { unit.last } else { unit.last + 1 };
        let head = self.head(tokens, brace);
        let mut parts = Parts::default();
        let first = unit.first + brace + 1;
        let commas = rule != Rule::one_step;
        let mut entries = split::entries(self.mended, &self.lexed.tokens, first, inside_end, commas);
        // the last of the forgotten brackets closes the block itself, those before it belong to its last entry
        if let Some(last) = entries.last_mut() {
            last.closers = unit.closers.get(..unit.closers.len().saturating_sub(1)).unwrap_or("").to_owned();
        }
        for entry in &entries {
            if self.is_full() {
                break;
            }
            self.entry(entry, rule, &mut parts);
        }
        let Some(mut item) = head else { return false };
        let brace = self.span(tokens.get(brace..=brace).unwrap_or(&[]));
        parts.fill(&mut item, self.span(tokens), brace);
        tree.items.push(item);
        true
    }

    /// Reads the head of a block, with nothing between its braces.
    fn head(&mut self, tokens: &[Token], brace: usize) -> Option<Item> {
        let tokens = tokens.get(..=brace)?;
        let (start, end) = ends(tokens);
        if self.is_unreadable(tokens) {
            return None;
        }
        let written = format!("{}}}", self.mended.get(start..end)?);
        match grammar::parse(Rule::chunk, &written) {
            Ok(pairs) => {
                let mut builder = Tree::new(self.file, start, self.text.len(), &self.lexed.tokens);
                let item = pairs.flat_map(|chunk| chunk.into_inner()).find_map(|node| builder.item(node));
                self.faults.append(&mut builder.faults);
                item
            }
            Err(stop) => {
                self.faults.push(self.explain(tokens, &stop));
                None
            }
        }
    }

    fn entry(&mut self, unit: &Unit, rule: Rule, parts: &mut Parts) {
        let tokens = unit.tokens(self.lexed);
        if self.is_unreadable(tokens) {
            return parts.broken.extend(self.entry_name(tokens));
        }
        let (start, end) = ends(tokens);
        let written = format!("{}{}", self.mended.get(start..end).unwrap_or(""), unit.closers);
        let outcome = match grammar::parse(rule, &written) {
            Err(stop) => {
                self.faults.push(self.explain(tokens, &stop));
                Outcome::Broken
            }
            Ok(pairs) => {
                let mut builder = Tree::new(self.file, start, self.text.len(), &self.lexed.tokens);
                let node = pairs.flat_map(|pair| pair.into_inner()).next();
                let read = node.and_then(|node| match rule {
                    Rule::one_step => builder.test_entry(node).map(Part::Test),
                    _ => builder.entry(node).map(Part::Body),
                });
                let found = builder.faults.len();
                self.faults.append(&mut builder.faults);
                match read {
                    Some(part) => Outcome::Read(part),
                    None => {
                        if found == 0 {
                            self.faults.push(unreadable(self.span(tokens)));
                        }
                        Outcome::Broken
                    }
                }
            }
        };
        match outcome {
            Outcome::Read(part) => parts.list.push(part),
            Outcome::Broken => parts.broken.extend(self.entry_name(tokens)),
        }
    }

    /// Reports why a unit without entries cannot be read.
    fn unit_fault(&mut self, unit: &Unit) {
        let tokens = unit.tokens(self.lexed);
        if self.is_unreadable(tokens) {
            return;
        }
        let (start, end) = ends(tokens);
        let written = format!("{}{}", self.mended.get(start..end).unwrap_or(""), unit.closers);
        if let Err(stop) = grammar::parse(Rule::chunk, &written) {
            self.faults.push(self.explain(tokens, &stop));
        }
    }

    /// So much is wrong that what follows would not be shown.
    fn is_full(&self) -> bool {
        self.faults.len() >= DIAGNOSTICS_MAX
    }

    fn explain(&self, tokens: &[Token], stop: &Stop) -> Diagnostic {
        Place::new(self.file, self.mended, tokens, stop).explain()
    }

    fn is_unreadable(&self, tokens: &[Token]) -> bool {
        let (start, end) = ends(tokens);
        let places = &self.lexed.unreadable;
        let after = places.partition_point(|place| (place.0 as usize) < start);
        places.get(after).is_some_and(|place| (place.0 as usize) < end)
    }

    fn span(&self, tokens: &[Token]) -> Span {
        let (start, end) = ends(tokens);
        Span::new(self.file, start, end)
    }

    /// Keeps the words of an item that could not be read in full.
    fn mention(&self, tokens: &[Token], tree: &mut File) {
        let names = tokens.iter().filter_map(|token| self.name_of(token));
        tree.mentioned.extend(names.map(|name| name.text));
    }

    /// The name of an item: its second token.
    fn item_name(&self, tokens: &[Token]) -> Option<Name> {
        self.name_of(tokens.get(1)?)
    }

    /// The name of a member is its second token, that of a setting its first.
    fn entry_name(&self, tokens: &[Token]) -> Option<Name> {
        let first = tokens.first()?;
        if crate::words::is_member(first.str(self.text)) {
            self.name_of(tokens.get(1)?)
        } else {
            self.name_of(first)
        }
    }

    fn name_of(&self, token: &Token) -> Option<Name> {
        let quoted = token.kind == Kind::Quoted;
        let text = token.str(self.text).trim_matches('\'').to_owned();
        let span = Span::new(self.file, token.start as usize, token.end as usize);
        (quoted || token.kind == Kind::Word).then_some(Name { text, span, quoted })
    }
}

/// What the entries of an item are, if it has any.
pub(crate) fn entry_rule(word: &str) -> Option<Rule> {
    match word {
        "template" | "source" | "device" => Some(Rule::one_member),
        "gateway" | "sink" | "write" => Some(Rule::one_setting),
        "test" => Some(Rule::one_step),
        _ => None,
    }
}

fn has_entries(tokens: &[Token], text: &str) -> bool {
    tokens.first().is_some_and(|first| entry_rule(first.str(text)).is_some())
        && tokens.last().is_some_and(|last| last.kind == Kind::Close)
}

fn ends(tokens: &[Token]) -> (usize, usize) {
    let start = tokens.first().map_or(0, |token| token.start as usize);
    (start, tokens.last().map_or(start, |token| token.end as usize))
}

fn unreadable(span: Span) -> Diagnostic {
    Diagnostic::new("E009", span, "this cannot be read")
}

enum Part {
    Body(Entry),
    Test(TestEntry),
}

/// The entries of a block that could be read, and the names of the others.
#[derive(Default)]
struct Parts {
    list: Vec<Part>,
    broken: Vec<Name>,
}

impl Parts {
    /// Puts the entries into the item whose head was read alone, and mends its place and that of its block.
    fn fill(self, item: &mut Item, whole: Span, brace: Span) {
        let block = Span { end: whole.end, ..brace };
        match item {
            Item::Template(template) => {
                template.span = whole;
                self.fill_body(&mut template.body, block);
            }
            Item::Source(source) => {
                source.span = whole;
                self.fill_body(&mut source.body, block);
            }
            Item::Device(device) => {
                device.span = whole;
                self.fill_body(&mut device.body, block);
            }
            Item::Gateway(gateway) => {
                gateway.span = whole;
                self.fill_settings(&mut gateway.settings, block);
            }
            Item::Sink(sink) => {
                sink.span = whole;
                self.fill_settings(&mut sink.settings, block);
            }
            Item::Write(write) => {
                write.span = whole;
                self.fill_settings(&mut write.settings, block);
            }
            Item::Test(test) => {
                test.span = whole;
                for part in self.list {
                    match part {
                        Part::Test(TestEntry::Step(step)) => test.steps.push(step),
                        Part::Test(TestEntry::Setting(setting)) => test.settings.push(setting),
                        Part::Body(_) => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn fill_body(self, body: &mut Body, block: Span) {
        body.span = block;
        body.broken = self.broken;
        for part in self.list {
            match part {
                Part::Body(Entry::Member(member)) => body.members.push(member),
                Part::Body(Entry::Setting(setting)) => body.settings.push(setting),
                Part::Test(_) => {}
            }
        }
    }

    fn fill_settings(self, settings: &mut Settings, block: Span) {
        settings.span = block;
        settings.broken = self.broken;
        settings.list.extend(self.list.into_iter().filter_map(|part| match part {
            Part::Body(Entry::Setting(setting)) => Some(setting),
            _ => None,
        }));
    }
}
