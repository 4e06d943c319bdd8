//! How far each line is indented, where its blanks stand, and which of its pieces begin a column.

use super::lines::{Class, Line, Piece};
use super::spacing::{self, Placed, Role};
use crate::words::is_attribute;

/// Blanks per level.
const STEP: usize = 2;

/// A line that is ready but for its columns.
#[derive(Debug)]
pub(super) struct Laid<'a> {
    pub indent: usize,
    /// The text between the starts of columns; the first cell starts the line. Empty cells are columns that this
    /// line does not have.
    pub cells: Vec<String>,
    /// Which lines its columns are aligned with; `None` if it has no columns.
    pub kind: Option<Kind>,
    pub comment: Option<&'a str>,
    /// A blank line stands above it.
    pub apart: bool,
}

/// Lines whose columns are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tag,
    /// `calc`, `const` and the columns of a window: name, type, unit, value.
    Value(Bracket),
    Constant,
    Unit,
    Source,
    Sink,
    Device,
    Flow,
    /// A branch of a `split`.
    Branch,
    /// A step of a test.
    Test,
}

/// What stands inside a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    /// `(` or `[`
    Round,
    /// Members, settings, labels.
    Entries,
    /// Columns of a window.
    Columns,
    /// Branches of a `split`.
    Branches,
    /// Steps of a test.
    Steps,
}

struct Opened {
    bracket: Bracket,
    /// Indentation of the line that opened it.
    indent: usize,
}

/// Lays out all lines but the blank ones.
pub(super) fn lay_out<'a>(lines: &[Line<'a>]) -> Vec<Laid<'a>> {
    let mut walk = Walk { open: Vec::new(), last: None, item: "", head: false };
    let mut laid: Vec<Laid<'a>> = Vec::with_capacity(lines.len());
    let mut apart = false;
    for (at, line) in lines.iter().enumerate() {
        if line.is_blank() {
            apart = true;
            continue;
        }
        // a comment belongs to what follows it
        let upcoming = lines.iter().skip(at).find(|line| !line.pieces.is_empty());
        let upcoming = upcoming.map_or(&[][..], |line| &line.pieces);
        let closes = upcoming.first().is_some_and(|piece| piece.class == Class::Close);
        let after_opener = at > 0 && walk.last.is_some_and(|last| last.piece.class == Class::Open);
        let first_inside = after_opener && laid.last().is_some_and(|line| !line.is_comment());
        let ends_block = closes && !line.pieces.is_empty();
        let apart_here = std::mem::take(&mut apart) && !laid.is_empty() && !first_inside && !ends_block;
        let indent = walk.indent(if line.pieces.is_empty() && closes { &[] } else { upcoming });
        let (cells, kind) = walk.line(&line.pieces, indent);
        laid.push(Laid { indent, cells, kind, comment: line.comment, apart: apart_here });
    }
    laid
}

impl Laid<'_> {
    fn is_comment(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }
}

/// What is known when a line begins.
struct Walk<'l, 'a> {
    open: Vec<Opened>,
    /// The last piece above.
    last: Option<Placed<'l, 'a>>,
    /// The first word of the item.
    item: &'l str,
    /// Devices and tags are picked here: the head of a flow, the target of a write.
    head: bool,
}

impl<'l, 'a> Walk<'l, 'a> {
    fn bracket(&self) -> Option<Bracket> {
        self.open.last().map(|opened| opened.bracket)
    }

