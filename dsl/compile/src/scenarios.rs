//! `test` blocks: names, values and times are resolved against the plan they will be played on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gwp_core::{Kind, TagId, Timestamp, Value};
use gwp_plan::scenario::{Expected, ExpectedRow, Fed, Scenario, ScenarioAction, ScenarioStep, Subject};
use gwp_plan::{AlarmOrder, Expr as PlanExpr, Function, Origin, Plan, StateFunction};
use gwp_syntax::ast::{self, Action, ExprKind, Path};
use gwp_syntax::{Diagnostic, Diagnostics, SourceMap, Span};

use crate::alarms::ALARMS;
use crate::assemble::Assembled;
use crate::check::resolve::Meaning;
use crate::check::{Checker, Scope};
use crate::items::nearest;
use crate::limits::TEST_STEPS_MAX;
use crate::types::{Ty, Typed};
use crate::units::Unit;
use crate::world::World;

/// Steps of one test, repetitions unfolded.
const STEPS_MAX: usize = 100_000;

/// A test lasts at most ten years, in seconds.
const LENGTH_S_MAX: f64 = 3_652.0 * 86_400.0;

/// 2025-01-01T00:00Z, nanoseconds: the start of a test that names none.
const START_NS: i64 = 1_735_689_600 * 1_000_000_000;

/// A test and where it stands.
#[derive(Clone, Debug)]
pub struct PlacedScenario {
    pub scenario: Scenario,
    /// Of its name.
    pub span: Span,
    /// Of each step's action.
    pub steps: Vec<Span>,
}

impl PlacedScenario {
    /// Fills in the actions as written.
    pub(crate) fn quote(&mut self, sources: &SourceMap) {
        for (step, span) in self.scenario.steps.iter_mut().zip(&self.steps) {
            let text = sources.text(*span);
            let fed = matches!(step.action, ScenarioAction::Feed { .. });
            step.text = if fed { text.into() } else { format!("expect {text}").into() };
            if matches!(step.action, ScenarioAction::ExpectNo { .. }) {
                step.text = format!("expect no {text}").into();
            }
        }
    }
}

/// Resolves all tests.
pub(crate) fn scenarios(
    world: &World<'_>,
    assembled: &Assembled,
    report: &mut Diagnostics,
) -> Vec<PlacedScenario> {
    let plan = &assembled.plan;
    let numbers = (0u32..).map(TagId).zip(&assembled.tags);
    let numbers: HashMap<usize, TagId> = numbers.map(|(new, old)| (*old, new)).collect();
    let mut names: HashMap<String, Span> = HashMap::new();
    let mut found = Vec::new();
    let mut made = 0;
    for test in &world.items.tests {
        let name = test.name.literal().unwrap_or_default();
        if let Some(first) = names.insert(name.clone(), test.name.span) {
            let fault = Diagnostic::new("E103", test.name.span, format!("two tests are called `{name}`"));
            report.push(fault.label(first, "the first one"));
        }
        let mut reader = Reader {
            plan,
            numbers: &numbers,
            checker: Checker::new(world, report),
            steps: Vec::new(),
            failed: false,
            made,
        };
        let start = reader.settings(test);
        test.steps.iter().for_each(|step| reader.step(step));
        let (mut steps, failed) = (reader.steps, reader.failed);
        made += steps.len();
        let is_feed = |step: &ScenarioStep| matches!(step.action, ScenarioAction::Feed { .. });
        steps.sort_by_key(|(step, _)| (step.at_ns, !is_feed(step)));
        if !failed {
            proves_something(plan, test, &steps, report);
        }
        let (steps, spans) = steps.into_iter().unzip();
        let scenario = Scenario { name: name.into(), start, steps };
        found.push(PlacedScenario { scenario, span: test.name.span, steps: spans });
    }
    found
}

struct Reader<'r, 'w, 'a> {
    plan: &'r Plan,
    /// Tags of the plan by their index in the world.
    numbers: &'r HashMap<usize, TagId>,
    checker: Checker<'w, 'a>,
    steps: Vec<(ScenarioStep, Span)>,
    /// Something was reported, so that what is missing says nothing.
    failed: bool,
    /// Steps of the tests before.
    made: usize,
}

