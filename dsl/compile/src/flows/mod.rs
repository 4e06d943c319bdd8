//! Flows: from selections through stages to sinks, unfolded into one route per way.
//!
//! ```text
//! head (tags, named streams) -> stage -> split -+-> stage -> sink      one route
//!                                               +-> sink, sink         two routes
//! ```

mod calendar;
mod rows;
mod select;
mod stages;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use gwp_core::TagId;
use gwp_core::manifest::Standby;
use gwp_plan::{Expr, FlowSummary, Route, Stage, Tag};
use gwp_syntax::ast::{self, Name};
use gwp_syntax::{Diagnostic, Span};

use crate::check::{Checker, Head};
use crate::items::{ItemKind, nearest};
use crate::limits::{LOOKED_AT_MAX, ROUTE_TAGS_MAX, ROUTES_MAX, WAYS_MAX};
use crate::order::order;
use crate::types::{Number, Ty};
use rows::{Rows, add_condition};
pub(crate) use select::Selected;

/// Sinks that are named where one is not known.
const SINKS_SHOWN: usize = 8;

/// One way that samples take: which tags, through which stages.
#[derive(Clone)]
struct Way {
    tags: Vec<TagId>,
    stages: Vec<Stage>,
    names: BTreeMap<TagId, Arc<str>>,
    /// What its rows are made of; samples pass without it.
    rows: Option<Arc<Rows>>,
    row_conditions: Vec<Expr>,
}

impl Way {
    /// Samples of some tags, or the columns of rows, as they come.
    fn new(tags: Vec<TagId>) -> Way {
        Way { tags, stages: Vec::new(), names: BTreeMap::new(), rows: None, row_conditions: Vec::new() }
    }

    /// How much a route of it keeps, as a number of tags.
    fn weight(&self) -> usize {
        self.tags.len() + self.rows.as_ref().map_or(0, |rows| rows.weight())
    }
}

/// All routes by sink, and what people read of flows.
pub(crate) struct Flows {
    /// Sinks by index in the items; each list sorted by flow, then as written.
    pub routes: BTreeMap<usize, Vec<Route>>,
    pub summaries: Vec<FlowSummary>,
    /// Columns of windows; their numbers begin behind the tags of the world.
    pub row_tags: Vec<Tag>,
    /// Sinks that get rows which are issued again, by index in the items.
    pub revised: BTreeMap<usize, Revised>,
}

impl Flows {
    /// Tags that reach a sink.
    pub(crate) fn routed(&self) -> HashSet<TagId> {
        let routes = self.routes.values().flatten();
        routes.flat_map(|route| &route.tags).copied().collect()
    }
}

