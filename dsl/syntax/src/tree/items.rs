//! Items, members and settings.

use super::{Kids, Node, Tree};
use crate::ast::{
    Alarm, Attr, AttrValue, AttrWord, Body, Calc, Const, Device, Digits, Family, Gateway, Item, Member,
    Model, Moved, Pair, Param, Setting, SettingValue, Settings, Sink, Source, Tag, Template, TypeRef,
    TypeWord, UnitDef, Use, Write,
};
use crate::grammar::Rule;
use crate::span::Span;

/// One entry of the body of a template, source or device.
pub(crate) enum Entry {
    Member(Member),
    Setting(Setting),
}

impl Tree<'_> {
    /// `gwp 1`
    pub(crate) fn header(&self, node: Node<'_>) -> Option<Digits> {
        Some(self.digits(&Kids::of(node).one(Rule::digits)?))
    }

    /// Any item.
    pub(crate) fn item(&mut self, node: Node<'_>) -> Option<Item> {
        let span = self.span(&node);
        let rule = node.as_rule();
        let mut kids = Kids::of(node);
        Some(match rule {
            Rule::use_file => Item::Use(Use { path: self.text(kids.one(Rule::string)?)?, span }),
            Rule::gateway => {
                let name = self.name(&kids.name()?);
                Item::Gateway(Gateway { name, settings: self.settings(kids.one(Rule::settings)?)?, span })
            }
            Rule::constant => {
                let name = self.name(&kids.name()?);
                let ty = self.optional_type(&mut kids)?;
                Item::Const(Const { name, ty, value: self.expr(kids.one(Rule::expr)?)?, span })
            }
            Rule::unit_def => {
                let unit = self.unit(&kids.one(Rule::unit)?);
                Item::Unit(UnitDef { unit, value: self.optional_expr(&mut kids)?, span })
            }
            Rule::moved => {
                let old = self.path(kids.one(Rule::path)?)?;
                Item::Moved(Moved { old, new: self.path(kids.one(Rule::path)?)?, span })
            }
            Rule::template => self.template(kids, span)?,
            Rule::source => self.source(kids, span)?,
            Rule::device => self.device(kids, span)?,
            Rule::sink => {
                let name = self.name(&kids.name()?);
                let driver = self.name(&kids.name()?);
                Item::Sink(Sink { name, driver, settings: self.settings(kids.one(Rule::settings)?)?, span })
            }
            Rule::write => self.write(kids, span)?,
            Rule::flow => Item::Flow(self.flow(kids, span)?),
            Rule::test => Item::Test(self.test(kids, span)?),
            _ => return None,
        })
    }

    fn template(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Item> {
        let name = self.name(&kids.name()?);
        let params = match kids.one(Rule::params) {
            Some(params) => params.into_inner().map(|param| self.param(param)).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Item::Template(Template { name, params, body: self.body(kids.one(Rule::body)?)?, span }))
    }

    fn param(&mut self, node: Node<'_>) -> Option<Param> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let name = self.name(&kids.name()?);
        let ty = self.type_ref(kids.one(Rule::type_ref)?)?;
        Some(Param { name, ty, default: self.optional_expr(&mut kids)?, span })
    }

    fn source(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Item> {
        let name = self.name(&kids.name()?);
        let driver = self.name(&kids.name()?);
        let body = self.body(kids.one(Rule::body)?)?;
        Some(Item::Source(Source { name, driver, body, span }))
    }

    fn device(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Item> {
        let name = self.name(&kids.name()?);
        let family = match kids.one(Rule::family) {
            Some(family) => Some(self.family(family)?),
            None => None,
        };
        let model = match kids.one(Rule::model) {
            Some(model) => Some(self.model(model)?),
            None => None,
        };
        let source = kids.name().map(|source| self.name(&source));
        let body = match kids.one(Rule::body) {
            Some(body) => self.body(body)?,
            None => Body { span: Span { start: span.end, ..span }, ..Body::default() },
        };
        Some(Item::Device(Device { name, family, model, source, body, span }))
    }

    fn family(&mut self, node: Node<'_>) -> Option<Family> {
        let span = self.exact(&node);
        let mut kids = Kids::of(node);
        let first = self.digits(&kids.one(Rule::digits)?);
        let last = self.digits(&kids.one(Rule::digits)?);
        let except =
            std::iter::from_fn(|| kids.one(Rule::digits)).map(|digits| self.digits(&digits)).collect();
        Some(Family { first, last, except, span })
    }

    fn model(&mut self, node: Node<'_>) -> Option<Model> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let template = self.name(&kids.name()?);
        let args = match kids.one(Rule::args) {
            Some(args) => self.whole(|tree| tree.args(args))?,
            None => Vec::new(),
        };
        Some(Model { template, args, span })
    }

    fn write(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Item> {
        let name = self.name(&kids.name()?);
        let to = self.select(kids.one(Rule::select)?)?;
        let from = self.path(kids.one(Rule::path)?)?;
        let at = match kids.one(Rule::string) {
            Some(text) => Some(self.text(text)?),
            None => None,
        };
        Some(Item::Write(Write {
            name,
            to,
            from,
            at,
            settings: self.settings(kids.one(Rule::settings)?)?,
            span,
        }))
    }

    fn body(&mut self, node: Node<'_>) -> Option<Body> {
        let mut body = Body { span: self.exact(&node), ..Body::default() };
        for entry in node.into_inner() {
            match self.entry(entry)? {
                Entry::Member(member) => body.members.push(member),
                Entry::Setting(setting) => body.settings.push(setting),
            }
        }
        Some(body)
    }

    /// A tag, calc, alarm or setting.
    pub(crate) fn entry(&mut self, node: Node<'_>) -> Option<Entry> {
        let span = self.span(&node);
        let rule = node.as_rule();
        if rule == Rule::setting {
            return self.setting(node).map(Entry::Setting);
        }
        let mut kids = Kids::of(node);
        let name = self.name(&kids.name()?);
        let member = match rule {
            Rule::tag => {
                let at = match kids.one(Rule::string) {
                    Some(text) => Some(self.text(text)?),
                    None => None,
                };
                let ty = self.type_ref(kids.one(Rule::type_ref)?)?;
                Member::Tag(Tag { name, at, ty, attrs: self.attrs(&mut kids)?, span })
            }
            Rule::calc => {
                let ty = self.optional_type(&mut kids)?;
                let attrs = self.attrs(&mut kids)?;
                Member::Calc(Calc { name, ty, attrs, value: self.expr(kids.one(Rule::expr)?)?, span })
            }
            Rule::alarm => {
                let when = self.expr(kids.one(Rule::expr)?)?;
                let hold = self.optional_expr(&mut kids)?;
                let settings = match kids.one(Rule::settings) {
                    Some(settings) => Some(self.settings(settings)?),
                    None => None,
                };
                Member::Alarm(Alarm { name, when, hold, settings, span })
            }
            _ => return None,
        };
        Some(Entry::Member(member))
    }

    fn attrs(&mut self, kids: &mut Kids<'_>) -> Option<Vec<Attr>> {
        std::iter::from_fn(|| kids.one(Rule::attr)).map(|attr| self.attr(attr)).collect()
    }

    fn attr(&mut self, node: Node<'_>) -> Option<Attr> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let word = match kids.one(Rule::attr_word)?.as_str() {
            "scan" => AttrWord::Scan,
            "deadband" => AttrWord::Deadband,
            "scale" => AttrWord::Scale,
            "range" => AttrWord::Range,
            "counter" => AttrWord::Counter,
            "enum" => AttrWord::Enum,
            "writable" => AttrWord::Writable,
            _ => AttrWord::Desc,
        };
        let value = match kids.any(&[Rule::pairs, Rule::range]) {
            None => AttrValue::None,
            Some(node) if node.as_rule() == Rule::range => AttrValue::Range(Box::new(self.range(node)?)),
            Some(node) => {
                AttrValue::Pairs(node.into_inner().map(|pair| self.pair(pair)).collect::<Option<_>>()?)
            }
        };
        Some(Attr { word, value, span })
    }

    fn pair(&mut self, node: Node<'_>) -> Option<Pair> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let number = self.digits(&kids.one(Rule::label)?);
        Some(Pair { number, label: self.text(kids.one(Rule::string)?)?, span })
    }

    pub(super) fn type_ref(&mut self, node: Node<'_>) -> Option<TypeRef> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let word = match kids.one(Rule::type_word)?.as_str() {
            "bool" => TypeWord::Bool,
            "byte" => TypeWord::Byte,
            "sint" => TypeWord::Sint,
            "usint" => TypeWord::Usint,
            "int" => TypeWord::Int,
            "uint" => TypeWord::Uint,
            "word" => TypeWord::Word,
            "dint" => TypeWord::Dint,
            "udint" => TypeWord::Udint,
            "dword" => TypeWord::Dword,
            "lint" => TypeWord::Lint,
            "ulint" => TypeWord::Ulint,
            "lword" => TypeWord::Lword,
            "real" => TypeWord::Real,
            "lreal" => TypeWord::Lreal,
            "string" => TypeWord::String,
            "time" => TypeWord::Time,
            _ => return None,
        };
        Some(TypeRef { word, unit: kids.one(Rule::unit).map(|unit| self.unit(&unit)), span })
    }

    /// The outer `None` is a fault, the inner one says that there is no type.
    #[allow(clippy::option_option)]
    pub(super) fn optional_type(&mut self, kids: &mut Kids<'_>) -> Option<Option<TypeRef>> {
        match kids.one(Rule::type_ref) {
            Some(node) => self.type_ref(node).map(Some),
            None => Some(None),
        }
    }

    /// The outer `None` is a fault, the inner one says that there is no expression.
    #[allow(clippy::option_option)]
    fn optional_expr(&mut self, kids: &mut Kids<'_>) -> Option<Option<crate::ast::Expr>> {
        match kids.one(Rule::expr) {
            Some(node) => self.expr(node).map(Some),
            None => Some(None),
        }
    }

    fn settings(&mut self, node: Node<'_>) -> Option<Settings> {
        let span = self.exact(&node);
        let list = node.into_inner().map(|setting| self.setting(setting)).collect::<Option<_>>()?;
        Some(Settings { list, broken: Vec::new(), span })
    }

    /// `name = value` or `name { ... }`
    pub(crate) fn setting(&mut self, node: Node<'_>) -> Option<Setting> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let name = self.name(&kids.any(&[Rule::key, Rule::quoted])?);
        let node = kids.next()?;
        let value = match node.as_rule() {
            Rule::list => {
                let span = self.exact(&node);
                let list = node.into_inner().map(|item| self.expr(item)).collect::<Option<_>>()?;
                SettingValue::List(list, span)
            }
            Rule::range => {
                let range = self.range(node)?;
                match self.optional_expr(&mut kids)? {
                    Some(per) => SettingValue::Per(range, per),
                    None => SettingValue::Range(range),
                }
            }
            Rule::settings => SettingValue::Block(self.settings(node)?),
            _ => return None,
        };
        Some(Setting { name, value, span })
    }
}