/// What a path in a test means.
enum Target {
    /// A tag and its type.
    Tag(TagId, Ty),
    Quality(TagId),
    /// Rows by name, of one device if it is given.
    Rows(Arc<str>, Option<Arc<str>>),
}

impl Reader<'_, '_, '_> {
    fn wrong(&mut self, fault: Diagnostic) {
        self.failed = true;
        self.checker.report.push(fault);
    }

    fn settings(&mut self, test: &ast::Test) -> Timestamp {
        let mut start = Timestamp(START_NS);
        for setting in &test.settings {
            if setting.name.text != "start" {
                let message = format!("a test has no setting `{}`", setting.name);
                self.wrong(Diagnostic::new("E402", setting.name.span, message).help("it has: `start`"));
                continue;
            }
            let value = match &setting.value {
                ast::SettingValue::Range(range) if range.high.is_none() => {
                    self.checker.expr(&range.low, &Scope::constant())
                }
                _ => Typed::error(),
            };
            match value.constant() {
                Some(Value::Time(time)) if !value.is_error() => start = *time,
                _ => {
                    let fault = Diagnostic::new("E407", setting.span, "`start` is a point in time");
                    self.wrong(fault.help("write it like `start = 2025-06-01T00:00Z`"));
                }
            }
        }
        start
    }

    fn step(&mut self, step: &ast::Step) {
        let Some(times) = self.times(step) else { return };
        for action in &step.actions {
            let Some((action, span)) = self.action(action) else { continue };
            for &at_ns in &times {
                if self.made + self.steps.len() >= TEST_STEPS_MAX {
                    let message = format!("all tests together have at most {TEST_STEPS_MAX} steps");
                    return self.wrong(Diagnostic::new("E803", step.span, message));
                }
                if self.steps.len() >= STEPS_MAX {
                    let message = format!("a test has at most {STEPS_MAX} steps");
                    return self.wrong(Diagnostic::new("E803", step.span, message));
                }
                self.steps.push((ScenarioStep { at_ns, action: action.clone(), text: "".into() }, span));
            }
        }
    }

    /// Times of a step, nanoseconds after the start.
    fn times(&mut self, step: &ast::Step) -> Option<Vec<i64>> {
        let first = self.seconds(&step.at, 0.0)?;
        let ns = |seconds: f64| (seconds * 1e9).round() as i64;
        let Some((last, every)) = &step.repeat else { return Some(vec![ns(first)]) };
        let (last_s, every_s) = (self.seconds(last, 0.0)?, self.seconds(every, 1e-6)?);
        if last_s < first {
            let fault = Diagnostic::new("E803", last.span, "the repetition ends before it begins");
            self.wrong(fault.label(step.at.span, "it begins here"));
            return None;
        }
        let count = ((last_s - first) / every_s + 1e-9).floor() as usize;
        if count >= STEPS_MAX {
            let message = format!("this gives more than {STEPS_MAX} steps");
            self.wrong(Diagnostic::new("E803", every.span, message).help("choose a longer interval"));
            return None;
        }
        Some((0..=count).map(|index| ns(first + index as f64 * every_s)).collect())
    }

    fn seconds(&mut self, value: &ast::Expr, least: f64) -> Option<f64> {
        let seconds = self.checker.fixed_number(value, &Unit::second(), false, &Scope::constant());
        self.failed |= seconds.is_none();
        let seconds = seconds?;
        if !(least..=LENGTH_S_MAX).contains(&seconds) {
            let fault =
                Diagnostic::new("E803", value.span, "a time of a test lies between 0 s and ten years");
            self.wrong(fault);
            return None;
        }
        Some(seconds)
    }

    fn action(&mut self, action: &Action) -> Option<(ScenarioAction, Span)> {
        Some(match action {
            Action::Feed { path, value } => (self.feed(path, value)?, path.span.to(value.span)),
            Action::Expect { path, value } => {
                let action = match self.target(path)? {
                    Target::Tag(tag, ty) => {
                        let expected = self.expected(path, value, &ty)?;
                        ScenarioAction::Expect { tag, expected }
                    }
                    Target::Quality(tag) => ScenarioAction::Expect { tag, expected: self.quality(value)? },
                    Target::Rows(name, _) => {
                        let fault =
                            Diagnostic::new("E110", path.span, format!("`{name}` are rows, not a value"));
                        self.wrong(fault.help(format!("write `expect {path} {{ column = value }}`")));
                        return None;
                    }
                };
                (action, path.span.to(value.span))
            }
            Action::ExpectRow { path, columns, block } => (self.row(path, columns)?, path.span.to(*block)),
            Action::ExpectNo { path } => {
                let what = match self.target(path)? {
                    Target::Tag(tag, _) | Target::Quality(tag) => Subject::Tag(tag),
                    Target::Rows(name, device) => Subject::Rows(name, device),
                };
                (ScenarioAction::ExpectNo { what }, path.span)
            }
        })
    }

    fn feed(&mut self, path: &Path, value: &ast::Expr) -> Option<ScenarioAction> {
        let (tag, ty) = match self.target(path)? {
            Target::Tag(tag, ty) => (tag, ty),
            Target::Rows(name, Some(device)) if *name == *ALARMS => return self.order(path, value, &device),
            _ => {
                let fault = Diagnostic::new("E802", path.span, "only tags of devices can be fed");
                self.wrong(fault);
                return None;
            }
        };
        let plan_tag = self.plan.tag(tag)?;
        if plan_tag.origin == Origin::Outcome {
            return self.command(path, value, tag);
        }
        if !matches!(plan_tag.origin, Origin::Point { .. } | Origin::Connected { .. }) {
            let fault = Diagnostic::new("E802", path.span, format!("`{path}` is computed by the program"));
            self.wrong(fault.help("feed the tags it is computed from, and expect it"));
            return None;
        }
        if is_word(value, "bad") {
            return Some(ScenarioAction::Feed { tag, value: Fed::Bad });
        }
        let kind = plan_tag.kind;
        let value = self.value(path, value, &ty)?;
        Some(ScenarioAction::Feed { tag, value: Fed::Good(as_kind(value, kind)) })
    }

    /// `set_limit.meter01 = 900 kW`: a command arrives; what becomes of it is expected under the same name.
    fn command(&mut self, path: &Path, value: &ast::Expr, outcome: TagId) -> Option<ScenarioAction> {
        let write = self.plan.writes.iter().find(|write| write.outcome == outcome);
        let of_write = write.and_then(|write| {
            let target = self.numbers.iter().find(|(_, new)| **new == write.target)?.0;
            Some((write.command, self.checker.world.tags.get(*target)?.ty.clone()))
        });
        // A write in error is reported where it stands.
        let Some((tag, ty)) = of_write else {
            self.failed = true;
            return None;
        };
        if is_word(value, "bad") {
            return Some(ScenarioAction::Feed { tag, value: Fed::Bad });
        }
        let kind = self.plan.tag(tag)?.kind;
        let value = self.value(path, value, &ty)?;
        Some(ScenarioAction::Feed { tag, value: Fed::Good(as_kind(value, kind)) })
    }

    /// `press.alarms = "acknowledge oil_hot by anna"`: an operator gives an order.
    fn order(&mut self, path: &Path, value: &ast::Expr, device: &str) -> Option<ScenarioAction> {
        let is_orders =
            |tag: &gwp_plan::plan::Tag| tag.origin == Origin::Orders && *tag.info.device == *device;
        let tag = (0u32..).zip(&self.plan.tags).find(|(_, tag)| is_orders(tag)).map(|(id, _)| TagId(id));
        // Alarms in error are reported where they stand.
        let Some(tag) = tag else {
            self.failed = true;
            return None;
        };
        let Value::Text(text) = self.value(path, value, &Ty::Text)? else { return None };
        let read = AlarmOrder::read(&text).map_err(|error| error.to_string());
        match read.and_then(|order| self.plan.check_order(tag, &order).map(|()| order)) {
            Ok(order) => {
                let text = Value::Text(order.to_string().into());
                Some(ScenarioAction::Feed { tag, value: Fed::Good(text) })
            }
            Err(why) => {
                self.wrong(Diagnostic::new("E802", value.span, why));
                None
            }
        }
    }

    fn expected(&mut self, path: &Path, value: &ast::Expr, ty: &Ty) -> Option<Expected> {
        if is_word(value, "bad") {
            return Some(Expected::Bad);
        }
        self.value(path, value, ty).map(Expected::Value)
    }

    /// `expect x.quality = "uncertain"`
    fn quality(&mut self, value: &ast::Expr) -> Option<Expected> {
        const WORDS: [&str; 3] = ["good", "uncertain", "bad"];
        let written = self.checker.expr(value, &Scope::constant());
        let word = match written.constant() {
            Some(Value::Text(text)) => (0i64..).zip(WORDS).find(|(_, word)| **word == **text),
            _ => None,
        };
        if word.is_none() && !written.is_error() {
            let fault =
                Diagnostic::new("E207", value.span, "a quality is \"good\", \"uncertain\" or \"bad\"");
            self.wrong(fault);
        }
        self.failed |= word.is_none();
        word.map(|(number, _)| Expected::Quality(number))
    }

    /// A fixed value of a type.
    fn value(&mut self, path: &Path, value: &ast::Expr, ty: &Ty) -> Option<Value> {
        let written = self.checker.expr(value, &Scope::constant());
        let found = match (ty, written.constant()) {
            _ if written.is_error() => None,
            (Ty::Enum(labels), Some(Value::Text(text))) => {
                let found = labels.iter().find(|(_, label)| label == text).map(|(raw, _)| Value::Int(*raw));
                if found.is_none() {
                    let message = format!("`{path}` has no label \"{text}\"");
                    let fault = Diagnostic::new("E203", value.span, message);
                    let known = labels.iter().map(|(_, label)| format!("\"{label}\"")).collect::<Vec<_>>();
                    self.wrong(fault.help(format!("it has: {}", known.join(", "))));
                }
                found
            }
            _ => {
                let what = format!("`{path}`");
                let typed = self.checker.declared(written, ty, value.span, path.span, &what);
                if !typed.is_error() && typed.constant().is_none() {
                    self.wrong(Diagnostic::new("E210", value.span, "a fixed value is needed here"));
                }
                typed.constant().filter(|_| !typed.is_error()).cloned()
            }
        };
        self.failed |= found.is_none();
        found
    }

    fn row(&mut self, path: &Path, columns: &[(Path, ast::Expr)]) -> Option<ScenarioAction> {
        let (name, device) = match self.target(path)? {
            Target::Rows(name, device) => (name, device),
            Target::Tag(..) | Target::Quality(_) => {
                let fault = Diagnostic::new("E110", path.span, format!("`{path}` is a value, not rows"));
                self.wrong(fault.help(format!("write `expect {path} = value`")));
                return None;
            }
        };
        let mut row: Vec<(Arc<str>, Expected)> = Vec::new();
        if let Some(device) = device {
            row.push(("device".into(), Expected::Value(Value::Text(device))));
        }
        let known = self.columns_of(&name);
        for (column, value) in columns {
            row.extend(self.column(&name, &known, column, value));
        }
        let (select, columns) = row.into_iter().partition(|(column, expected)| {
            let selects = matches!(&**column, "device" | "alarm" | "start");
            selects && !matches!(expected, Expected::Quality(_))
        });
        Some(ScenarioAction::ExpectRow { row: ExpectedRow { name, select, columns } })
    }

    /// `kwh = 100 kWh` or `kwh.quality = "uncertain"` of rows.
    fn column(
        &mut self,
        rows: &str,
        known: &BTreeMap<String, Ty>,
        column: &Path,
        value: &ast::Expr,
    ) -> Option<(Arc<str>, Expected)> {
        let name = &column.root;
        let Some(ty) = known.get(name.text.as_str()) else {
            let fault = Diagnostic::new("E102", name.span, format!("`{rows}` has no column `{name}`"));
            let names = known.keys().map(String::as_str);
            self.wrong(match nearest(&name.text, names.clone()) {
                Some(near) => fault.did_you_mean(near),
                None => fault.help(format!("it has: {}", names.collect::<Vec<_>>().join(", "))),
            });
            return None;
        };
        let expected = match (column.rest.as_slice(), &column.members) {
            ([], None) => self.expected(column, value, ty)?,
            ([part], None) if part.text == "quality" => self.quality(value)?,
            _ => {
                let fault = Diagnostic::new("E102", column.span, format!("`{column}` is no column"));
                self.wrong(fault.help(format!("write `{name}` or `{name}.quality`")));
                return None;
            }
        };
        Some((name.text.as_str().into(), expected))
    }

    /// Columns of rows with their types, by name.
    fn columns_of(&self, rows: &str) -> BTreeMap<String, Ty> {
        let mut columns: BTreeMap<String, Ty> = BTreeMap::new();
        columns.insert("device".into(), Ty::Text);
        for tag in self.plan.tags.iter().filter(|tag| &*tag.info.row == rows) {
            let short = tag.info.tag.rsplit('.').next().unwrap_or_default();
            let ty = match tag.kind {
                _ if !tag.info.labels.is_empty() => Ty::Enum(tag.info.labels.clone()),
                Kind::Bool => Ty::Bool,
                Kind::Text | Kind::Bytes => Ty::Text,
                Kind::Time => Ty::Time,
                kind => {
                    let unit = self.checker.world.units.find(&tag.info.unit).unwrap_or(Unit::none());
                    Ty::number(kind == Kind::Float, unit)
                }
            };
            columns.entry(short.to_owned()).or_insert(ty);
        }
        columns
    }

    fn target(&mut self, path: &Path) -> Option<Target> {
        let world = self.checker.world;
        let root = path.root.text.as_str();
        if path.rest.is_empty() && path.members.is_none() {
            let is_rows = self.plan.tags.iter().any(|tag| &*tag.info.row == root);
            if is_rows && root != ALARMS {
                return Some(Target::Rows(root.into(), None));
            }
            if let Some(flow) = world.items.flows.iter().find(|flow| flow.name.text == root) {
                // One with a window has another name for its rows, or an error in it.
                if !flow.stages.iter().any(|stage| matches!(stage, ast::Stage::Window(_))) {
                    let fault =
                        Diagnostic::new("E110", path.span, format!("the flow `{root}` makes no rows"));
                    self.wrong(fault.help("expect the tags themselves"));
                }
                self.failed = true;
                return None;
            }
        }
        if let Some((last, before)) = path.rest.split_last()
            && last.text == ALARMS
            && before.is_empty()
            && let Some(device) = self.device(path)
        {
            return Some(Target::Rows(ALARMS.into(), Some(device)));
        }
        match world.resolve(path, &Scope::default()) {
            Meaning::Tag(tag) => {
                let ty = world.tag(tag).map_or(Ty::Error, |tag| tag.ty.clone());
                let tag = self.numbers.get(&tag.index()).copied();
                self.failed |= tag.is_none() || ty == Ty::Error;
                tag.filter(|_| ty != Ty::Error).map(|tag| Target::Tag(tag, ty))
            }
            Meaning::QualityOf(tag) => self.numbers.get(&tag.index()).copied().map(Target::Quality),
            Meaning::Silent => {
                self.failed = true;
                None
            }
            Meaning::Unknown(fault) => {
                self.wrong(*fault);
                None
            }
            _ => {
                let fault = Diagnostic::new("E110", path.span, format!("`{path}` is not a tag"));
                self.wrong(fault.help("name a tag with its device, such as `meter01.power`"));
                None
            }
        }
    }

    /// The device in `meter[07].alarms` or `meter07.alarms`.
    fn device(&self, path: &Path) -> Option<Arc<str>> {
        let world = self.checker.world;
        let index = match &path.members {
            None => world.by_name.get(path.root.text.as_str()).copied(),
            Some(members) => match &members.pick {
                ast::MemberPick::One(digits) => {
                    let family = world.families.get(path.root.text.as_str())?;
                    family.devices.get(&digits.text.parse().ok()?).copied()
                }
                _ => None,
            },
        };
        world.device(index?).map(|device| device.name.clone())
    }
}

