//! Calcs and alarms: ordered by what they read, then checked and lowered.

use std::collections::HashMap;

use gwp_core::TagId;
use gwp_plan::Calc;
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::alarms;
use crate::check::call::for_each_path;
use crate::check::resolve::Meaning;
use crate::check::{Checker, Pick, Place, Scope};
use crate::limits::EXPRESSIONS_NODES_MAX;
use crate::order::order;
use crate::types::{Ty, Typed};
use crate::world::{TagDecl, World};

/// A calc or alarm of one device.
struct Computed<'a> {
    tag: TagId,
    device: usize,
    decl: Written<'a>,
}

#[derive(Clone, Copy)]
enum Written<'a> {
    Calc(&'a ast::Calc),
    Alarm(&'a ast::Alarm),
}

impl<'a> Computed<'a> {
    fn name(&self) -> &'a ast::Name {
        match self.decl {
            Written::Calc(calc) => &calc.name,
            Written::Alarm(alarm) => &alarm.name,
        }
    }

    /// Its type is known before it is lowered.
    fn has_type(&self) -> bool {
        match self.decl {
            Written::Calc(calc) => calc.ty.is_some(),
            Written::Alarm(_) => true,
        }
    }

    fn expressions(&self) -> Vec<&'a ast::Expr> {
        match self.decl {
            Written::Calc(calc) => vec![&calc.value],
            Written::Alarm(alarm) => alarms::expressions(alarm).collect(),
        }
    }
}

/// What one calc needs, by number.
struct Needs {
    /// At this time.
    now: Vec<usize>,
    /// As it was before: does not bind the order.
    before: Vec<usize>,
}

/// Lowers all calcs and alarms; gives them in the order in which they are evaluated.
pub(crate) fn calcs(world: &mut World<'_>, report: &mut Diagnostics) -> Vec<Calc> {
    let list: Vec<Computed<'_>> = (0u32..)
        .map(TagId)
        .zip(&world.tags)
        .filter_map(|(tag, found)| {
            let decl = match found.decl {
                TagDecl::Calc(calc) => Written::Calc(calc),
                TagDecl::Alarm(alarm) => Written::Alarm(alarm),
                _ => return None,
            };
            Some(Computed { tag, device: found.device, decl })
        })
        .collect();
    let needs = needs(world, &list);
    let now: Vec<Vec<usize>> = needs.iter().map(|needs| needs.now.clone()).collect();
    let order = order(&now);
    for ring in &order.rings {
        let members: Vec<_> = ring.iter().filter_map(|at| list.get(*at)).collect();
        report.extend(ring_fault(world, &members));
    }
    let mut rank = vec![0; list.len()];
    for (position, at) in order.sorted.iter().enumerate() {
        rank[*at] = position;
    }
    let mut lowered = Vec::with_capacity(list.len());
    let (mut nodes, mut operators) = (0, 0);
    for at in order.sorted {
        let Some(computed) = list.get(at) else { continue };
        let mut checker = Checker::new(world, report);
        (checker.nodes, checker.operators_made) = (nodes, operators);
        let later = needs[at].before.iter().filter(|other| rank[**other] >= rank[at]);
        checker.later = later.filter_map(|other| list.get(*other)).map(|other| other.tag).collect();
        let found = match computed.decl {
            Written::Calc(calc) => lower(&mut checker, computed, calc),
            Written::Alarm(alarm) => {
                (Ty::Bool, alarms::alarm(&mut checker, computed.tag, computed.device, alarm))
            }
        };
        (nodes, operators) = (checker.nodes, checker.operators_made);
        if let Some(tag) = world.tags.get_mut(computed.tag.index())
            && !computed.has_type()
        {
            tag.ty = found.0;
        }
        lowered.extend(found.1);
    }
    lowered
}

