//! The syntax tree: what the text says, node by node with its place, before any name has a meaning.
//!
//! Shapes follow `grammar.pest`. Whatever could not be read is left out of the tree and named in a `broken` list,
//! so that the compiler does not complain about its absence.

use std::collections::BTreeSet;

use crate::lexer::Comment;
use crate::span::{FileId, Span};

/// One file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub file: FileId,
    /// `gwp 1`; absent means version 1.
    pub version: Option<Digits>,
    pub items: Vec<Item>,
    /// All comments in order of place.
    pub comments: Vec<Comment>,
    /// Names of items that could not be read.
    pub broken: Vec<Name>,
    /// Words that stand in items which could not be read in full: what goes by one of them may be used there.
    pub mentioned: BTreeSet<String>,
}

/// A name as written; the text is without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub span: Span,
    /// True for `'TT-101'`.
    pub quoted: bool,
}

/// Digits as written: `07` keeps its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Use(Use),
    Gateway(Gateway),
    Const(Const),
    Unit(UnitDef),
    Template(Template),
    Source(Source),
    Device(Device),
    Sink(Sink),
    Flow(Flow),
    Write(Write),
    Moved(Moved),
    Test(Test),
}

impl Item {
    /// The place of the whole item.
    pub fn span(&self) -> Span {
        match self {
            Item::Use(item) => item.span,
            Item::Gateway(item) => item.span,
            Item::Const(item) => item.span,
            Item::Unit(item) => item.span,
            Item::Template(item) => item.span,
            Item::Source(item) => item.span,
            Item::Device(item) => item.span,
            Item::Sink(item) => item.span,
            Item::Flow(item) => item.span,
            Item::Write(item) => item.span,
            Item::Moved(item) => item.span,
            Item::Test(item) => item.span,
        }
    }
}

/// `use "lib.gwp"`
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    pub path: Text,
    pub span: Span,
}

/// `gateway name { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub name: Name,
    pub settings: Settings,
    pub span: Span,
}

/// `const x : real kW = 5 kW`
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    pub name: Name,
    pub ty: Option<TypeRef>,
    pub value: Expr,
    pub span: Span,
}

/// `unit pallet = 48 pcs`
#[derive(Clone, Debug, PartialEq)]
pub struct UnitDef {
    pub unit: UnitText,
    pub value: Option<Expr>,
    pub span: Span,
}

/// `template T(p: real kW = 5 kW) { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub name: Name,
    pub params: Vec<Param>,
    pub body: Body,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Name,
    pub ty: TypeRef,
    pub default: Option<Expr>,
    pub span: Span,
}

/// `source n : driver { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub name: Name,
    pub driver: Name,
    pub body: Body,
    pub span: Span,
}

/// `device m[01..40 except 13] : T(p = 1) on src { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub name: Name,
    pub family: Option<Family>,
    pub model: Option<Model>,
    pub source: Option<Name>,
    pub body: Body,
    pub span: Span,
}

/// `[01..40 except 13]`
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub first: Digits,
    pub last: Digits,
    pub except: Vec<Digits>,
    pub span: Span,
}

/// `: T(p = 1)`
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub template: Name,
    pub args: Vec<Arg>,
    pub span: Span,
}

/// `sink n : driver { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    pub name: Name,
    pub driver: Name,
    pub settings: Settings,
    pub span: Span,
}

/// `write n to tag from src at "address" { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub name: Name,
    pub to: Select,
    pub from: Path,
    pub at: Option<Text>,
    pub settings: Settings,
    pub span: Span,
}

/// `moved old -> new`
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    pub old: Path,
    pub new: Path,
    pub span: Span,
}

/// `test "name" { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub name: Text,
    pub settings: Vec<Setting>,
    pub steps: Vec<Step>,
    pub span: Span,
}

