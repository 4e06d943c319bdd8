//! A place in a text, by its tokens: which blocks are open around it, which statement it is in, and which path leads to
//! it. It works on texts that cannot be parsed, as texts are while they are typed.

use gwp_syntax::{Token, TokenKind, WordClass, keywords, tokens};
use std::ops::Range;
use std::sync::LazyLock;

/// Texts in texts that are followed.
const INSERTS_MAX: usize = 8;

/// An open bracket around the place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Its token.
    pub open: usize,
    /// The first token of the statement it belongs to.
    pub statement: usize,
}

/// Lines behind a place that are looked at.
const LINES_AHEAD: usize = 20;

/// A place and what is around it.
#[derive(Debug)]
pub(crate) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// Where `text` begins in the file: an insert of a text is a text of its own.
    base: usize,
    /// The token that the place touches, if it is a word, a name in quotes, a number or a text.
    pub at: Option<usize>,
    /// How many tokens lie wholly before the place and before the word it touches.
    pub before: usize,
    /// Open brackets, the outermost first.
    pub blocks: Vec<Block>,
    /// The first token of the statement.
    pub statement: usize,
    /// For a place in an insert: the place of the text that holds it.
    outer: Option<Box<Cursor<'t>>>,
    offset: usize,
}

impl<'t> Cursor<'t> {
    /// The place at a byte offset.
    pub(crate) fn new(text: &'t str, offset: usize) -> Cursor<'t> {
        let offset = offset.min(text.len());
        let window = window(text, offset);
        let mut cursor = Cursor::flat(text.get(window.clone()).unwrap_or(""), window.start, offset);
        for _ in 0..INSERTS_MAX {
            let Some(range) = cursor.insert() else { break };
            let inner = text.get(range.clone()).unwrap_or("");
            let mut inner = Cursor::flat(inner, range.start, offset);
            inner.outer = Some(Box::new(cursor));
            cursor = inner;
        }
        cursor
    }

    fn flat(text: &'t str, base: usize, offset: usize) -> Cursor<'t> {
        let tokens = tokens(text);
        let local = u32::try_from(offset - base).unwrap_or(u32::MAX);
        let touched = |token: &Token| {
            let solid = matches!(
                token.kind,
                TokenKind::Word | TokenKind::Quoted | TokenKind::Number | TokenKind::Text
            );
            let ends = if token.kind == TokenKind::Text { local < token.end } else { local <= token.end };
            solid && token.start <= local && ends
        };
        let near = tokens.partition_point(|token| token.end < local);
        let candidates = near..tokens.len().min(near + 2);
        // between `5` and `s` of `5s` it is the word
        let at = candidates.rev().find(|at| tokens.get(*at).is_some_and(touched));
        let before = at.unwrap_or_else(|| tokens.partition_point(|token| token.end <= local));
        let mut cursor =
            Cursor { text, tokens, base, at, before, blocks: Vec::new(), statement: 0, outer: None, offset };
        cursor.walk();
        cursor
    }

    /// Finds the blocks and the statement around the place.
    fn walk(&mut self) {
        let mut blocks: Vec<Block> = Vec::new();
        let mut statement = 0;
        for at in 0..self.before {
            let in_braces = blocks.last().is_none_or(|block| self.str(block.open) == "{");
            match self.kind(at) {
                Some(TokenKind::Open) => {
                    blocks.push(Block { open: at, statement });
                    statement = at + 1;
                }
                Some(TokenKind::Close) => {
                    if let Some(block) = blocks.pop() {
                        statement = block.statement;
                    }
                }
                Some(TokenKind::Newline) if self.begins_item(at + 1) => {
                    blocks.clear();
                    statement = at + 1;
                }
                Some(TokenKind::Newline) if !in_braces && self.begins_member(at + 1) => {
                    while blocks.last().is_some_and(|block| self.str(block.open) != "{") {
                        blocks.pop();
                    }
                    statement = at + 1;
                }
                Some(TokenKind::Newline) if in_braces => {
                    let in_flow = blocks.is_empty() && self.str(statement) == "flow";
                    statement = if self.continues(at, in_flow) { statement } else { at + 1 };
                }
                Some(TokenKind::Sign) if self.str(at) == "," && !blocks.is_empty() && in_braces => {
                    let split = blocks.last().is_some_and(|block| self.before_block(block) == "split");
                    statement = if split { statement } else { at + 1 };
                }
                _ => {}
            }
        }
        self.blocks = blocks;
        self.statement = statement;
    }

    /// The word before the bracket of a block.
    pub(crate) fn before_block(&self, block: &Block) -> &'t str {
        block.open.checked_sub(1).map_or("", |at| self.str(at))
    }

    /// True if an item begins there, which also ends blocks that were left open.
    fn begins_item(&self, at: usize) -> bool {
        let Some(token) = self.tokens.get(at) else { return false };
        let column = self.text.get(..token.start as usize).is_some_and(|text| text.ends_with(['\n', '\r']));
        let names = matches!(self.kind(at + 1), Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Text));
        column && names && is_class(token.str(self.text), WordClass::Item)
    }

