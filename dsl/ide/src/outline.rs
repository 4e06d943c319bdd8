//! The outline of a file: its items, and the members of those that have some.

use crate::names::{body_of, name_of};
use gwp_syntax::Span;
use gwp_syntax::ast::{File, Item, Member};

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    Gateway,
    Const,
    Unit,
    Template,
    Source,
    Device,
    Sink,
    Flow,
    Write,
    Test,
    Tag,
    Calc,
    Alarm,
}

/// An entry of the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    /// What is told beside it: a driver, a type, a template.
    pub detail: String,
    pub kind: SymbolKind,
    /// The whole declaration.
    pub span: Span,
    /// Its name.
    pub name_span: Span,
    pub members: Vec<Symbol>,
}

/// The items of a file in their order; the text is the one that was parsed.
pub fn outline(file: &File, text: &str) -> Vec<Symbol> {
    file.items.iter().filter_map(|item| symbol(item, text)).collect()
}

fn symbol(item: &Item, text: &str) -> Option<Symbol> {
    let (kind, detail) = match item {
        Item::Use(_) | Item::Moved(_) => return None,
        Item::Gateway(_) => (SymbolKind::Gateway, String::new()),
        Item::Const(item) => (SymbolKind::Const, item.value.to_string()),
        Item::Unit(_) => (SymbolKind::Unit, String::new()),
        Item::Template(_) => (SymbolKind::Template, String::new()),
        Item::Source(item) => (SymbolKind::Source, item.driver.text.clone()),
        Item::Device(item) => {
            let model = item.model.as_ref().map_or("", |model| &model.template.text);
            (SymbolKind::Device, model.to_owned())
        }
        Item::Sink(item) => (SymbolKind::Sink, item.driver.text.clone()),
        Item::Flow(_) => (SymbolKind::Flow, String::new()),
        Item::Write(_) => (SymbolKind::Write, String::new()),
        Item::Test(_) => (SymbolKind::Test, String::new()),
    };
    let (name, name_span) = match item {
        Item::Unit(unit) => (unit.unit.text.clone(), unit.unit.span),
        Item::Test(test) => (test.name.literal().unwrap_or_default(), test.name.span),
        _ => name_of(item).map(|name| (name.text.clone(), name.span))?,
    };
    let members = body_of(item).map_or(&[][..], |body| &body.members).iter();
    let members = members.map(|member| member_symbol(member, text)).collect();
    Some(Symbol { name, detail, kind, span: item.span(), name_span, members })
}

fn member_symbol(member: &Member, text: &str) -> Symbol {
    let (kind, span, ty) = match member {
        Member::Tag(tag) => (SymbolKind::Tag, tag.span, Some(&tag.ty)),
        Member::Calc(calc) => (SymbolKind::Calc, calc.span, calc.ty.as_ref()),
        Member::Alarm(alarm) => (SymbolKind::Alarm, alarm.span, None),
    };
    let detail = ty.and_then(|ty| text.get(ty.span.range())).unwrap_or("").to_owned();
    let name = member.name();
    Symbol { name: name.text.clone(), detail, kind, span, name_span: name.span, members: Vec::new() }
}
