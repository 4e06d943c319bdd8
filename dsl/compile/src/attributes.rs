//! Types and attributes of tags, checked and brought into the unit of the tag.

use std::collections::HashSet;
use std::sync::Arc;

use gwp_core::source::PlcType;
use gwp_plan::Linear;
use gwp_syntax::ast::{self, Attr, AttrValue, AttrWord, Expr, Range, Text, TextPart, TypeWord};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::alarms;
use crate::check::{Checker, Scope};
use crate::limits::{LABELS_MAX, TEXT_BYTES_MAX};
use crate::types::{Labels, Number, Ty, Typed};
use crate::units::Unit;
use crate::world::{Attributes, Decl, TagDecl, World};

/// Types and attributes of all tags. Calcs without a declared type get theirs when they are lowered.
pub(crate) fn attributes(world: &mut World<'_>, report: &mut Diagnostics) {
    for at in 0..world.tags.len() {
        let Some(tag) = world.tags.get(at) else { break };
        let scope = Scope { device: Some(tag.device), ..Scope::constant() };
        let found = match tag.decl {
            TagDecl::Connected(_) => (Ty::Bool, Attributes::default(), None),
            // They follow from the target.
            TagDecl::Command(_) | TagDecl::Outcome(_) => continue,
            TagDecl::Alarm(alarm) => (Ty::Bool, alarms::attributes(alarm), None),
            TagDecl::Event(column, _) => alarms::event_attributes(column),
            TagDecl::Orders(_) => (Ty::Text, Attributes::default(), None),
            TagDecl::Tag(decl) => of_tag(world, decl, tag.device, &scope, report),
            TagDecl::Calc(decl) => of_calc(world, decl, &scope, report),
        };
        if let Some(tag) = world.tags.get_mut(at) {
            (tag.ty, tag.attrs, tag.point) = found;
        }
    }
}

pub(crate) type Found = (Ty, Attributes, Option<(Arc<str>, PlcType)>);