/// `at 5 s to 60 s every 1 s: x = 3 kW, expect y = 4`
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub at: Expr,
    /// `to` and `every`.
    pub repeat: Option<(Expr, Expr)>,
    pub actions: Vec<Action>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `x = 3 kW`
    Feed { path: Path, value: Expr },
    /// `expect y = 4`
    Expect { path: Path, value: Expr },
    /// `expect hourly { kwh = 100 kWh, kwh.quality = "good" }`
    ExpectRow { path: Path, columns: Vec<(Path, Expr)>, block: Span },
    /// `expect no y`
    ExpectNo { path: Path },
}

/// What stands between the braces of a template, source or device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub members: Vec<Member>,
    pub settings: Vec<Setting>,
    /// Names of members and settings that could not be read.
    pub broken: Vec<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Member {
    Tag(Tag),
    Calc(Calc),
    Alarm(Alarm),
}

impl Member {
    /// The name of the member.
    pub fn name(&self) -> &Name {
        match self {
            Member::Tag(tag) => &tag.name,
            Member::Calc(calc) => &calc.name,
            Member::Alarm(alarm) => &alarm.name,
        }
    }
}

/// `tag n at "address" : type unit attributes`
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    pub name: Name,
    pub at: Option<Text>,
    pub ty: TypeRef,
    pub attrs: Vec<Attr>,
    pub span: Span,
}

/// `calc n : type unit = expr`
#[derive(Clone, Debug, PartialEq)]
pub struct Calc {
    pub name: Name,
    pub ty: Option<TypeRef>,
    pub attrs: Vec<Attr>,
    pub value: Expr,
    pub span: Span,
}

/// `alarm n when cond for 10 s { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    pub name: Name,
    pub when: Expr,
    pub hold: Option<Expr>,
    pub settings: Option<Settings>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrWord {
    Scan,
    Deadband,
    Scale,
    Range,
    Counter,
    Enum,
    Writable,
    Desc,
}

impl AttrWord {
    /// The word as written.
    pub fn word(self) -> &'static str {
        match self {
            AttrWord::Scan => "scan",
            AttrWord::Deadband => "deadband",
            AttrWord::Scale => "scale",
            AttrWord::Range => "range",
            AttrWord::Counter => "counter",
            AttrWord::Enum => "enum",
            AttrWord::Writable => "writable",
            AttrWord::Desc => "desc",
        }
    }
}

/// `range 0..500 kW`
#[derive(Clone, Debug, PartialEq)]
pub struct Attr {
    pub word: AttrWord,
    pub value: AttrValue,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// Nothing follows the word.
    None,
    Range(Box<Range>),
    /// `{ 0 = "stopped", 1 = "running" }`
    Pairs(Vec<Pair>),
}

/// `0 = "stopped"`
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub number: Digits,
    pub label: Text,
    pub span: Span,
}

/// `real kW`
#[derive(Clone, Debug, PartialEq)]
pub struct TypeRef {
    pub word: TypeWord,
    pub unit: Option<UnitText>,
    pub span: Span,
}

/// The IEC 61131-3 elementary types the language knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeWord {
    Bool,
    Byte,
    Sint,
    Usint,
    Int,
    Uint,
    Word,
    Dint,
    Udint,
    Dword,
    Lint,
    Ulint,
    Lword,
    Real,
    Lreal,
    String,
    Time,
}

/// A unit as written, such as `m³/h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitText {
    pub text: String,
    pub span: Span,
}

/// `{ ... }` of settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub list: Vec<Setting>,
    /// Names of settings that could not be read.
    pub broken: Vec<Name>,
    pub span: Span,
}

/// `name = value` or `name { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub name: Name,
    pub value: SettingValue,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// `[a, b]`
    List(Vec<Expr>, Span),
    Range(Range),
    /// `1 per 5 s`
    Per(Range, Expr),
    /// `journal { ... }`
    Block(Settings),
}

/// `5 s`, `0..500 kW` or `0..27648 -> 0..150 degC`
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The only value, or the low end.
    pub low: Expr,
    pub high: Option<Expr>,
    /// Low and high end of the range after `->`.
    pub to: Option<Box<(Expr, Expr)>>,
    pub span: Span,
}

/// `flow n priority high standby hot = head -> stage -> sink`
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub name: Name,
    /// `priority high`: the word and its value.
    pub attrs: Vec<(Name, Name)>,
    pub from: Vec<Select>,
    pub except: Vec<Select>,
    pub stages: Vec<Stage>,
    pub span: Span,
}