    fn begins_member(&self, at: usize) -> bool {
        let names = matches!(self.kind(at + 1), Some(TokenKind::Word | TokenKind::Quoted));
        names && is_class(self.str(at), WordClass::Member)
    }

    /// True if the statement goes on over the new line at that token; the head of a flow does after a comma.
    fn continues(&self, newline: usize, in_flow: bool) -> bool {
        let solid = |at: &usize| self.kind(*at) != Some(TokenKind::Newline);
        let before = (0..newline).rev().find(solid);
        let after = (newline + 1..self.tokens.len()).find(solid);
        let joins = |at: usize| match self.kind(at) {
            Some(TokenKind::Sign) => self.str(at) != "%",
            Some(TokenKind::Word) => is_class(self.str(at), WordClass::Operator),
            _ => false,
        };
        let comma = |at: usize| self.str(at) == ",";
        before.is_some_and(|at| if comma(at) { in_flow } else { joins(at) && self.str(at) != "*" })
            || after.is_some_and(|at| joins(at) && !comma(at))
    }

    /// The insert of the text token that holds the place, as a range of the file.
    fn insert(&self) -> Option<Range<usize>> {
        let token = self.tokens.get(self.at?).filter(|token| token.kind == TokenKind::Text)?;
        let text = token.str(self.text);
        let place = self.offset.checked_sub(self.base + token.start as usize)?;
        let found = inserts(text).into_iter().find(|range| range.start <= place && place <= range.end)?;
        let start = self.base + token.start as usize;
        Some(start + found.start..start + found.end)
    }