/// The type of a calc, and the calc if nothing is wrong with it.
fn lower(checker: &mut Checker<'_, '_>, computed: &Computed<'_>, calc: &ast::Calc) -> (Ty, Option<Calc>) {
    let scope = Scope { device: Some(computed.device), place: Place::State, ..Scope::default() };
    let value = checker.expr(&calc.value, &scope);
    let value = match &calc.ty {
        Some(ty) => {
            let wanted = checker.world.tag(computed.tag).map_or(Ty::Error, |tag| tag.ty.clone());
            checker.percent_twice(&calc.value, &value, &wanted);
            checker.declared(value, &wanted, calc.value.span, ty.span, &format!("`{}`", calc.name))
        }
        None if value.ty == Ty::Json => {
            let message = "the type of this part of a JSON text is not known";
            let fault = Diagnostic::new("E207", calc.value.span, message);
            checker.report.push(fault.help(format!("declare it: `calc {} : real = ...`", calc.name)));
            Typed::error()
        }
        None => value,
    };
    let operators = std::mem::take(&mut checker.operators);
    let calc = Calc { tag: computed.tag, operators, expr: value.expr.clone(), alarm: None };
    let failed = value.is_error();
    (value.ty, (!failed).then_some(calc))
}

/// What each calc needs of the others.
fn needs(world: &World<'_>, list: &[Computed<'_>]) -> Vec<Needs> {
    let place: HashMap<TagId, usize> =
        list.iter().enumerate().map(|(at, computed)| (computed.tag, at)).collect();
    // what is too much here is too much for the checker too, which then says so
    let mut left = EXPRESSIONS_NODES_MAX;
    let mut of = |computed: &Computed<'_>| {
        let mut needs = Needs { now: Vec::new(), before: Vec::new() };
        for expr in computed.expressions() {
            let mut all: Vec<(TagId, bool)> = Vec::new();
            reads(world, expr, computed.device, &mut left, &mut all);
            for (tag, before) in all {
                let Some(other) = place.get(&tag).copied() else { continue };
                // the previous value of a calc without a type is only known once that is lowered
                let unbound = before && list.get(other).is_some_and(Computed::has_type);
                if unbound { needs.before.push(other) } else { needs.now.push(other) }
            }
        }
        needs.now.sort_unstable();
        needs.now.dedup();
        needs
    };
    list.iter().map(&mut of).collect()
}

/// The tags that an expression reads, as far as its names mean tags, and whether it reads the value before; no more
/// than `left` of all.
fn reads(
    world: &World<'_>,
    expr: &ast::Expr,
    device: usize,
    left: &mut usize,
    tags: &mut Vec<(TagId, bool)>,
) {
    for_each_path(expr, &mut |path, before| {
        let mut scope = Scope { device: Some(device), place: Place::State, ..Scope::default() };
        let many =
            path.members.as_ref().is_some_and(|members| !matches!(members.pick, ast::MemberPick::One(_)));
        let family = world.families.get(path.root.text.as_str()).filter(|_| many);
        let picks: Vec<Option<usize>> = match family {
            Some(family) => family.devices.values().map(|device| Some(*device)).collect(),
            None => vec![None],
        };
        for pick in picks {
            if *left == 0 {
                return;
            }
            *left -= 1;
            scope.pick = pick.map(|device| Pick { family: &path.root.text, device });
            match world.resolve(path, &scope) {
                Meaning::Tag(tag) | Meaning::QualityOf(tag) | Meaning::TimeOf(tag) => {
                    tags.push((tag, before));
                }
                _ => {}
            }
        }
    });
}

/// `a` depends on itself.
fn ring_fault(world: &World<'_>, ring: &[&Computed<'_>]) -> Option<Diagnostic> {
    // the same ring in every device of a template is one mistake: name its members, not its devices
    let first_one = ring.first()?;
    let one_device = ring.iter().all(|member| member.device == first_one.device);
    let name = |member: &Computed<'_>| match world.tag(member.tag) {
        Some(tag) if !one_device => tag.path.to_string(),
        _ => member.name().to_string(),
    };
    let names: Vec<_> = ring.iter().map(|member| name(member)).collect();
    let first = names.first()?;
    let fault = Diagnostic::new("E104", first_one.name().span, format!("`{first}` depends on itself"))
        .here(format!("{} -> {first}", names.join(" -> ")));
    // every member reads the next one; `previous` breaks the ring where that one has a type
    let typed = ring.iter().position(|member| member.has_type());
    Some(match typed.and_then(|at| names.get(at)) {
        Some(name) => fault.help(format!("break the loop with `previous({name})`")),
        None => fault.help(format!(
            "give one a type, such as `calc {first} : real = ...`, and break the loop with `previous({first})`"
        )),
    })
}
