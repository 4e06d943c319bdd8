//! Plans by id: the running one, and those that older records and entries name.

use gwp_core::sink::FlowNames;
use gwp_core::{PlanId, Position};
use gwp_journal::inject::{foreign_route, read_foreign_route};
use gwp_journal::{PlanReader, SinkNames, SinkShared};
use gwp_plan::{Plan, Route};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Older plans kept in memory at most.
const CACHED_MAX: usize = 8;

/// All plans this node can read.
pub struct Plans {
    reader: PlanReader,
    cached: Mutex<BTreeMap<PlanId, Arc<Plan>>>,
}

impl Plans {
    pub fn new(reader: PlanReader, running: PlanId, plan: Arc<Plan>) -> Self {
        Plans { reader, cached: Mutex::new([(running, plan)].into()) }
    }

    /// A plan that is to run next.
    pub fn add(&self, id: PlanId, plan: Arc<Plan>) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        while cached.len() >= CACHED_MAX {
            cached.pop_first();
        }
        cached.insert(id, plan);
    }

    /// A plan by id.
    ///
    /// # Errors
    /// A text for people: it is not kept, or damaged.
    pub fn get(&self, id: PlanId) -> Result<Arc<Plan>, String> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = cached.get(&id) {
            return Ok(plan.clone());
        }
        let bytes = self.reader.get(id).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("the store does not keep plan {id}"))?;
        let plan = Arc::new(Plan::from_bytes(&bytes).map_err(|error| format!("plan {id}: {error}"))?);
        if plan.id() != id {
            return Err(format!("the store keeps another plan under {id}"));
        }
        drop(cached);
        self.add(id, plan.clone());
        Ok(plan)
    }
}

/// Names of the flows of one sink, made once per plan and route.
pub struct Names {
    sink: Arc<SinkShared>,
    made: BTreeMap<(PlanId, u32), Arc<FlowNames>>,
}

impl Names {
    pub fn new(sink: Arc<SinkShared>) -> Self {
        Names { sink, made: BTreeMap::new() }
    }

    /// Names as route `route` of the sink shows them under a plan, for an entry at a position.
    ///
    /// # Errors
    /// The plan cannot be had.
    pub fn get(
        &mut self,
        plans: &Plans,
        plan: PlanId,
        at: Position,
        route: u32,
    ) -> Result<Arc<FlowNames>, String> {
        if let Some(names) = self.made.get(&(plan, route)) {
            return Ok(names.clone());
        }
        let of = plans.get(plan)?;
        let (sink, route_index) = match read_foreign_route(route) {
            Some((index, route)) => (of.sinks.get(index), route),
            None => (index_in(&of, &self.sink.names(), at).and_then(|index| of.sinks.get(index)), route),
        };
        let tags = match self.made.iter().find(|((known, _), _)| *known == plan) {
            Some((_, names)) => names.tags.clone(),
            None => Arc::new(of.tag_table()),
        };
        let route_plan: Option<&Route> = sink.and_then(|sink| sink.routes.get(route_index as usize));
        let names = Arc::new(FlowNames {
            flow: route_plan.map_or_else(|| "?".into(), |route| route.flow.clone()),
            tags,
            renamed: route_plan.map(|route| route.names.clone()).unwrap_or_default(),
        });
        self.made.insert((plan, route), names.clone());
        Ok(names)
    }

    /// Where these names are from, as a dead letter says it: the plan and the route of the sink there. A letter that
    /// is refused again keeps saying who refused it first.
    pub fn origin(&self, plans: &Plans, at: Position, names: &Arc<FlowNames>) -> Option<(PlanId, u32)> {
        let (plan, route) =
            self.made.iter().find(|(_, made)| Arc::ptr_eq(made, names)).map(|(key, _)| *key)?;
        if read_foreign_route(route).is_some() {
            return Some((plan, route));
        }
        let index = index_in(plans.get(plan).ok()?.as_ref(), &self.sink.names(), at)?;
        Some((plan, foreign_route(index, route)?))
    }
}

/// Place of a sink among those of a plan.
fn index_in(plan: &Plan, names: &SinkNames, at: Position) -> Option<usize> {
    names.find(at, |name| plan.sinks.iter().position(|sink| &*sink.name == name))
}