    /// Indentation of a line of these pieces.
    fn indent(&self, pieces: &[Piece<'_>]) -> usize {
        let closers = pieces.iter().take_while(|piece| piece.class == Class::Close).count();
        if closers > 0 {
            let opened = self.open.len().checked_sub(closers).and_then(|at| self.open.get(at));
            return opened.map_or(0, |opened| opened.indent);
        }
        let inside = self.open.last().map_or(0, |opened| opened.indent + STEP);
        if self.continues(pieces) { inside + STEP } else { inside }
    }

    /// True when a line of these pieces goes on with the statement above.
    fn continues(&self, pieces: &[Piece<'_>]) -> bool {
        let (Some(last), Some(first)) = (self.last, pieces.first()) else { return false };
        let bracket = self.bracket();
        if bracket == Some(Bracket::Round) || last.piece.class == Class::Open {
            return false;
        }
        let entries = matches!(bracket, Some(Bracket::Entries | Bracket::Columns));
        if last.goes_on() || (last.piece.is_sign(",") && !entries) {
            return true;
        }
        let rest = pieces.get(1..).unwrap_or(&[]);
        let key = rest.first().is_some_and(|next| next.is_sign("=") || next.is(Class::Open, "{"));
        match (first.class, &*first.text) {
            (Class::Sign, "-") => !spacing::is_label(rest),
            (Class::Sign, "->" | "+" | "*" | "/" | "==" | "!=" | "<" | "<=" | ">" | ">=") => {
                !last.piece.is_sign(",")
            }
            (Class::Word, "and" | "or" | "mod" | "otherwise" | "then" | "except") => !key,
            (Class::Word, "else") => !key && bracket != Some(Bracket::Branches),
            _ => false,
        }
    }

    /// Takes over a line; gives its cells.
    fn line(&mut self, pieces: &'l [Piece<'a>], indent: usize) -> (Vec<String>, Option<Kind>) {
        let Some(first) = pieces.first() else { return (vec![String::new()], None) };
        let begins = !self.continues(pieces) && first.class != Class::Close;
        if begins && self.open.is_empty() {
            self.item = &first.text;
            self.head = matches!(self.item, "flow" | "write");
        }
        let kind = if begins { self.kind(pieces) } else { None };
        let mut columns = Columns { kind, depth: 0, column: 0, typed: false };
        let mut cells = vec![String::new()];
        for (at, piece) in pieces.iter().enumerate() {
            let after = pieces.get(at + 1..).unwrap_or(&[]);
            self.head &= !(piece.is_sign("->") || piece.is(Class::Open, "{"));
            let label = at == 0 && spacing::is_label(after);
            let placed = Placed { piece, role: spacing::role(self.last, piece, self.head, label) };
            let before = self.last.filter(|_| at > 0);
            let tight = matches!(self.bracket(), Some(Bracket::Round | Bracket::Steps));
            let blank = before.is_some_and(|before| spacing::blank(before, placed, tight));
            if let Some(column) = columns.next(before, piece, after.first()) {
                cells.resize(column + 1, String::new());
            } else if blank && let Some(cell) = cells.last_mut() {
                cell.push(' ');
            }
            if let Some(cell) = cells.last_mut() {
                cell.push_str(&piece.text);
            }
            self.nest(placed, indent);
            self.last = Some(placed);
        }
        (cells, kind)
    }

    /// Keeps count of the brackets.
    fn nest(&mut self, placed: Placed<'l, 'a>, indent: usize) {
        let piece = placed.piece;
        if piece.class == Class::Close {
            self.open.pop();
        } else if piece.class == Class::Open {
            let after_split = self.last.is_some_and(|last| last.piece.is(Class::Word, "split"));
            let bracket = match (&*piece.text, self.item, self.bracket()) {
                ("{", "test", None) => Bracket::Steps,
                ("{", "flow", None | Some(Bracket::Branches)) if after_split => Bracket::Branches,
                ("{", "flow", None | Some(Bracket::Branches)) => Bracket::Columns,
                ("{", _, _) => Bracket::Entries,
                _ => Bracket::Round,
            };
            self.open.push(Opened { bracket, indent });
        }
    }

    /// The kind of a line that begins a statement.
    fn kind(&self, pieces: &[Piece<'_>]) -> Option<Kind> {
        let [first, second, ..] = pieces else { return None };
        let named = matches!(second.class, Class::Word | Class::Quoted | Class::Unit);
        let word = if first.class == Class::Word { &*first.text } else { "" };
        match self.bracket() {
            None if named => match word {
                "const" => Some(Kind::Constant),
                "unit" => Some(Kind::Unit),
                "source" => Some(Kind::Source),
                "sink" => Some(Kind::Sink),
                "device" => Some(Kind::Device),
                "flow" => Some(Kind::Flow),
                _ => None,
            },
            Some(Bracket::Entries) if named => match word {
                "tag" => Some(Kind::Tag),
                "calc" => Some(Kind::Value(Bracket::Entries)),
                _ => None,
            },
            Some(Bracket::Columns) => one_column(pieces).then_some(Kind::Value(Bracket::Columns)),
            Some(Bracket::Branches) => Some(Kind::Branch),
            Some(Bracket::Steps) => (word == "at").then_some(Kind::Test),
            _ => None,
        }
    }
}

/// True when a line holds one column of a window, not several.
fn one_column(pieces: &[Piece<'_>]) -> bool {
    let mut depth = 0_usize;
    let last = pieces.len() - 1;
    pieces.iter().enumerate().all(|(at, piece)| {
        match piece.class {
            Class::Open => depth += 1,
            Class::Close if depth == 0 => return false,
            Class::Close => depth -= 1,
            _ => {}
        }
        depth > 0 || at == last || !piece.is_sign(",")
    })
}

/// Finds the pieces of a line at which columns begin.
struct Columns {
    kind: Option<Kind>,
    /// Brackets opened on this line.
    depth: usize,
    /// The column that the pieces are in.
    column: usize,
    /// The `:` was seen.
    typed: bool,
}

impl Columns {
    /// The column that begins with `piece`, if one does.
    fn next(
        &mut self,
        before: Option<Placed<'_, '_>>,
        piece: &Piece<'_>,
        after: Option<&Piece<'_>>,
    ) -> Option<usize> {
        // an empty block stays where it is
        let empty = piece.class == Class::Open && after.is_some_and(|next| next.class == Class::Close);
        let outside = self.depth == 0 && !empty;
        match piece.class {
            Class::Open => self.depth += 1,
            Class::Close => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let before = before?;
        let column = self.kind.filter(|_| outside).and_then(|kind| self.begins(kind, before, piece))?;
        self.typed |= piece.is_sign(":");
        (column > self.column).then(|| {
            self.column = column;
            column
        })
    }

    fn begins(&self, kind: Kind, before: Placed<'_, '_>, piece: &Piece<'_>) -> Option<usize> {
        let colon = piece.is_sign(":");
        let unit = piece.class == Class::Unit && self.typed && before.piece.class == Class::Word;
        let word = |text: &str| piece.is(Class::Word, text);
        let equals = piece.is_sign("=");
        let block = piece.is(Class::Open, "{");
        match kind {
            Kind::Tag if !self.typed && word("at") => Some(1),
            Kind::Tag if colon => Some(2),
            Kind::Tag if unit && self.column == 2 => Some(3),
            Kind::Tag if self.typed && piece.class == Class::Word && is_attribute(&piece.text) => {
                Some(self.column.max(3) + 1)
            }
            Kind::Value(_) | Kind::Constant if colon => Some(1),
            Kind::Value(_) | Kind::Constant if unit && self.column == 1 => Some(2),
            Kind::Value(_) | Kind::Constant if equals => Some(if self.typed { 3 } else { 1 }),
            Kind::Unit | Kind::Flow if equals => Some(1),
            Kind::Source | Kind::Sink if colon => Some(1),
            Kind::Source | Kind::Sink if block => Some(2),
            Kind::Device if colon => Some(1),
            Kind::Device if self.typed && word("on") => Some(2),
            Kind::Device if self.typed && block => Some(3),
            Kind::Branch if piece.is_sign("->") => Some(1),
            Kind::Test if before.piece.is_sign(":") && before.role == Role::Plain => Some(1),
            _ => None,
        }
    }
}

impl Kind {
    /// Blanks before a column.
    pub(super) fn gap(self, column: usize) -> usize {
        if self == Kind::Tag && column > 3 { 2 } else { 1 }
    }

    /// Cells wider than this do not push the cells of other lines aside.
    pub(super) fn cell_width_max(self) -> usize {
        match self {
            // attributes of a flow and the times of repeated steps are rare and long
            Kind::Flow => 20,
            Kind::Test => 12,
            _ => 48,
        }
    }
}
