//! Units of measurement: what they measure, how large they are, and how they are written.
//!
//! A unit is (dimension vector, factor, point or difference). The factor turns a value into the coherent unit of its
//! dimension: `kW` has 1000. A point (degC, degF) has an offset too and marks a place on a scale; points can be
//! compared and subtracted, not added or multiplied. In a product or quotient a point counts as a difference.
//!
//! Source of names and factors: SI Brochure (9th edition), NIST SP 811 for units outside of it.

mod table;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use table::common;
pub(crate) use words::quantity_name;

/// True for a unit that every program knows, such as `kW`, `°C` or `m3/h`.
pub fn is_unit(written: &str) -> bool {
    Units::default().find(written).is_some()
}

/// The base dimensions that everybody shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Base {
    Length,
    Mass,
    Time,
    Current,
    Temperature,
    Amount,
    Light,
    Angle,
    Data,
}

const BASES: usize = 9;

/// Exponents are kept in halves, so that a square root of a unit is a unit.
const ONE: i16 = 2;

/// A dimension vector: exponents of the base dimensions, and of those that the project declares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dim {
    base: [i16; BASES],
    own: BTreeMap<u16, i16>,
}

impl Dim {
    /// The dimension of a plain number.
    pub(crate) fn none() -> Self {
        Dim::default()
    }

    fn of(base: Base) -> Self {
        let mut dim = Dim::default();
        dim.base[base as usize] = ONE;
        dim
    }

    fn own(number: u16) -> Self {
        Dim { own: [(number, ONE)].into(), ..Dim::default() }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Dim::default()
    }

    /// The product of this and `other` to the power `times` (1 or -1).
    fn times(&self, other: &Dim, times: i16) -> Dim {
        let mut product = self.clone();
        for (exponent, more) in product.base.iter_mut().zip(other.base) {
            *exponent = exponent.saturating_add(more.saturating_mul(times));
        }
        for (number, more) in &other.own {
            let exponent = product.own.entry(*number).or_default();
            *exponent = exponent.saturating_add(more.saturating_mul(times));
        }
        product.own.retain(|_, exponent| *exponent != 0);
        product
    }

    fn map(&self, change: impl Fn(i16) -> Option<i16>) -> Option<Dim> {
        let mut dim = Dim::default();
        for (to, exponent) in dim.base.iter_mut().zip(self.base) {
            *to = change(exponent)?;
        }
        for (number, exponent) in &self.own {
            dim.own.insert(*number, change(*exponent)?);
        }
        dim.own.retain(|_, exponent| *exponent != 0);
        Some(dim)
    }
}

/// A unit.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Unit {
    pub dim: Dim,
    /// Value in this unit x factor = value in the coherent unit.
    pub factor: f64,
    /// Added after the factor; not 0 only for points.
    pub offset: f64,
    /// A place on a scale rather than an amount.
    pub point: bool,
    /// As written, aliases replaced; empty for a plain number.
    pub text: Arc<str>,
}

/// Longest text of a derived unit; longer ones show their quantity only.
const TEXT_MAX: usize = 40;

impl Unit {
    /// A plain number.
    pub(crate) fn none() -> Self {
        Unit { dim: Dim::none(), factor: 1.0, offset: 0.0, point: false, text: "".into() }
    }

    /// The second, in which differences of times are kept.
    pub(crate) fn second() -> Self {
        Unit { dim: Dim::of(Base::Time), factor: 1.0, offset: 0.0, point: false, text: "s".into() }
    }

    /// Percent, in which coverage is kept.
    pub(crate) fn percent() -> Self {
        Unit { factor: 0.01, text: "%".into(), ..Unit::none() }
    }

    /// The byte, in which amounts of data are kept.
    pub(crate) fn byte() -> Self {
        Unit { dim: Dim::of(Base::Data), factor: 8.0, offset: 0.0, point: false, text: "B".into() }
    }

    /// The radian, which the trigonometric functions take.
    pub(crate) fn radian() -> Self {
        Unit { dim: Dim::of(Base::Angle), factor: 1.0, offset: 0.0, point: false, text: "rad".into() }
    }

