//! Calcs: ordered by what they read, then checked and lowered.

use std::collections::HashMap;

use gwp_core::TagId;
use gwp_plan::Expr;
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::check::call::for_each_path;
use crate::check::resolve::Meaning;
use crate::check::{Checker, Pick, Scope};
use crate::limits::EXPRESSIONS_NODES_MAX;
use crate::order::order;
use crate::types::Ty;
use crate::world::{TagDecl, World};

/// Lowers all calcs; gives them in the order in which they are evaluated.
pub(crate) fn calcs(world: &mut World<'_>, report: &mut Diagnostics) -> Vec<(TagId, Expr)> {
    let calcs: Vec<(TagId, usize, &ast::Calc)> = (0u32..)
        .map(TagId)
        .zip(&world.tags)
        .filter_map(
            |(id, tag)| if let TagDecl::Calc(calc) = tag.decl { Some((id, tag.device, calc)) } else { None },
        )
        .collect();
    let place: HashMap<TagId, usize> = calcs.iter().enumerate().map(|(at, (id, ..))| (*id, at)).collect();
    // what is too much here is too much for the checker too, which then says so
    let mut left = EXPRESSIONS_NODES_MAX;
    let needs: Vec<Vec<usize>> = calcs
        .iter()
        .map(|(_, device, calc)| {
            let mut needs: Vec<usize> = reads(world, &calc.value, *device, &mut left)
                .iter()
                .filter_map(|tag| place.get(tag).copied())
                .collect();
            needs.sort_unstable();
            needs.dedup();
            needs
        })
        .collect();
    let order = order(&needs);
    for ring in &order.rings {
        let members: Vec<_> = ring.iter().filter_map(|at| calcs.get(*at)).collect();
        report.extend(ring_fault(world, &members));
    }
    let mut lowered = Vec::with_capacity(calcs.len());
    let mut nodes = 0;
    for (id, device, calc) in order.sorted.into_iter().filter_map(|at| calcs.get(at)) {
        let mut checker = Checker::new(world, report);
        checker.nodes = nodes;
        let scope = Scope { device: Some(*device), ..Scope::default() };
        let value = checker.expr(&calc.value, &scope);
        let value = match &calc.ty {
            Some(ty) => {
                let wanted = checker.world.tag(*id).map_or(Ty::Error, |tag| tag.ty.clone());
                checker.declared(value, &wanted, calc.value.span, ty.span, &format!("`{}`", calc.name))
            }
            None if value.ty == Ty::Json => {
                let fault = Diagnostic::new(
                    "E207",
                    calc.value.span,
                    "the type of this part of a JSON text is not known",
                );
                report.push(fault.help(format!("declare it: `calc {} : real = ...`", calc.name)));
                continue;
            }
            None => value,
        };
        nodes = checker.nodes;
        if let Some(tag) = world.tags.get_mut(id.index())
            && calc.ty.is_none()
        {
            tag.ty = value.ty.clone();
        }
        if !value.is_error() {
            lowered.push((*id, value.expr));
        }
    }
    lowered
}

/// The tags that an expression reads, as far as its names mean tags; no more than `left` of all.
fn reads(world: &World<'_>, expr: &ast::Expr, device: usize, left: &mut usize) -> Vec<TagId> {
    let mut tags = Vec::new();
    for_each_path(expr, &mut |path| {
        let mut scope = Scope { device: Some(device), ..Scope::default() };
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
                Meaning::Tag(tag) | Meaning::QualityOf(tag) | Meaning::TimeOf(tag) => tags.push(tag),
                _ => {}
            }
        }
    });
    tags
}

/// `a` depends on itself.
fn ring_fault(world: &World<'_>, ring: &[&(TagId, usize, &ast::Calc)]) -> Option<Diagnostic> {
    // the same ring in every device of a template is one mistake: name its members, not its devices
    let (_, first_device, calc) = ring.first()?;
    let one_device = ring.iter().all(|(_, device, _)| device == first_device);
    let name = |(id, _, calc): &(TagId, usize, &ast::Calc)| match world.tag(*id) {
        Some(tag) if !one_device => tag.path.to_string(),
        _ => calc.name.to_string(),
    };
    let names: Vec<_> = ring.iter().map(|member| name(member)).collect();
    let first = names.first()?;
    let fault = Diagnostic::new("E104", calc.name.span, format!("`{first}` depends on itself"));
    let before = names.last()?;
    Some(
        fault
            .here(format!("{} -> {first}", names.join(" -> ")))
            .help(format!("break the loop with `previous({before})`")),
    )
}
