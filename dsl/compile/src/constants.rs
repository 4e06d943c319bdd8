//! Declared units and constants: evaluated once, before anything uses them.

use std::collections::HashMap;

use gwp_core::Value;
use gwp_syntax::ast::{self, ExprKind, TypeRef, TypeWord};
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::check::call::for_each_path;
use crate::check::{Checker, Scope};
use crate::order::order;
use crate::types::{Ty, Typed};
use crate::world::World;

/// Declares the units of the project; they may build on each other in any order.
pub(crate) fn units(world: &mut World<'_>, report: &mut Diagnostics) {
    let mut seen: HashMap<&str, &ast::UnitDef> = HashMap::new();
    let mut fresh = Vec::new();
    for unit in &world.items.units {
        let name = unit.unit.text.as_str();
        if let Some(first) = seen.get(name) {
            let fault =
                Diagnostic::new("E103", unit.unit.span, format!("the unit `{name}` is declared twice"));
            report.push(fault.label(first.unit.span, "the first time"));
        } else if world.units.find(name).is_some() {
            let fault = Diagnostic::new("E213", unit.unit.span, format!("the unit `{name}` is built in"));
            report.push(fault.help("use it without declaring it, or choose another name"));
        } else if name.contains(['/', '.', '·', '%'])
            || name.ends_with(|c: char| c.is_ascii_digit() || "²³".contains(c))
        {
            let fault =
                Diagnostic::new("E213", unit.unit.span, format!("`{name}` cannot be the name of a unit"));
            report.push(fault.help("a name of letters, such as `pcs`"));
        } else {
            seen.insert(name, unit);
            fresh.push(*unit);
        }
    }
    let index: HashMap<&str, usize> =
        fresh.iter().enumerate().map(|(at, unit)| (unit.unit.text.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = fresh.iter().map(|unit| needs_of(unit, &index)).collect();
    let order = order(&needs);
    for ring in &order.rings {
        if let Some(unit) = ring.first().and_then(|at| fresh.get(*at)) {
            report.push(Diagnostic::new(
                "E104",
                unit.unit.span,
                format!("the unit `{}` depends on itself", unit.unit.text),
            ));
        }
    }
    for unit in order.sorted.into_iter().filter_map(|at| fresh.get(at)) {
        declare(world, unit, report);
    }
}

/// Declared units that the definition of a unit mentions.
fn needs_of(unit: &ast::UnitDef, index: &HashMap<&str, usize>) -> Vec<usize> {
    let mut needs = Vec::new();
    if let Some(ExprKind::Quantity(quantity)) = unit.value.as_ref().map(|value| &value.kind)
        && let Some(written) = &quantity.unit
    {
        let parts = written.text.split(['/', '.', '·']);
        needs.extend(parts.filter_map(|part| index.get(part).copied()));
    }
    needs.sort_unstable();
    needs.dedup();
    needs
}

fn declare(world: &mut World<'_>, unit: &ast::UnitDef, report: &mut Diagnostics) {
    let value = match &unit.value {
        None => None,
        Some(expr) => {
            let typed = Checker::new(world, report).expr(expr, &Scope::constant());
            match (&typed.ty, typed.constant().and_then(Value::as_f64)) {
                (Ty::Error, _) => return,
                (Ty::Number(number), Some(count)) if !number.unit.point && count > 0.0 => {
                    Some((count, number.unit.clone()))
                }
                _ => {
                    let fault = Diagnostic::new("E213", expr.span, "a unit is so many of another unit");
                    report.push(fault.help(format!("such as `unit {} = 48 pcs`", unit.unit.text)));
                    return;
                }
            }
        }
    };
    if world.units.declare(&unit.unit.text, value).is_none() {
        let max = crate::limits::OWN_UNITS_MAX;
        report.push(Diagnostic::new("E199", unit.unit.span, format!("a project may declare {max} units")));
    }
}

/// Evaluates the constants of the project.
pub(crate) fn consts(world: &mut World<'_>, report: &mut Diagnostics) {
    let list = world.items.consts.clone();
    let index: HashMap<&str, usize> =
        list.iter().enumerate().map(|(at, item)| (item.name.text.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = list
        .iter()
        .map(|item| {
            let mut needs = Vec::new();
            for_each_path(&item.value, &mut |path, _| {
                needs.extend(index.get(path.root.text.as_str()).copied())
            });
            needs.sort_unstable();
            needs.dedup();
            needs
        })
        .collect();
    let order = order(&needs);
    for ring in &order.rings {
        let names: Vec<_> =
            ring.iter().filter_map(|at| list.get(*at)).map(|item| item.name.text.as_str()).collect();
        if let Some(item) = ring.first().and_then(|at| list.get(*at)) {
            let fault = Diagnostic::new("E104", item.name.span, format!("`{}` depends on itself", item.name));
            report.push(fault.here(format!("{} -> {}", names.join(" -> "), item.name)));
        }
    }
    for item in &list {
        world.consts.insert(&item.name.text, Typed::error());
    }
    for item in order.sorted.into_iter().filter_map(|at| list.get(at)) {
        let mut checker = Checker::new(world, report);
        let scope = Scope::constant();
        let value = checker.expr(&item.value, &scope);
        let value = match &item.ty {
            None => value,
            Some(ty) => {
                let wanted = checker.type_of(ty);
                checker.declared(value, &wanted, item.value.span, ty.span, &format!("`{}`", item.name))
            }
        };
        if value.is_error() || value.constant().is_some() {
            world.consts.insert(&item.name.text, value);
        } else {
            let fault = Diagnostic::new("E210", item.value.span, "this has no fixed value");
            report.push(fault.help("a constant is computed once; check for a division by zero"));
        }
    }
}

impl Checker<'_, '_> {
    /// The type that a declaration gives to a tag, calc, constant or parameter.
    pub(crate) fn type_of(&mut self, ty: &TypeRef) -> Ty {
        let unit = match &ty.unit {
            Some(written) => match self.unit(written) {
                Some(unit) => Some(unit),
                None => return Ty::Error,
            },
            None => None,
        };
        let plain = match ty.word {
            TypeWord::Bool => Ty::Bool,
            TypeWord::String => Ty::Text,
            TypeWord::Time => Ty::Time,
            TypeWord::Real | TypeWord::Lreal => {
                return Ty::number(true, unit.unwrap_or_else(crate::units::Unit::none));
            }
            _ => return Ty::number(false, unit.unwrap_or_else(crate::units::Unit::none)),
        };
        if let Some(written) = &ty.unit {
            let fault = Diagnostic::new("E209", written.span, "only numbers have a unit");
            self.report.push(
                fault.here(format!("this is declared as {}", plain.describe())).help("leave the unit out"),
            );
        }
        plain
    }
}
