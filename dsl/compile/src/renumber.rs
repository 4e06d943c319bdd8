//! Gives the tags of a plan new numbers: columns of windows are known last, but tags stand in order of their paths.

use gwp_core::TagId;
use gwp_plan::{Calc, Expr, Plan, Route, Stage, Window};
use std::collections::BTreeMap;

/// Replaces every tag in the plan by the one that `to` gives for its number. `plan.tags` itself is left alone.
pub(crate) fn renumber(plan: &mut Plan, to: &[TagId]) {
    let renumber = Renumber { to };
    for group in &mut plan.groups {
        let tags: Vec<TagId> = group.tags.iter().map(|tag| renumber.tag(*tag)).collect();
        group.tags = tags.into();
    }
    for source in &mut plan.sources {
        source.connected = renumber.tag(source.connected);
    }
    for write in &mut plan.writes {
        for tag in [&mut write.target, &mut write.command, &mut write.outcome] {
            *tag = renumber.tag(*tag);
        }
    }
    plan.calcs.iter_mut().for_each(|calc| renumber.calc(calc));
    plan.sinks.iter_mut().flat_map(|sink| &mut sink.routes).for_each(|route| renumber.route(route));
}

struct Renumber<'t> {
    to: &'t [TagId],
}

impl Renumber<'_> {
    fn tag(&self, tag: TagId) -> TagId {
        self.to.get(tag.index()).copied().unwrap_or(tag)
    }

    fn tags(&self, tags: &mut [TagId]) {
        tags.iter_mut().for_each(|tag| *tag = self.tag(*tag));
    }

    fn keys<T: Clone>(&self, map: &mut BTreeMap<TagId, T>) {
        *map = map.iter().map(|(tag, value)| (self.tag(*tag), value.clone())).collect();
    }

    fn calc(&self, calc: &mut Calc) {
        calc.tag = self.tag(calc.tag);
        calc.operators.iter_mut().flat_map(|operator| &mut operator.args).for_each(|arg| self.expr(arg));
        self.expr(&mut calc.expr);
        if let Some(alarm) = &mut calc.alarm {
            self.tags(&mut alarm.columns);
            alarm.orders = self.tag(alarm.orders);
            alarm.clear.iter_mut().chain([&mut alarm.message]).for_each(|expr| self.expr(expr));
        }
    }

    fn route(&self, route: &mut Route) {
        self.tags(&mut route.tags);
        self.keys(&mut route.names);
        for stage in &mut route.stages {
            match stage {
                Stage::Where(condition) => self.expr(condition),
                Stage::Deadband(bands) | Stage::Changes { deadband: bands, .. } => self.keys(bands),
                Stage::Sample { .. } => {}
            }
        }
        route.row_conditions.iter_mut().for_each(|condition| self.expr(condition));
        if let Some(window) = &mut route.window {
            self.window(window);
        }
    }

    fn window(&self, window: &mut Window) {
        for instance in &mut window.instances {
            self.tags(&mut instance.tags);
            self.tags(&mut instance.built_in);
            let operators = instance.operators.iter_mut().flat_map(|operator| &mut operator.args);
            let aggregates = instance.aggregates.iter_mut().map(|aggregate| &mut aggregate.arg);
            operators.chain(aggregates).chain(&mut instance.condition).for_each(|expr| self.expr(expr));
            for column in &mut instance.columns {
                column.tag = self.tag(column.tag);
                self.expr(&mut column.expr);
            }
        }
    }

    fn expr(&self, expr: &mut Expr) {
        for_each_part(expr, &mut |part| {
            if let Expr::Tag(tag, _) | Expr::TimeOf(tag) = part {
                *tag = self.tag(*tag);
            }
        });
    }
}

/// Calls `change` with an expression and everything in it. As deep as the nesting of the text, which is bounded.
pub(crate) fn for_each_part(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    change(expr);
    match expr {
        Expr::Const(_) | Expr::Tag(..) | Expr::Word(_) | Expr::Local(..) | Expr::TimeOf(_) => {}
        Expr::Neg(a)
        | Expr::Not(a)
        | Expr::Good(a)
        | Expr::Quality(a)
        | Expr::ToFloat(a)
        | Expr::ToInt(a)
        | Expr::ToText(a) => for_each_part(a, change),
        Expr::Binary(_, a, b) | Expr::Otherwise(a, b) => {
            for_each_part(a, change);
            for_each_part(b, change);
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|part| for_each_part(part, change)),
        Expr::Call(_, args) => args.iter_mut().for_each(|arg| for_each_part(arg, change)),
    }
}