fn is_word(expr: &ast::Expr, word: &str) -> bool {
    matches!(&expr.kind, ExprKind::Path(path)
        if path.root.text == word && !path.root.quoted && path.rest.is_empty() && path.members.is_none())
}

/// A constant as a device would give it.
fn as_kind(value: Value, kind: Kind) -> Value {
    match (value, kind) {
        (Value::Int(value), Kind::Float) => Value::Float(value as f64),
        (Value::Int(value), Kind::UInt) => u64::try_from(value).map_or(Value::Int(value), Value::UInt),
        (Value::Float(value), Kind::Int) => Value::Int(value.round() as i64),
        (value, _) => value,
    }
}

/// A test must expect something, and nothing that it does not touch.
fn proves_something(plan: &Plan, test: &ast::Test, steps: &[(ScenarioStep, Span)], report: &mut Diagnostics) {
    let expects = steps.iter().any(|(step, _)| !matches!(step.action, ScenarioAction::Feed { .. }));
    if !expects && report.has_errors() {
        // It may be an expectation that could not be read.
        return;
    }
    if !expects {
        let fault =
            Diagnostic::new("E801", test.name.span, "this test expects nothing, so it proves nothing");
        return report.push(fault.help("add `at 5 s: expect x = value`"));
    }
    let fed = steps.iter().filter_map(|(step, _)| match &step.action {
        ScenarioAction::Feed { tag, .. } => Some(*tag),
        _ => None,
    });
    let (tags, rows) = reached(plan, fed.collect());
    for (step, span) in steps {
        let touched = match &step.action {
            ScenarioAction::Feed { .. } => true,
            ScenarioAction::Expect { tag, .. } | ScenarioAction::ExpectNo { what: Subject::Tag(tag) } => {
                tags.contains(tag)
            }
            ScenarioAction::ExpectRow { row: ExpectedRow { name, .. } }
            | ScenarioAction::ExpectNo { what: Subject::Rows(name, _) } => rows.contains(name),
        };
        if !touched {
            let fault = Diagnostic::new("E801", *span, "nothing that this test feeds reaches this");
            report.push(fault.help("feed a tag it depends on"));
        }
    }
}

