//! One value of a setting: read as the kind that the table wants.

use std::sync::Arc;

use gwp_core::Value;
use gwp_core::manifest::{Setting, SettingKind, SettingValue, written_bytes, written_duration};
use gwp_syntax::ast::{self, Call, Expr, ExprKind, Text, TextPart};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use super::Fields;
use crate::check::resolve::Meaning;
use crate::check::{Checker, Scope};
use crate::items::{Items, nearest};
use crate::units::Unit;
use crate::world::World;

/// A default as the table gives it, written like in a program.
pub(super) fn default(
    def: &Setting,
    text: &str,
    checker: &mut Checker<'_, '_>,
    scope: &Scope<'_>,
) -> Option<SettingValue> {
    match def.kind {
        SettingKind::Text => {
            let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
            Some(SettingValue::Text(plain.into()))
        }
        SettingKind::Choice(_) => Some(SettingValue::Text(text.into())),
        SettingKind::Bool => Some(SettingValue::Bool(text == "true")),
        _ => {
            let program = format!("sink defaults : any {{ {} = {text} }}", def.name);
            let parsed = gwp_syntax::parse(gwp_syntax::FileId(u32::MAX), &program);
            let Some(ast::Item::Sink(sink)) = parsed.file.items.first() else { return None };
            sink.settings.list.first().and_then(|setting| checker.setting(setting, def, scope))
        }
    }
}

/// The value of a setting from a text that stands outside of programs, such as a variable of a node: free text as it
/// is, all else written as in a program (`5`, `250 ms`, `20 MB`, `true`, the word of a choice).
///
/// # Errors
/// A sentence that says what the setting needs.
pub fn setting_from_text(def: &Setting, text: &str) -> Result<SettingValue, String> {
    if matches!(def.kind, SettingKind::Text | SettingKind::Secret) {
        return Ok(SettingValue::Text(text.into()));
    }
    let wrong = || format!("`{text}` is not {}", kind_words(&def.kind));
    let program = format!("sink node : any {{ {} = {text} }}", def.name);
    let parsed = gwp_syntax::parse(gwp_syntax::FileId(u32::MAX), &program);
    let [ast::Item::Sink(sink)] = parsed.file.items.as_slice() else { return Err(wrong()) };
    let [written] = sink.settings.list.as_slice() else { return Err(wrong()) };
    if !parsed.diagnostics.is_empty() {
        return Err(wrong());
    }
    let (world, mut report) = (World::new(Items::default()), Diagnostics::default());
    let value = Checker::new(&world, &mut report).setting(written, def, &Scope::constant());
    match (value, report.into_sorted().first()) {
        (Some(SettingValue::NodeRef(_) | SettingValue::SecretRef(_)) | None, None) => Err(wrong()),
        (Some(value), None) => Ok(value),
        (_, Some(found)) => Err(format!("`{text}` does not do: {}", found.message)),
    }
}

impl Checker<'_, '_> {
    /// The value of a setting, checked; reports what is wrong with it.
    pub(crate) fn setting(
        &mut self,
        written: &ast::Setting,
        def: &Setting,
        scope: &Scope<'_>,
    ) -> Option<SettingValue> {
        match (&written.value, &def.kind) {
            (ast::SettingValue::Block(block), SettingKind::Block(table)) => {
                let owner = format!("the block `{}`", written.name);
                let fields = Fields::new(owner, written.name.span, &block.list, &block.broken, self.report);
                Some(SettingValue::Block(fields.finish(table, &[], true, self, scope)))
            }
            (ast::SettingValue::List(list, _), SettingKind::TextList) => {
                let texts: Option<Vec<Arc<str>>> =
                    list.iter().map(|item| self.text_value(item, written, scope)).collect();
                texts.map(SettingValue::List)
            }
            (ast::SettingValue::Range(range), kind)
                if range.high.is_none() && !matches!(kind, SettingKind::Block(_) | SettingKind::TextList) =>
            {
                self.single_setting(&range.low, written, def, scope)
            }
            _ => {
                self.wrong_kind(written, def, written.span);
                None
            }
        }
    }

    fn wrong_kind(&mut self, written: &ast::Setting, def: &Setting, at: Span) {
        let message = format!("`{}` needs {}", written.name, kind_words(&def.kind));
        self.report
            .push(Diagnostic::new("E407", at, message).help(format!("for example `{}`", example(def))));
    }