/// `demo`, `meter[*].power`, `plc.temp_*`, `*.alarms`
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub root: SelectRoot,
    pub parts: Vec<SelectPart>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SelectRoot {
    /// `*`
    Any(Span),
    Named(Name, Option<Members>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum SelectPart {
    Name(Name),
    /// `temp_*`: the text before the star, empty for `*` alone.
    Prefix(Name),
}

/// `[*]`, `[07]` or `[01..05]`
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    pub pick: MemberPick,
    pub span: Span,
}

impl Members {
    /// True if both pick other devices of a family.
    pub fn pick_differs(&self, other: &Members) -> bool {
        match (&self.pick, &other.pick) {
            (MemberPick::All, MemberPick::All) => false,
            (MemberPick::One(a), MemberPick::One(b)) => a.text != b.text,
            (MemberPick::Range(a, b), MemberPick::Range(c, d)) => a.text != c.text || b.text != d.text,
            _ => true,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum MemberPick {
    All,
    One(Digits),
    Range(Digits, Digits),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Window(Window),
    Where(Expr, Span),
    Split(Vec<Branch>, Span),
    /// `changes(heartbeat = 1 min)`
    Call(Call),
    /// Sinks, or the name of another flow's stage forgotten its parentheses.
    Targets(Vec<Name>, Span),
}

impl Stage {
    /// The place of the stage, without its arrow.
    pub fn span(&self) -> Span {
        match self {
            Stage::Window(window) => window.span,
            Stage::Where(_, span) | Stage::Split(_, span) | Stage::Targets(_, span) => *span,
            Stage::Call(call) => call.span,
        }
    }
}

/// `when c -> sink` or `else -> sink`
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// `None` for `else`.
    pub when: Option<Expr>,
    pub stages: Vec<Stage>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    Every,
    On,
    While,
}

/// `every 1 h wait 5 min { peak = max(power) }`
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub kind: WindowKind,
    pub expr: Expr,
    /// `wait 5 min`: the word and its value.
    pub attrs: Vec<(Name, Expr)>,
    pub columns: Vec<Column>,
    pub span: Span,
}

/// `oee : real % = a * b`
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: Name,
    pub ty: Option<TypeRef>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Quantity(Quantity),
    Text(Text),
    /// `2025-06-01T00:00Z`, as written.
    Instant(String),
    /// `06:00`, as written.
    Clock(String),
    Path(Path),
    Call(Call),
    /// `( ... )`, kept for the formatter.
    Group(Box<Expr>),
    Unary(UnaryOp, Box<Expr>),
    Binary(Box<Binary>),
    If(Box<If>),
}

/// `90 degC`
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// The number as written, underscores included.
    pub number: String,
    /// `1/min` is 1 with the unit `1/min`; its text then starts with `/`, and the compiler tells it from a division.
    pub unit: Option<UnitText>,
}

/// `"Tank at {level}"`
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub parts: Vec<TextPart>,
    pub span: Span,
}

impl Text {
    /// The text, if there is no insert in it.
    pub fn literal(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| if let TextPart::Literal(text) = part { Some(text.as_str()) } else { None })
            .collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum TextPart {
    Literal(String),
    Insert(Expr),
}

/// `meter[07].power.quality`
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub root: Name,
    pub members: Option<Members>,
    pub rest: Vec<Name>,
    pub span: Span,
}

/// `min(a, b)`
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: Name,
    pub args: Vec<Arg>,
    pub span: Span,
}

/// `b` or `heartbeat = 1 min`
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub key: Option<Name>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    Neg,
    Not,
}

/// `left op right`
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    pub op: BinaryOp,
    pub op_span: Span,
    pub left: Expr,
    pub right: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Otherwise,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

impl BinaryOp {
    /// The operator as written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Otherwise => "otherwise",
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "mod",
        }
    }
}

/// `if condition then yes else no`
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    pub condition: Expr,
    pub then: Expr,
    pub or_else: Expr,
}