    /// True for a plain number; `%` is not one, though it has no dimension.
    pub(crate) fn is_none(&self) -> bool {
        self.dim.is_none() && self.factor == 1.0
    }

    /// The unit of differences between values in this unit.
    pub(crate) fn difference(&self) -> Unit {
        if !self.point {
            return self.clone();
        }
        let text = if &*self.text == "degF" { "degF" } else { "K" };
        Unit { offset: 0.0, point: false, text: text.into(), ..self.clone() }
    }

    pub(crate) fn times(&self, other: &Unit) -> Unit {
        self.derived(other, 1, "*")
    }

    pub(crate) fn per(&self, other: &Unit) -> Unit {
        self.derived(other, -1, "/")
    }

    fn derived(&self, other: &Unit, sign: i16, between: &str) -> Unit {
        let dim = self.dim.times(&other.dim, sign);
        let factor = if sign > 0 { self.factor * other.factor } else { self.factor / other.factor };
        let text = match (&*self.text, &*other.text) {
            (left, "") => left.to_owned(),
            ("", right) if sign > 0 => right.to_owned(),
            ("", right) => format!("1/{right}"),
            (left, right) if sign < 0 && left == right => String::new(),
            (left, right) if right.contains(['*', '/']) => format!("{left}{between}({right})"),
            (left, right) => format!("{left}{between}{right}"),
        };
        let text = if text.len() > TEXT_MAX { String::new() } else { text };
        Unit { dim, factor, offset: 0.0, point: false, text: text.into() }
    }

    /// The unit to a whole power.
    pub(crate) fn power(&self, exponent: i16) -> Option<Unit> {
        let dim = self.dim.map(|of_base| of_base.checked_mul(exponent))?;
        let factor = self.factor.powi(i32::from(exponent));
        let text = if self.text.is_empty() { String::new() } else { format!("({})^{exponent}", self.text) };
        factor.is_normal().then(|| Unit { dim, factor, offset: 0.0, point: false, text: text.into() })
    }

    /// The unit of a square root; `None` for a unit that is no square.
    pub(crate) fn root(&self) -> Option<Unit> {
        let dim = self.dim.map(|exponent| (exponent % 2 == 0).then_some(exponent / 2))?;
        let text = if self.text.is_empty() { String::new() } else { format!("sqrt({})", self.text) };
        Some(Unit { dim, factor: self.factor.sqrt(), offset: 0.0, point: false, text: text.into() })
    }

    /// `value in this unit * gain + offset = value in other`; both must have one dimension.
    pub(crate) fn to(&self, other: &Unit) -> (f64, f64) {
        let gain = if self.factor == other.factor { 1.0 } else { self.factor / other.factor };
        if !(self.point && other.point) {
            return (gain, 0.0);
        }
        // Zero points are hundredths of a degree, and degrees are ninths of each other.
        let parts = (self.offset - other.offset) / other.factor * 900.0;
        (gain, parts.round() / 900.0)
    }
}

/// As written; a plain number says so.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.text, self.dim.is_none()) {
            ("", true) => f.write_str("no unit"),
            ("", false) => write!(f, "a unit of {}", quantity_name(&self.dim)),
            (text, _) => f.write_str(text),
        }
    }
}

/// The units a project can use: those of everybody, and its own.
#[derive(Debug, Default)]
pub(crate) struct Units {
    own: BTreeMap<Arc<str>, Unit>,
}

impl Units {
    /// Declares a unit; `value` is what one of it is, `None` for a new base. `None` if there are too many.
    pub(crate) fn declare(&mut self, name: &str, value: Option<(f64, Unit)>) -> Option<()> {
        let number =
            u16::try_from(self.own.len()).ok().filter(|n| usize::from(*n) < crate::limits::OWN_UNITS_MAX)?;
        let (dim, factor) = match value {
            None => (Dim::own(number), 1.0),
            Some((count, unit)) => (unit.dim, unit.factor * count),
        };
        let text: Arc<str> = name.into();
        self.own.insert(text.clone(), Unit { dim, factor, offset: 0.0, point: false, text });
        Some(())
    }