fn of_tag(
    world: &World<'_>,
    tag: &ast::Tag,
    device: usize,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Found {
    let mut checker = Checker::new(world, report);
    let declared = checker.type_of(&tag.ty);
    let (ty, attrs) = checker.attributes(declared, &tag.attrs, scope);
    let address = match &tag.at {
        Some(at) => checker.filled_in(at, scope),
        None => None,
    };
    let home = world.device(device);
    let has_source = home.is_some_and(|device| device.source.is_some() || device.check_only);
    // an unknown source is reported where it is named
    let named = home.is_some_and(|home| matches!(home.decl, Decl::Device(device) if device.source.is_some()));
    if !has_source && !named {
        let fault =
            Diagnostic::new("E411", tag.name.span, format!("`{}` has no source to be read from", tag.name));
        report.push(fault.help("give the device a source: `device d on source { }`; or write a calc"));
    } else if tag.at.is_none() {
        let fault = Diagnostic::new("E411", tag.name.span, format!("`{}` has no address", tag.name));
        report.push(fault.help(format!(
            "write `tag {} at \"...\" : {}`",
            tag.name,
            plc_type(tag.ty.word).word()
        )));
    }
    (ty, attrs, address.map(|address| (address.into(), plc_type(tag.ty.word))))
}

fn of_calc(world: &World<'_>, calc: &ast::Calc, scope: &Scope<'_>, report: &mut Diagnostics) -> Found {
    let mut checker = Checker::new(world, report);
    let not_here = [AttrWord::Scan, AttrWord::Scale, AttrWord::Writable];
    for attr in calc.attrs.iter().filter(|attr| not_here.contains(&attr.word)) {
        let message = format!("a calc has no `{}`", attr.word.word());
        checker.report.push(
            Diagnostic::new("E209", attr.span, message)
                .help("it belongs to a tag that is read from a device"),
        );
    }
    let Some(declared) = calc.ty.as_ref().map(|ty| checker.type_of(ty)) else {
        for attr in &calc.attrs {
            let message = format!("`{}` needs the type of the calc", attr.word.word());
            checker.report.push(
                Diagnostic::new("E209", attr.span, message)
                    .help(format!("write `calc {} : real`", calc.name)),
            );
        }
        return (Ty::Error, Attributes::default(), None);
    };
    let allowed: Vec<Attr> =
        calc.attrs.iter().filter(|attr| !not_here.contains(&attr.word)).cloned().collect();
    let (ty, attrs) = checker.attributes(declared, &allowed, scope);
    (ty, attrs, None)
}

/// The type at the device.
fn plc_type(word: TypeWord) -> PlcType {
    match word {
        TypeWord::Bool => PlcType::Bool,
        TypeWord::Byte => PlcType::Byte,
        TypeWord::Sint => PlcType::Sint,
        TypeWord::Usint => PlcType::Usint,
        TypeWord::Int => PlcType::Int,
        TypeWord::Uint => PlcType::Uint,
        TypeWord::Word => PlcType::Word,
        TypeWord::Dint => PlcType::Dint,
        TypeWord::Udint => PlcType::Udint,
        TypeWord::Dword => PlcType::Dword,
        TypeWord::Lint => PlcType::Lint,
        TypeWord::Ulint => PlcType::Ulint,
        TypeWord::Lword => PlcType::Lword,
        TypeWord::Real => PlcType::Real,
        TypeWord::Lreal => PlcType::Lreal,
        TypeWord::String => PlcType::String,
        TypeWord::Time => PlcType::Time,
    }
}

impl Checker<'_, '_> {
    /// Checks attributes against the declared type; gives the type of the samples too, which `scale` and `enum` change.
    fn attributes(&mut self, declared: Ty, list: &[Attr], scope: &Scope<'_>) -> (Ty, Attributes) {
        let mut attrs = Attributes::default();
        let mut ty = declared;
        for (at, attr) in list.iter().enumerate() {
            if let Some(first) = list.iter().take(at).find(|other| other.word == attr.word) {
                let fault =
                    Diagnostic::new("E409", attr.span, format!("`{}` is given twice", attr.word.word()));
                self.report.push(fault.label(first.span, "the first time"));
            }
        }
        let number = match &ty {
            Ty::Number(number) => Some(number.clone()),
            _ => None,
        };
        for attr in list {
            match (attr.word, &number) {
                (AttrWord::Writable, _) => {
                    attrs.writable = true;
                    self.nothing(attr);
                }
                (AttrWord::Desc, _) => attrs.desc = self.description(attr, scope).unwrap_or_default(),
                (AttrWord::Scan, _) => {
                    attrs.scan_ns = self.single(attr).and_then(|value| self.scan(value, scope))
                }
                (AttrWord::Enum, Some(number)) if !number.real && number.unit.is_none() => {
                    attrs.labels = self.labels_of(attr);
                    ty = Ty::Enum(attrs.labels.clone());
                }
                (word, Some(number)) if word != AttrWord::Enum => {
                    let number = number.clone();
                    self.of_number(attr, &number, &mut attrs, scope);
                }
                (_, _) if ty == Ty::Error => {}
                (word, _) => {
                    let needs = if word == AttrWord::Enum { "an integer without unit" } else { "a number" };
                    let fault =
                        Diagnostic::new("E209", attr.span, format!("`{}` needs {needs}", word.word()));
                    self.report.push(fault.here(format!("the tag is declared as {}", ty.describe())));
                }
            }
        }
        if let (true, Ty::Number(Number { unit, .. })) = (attrs.scale.is_some(), &ty) {
            ty = Ty::number(true, unit.clone());
        }
        (ty, attrs)
    }

    fn of_number(&mut self, attr: &Attr, number: &Number, attrs: &mut Attributes, scope: &Scope<'_>) {
        let unit = &number.unit;
        match attr.word {
            AttrWord::Scale => attrs.scale = self.scale(attr, unit, scope),
            AttrWord::Range => attrs.range = self.ends(attr, unit, scope),
            AttrWord::Counter if attr.value == AttrValue::None => attrs.counter = Some(None),
            AttrWord::Counter => attrs.counter = Some(self.counter(attr, unit, scope)),
            _ => {
                let value = self.single(attr);
                attrs.deadband = value.and_then(|value| self.fixed_number(value, unit, true, scope));
                if attrs.deadband.is_some_and(|band| band < 0.0) {
                    self.report.push(Diagnostic::new("E208", attr.span, "a deadband cannot be negative"));
                }
            }
        }
    }

    /// The single value behind an attribute.
    fn single<'e>(&mut self, attr: &'e Attr) -> Option<&'e Expr> {
        match &attr.value {
            AttrValue::Range(range) if range.high.is_none() => Some(&range.low),
            _ => {
                let message = format!("`{}` needs one value", attr.word.word());
                self.report.push(Diagnostic::new("E407", attr.span, message));
                None
            }
        }
    }

    fn nothing(&mut self, attr: &Attr) {
        if attr.value != AttrValue::None {
            let message = format!("`{}` takes no value", attr.word.word());
            self.report.push(Diagnostic::new("E407", attr.span, message));
        }
    }

    /// A period of scanning in nanoseconds.
    pub(crate) fn scan(&mut self, value: &Expr, scope: &Scope<'_>) -> Option<i64> {
        const SHORTEST_S: f64 = 0.001;
        const LONGEST_S: f64 = 86_400.0;
        let seconds = self.fixed_number(value, &Unit::second(), false, scope)?;
        if !(SHORTEST_S..=LONGEST_S).contains(&seconds) {
            let fault = Diagnostic::new("E407", value.span, "a scan takes from 1 ms to 1 d");
            self.report.push(fault.here(format!("this is {seconds} s")));
            return None;
        }
        Some((seconds * 1e9).round() as i64)
    }

    fn description(&mut self, attr: &Attr, scope: &Scope<'_>) -> Option<Arc<str>> {
        let value = self.single(attr)?;
        match &value.kind {
            ast::ExprKind::Text(text) => self.filled_in(text, scope).map(Into::into),
            _ => {
                self.report.push(Diagnostic::new("E407", value.span, "`desc` needs text in double quotes"));
                None
            }
        }
    }

    fn labels_of(&mut self, attr: &Attr) -> Labels {
        let AttrValue::Pairs(pairs) = &attr.value else {
            let fault = Diagnostic::new("E407", attr.span, "`enum` needs labels");
            self.report.push(fault.help("write `enum { 0 = \"stopped\", 1 = \"running\" }`"));
            return Labels::default();
        };
        if pairs.len() > LABELS_MAX {
            let message = format!("an `enum` may have {LABELS_MAX} labels");
            self.report.push(Diagnostic::new("E199", attr.span, message));
            return Labels::default();
        }
        let mut labels: Vec<(i64, Arc<str>)> = Vec::new();
        let (mut numbers, mut texts) = (HashSet::new(), HashSet::new());
        for pair in pairs {
            let (Ok(number), Some(label)) = (pair.number.text.parse::<i64>(), pair.label.literal()) else {
                self.report.push(Diagnostic::new("E208", pair.span, "a label is fixed text for an integer"));
                continue;
            };
            if numbers.contains(&number) || texts.contains(&label) {
                let fault = Diagnostic::new("E208", pair.span, "this number or label is there already");
                self.report.push(fault.help("each number has one label, each label one number"));
                continue;
            }
            if let Err(fault) = self.world.unfolded.text(label.len(), pair.span) {
                self.report.extend(fault);
                break;
            }
            numbers.insert(number);
            labels.push((number, label.as_str().into()));
            texts.insert(label);
        }
        labels.sort();
        labels.into()
    }

    /// Low and high end in the unit of the tag; the low end takes the unit of the high end if it has none.
    fn ends(&mut self, attr: &Attr, unit: &Unit, scope: &Scope<'_>) -> Option<(f64, f64)> {
        let AttrValue::Range(range) = &attr.value else { return self.no_range(attr) };
        let Some(high) = range.high.as_ref().filter(|_| range.to.is_none()) else {
            return self.no_range(attr);
        };
        self.low_high(&range.low, high, unit, range.span, scope)
    }

    fn no_range<T>(&mut self, attr: &Attr) -> Option<T> {
        let message = format!("`{}` needs a range", attr.word.word());
        self.report.push(Diagnostic::new("E407", attr.span, message).help("such as `0..100 kW`"));
        None
    }

    pub(crate) fn low_high(
        &mut self,
        low: &Expr,
        high: &Expr,
        unit: &Unit,
        at: Span,
        scope: &Scope<'_>,
    ) -> Option<(f64, f64)> {
        let (low, high) = self.both_ends(low, high, unit, scope)?;
        if low >= high {
            self.report.push(Diagnostic::new("E208", at, "the low end must be below the high end"));
            return None;
        }
        Some((low, high))
    }

    fn both_ends(&mut self, low: &Expr, high: &Expr, unit: &Unit, scope: &Scope<'_>) -> Option<(f64, f64)> {
        let high_value = self.fixed_number(high, unit, false, scope);
        let bare = self.bare(low, scope);
        let low_value = match bare {
            Some(bare) => {
                let own = match self.expr(high, scope).ty {
                    Ty::Number(number) => number.unit,
                    _ => unit.clone(),
                };
                Typed::new(bare.expr, Ty::number(true, own)).number_in(unit)
            }
            None => self.fixed_number(low, unit, false, scope),
        };
        Some((low_value?, high_value?))
    }

    /// A number without unit.
    fn bare(&mut self, expr: &Expr, scope: &Scope<'_>) -> Option<Typed> {
        let typed = self.expr(expr, scope);
        let bare =
            typed.as_number().is_some_and(|number| number.unit.is_none()) && typed.constant().is_some();
        bare.then(|| typed.into_real())
    }

    /// `counter 0..32767`: in the unit of the tag, which may be left out.
    fn counter(&mut self, attr: &Attr, unit: &Unit, scope: &Scope<'_>) -> Option<(f64, f64)> {
        let AttrValue::Range(range) = &attr.value else { return self.no_range(attr) };
        let high = range.high.as_ref().filter(|_| range.to.is_none());
        let Some(high) = high else { return self.no_range(attr) };
        let unit = if self.bare(high, scope).is_some() { Unit::none() } else { unit.clone() };
        self.low_high(&range.low, high, &unit, range.span, scope)
    }

    /// `scale 0.1` or `scale 0..27648 -> 0..150 degC`.
    fn scale(&mut self, attr: &Attr, unit: &Unit, scope: &Scope<'_>) -> Option<Linear> {
        match &attr.value {
            AttrValue::Range(range) if range.high.is_none() => {
                let gain = self.fixed_number(&range.low, &Unit::none(), false, scope)?;
                if gain == 0.0 {
                    self.report.push(Diagnostic::new(
                        "E208",
                        attr.span,
                        "a scale of 0 leaves nothing of the value",
                    ));
                    return None;
                }
                Some(Linear { gain, offset: 0.0 })
            }
            AttrValue::Range(range) => self.scale_ranges(range, unit, scope),
            _ => self.no_range(attr),
        }
    }

    fn scale_ranges(&mut self, range: &Range, unit: &Unit, scope: &Scope<'_>) -> Option<Linear> {
        let (Some(raw_high), Some(to)) = (&range.high, &range.to) else {
            let fault =
                Diagnostic::new("E407", range.span, "`scale` needs a factor, or a raw and a scaled range");
            self.report.push(fault.help("write `scale 0.1` or `scale 0..27648 -> 0..150 degC`"));
            return None;
        };
        let raw = self.both_ends(&range.low, raw_high, &Unit::none(), scope);
        let scaled = self.both_ends(&to.0, &to.1, unit, scope);
        let ((raw_low, raw_high), (low, high)) = (raw?, scaled?);
        if raw_low == raw_high || low == high {
            self.report.push(Diagnostic::new("E208", range.span, "both ends of a range are the same"));
            return None;
        }
        let gain = (high - low) / (raw_high - raw_low);
        Some(Linear { gain, offset: low - raw_low * gain })
    }

    /// A text with its inserts filled in now.
    pub(crate) fn filled_in(&mut self, text: &Text, scope: &Scope<'_>) -> Option<String> {
        let mut out = String::new();
        let mut complete = true;
        for part in &text.parts {
            match part {
                TextPart::Literal(literal) => out.push_str(literal),
                TextPart::Insert(insert) => match self.fixed_insert(insert, scope) {
                    Some(value) => out.push_str(&value),
                    None => complete = false,
                },
            }
        }
        if out.len() > TEXT_BYTES_MAX {
            self.report.push(Diagnostic::new(
                "E199",
                text.span,
                format!("a text may have {TEXT_BYTES_MAX} bytes"),
            ));
            return None;
        }
        if let Err(fault) = self.world.unfolded.text(out.len(), text.span) {
            self.report.extend(fault);
            return None;
        }
        complete.then_some(out)
    }

    /// An insert whose value is known now; reports it otherwise.
    pub(crate) fn fixed_insert(&mut self, insert: &Expr, scope: &Scope<'_>) -> Option<String> {
        let typed = self.expr(insert, scope);
        if typed.is_error() {
            return None;
        }
        let value = typed.constant().map(ToString::to_string);
        if value.is_none() {
            self.report.push(Diagnostic::new("E210", insert.span, "a fixed value is needed here"));
        }
        value
    }
}