    fn single_setting(
        &mut self,
        value: &Expr,
        written: &ast::Setting,
        def: &Setting,
        scope: &Scope<'_>,
    ) -> Option<SettingValue> {
        if let ExprKind::Call(call) = &value.kind
            && matches!(call.name.text.as_str(), "secret" | "node")
        {
            return self.reference(call, def);
        }
        match &def.kind {
            SettingKind::Secret => {
                self.open_secret(value, written);
                None
            }
            SettingKind::Text => match &value.kind {
                ExprKind::Text(_) => self.text_value(value, written, scope).map(SettingValue::Text),
                _ => match self.fixed_text_value(value, scope) {
                    Some(text) => Some(SettingValue::Text(text)),
                    None => {
                        self.wrong_kind(written, def, value.span);
                        None
                    }
                },
            },
            SettingKind::Choice(words) => {
                self.choice_of(value, written, words).map(|word| SettingValue::Text(word.into()))
            }
            SettingKind::Bool => match self.fixed(value, scope)? {
                Value::Bool(value) => Some(SettingValue::Bool(value)),
                _ => {
                    self.wrong_kind(written, def, value.span);
                    None
                }
            },
            SettingKind::Int { min, max } => match self.fixed_plain(value, written, def, scope)? {
                Value::Int(number) => self
                    .bounded(number, (*min, *max), |number| number.to_string(), value.span, written)
                    .map(|()| SettingValue::Int(number)),
                _ => {
                    self.wrong_kind(written, def, value.span);
                    None
                }
            },
            SettingKind::Float { min, max } => {
                let number = self.fixed_number(value, &Unit::none(), false, scope)?;
                self.bounded(number, (*min, *max), |number| number.to_string(), value.span, written)
                    .map(|()| SettingValue::Float(number))
            }
            SettingKind::Duration { min_ms, max_ms } => {
                let seconds = self.fixed_number(value, &Unit::second(), false, scope)?;
                let ns = (seconds * 1e9).round() as i64;
                let bounds = (min_ms.saturating_mul(1_000_000), max_ms.saturating_mul(1_000_000));
                self.bounded(ns, bounds, written_duration, value.span, written)?;
                Some(SettingValue::Duration(ns))
            }
            SettingKind::Bytes { min, max } => {
                let bytes = self.fixed_number(value, &Unit::byte(), false, scope)?;
                let bytes = bytes.round() as u64;
                self.bounded(bytes, (*min, *max), written_bytes, value.span, written)?;
                Some(SettingValue::Bytes(bytes))
            }
            SettingKind::TextList | SettingKind::Block(_) => {
                self.wrong_kind(written, def, value.span);
                None
            }
        }
    }

    fn open_secret(&mut self, value: &Expr, written: &ast::Setting) {
        let message = format!("`{}` is written in a file that others read", written.name);
        let fault = Diagnostic::new("E404", value.span, message).here("a secret");
        let name = &written.name;
        let help = format!("write `{name} = secret(\"{name}\")` and put the value into node.toml");
        self.report.push(fault.help(help).fix_here(format!("secret(\"{}\")", name.text)));
    }