    /// Reads a unit as written: atoms joined by `/` and `.`, each with an exponent. `None` for an unknown one.
    pub(crate) fn find(&self, written: &str) -> Option<Unit> {
        if let Some(unit) = self.own.get(written) {
            return Some(unit.clone());
        }
        if let Some(whole) = table::whole(written) {
            return Some(whole);
        }
        let mut unit = Unit::none();
        let mut text = String::new();
        let mut rest = written;
        let mut divide = false;
        if let Some(below) = written.strip_prefix("1/") {
            text.push_str("1/");
            (rest, divide) = (below, true);
        }
        loop {
            let end = rest.find(['/', '.', '·']).unwrap_or(rest.len());
            let (atom, after) = rest.split_at_checked(end)?;
            let atom = self.atom(atom)?;
            unit = if divide { unit.per(&atom) } else { unit.times(&atom) };
            text.push_str(&atom.text);
            let Some(sign) = after.chars().next() else { break };
            divide = sign == '/';
            text.push(if divide { '/' } else { '.' });
            rest = after.get(sign.len_utf8()..)?;
        }
        Some(Unit { text: text.into(), ..unit })
    }

    /// One name with its exponent, such as `m3`; a point only becomes one when it stands alone.
    fn atom(&self, written: &str) -> Option<Unit> {
        if let Some(own) = self.own.get(written) {
            return Some(own.clone());
        }
        // A name may end in a digit: `Nm3` is no newton-metre.
        let whole = table::atom(written).is_some();
        let (name, exponent) = if whole { (written, 1) } else { split_exponent(written) };
        let base = match self.own.get(name) {
            Some(own) => own.clone(),
            None => table::atom(name)?,
        };
        if exponent == 1 {
            return Some(Unit { offset: 0.0, point: false, ..base });
        }
        let power = base.power(exponent)?;
        Some(Unit { text: format!("{}{exponent}", base.text).into(), ..power })
    }

    /// The known unit most like an unknown one.
    pub(crate) fn nearest(&self, written: &str) -> Option<String> {
        // the nearest atom in place of the first unknown one, so that `m3/hh` gives `m3/h`
        let mut parts: Vec<String> = Vec::new();
        for part in written.split_inclusive(['/', '.', '·']) {
            let name = part.trim_end_matches(['/', '.', '·']);
            let sign = part.strip_prefix(name).unwrap_or("");
            if name == "1" || self.atom(name).is_some() || table::whole(name).is_some() {
                parts.push(part.to_owned());
                continue;
            }
            let (bare, exponent) = split_exponent(name);
            let own = self.own.keys().map(|own| &**own);
            let known = own.chain(table::common().map(|name: &str| name));
            let near = near_unit(bare, known)?;
            let exponent = if exponent == 1 { String::new() } else { exponent.to_string() };
            parts.push(format!("{near}{exponent}{sign}"));
        }
        let whole = parts.concat();
        (whole != written && self.find(&whole).is_some()).then_some(whole)
    }
}

/// Units that differ in case only come first, then those one letter away.
fn near_unit<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    known.clone().find(|other| other.eq_ignore_ascii_case(name)).or_else(|| gwp_syntax::nearest(name, known))
}

/// Name and exponent of an atom: `m³` and `m3` are m to the power 3.
fn split_exponent(written: &str) -> (&str, i16) {
    if let Some(name) = written.strip_suffix('²') {
        return (name, 2);
    }
    if let Some(name) = written.strip_suffix('³') {
        return (name, 3);
    }
    let name = written.trim_end_matches(|c: char| c.is_ascii_digit());
    match written.get(name.len()..).map(str::parse) {
        Some(Ok(exponent)) if !name.is_empty() => (name, exponent),
        _ => (written, 1),
    }
}

#[cfg(test)]
mod tests;