/// Tags and rows that depend on what is fed, or on the time.
fn reached(plan: &Plan, fed: BTreeSet<TagId>) -> (BTreeSet<TagId>, BTreeSet<Arc<str>>) {
    let (mut tags, mut rows) = (fed, BTreeSet::new());
    for write in plan.writes.iter().filter(|write| tags.contains(&write.command)).collect::<Vec<_>>() {
        tags.extend([write.outcome, write.target]);
    }
    for calc in &plan.calcs {
        let mut touched = false;
        calc.for_each_expr(&mut |expr| touched |= touches(expr, &tags));
        touched |= calc.alarm.as_ref().is_some_and(|alarm| tags.contains(&alarm.orders));
        let stale = |function: &StateFunction| matches!(function, StateFunction::Stale { .. });
        if touched || calc.operators.iter().any(|operator| stale(&operator.function)) {
            tags.insert(calc.tag);
            if calc.alarm.is_some() {
                rows.insert(ALARMS.into());
            }
        }
    }
    for route in plan.sinks.iter().flat_map(|sink| &sink.routes) {
        let Some(window) = &route.window else { continue };
        for instance in &window.instances {
            let exprs = instance.operators.iter().flat_map(|operator| &operator.args);
            let exprs = exprs.chain(instance.condition.iter());
            let mut exprs = exprs
                .chain(instance.aggregates.iter().map(|aggregate| &aggregate.arg))
                .chain(instance.columns.iter().map(|column| &column.expr));
            if exprs.any(|expr| touches(expr, &tags)) {
                rows.insert(window.name.clone());
            }
        }
    }
    (tags, rows)
}

fn touches(expr: &PlanExpr, tags: &BTreeSet<TagId>) -> bool {
    let mut touched = false;
    expr.for_each(&mut |part| match part {
        PlanExpr::Tag(tag, _) | PlanExpr::TimeOf(tag) => touched |= tags.contains(tag),
        PlanExpr::Call(Function::Within(_), _) => touched = true,
        _ => {}
    });
    touched
}