    pub(crate) fn str(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| token.str(self.text))
    }

    pub(crate) fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// The name at a token, without its quotes.
    pub(crate) fn name(&self, at: usize) -> &'t str {
        self.str(at).trim_matches('\'')
    }

    /// The bytes of a token in the file.
    pub(crate) fn range(&self, at: usize) -> Range<usize> {
        self.tokens.get(at).map_or(self.offset..self.offset, |token| {
            self.base + token.start as usize..self.base + token.end as usize
        })
    }

    /// What a completion replaces: the word the place touches, up to the place; else nothing.
    pub(crate) fn typed(&self) -> Range<usize> {
        let word = self.at.filter(|at| matches!(self.kind(*at), Some(TokenKind::Word | TokenKind::Quoted)));
        word.map_or(self.offset..self.offset, |at| self.range(at).start..self.offset)
    }

    /// The token before the place.
    pub(crate) fn previous(&self) -> Option<usize> {
        let at = self.before.checked_sub(1)?;
        (at >= self.statement || self.blocks.last().is_some_and(|block| block.open == at)).then_some(at)
    }

    /// True in the words of a text, where nothing is offered.
    pub(crate) fn in_words(&self) -> bool {
        self.at.is_some_and(|at| self.kind(at) == Some(TokenKind::Text)) || self.in_comment()
    }

    fn in_comment(&self) -> bool {
        let place = self.offset - self.base;
        let begin = self.text.get(..place).and_then(|text| text.rfind(['\n', '\r'])).map_or(0, |at| at + 1);
        let after = self.before.checked_sub(1).map_or(0, |at| self.range(at).end - self.base).max(begin);
        self.at.is_none() && self.text.get(after..place).is_some_and(|rest| rest.contains("//"))
    }

    /// The dotted path that ends with that token: its tokens, and whether brackets follow each of them.
    pub(crate) fn path(&self, at: usize) -> Vec<(usize, bool)> {
        let mut parts = self.path_before(at);
        parts.push((at, self.str(at + 1) == "["));
        parts
    }

    /// The names before the dot that stands before that token.
    pub(crate) fn path_before(&self, at: usize) -> Vec<(usize, bool)> {
        let mut parts = Vec::new();
        let mut first = at;
        while first >= 2 && self.str(first - 1) == "." {
            let mut name = first - 2;
            let brackets = self.str(name) == "]";
            if brackets {
                let Some(open) = (0..name).rev().find(|at| self.str(*at) == "[") else { break };
                let Some(before) = open.checked_sub(1) else { break };
                name = before;
            }
            if !matches!(self.kind(name), Some(TokenKind::Word | TokenKind::Quoted)) && self.str(name) != "*"
            {
                break;
            }
            parts.push((name, brackets));
            first = name;
        }
        parts.reverse();
        parts
    }

    /// The place of the whole text that holds the insert the place is in; itself outside of inserts.
    pub(crate) fn outermost(&self) -> &Cursor<'t> {
        self.outer.as_deref().map_or(self, Cursor::outermost)
    }

    /// True for a place that is the other one.
    pub(crate) fn is_same(&self, other: &Cursor<'_>) -> bool {
        self.base == other.base && self.text.len() == other.text.len()
    }

    /// Tokens of the head of the item the place is in, from its keyword.
    pub(crate) fn item(&self) -> Range<usize> {
        match self.blocks.first() {
            Some(block) => block.statement..block.open,
            None => self.statement..self.before,
        }
    }

    /// The keyword of the item the place is in.
    pub(crate) fn item_word(&self) -> &'t str {
        let item = self.item();
        if item.is_empty() { "" } else { self.str(item.start) }
    }

    /// Blocks of braces around the place, the outermost first.
    pub(crate) fn braces(&self) -> impl DoubleEndedIterator<Item = &Block> {
        self.blocks.iter().filter(|block| self.str(block.open) == "{")
    }

    /// The first token of the statement that stands directly in braces or in the file.
    pub(crate) fn entry(&self) -> usize {
        let mut statement = self.statement;
        for block in self.blocks.iter().rev() {
            if self.str(block.open) == "{" {
                break;
            }
            statement = block.statement;
        }
        statement
    }

    /// True if that word stands in a range of tokens, brackets inside of it left out.
    pub(crate) fn has(&self, range: Range<usize>, word: &str) -> bool {
        range.into_iter().any(|at| self.str(at) == word)
    }
}

/// The part of a text that tells what a place is: from the item it is in to some lines behind it, so that an answer in
/// a large file does not read all of it.
fn window(text: &str, offset: usize) -> Range<usize> {
    let mut floor = offset;
    while !text.is_char_boundary(floor) {
        floor -= 1;
    }
    let mut start = floor;
    loop {
        start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = text.get(start..floor).unwrap_or("");
        let word = line.split([' ', '\t', '\n']).next().unwrap_or("");
        let rest = line.get(word.len()..).unwrap_or("").trim_start();
        let names = rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '\'' | '"'));
        if start == 0 || names && is_class(word, WordClass::Item) {
            break;
        }
        start -= 1;
    }
    let ahead = text.get(floor..).unwrap_or("").match_indices('\n').nth(LINES_AHEAD);
    start..ahead.map_or(text.len(), |(at, _)| floor + at)
}

fn is_class(word: &str, class: WordClass) -> bool {
    static WORDS: LazyLock<Vec<(&str, WordClass)>> = LazyLock::new(keywords);
    WORDS.contains(&(word, class))
}

/// The inserts of a text with its quotes, without their braces.
fn inserts(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (1, Vec::new());
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) => at += 2,
            (b'{', Some(b'{')) | (b'}', Some(b'}')) => at += 2,
            (b'{', _) => {
                let end = insert_end(bytes, at + 1);
                found.push(at + 1..end);
                at = end + 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// The closing brace of the insert that starts there, or the end of the text.
fn insert_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth, mut quoted) = (start, 0_usize, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'{' => depth += 1,
            b'}' if depth == 0 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len().saturating_sub(1).max(start)
}