/// Compiles all flows of a project.
pub(crate) fn flows(checker: &mut Checker<'_, '_>) -> Flows {
    let world = checker.world;
    let mut list = world.items.flows.clone();
    list.sort_by(|a, b| a.name.text.cmp(&b.name.text));
    let index: HashMap<&str, usize> =
        list.iter().enumerate().map(|(at, flow)| (flow.name.text.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = list.iter().map(|flow| streams_of(flow, &index)).collect();
    let order = order(&needs);
    for ring in &order.rings {
        let names: Vec<_> =
            ring.iter().filter_map(|at| list.get(*at)).map(|flow| flow.name.text.as_str()).collect();
        if let Some(flow) = ring.first().and_then(|at| list.get(*at)) {
            let fault =
                Diagnostic::new("E104", flow.name.span, format!("the flow `{}` feeds itself", flow.name));
            checker.report.push(fault.here(format!("{} -> {}", names.join(" -> "), flow.name)));
        }
    }
    let used: BTreeSet<usize> = needs.iter().flatten().copied().collect();
    let mut compiler = Compiler {
        checker,
        streams: HashMap::new(),
        flows: Flows {
            routes: BTreeMap::new(),
            summaries: Vec::new(),
            row_tags: Vec::new(),
            revised: BTreeMap::new(),
        },
        paths: world.tags.iter().map(|tag| (tag.path.clone(), tag.decl.span())).collect(),
        row_names: HashMap::new(),
        instance_count: 0,
        way_count: 0,
        way_tags: 0,
        looked_at: 0,
        route_count: 0,
        route_tags: 0,
    };
    for at in order.sorted {
        if let Some(flow) = list.get(at) {
            compiler.flow(flow, used.contains(&at));
        }
    }
    let mut flows = compiler.flows;
    for (at, flow) in list.iter().enumerate() {
        let users = needs.iter().zip(&list).filter(|(needs, _)| needs.contains(&at)).map(|(_, user)| user);
        let users: Vec<Arc<str>> = users.map(|user| user.name.text.as_str().into()).collect();
        if let Some(summary) = flows.summaries.iter_mut().find(|summary| *summary.name == flow.name.text) {
            summary.outputs.extend(users);
        }
    }
    flows.summaries.sort_by(|a, b| a.name.cmp(&b.name));
    flows.routes.values_mut().for_each(|routes| routes.sort_by(|a, b| a.flow.cmp(&b.flow)));
    flows
}

/// Flows that a flow takes as named streams.
fn streams_of(flow: &ast::Flow, index: &HashMap<&str, usize>) -> Vec<usize> {
    let mut streams: Vec<usize> = flow
        .from
        .iter()
        .filter_map(|select| match &select.root {
            ast::SelectRoot::Named(name, None) => index.get(name.text.as_str()).copied(),
            _ => None,
        })
        .collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

/// Rows that are issued again arrive at a sink.
pub(crate) struct Revised {
    /// Where the flow names the sink.
    pub at: Span,
    /// They are of several devices.
    pub many: bool,
}

struct Compiler<'c, 'w, 'a> {
    checker: &'c mut Checker<'w, 'a>,
    /// Ways at the end of each flow compiled so far.
    streams: HashMap<&'a str, Vec<Way>>,
    flows: Flows,
    /// Paths of all tags that are no columns of windows.
    paths: HashMap<Arc<str>, Span>,
    /// Names of the rows that windows make.
    row_names: HashMap<Arc<str>, Span>,
    instance_count: usize,
    way_count: usize,
    way_tags: usize,
    /// Tags that heads have looked through.
    looked_at: usize,
    route_count: usize,
    route_tags: usize,
}

/// What is the same for all stages of a flow.
struct Flow<'f> {
    name: &'f Name,
    high_priority: bool,
    head: Head,
    outputs: BTreeSet<Arc<str>>,
}

impl<'a> Compiler<'_, '_, 'a> {
    fn flow(&mut self, flow: &'a ast::Flow, used: bool) {
        let (high_priority, standby) = self.attributes(flow);
        let (ways, silent) = self.head(flow);
        let head = self.head_of(&ways, silent);
        let mut context = Flow { name: &flow.name, high_priority, head, outputs: BTreeSet::new() };
        let end = self.chain(&mut context, ways, &flow.stages, None);
        if let Some(ways) = end {
            let open = !matches!(flow.stages.last(), Some(ast::Stage::Targets(..)));
            if open && !used && !self.checker.world.items.is_mentioned(&flow.name.text) {
                let span = flow.stages.last().map_or(flow.name.span, ast::Stage::span);
                let fault = Diagnostic::new("E302", span, format!("the flow `{}` goes nowhere", flow.name));
                let help = format!("add `-> sink`, or use `{}` in another flow", flow.name);
                self.checker.report.push(fault.here("it ends here").help(help));
            }
            self.streams.insert(&flow.name.text, ways);
        }
        let mut inputs: Vec<Arc<str>> = flow.from.iter().map(|select| select.to_string().into()).collect();
        inputs.sort();
        inputs.dedup();
        self.flows.summaries.push(FlowSummary {
            name: flow.name.text.as_str().into(),
            high_priority,
            standby,
            inputs,
            stages: flow.stages.iter().filter_map(stages::words).map(Into::into).collect(),
            outputs: context.outputs.into_iter().collect(),
        });
    }

    /// `priority` and `standby`.
    fn attributes(&mut self, flow: &ast::Flow) -> (bool, Standby) {
        let mut high = false;
        let mut standby = Standby::Warm;
        for (at, (word, value)) in flow.attrs.iter().enumerate() {
            if flow.attrs.iter().take(at).any(|(other, _)| other.text == word.text) {
                self.checker.report.push(Diagnostic::new(
                    "E409",
                    word.span,
                    format!("`{word}` is given twice"),
                ));
            }
            let words: &[&str] =
                if word.text == "priority" { &["high", "normal"] } else { &["hot", "warm", "cold"] };
            match value.text.as_str() {
                "high" if word.text == "priority" => high = true,
                "normal" if word.text == "priority" => high = false,
                "hot" if word.text == "standby" => standby = Standby::Hot,
                "warm" if word.text == "standby" => standby = Standby::Warm,
                "cold" if word.text == "standby" => standby = Standby::Cold,
                _ => {
                    let fault = Diagnostic::new(
                        "E407",
                        value.span,
                        format!("`{word}` is one of {}", words.join(", ")),
                    );
                    self.checker.report.push(match nearest(&value.text, words.iter().copied()) {
                        Some(near) => fault.did_you_mean(near),
                        None => fault,
                    });
                }
            }
        }
        (high, standby)
    }

    /// The ways that start at the head of a flow; true if some are missing for a reason that is reported.
    fn head(&mut self, flow: &'a ast::Flow) -> (Vec<Way>, bool) {
        let mut tags = BTreeSet::new();
        let mut streams: Vec<&'a str> = Vec::new();
        let mut silent = false;
        if self.is_full() {
            return (Vec::new(), true);
        }
        for select in flow.from.iter().chain(&flow.except) {
            self.looked_at += self.checker.world.looks_at(select);
        }
        if self.is_full() {
            self.too_many(flow.name.span);
            return (Vec::new(), true);
        }
        for select in &flow.from {
            match self.checker.world.select(select) {
                Ok(Selected::Tags(found)) => tags.extend(found),
                Ok(Selected::Stream(name)) if !streams.contains(&name) => streams.push(name),
                Ok(Selected::Stream(_)) => {}
                Ok(Selected::Silent) => silent = true,
                Err(fault) => {
                    self.checker.report.push(*fault);
                    silent = true;
                }
            }
        }
        let except = self.excepted(flow);
        let direct: Vec<TagId> = tags.difference(&except).copied().collect();
        let mut ways = self.ways_of(direct);
        for stream in streams {
            match self.streams.get(stream) {
                // ways may double with each flow: stop before they are made
                Some(found) if self.way_count + ways.len() + found.len() > WAYS_MAX => {
                    self.too_many(flow.name.span);
                    return (Vec::new(), true);
                }
                // a window keeps what it takes: its rows do not depend on who reads them
                Some(found) => ways.extend(found.iter().map(|way| match &way.rows {
                    Some(rows) if rows.window.is_some() => way.clone(),
                    _ => Way {
                        tags: way.tags.iter().copied().filter(|tag| !except.contains(tag)).collect(),
                        ..way.clone()
                    },
                })),
                None => silent = true,
            }
        }
        ways.retain(|way| way.rows.is_some() || !way.tags.is_empty());
        self.way_count += ways.len();
        self.way_tags += ways.iter().map(Way::weight).sum::<usize>();
        if self.is_full() {
            self.too_many(flow.name.span);
            return (Vec::new(), true);
        }
        if ways.is_empty() && !silent {
            let fault = Diagnostic::new(
                "E308",
                flow.name.span,
                format!("no tag is left in the flow `{}`", flow.name),
            );
            self.checker.report.push(fault.help("`except` removes all that is selected"));
        }
        (ways, silent)
    }

    /// The tags that `except` takes away.
    fn excepted(&mut self, flow: &ast::Flow) -> BTreeSet<TagId> {
        let mut except = BTreeSet::new();
        for select in &flow.except {
            match self.checker.world.select(select) {
                Ok(Selected::Tags(found)) => except.extend(found),
                Ok(Selected::Stream(name)) => {
                    let fault = Diagnostic::new(
                        "E110",
                        select.span,
                        format!("`{name}` is a flow, not a device or a tag"),
                    );
                    self.checker.report.push(fault.help("`except` removes tags"));
                }
                Ok(Selected::Silent) => {}
                Err(fault) => self.checker.report.push(*fault),
            }
        }
        except
    }

    fn deadbands(&self, tags: &[TagId]) -> BTreeMap<TagId, f64> {
        let band = |tag: &TagId| {
            self.checker.world.tag(*tag).and_then(|found| found.attrs.deadband).map(|band| (*tag, band))
        };
        tags.iter().filter_map(band).collect()
    }

    /// What stages may know of the samples: their devices, and the type of `value`.
    fn head_of(&self, ways: &[Way], silent: bool) -> Head {
        let world = self.checker.world;
        let samples = ways.iter().filter(|way| way.rows.is_none());
        let tags: BTreeSet<TagId> = samples.flat_map(|way| way.tags.iter().copied()).collect();
        let mut devices = BTreeSet::new();
        let mut value: Option<(Ty, TagId)> = None;
        let mut conflict = None;
        for tag in tags {
            let Some(found) = world.tag(tag) else { continue };
            devices.insert(found.device);
            match value.take() {
                None => value = Some((found.ty.clone(), tag)),
                Some((ty, first)) => {
                    let together = common(&ty, &found.ty);
                    if together.is_none() && conflict.is_none() {
                        let path = |tag| world.tag(tag).map_or("", |tag| &*tag.path);
                        let (a, b) = (ty.describe(), found.ty.describe());
                        conflict = Some(format!("`{}` is {a}, `{}` is {b}", path(first), path(tag)));
                    }
                    value = Some((together.unwrap_or(ty), first));
                }
            }
        }
        let value = match (conflict, value) {
            (Some(why), _) => Err(why),
            (None, Some((ty, _))) if !silent => Ok(ty),
            _ => Ok(Ty::Error),
        };
        Head { devices: devices.into_iter().collect(), value }
    }

    /// Lets ways pass a chain of stages. Gives the ways at its end, unless it ends in a split.
    fn chain(
        &mut self,
        flow: &mut Flow<'_>,
        mut ways: Vec<Way>,
        list: &[ast::Stage],
        branch: Option<Span>,
    ) -> Option<Vec<Way>> {
        for (at, stage) in list.iter().enumerate() {
            let last = at + 1 == list.len();
            match stage {
                ast::Stage::Targets(names, _) if !last && self.forgotten_parentheses(names) => {}
                ast::Stage::Targets(names, span) => {
                    self.targets(flow, &ways, names);
                    if !last {
                        let fault = Diagnostic::new("E310", *span, "a flow ends at its sinks");
                        self.checker
                            .report
                            .push(fault.help("put stages before the sinks, or write a second flow"));
                        return None;
                    }
                }
                ast::Stage::Split(branches, span) => {
                    self.split(flow, &ways, branches, *span);
                    if !last {
                        let fault = Diagnostic::new("E310", *span, "a flow ends at its `split`");
                        self.checker.report.push(fault.help("put the stages behind it into its branches"));
                    }
                    return None;
                }
                ast::Stage::Window(window) => {
                    let errors = self.checker.report.errors();
                    ways = self.window(flow, ways, window);
                    if self.checker.report.errors() > errors {
                        self.silent_targets(flow, list.get(at + 1..).unwrap_or(&[]));
                        return None;
                    }
                }
                ast::Stage::Where(condition, _) => {
                    let conditions = self.conditions(flow, &ways, condition).unwrap_or_default();
                    for (way, condition) in ways.iter_mut().zip(conditions) {
                        add_condition(way, condition);
                    }
                }
                ast::Stage::Call(call) => self.call(flow, &mut ways, call),
            }
        }
        if let Some(span) = branch
            && !matches!(list.last(), Some(ast::Stage::Targets(..)))
        {
            let fault = Diagnostic::new("E302", span, "this branch goes nowhere");
            self.checker.report.push(fault.help("end it with `-> sink` or `-> drop`"));
        }
        Some(ways)
    }

    /// First match: a branch gets what no branch before it took; a bad condition takes nothing.
    fn split(&mut self, flow: &mut Flow<'_>, ways: &[Way], branches: &[ast::Branch], span: Span) {
        let mut rest: Vec<Way> = ways.to_vec();
        let mut closed = false;
        for (at, branch) in branches.iter().enumerate() {
            let mut taken = rest.clone();
            match &branch.when {
                Some(when) => {
                    let Some(conditions) = self.conditions(flow, &rest, when) else {
                        self.silent_targets(flow, &branch.stages);
                        continue;
                    };
                    for ((taken, rest), condition) in taken.iter_mut().zip(&mut rest).zip(conditions) {
                        add_condition(taken, condition.clone());
                        add_condition(rest, not_taken(condition));
                    }
                }
                None => closed = true,
            }
            self.chain(flow, taken, &branch.stages, Some(branch.span));
            if branch.when.is_none() && at + 1 < branches.len() {
                let fault = Diagnostic::new("E301", branch.span, "branches after `else` take nothing");
                self.checker.report.push(fault.help("put `else` last"));
                break;
            }
        }
        if !closed {
            let at = branches.last().map_or(span, |branch| branch.span);
            let fault = Diagnostic::new("E301", at, "samples that match no branch would vanish")
                .here("the last branch");
            self.checker.report.push(fault.help("add `else -> drop` or `else -> sink`"));
        }
    }

    /// Names behind something that is not built: known sinks are not reported as unused.
    fn silent_targets(&mut self, flow: &mut Flow<'_>, list: &[ast::Stage]) {
        for stage in list {
            if let ast::Stage::Targets(names, _) = stage {
                for name in names.iter().filter(|name| name.text != "drop") {
                    match self.checker.world.items.sinks.iter().any(|sink| sink.name.text == name.text) {
                        true => {
                            flow.outputs.insert(name.text.as_str().into());
                        }
                        false => self.not_a_sink(name),
                    }
                }
            }
        }
    }

    fn targets(&mut self, flow: &mut Flow<'_>, ways: &[Way], names: &[Name]) {
        for (at, name) in names.iter().enumerate() {
            let sink = self.checker.world.items.sinks.iter().position(|sink| sink.name.text == name.text);
            let Some(sink) = sink else {
                if name.text != "drop" {
                    self.not_a_sink(name);
                }
                continue;
            };
            if let Some(first) = names.iter().take(at).find(|other| other.text == name.text) {
                let fault = Diagnostic::new("E409", name.span, format!("`{name}` is named twice"));
                self.checker.report.push(fault.label(first.span, "the first time"));
                continue;
            }
            flow.outputs.insert(name.text.as_str().into());
            for way in ways {
                self.route(flow, way, sink, name.span);
            }
        }
    }

    /// `-> changes -> sink`: reports a stage that is written like a sink.
    fn forgotten_parentheses(&mut self, names: &[Name]) -> bool {
        let [name] = names else { return false };
        let stage = stages::NAMES.iter().find(|stage| **stage == name.text);
        let Some(stage) = stage.filter(|_| self.checker.world.items.get(&name.text).is_none()) else {
            return false;
        };
        let fault = Diagnostic::new("E306", name.span, format!("the stage `{stage}` needs parentheses"));
        self.checker.report.push(fault.help(format!("write `{stage}()`")).fix(name.span.after(), "()"));
        true
    }

    fn not_a_sink(&mut self, name: &Name) {
        if !self.forgotten_parentheses(std::slice::from_ref(name)) {
            let items = &self.checker.world.items;
            let fault = items.unknown(name, &[ItemKind::Sink]).map(|fault| {
                let nowhere = ["null", "nil", "none", "void", "discard", "trash", "ignore"];
                if nowhere.contains(&name.text.to_ascii_lowercase().as_str()) && fault.code == "E101" {
                    return fault.help("write `drop` for what is not wanted").fix_here("drop");
                }
                if fault.help.is_some() || fault.code != "E101" || items.sinks.is_empty() {
                    return fault;
                }
                let sinks = items.sinks.iter().map(|sink| format!("`{}`", sink.name)).take(SINKS_SHOWN);
                let list = sinks.collect::<Vec<_>>().join(", ");
                let more = if items.sinks.len() > SINKS_SHOWN { ", ..." } else { "" };
                fault.help(format!("the sinks are {list}{more}"))
            });
            self.checker.report.extend(fault);
        }
    }

    /// One of the bounds on all flows together is reached.
    fn is_full(&self) -> bool {
        self.way_count > WAYS_MAX || self.way_tags > ROUTE_TAGS_MAX || self.looked_at > LOOKED_AT_MAX
    }

    fn too_many(&mut self, at: Span) {
        let message =
            format!("all flows together have more than {ROUTES_MAX} ways or {ROUTE_TAGS_MAX} tags on them");
        self.checker.report.push(Diagnostic::new("E199", at, message).help("join flows that do the same"));
    }

    fn route(&mut self, flow: &Flow<'_>, way: &Way, sink: usize, at: Span) {
        self.route_count += 1;
        self.route_tags += way.weight();
        if self.route_count > ROUTES_MAX || self.route_tags > ROUTE_TAGS_MAX {
            return self.too_many(at);
        }
        let window = way.rows.as_ref().and_then(|rows| rows.window.clone());
        if let Some(window) = window.as_ref().filter(|window| window.revise_ns > 0) {
            let many = window.instances.len() > 1;
            let revised = self.flows.revised.entry(sink).or_insert(Revised { at, many });
            revised.many |= many;
        }
        let names = self.names_at_sink(way, at);
        self.flows.routes.entry(sink).or_default().push(Route {
            flow: flow.name.text.as_str().into(),
            tags: way.tags.clone(),
            stages: way.stages.clone(),
            window: window.map(Box::new),
            row_conditions: way.row_conditions.clone(),
            names,
            high_priority: flow.high_priority,
        });
    }
}

/// Adds a stage that acts on samples; rows pass it untouched.
fn add_stage(ways: &mut [Way], stage: &Stage) {
    ways.iter_mut().filter(|way| way.rows.is_none()).for_each(|way| way.stages.push(stage.clone()));
}

/// True also where the condition is bad: that counts as no.
fn not_taken(condition: Expr) -> Expr {
    let no = Expr::Const(gwp_core::Value::Bool(false));
    Expr::Not(Box::new(Expr::Otherwise(Box::new(condition), Box::new(no))))
}

/// The type as which samples of both types can be read; `None` if there is none.
fn common(a: &Ty, b: &Ty) -> Option<Ty> {
    match (a, b) {
        (Ty::Error, _) | (_, Ty::Error) => Some(Ty::Error),
        (Ty::Number(x), Ty::Number(y)) => {
            let same = x.unit.dim == y.unit.dim
                && x.unit.factor == y.unit.factor
                && x.unit.offset == y.unit.offset
                && x.unit.point == y.unit.point;
            same.then(|| Ty::Number(Number { real: x.real || y.real, unit: x.unit.clone() }))
        }
        (a, b) => (a == b).then(|| a.clone()),
    }
}
