//! Plans by id: the running one, and those that older records and entries name.

use gwp_core::PlanId;
use gwp_core::sink::FlowNames;
use gwp_journal::PlanReader;
use gwp_journal::inject::read_foreign_route;
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

    /// A plan by id.
    ///
    /// # Errors
    /// A text for people: it is not kept, or damaged.
    pub fn get(&self, id: PlanId) -> Result<Arc<Plan>, String> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = cached.get(&id) {
            return Ok(plan.clone());
        }
        let bytes = self.reader.get(id).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("the store does not keep plan {id}"))?;
        let plan = Arc::new(Plan::from_bytes(&bytes).map_err(|error| format!("plan {id}: {error}"))?);
        if plan.id() != id {
            return Err(format!("the store keeps another plan under {id}"));
        }
        if cached.len() >= CACHED_MAX {
            cached.pop_first();
        }
        cached.insert(id, plan.clone());
        Ok(plan)
    }
}

/// Names of the flows of one sink, made once per plan and route.
pub struct Names {
    sink: Arc<str>,
    made: BTreeMap<(PlanId, u32), Arc<FlowNames>>,
}

impl Names {
    pub fn new(sink: Arc<str>) -> Self {
        Names { sink, made: BTreeMap::new() }
    }

    /// Names as route `route` of the sink shows them under a plan.
    ///
    /// # Errors
    /// The plan cannot be had.
    pub fn get(&mut self, plans: &Plans, plan: PlanId, route: u32) -> Result<Arc<FlowNames>, String> {
        if let Some(names) = self.made.get(&(plan, route)) {
            return Ok(names.clone());
        }
        let of = plans.get(plan)?;
        let (sink, route_index) = match read_foreign_route(route) {
            Some((index, route)) => (of.sinks.get(index), route),
            None => (of.sinks.iter().find(|sink| sink.name == self.sink), route),
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

    /// The plan and route whose names these are.
    pub fn origin(&self, names: &Arc<FlowNames>) -> Option<(PlanId, u32)> {
        self.made.iter().find(|(_, made)| Arc::ptr_eq(made, names)).map(|(key, _)| *key)
    }
}
