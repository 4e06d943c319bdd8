//! Ways of rows: what a window makes of samples, and what alarms report.

use std::collections::BTreeMap;
use std::sync::Arc;

use gwp_core::TagId;
use gwp_plan::{Expr, Window};
use gwp_syntax::ast;

use super::{Compiler, Flow, Way};
use crate::alarms::{EVENT_COLUMNS, event_type};
use crate::check::{Place, RowColumn, Scope};
use crate::world::TagDecl;

/// What the rows of a way are made of.
pub(super) struct Rows {
    pub columns: Vec<RowColumn>,
    /// Tags of all columns of all devices.
    pub tags: Vec<TagId>,
    /// What makes them; events of alarms are made by their calcs.
    pub window: Option<Window>,
}

impl Rows {
    /// Events of the alarms with these columns.
    fn events(tags: Vec<TagId>) -> Rows {
        let columns = EVENT_COLUMNS.iter().enumerate();
        let columns = columns.map(|(at, name)| RowColumn { name: (*name).into(), ty: event_type(at) });
        Rows { columns: columns.collect(), tags, window: None }
    }

    /// How much a route with them keeps, as a number of tags: each column of a window has expressions of its own.
    pub(super) fn weight(&self) -> usize {
        const PER_COLUMN: usize = 16;
        self.tags.len() * PER_COLUMN
    }
}

impl Compiler<'_, '_, '_> {
    /// The ways that tags at a head begin: samples and events of alarms go separate ones.
    pub(super) fn ways_of(&self, tags: Vec<TagId>) -> Vec<Way> {
        let world = self.checker.world;
        let is_event =
            |tag: &TagId| world.tag(*tag).is_some_and(|tag| matches!(tag.decl, TagDecl::Event(..)));
        let (events, samples): (Vec<TagId>, Vec<TagId>) = tags.into_iter().partition(is_event);
        let mut ways = Vec::new();
        if !samples.is_empty() {
            let deadband = self.deadbands(&samples);
            let stages =
                if deadband.is_empty() { Vec::new() } else { vec![gwp_plan::Stage::Deadband(deadband)] };
            ways.push(Way { stages, ..Way::new(samples) });
        }
        if !events.is_empty() {
            ways.push(Way { rows: Some(Arc::new(Rows::events(events.clone()))), ..Way::new(events) });
        }
        ways
    }

    /// The condition for each of the ways: on samples, or on the rows that pass. `None` if it is wrong for one.
    pub(super) fn conditions(
        &mut self,
        flow: &Flow<'_>,
        ways: &[Way],
        condition: &ast::Expr,
    ) -> Option<Vec<Expr>> {
        let why = "a condition is needed here";
        let mut samples: Option<Option<Expr>> = None;
        let mut rows: BTreeMap<usize, Option<Expr>> = BTreeMap::new();
        let mut list = Vec::with_capacity(ways.len());
        for way in ways {
            list.push(
                match &way.rows {
                    None => samples.get_or_insert_with(|| {
                        let scope = Scope { head: Some(&flow.head), ..Scope::default() };
                        let typed = self.checker.condition(condition, why, &scope);
                        (!typed.is_error()).then_some(typed.expr)
                    }),
                    Some(shape) => rows.entry(Arc::as_ptr(shape).addr()).or_insert_with(|| {
                        let scope = Scope { place: Place::Row(&shape.columns), ..Scope::default() };
                        let typed = self.checker.condition(condition, why, &scope);
                        (!typed.is_error()).then_some(typed.expr)
                    }),
                }
                .clone(),
            );
        }
        if ways.is_empty() {
            // says what is wrong with it although nothing would pass
            let scope = Scope { head: Some(&flow.head), ..Scope::default() };
            let typed = self.checker.condition(condition, why, &scope);
            return (!typed.is_error()).then(Vec::new);
        }
        list.into_iter().collect()
    }
}

/// Lets samples pass a condition, or rows.
pub(super) fn add_condition(way: &mut Way, condition: Expr) {
    match way.rows {
        None => way.stages.push(gwp_plan::Stage::Where(condition)),
        Some(_) => way.row_conditions.push(condition),
    }
}