    /// `secret("pg")` or `node("serial_a")`.
    fn reference(&mut self, call: &Call, def: &Setting) -> Option<SettingValue> {
        let name = match call.args.as_slice() {
            [arg] => match &arg.value.kind {
                ExprKind::Text(text) => text.literal().filter(|name| !name.is_empty()),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            let fault = Diagnostic::new("E407", call.span, format!("`{}` needs a name", call.name));
            self.report
                .push(fault.help(format!("write `{}(\"name\")`; the value stands in node.toml", call.name)));
            return None;
        };
        let secret = call.name.text == "secret";
        if secret && !matches!(def.kind, SettingKind::Secret | SettingKind::Text) {
            let fault = Diagnostic::new("E407", call.span, format!("`{}` is not secret", def.name));
            self.report.push(fault.help("what differs from node to node is written `node(\"name\")`"));
            return None;
        }
        Some(if secret { SettingValue::SecretRef(name.into()) } else { SettingValue::NodeRef(name.into()) })
    }

    /// A word out of a list.
    pub(crate) fn choice_of(
        &mut self,
        value: &Expr,
        written: &ast::Setting,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let word = match &value.kind {
            ExprKind::Path(path) if path.members.is_none() && path.rest.is_empty() => {
                Some(path.root.text.as_str())
            }
            _ => None,
        };
        if let Some(found) = word.and_then(|word| words.iter().find(|known| **known == word)) {
            return Some(found);
        }
        let list = words.join(", ");
        let fault = Diagnostic::new("E407", value.span, format!("`{}` is one of {list}", written.name));
        let near = word.and_then(|word| nearest(word, words.iter().copied()));
        self.report.push(match (near, &value.kind) {
            (Some(near), _) => fault.help(format!("did you mean `{near}`?")).fix_here(near),
            (None, ExprKind::Text(text)) => {
                let fault = fault.help("write the word without quotes");
                match text.literal().filter(|text| words.contains(&text.as_str())) {
                    Some(word) => fault.fix_here(word),
                    None => fault,
                }
            }
            _ => fault,
        });
        None
    }

    /// A value that is known now.
    fn fixed(&mut self, value: &Expr, scope: &Scope<'_>) -> Option<Value> {
        let typed = self.expr(value, scope);
        if typed.is_error() {
            return None;
        }
        let constant = typed.constant().cloned();
        if constant.is_none() {
            self.report.push(Diagnostic::new("E210", value.span, "a fixed value is needed here"));
        }
        constant
    }

    /// A fixed number without unit.
    fn fixed_plain(
        &mut self,
        value: &Expr,
        written: &ast::Setting,
        def: &Setting,
        scope: &Scope<'_>,
    ) -> Option<Value> {
        let typed = self.expr(value, scope);
        if typed.is_error() {
            return None;
        }
        if typed.as_number().is_some_and(|number| !number.unit.is_none()) {
            let fault =
                Diagnostic::new("E407", value.span, format!("`{}` is a number without unit", written.name));
            self.report.push(fault.help(format!("for example `{}`", example(def))));
            return None;
        }
        match typed.constant() {
            Some(constant) => Some(constant.clone()),
            None => {
                self.report.push(Diagnostic::new("E210", value.span, "a fixed value is needed here"));
                None
            }
        }
    }

    /// Reports a value outside of its bounds; `words` shows it as a program writes it.
    fn bounded<T: PartialOrd + Copy>(
        &mut self,
        value: T,
        (min, max): (T, T),
        words: impl Fn(T) -> String,
        at: Span,
        written: &ast::Setting,
    ) -> Option<()> {
        if (min..=max).contains(&value) {
            return Some(());
        }
        let message = format!("`{}` goes from {} to {}", written.name, words(min), words(max));
        self.report.push(Diagnostic::new("E407", at, message).here(format!("this is {}", words(value))));
        None
    }

    /// A constant or parameter that is text.
    fn fixed_text_value(&mut self, value: &Expr, scope: &Scope<'_>) -> Option<Arc<str>> {
        let ExprKind::Path(path) = &value.kind else { return None };
        match self.world.resolve(path, scope) {
            Meaning::Value(typed) => match typed.constant() {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text for a component: inserts that are known now are filled in, words that are not stay for the component
    /// to fill in (`{device}`, `{date}`).
    pub(super) fn text_value(
        &mut self,
        value: &Expr,
        written: &ast::Setting,
        scope: &Scope<'_>,
    ) -> Option<Arc<str>> {
        let ExprKind::Text(text) = &value.kind else {
            let fault = Diagnostic::new(
                "E407",
                value.span,
                format!("`{}` needs text in double quotes", written.name),
            );
            self.report.push(fault);
            return None;
        };
        self.text_for_component(text, scope).map(Into::into)
    }

    fn text_for_component(&mut self, text: &Text, scope: &Scope<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &text.parts {
            match part {
                TextPart::Literal(literal) => out.push_str(literal),
                TextPart::Insert(insert) => match &insert.kind {
                    ExprKind::Path(path)
                        if path.rest.is_empty()
                            && path.members.is_none()
                            && !matches!(self.world.resolve(path, scope), Meaning::Value(_)) =>
                    {
                        out.push_str(&format!("{{{}}}", path.root.text));
                    }
                    _ => out.push_str(&self.fixed_insert(insert, scope)?),
                },
            }
        }
        Some(out)
    }
}

fn kind_words(kind: &SettingKind) -> &'static str {
    match kind {
        SettingKind::Bool => "`true` or `false`",
        SettingKind::Int { .. } => "a whole number",
        SettingKind::Float { .. } => "a number",
        SettingKind::Duration { .. } => "a time",
        SettingKind::Bytes { .. } => "an amount of data",
        SettingKind::Text => "text in double quotes",
        SettingKind::Secret => "`secret(\"name\")`",
        SettingKind::Choice(_) => "a word",
        SettingKind::TextList => "a list of texts",
        SettingKind::Block(_) => "a block in braces",
    }
}

fn example(def: &Setting) -> String {
    let name = def.name;
    match def.kind {
        SettingKind::Bool => format!("{name} = true"),
        SettingKind::Int { min, .. } => format!("{name} = {min}"),
        SettingKind::Float { min, .. } => format!("{name} = {min}"),
        SettingKind::Duration { .. } => format!("{name} = 5 s"),
        SettingKind::Bytes { .. } => format!("{name} = 20 MB"),
        SettingKind::Text => format!("{name} = \"text\""),
        SettingKind::Secret => format!("{name} = secret(\"{name}\")"),
        SettingKind::Choice(words) => format!("{name} = {}", words.first().unwrap_or(&"word")),
        SettingKind::TextList => format!("{name} = [\"a\", \"b\"]"),
        SettingKind::Block(_) => format!("{name} {{ ... }}"),
    }
}
