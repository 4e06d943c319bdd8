//! Windows: the columns of one device after the other are checked and lowered, and get tags of their own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use gwp_core::{TagId, TagInfo};
use gwp_plan::plan::{ROW_BUILT_IN, WINDOW_LOCALS};
use gwp_plan::{Column, Expr, Origin, Stage, Tag, Window, WindowInstance};
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Span};

use super::calendar::{self, Words};
use super::rows::Rows;
use super::{Compiler, Flow, Way};
use crate::alarms::ALARMS;
use crate::check::fold::AGGREGATE_BASE;
use crate::check::resolve::{COLUMN_BASE, built_in_columns};
use crate::check::{Head, Place, RowColumn, Scope, WindowScope};
use crate::limits::{COLUMNS_MAX, TAGS_MAX, WINDOW_INSTANCES_MAX};
use crate::renumber::for_each_part;
use crate::types::{Labels, Number, Ty, Typed};

/// Locals of operators while a window is compiled.
const OPERATOR_BASE: u32 = 1 << 20;

/// Faults in this many devices are enough to see what is wrong.
const WRONG_INSTANCES_MAX: usize = 4;

/// One window to be compiled.
struct Task<'t> {
    written: &'t ast::Window,
    by_device: bool,
    /// Name of its rows.
    name: Arc<str>,
}

impl Compiler<'_, '_, '_> {
    /// Makes rows of all samples; gives the ways of these rows.
    pub(super) fn window(&mut self, flow: &Flow<'_>, ways: Vec<Way>, written: &ast::Window) -> Vec<Way> {
        if ways.iter().any(|way| way.rows.is_some()) {
            let fault = Diagnostic::new("E314", written.span, "a window takes samples, not rows")
                .here("rows arrive here");
            self.checker.report.push(
                fault.help(
                    "write a second flow for the samples; rows of rows are made where the data ends up",
                ),
            );
            return Vec::new();
        }
        self.column_names(&written.columns);
        let words = calendar::words(self.checker, written);
        let by_device = words.as_ref().is_some_and(|words| words.by_device);
        let ways = self.merged(ways, by_device, written.span);
        let given = words.as_ref().and_then(|words| words.name.as_ref());
        let (name, name_at) = match given {
            Some(name) => (name.text.as_str(), name.span),
            None => (flow.name.text.as_str(), written.span),
        };
        self.row_name(name, name_at);
        let task = Task { written, by_device, name: name.into() };
        let mut made = Vec::new();
        for way in ways {
            let Some((columns, instances)) = self.instances(flow, &task, &way) else { continue };
            if let Some(words) = &words {
                made.push(rows_of(way, task.name.clone(), words, columns, instances));
            }
        }
        made
    }

    /// Names of columns: each once, and none of those that every row has.
    fn column_names(&mut self, columns: &[ast::Column]) {
        if let Some(column) = columns.get(COLUMNS_MAX) {
            let message = format!("a window may have {COLUMNS_MAX} columns");
            self.checker.report.push(Diagnostic::new("E199", column.span, message));
        }
        let built_in = built_in_columns();
        for (at, column) in columns.iter().enumerate() {
            let name = &column.name;
            if built_in.iter().any(|other| other.name.eq_ignore_ascii_case(&name.text)) {
                let fault = Diagnostic::new("E103", name.span, format!("every row has a column `{name}`"));
                self.checker.report.push(fault.help("choose another name"));
            }
            let before = columns.iter().take(at).map(|other| &other.name);
            if let Some(first) = before.clone().find(|other| other.text == name.text) {
                let message = format!("`{name}` is declared twice in this window");
                let fault = Diagnostic::new("E103", name.span, message).here("the second time");
                self.checker.report.push(fault.label(first.span, "the first time"));
            } else if let Some(other) =
                before.clone().find(|other| other.text.eq_ignore_ascii_case(&name.text))
            {
                let message = format!("`{name}` and `{other}` differ in capital letters only");
                let fault = Diagnostic::new("E106", name.span, message).label(other.span, "the other one");
                self.checker.report.push(fault.help("choose names that cannot be mistaken"));
            }
        }
    }

    /// Rows are told apart by their names.
    fn row_name(&mut self, name: &str, at: Span) {
        let first = self.row_names.insert(name.into(), at);
        if name == ALARMS {
            let fault = Diagnostic::new("E304", at, "the events of alarms are called `alarms`");
            self.checker.report.push(fault.help("give the rows another name: `as hourly`"));
        } else if let Some(first) = first {
            let message = format!("two windows make rows called `{name}`");
            let fault = Diagnostic::new("E304", at, message).here("the second one");
            self.checker.report.push(
                fault
                    .label(first, "the first one")
                    .help("name them (`as fine`, `as coarse`): the name keeps their state and their tags"),
            );
        }
    }

    /// One window takes samples that came the same way; ways that differ in nothing but their tags are one.
    fn merged(&mut self, ways: Vec<Way>, by_device: bool, at: Span) -> Vec<Way> {
        let mut merged: Vec<Way> = Vec::new();
        for mut way in ways {
            // A tag's `deadband` saves traffic; what a window folds is not to be less exact for it.
            way.stages.retain(|stage| !matches!(stage, Stage::Deadband(_)));
            match merged.iter_mut().find(|other| same_stages(&other.stages, &way.stages)) {
                Some(other) => join(other, way),
                None => merged.push(way),
            }
        }
        let mut seen = HashSet::new();
        for way in &merged {
            let devices: BTreeSet<usize> = self.devices_of(&way.tags).into_iter().collect();
            let apart = by_device && devices.iter().all(|device| !seen.contains(device));
            if !apart && !seen.is_empty() {
                let fault = Diagnostic::new("E314", at, "samples reach this window on different ways")
                    .here("what belongs into one row passes different stages");
                let help = "let all tags of the window pass the same stages, or write a flow for each way";
                self.checker.report.push(fault.help(help));
                return Vec::new();
            }
            seen.extend(devices);
        }
        merged
    }

    fn devices_of(&self, tags: &[TagId]) -> Vec<usize> {
        let devices: BTreeSet<usize> =
            tags.iter().filter_map(|tag| self.checker.world.tag(*tag)).map(|tag| tag.device).collect();
        devices.into_iter().collect()
    }

    /// Columns and windows of one way. `None` if something is wrong.
    fn instances(
        &mut self,
        flow: &Flow<'_>,
        task: &Task<'_>,
        way: &Way,
    ) -> Option<(Vec<RowColumn>, Vec<WindowInstance>)> {
        let devices = self.devices_of(&way.tags);
        let world = self.checker.world;
        let name_of = |device: &usize| world.device(*device).map(|device| device.name.clone());
        let scopes: BTreeMap<Arc<str>, Option<usize>> = match (task.by_device, devices.as_slice()) {
            (true, devices) => {
                devices.iter().filter_map(|device| Some((name_of(device)?, Some(*device)))).collect()
            }
            (false, [device]) => [(name_of(device)?, None)].into(),
            (false, _) => [(flow.name.text.as_str().into(), None)].into(),
        };
        self.room_for(scopes.len(), task.written)?;
        let head = Head { devices, value: Ok(Ty::Error) };
        let mut columns: Option<Vec<RowColumn>> = None;
        let mut instances = Vec::new();
        let mut wrong = 0;
        for (device_name, device) in scopes {
            let scope = Scope { device, head: device.is_none().then_some(&head), ..Scope::default() };
            match self.instance(task, way, device_name, &scope, columns.as_deref()) {
                Some((own, instance)) => {
                    columns.get_or_insert(own);
                    instances.push(instance);
                }
                None => wrong += 1,
            }
            if wrong == WRONG_INSTANCES_MAX {
                break;
            }
        }
        (wrong == 0).then_some((columns?, instances))
    }

    /// `None` if so many more windows are too many, or their columns.
    fn room_for(&mut self, instances: usize, written: &ast::Window) -> Option<()> {
        self.instance_count += instances;
        let columns = instances.saturating_mul(ROW_BUILT_IN + written.columns.len());
        let tags = self.checker.world.tags.len() + self.flows.row_tags.len();
        let message = if self.instance_count > WINDOW_INSTANCES_MAX {
            format!("more than {WINDOW_INSTANCES_MAX} windows would run side by side")
        } else if tags.saturating_add(columns) > TAGS_MAX {
            format!("a project may have {TAGS_MAX} tags, columns of windows included")
        } else {
            return Some(());
        };
        self.checker.report.push(Diagnostic::new("E199", written.span, message).help("split the project"));
        None
    }

    /// The window of one device; `first` are the columns of the first one, whose types hold for all.
    fn instance(
        &mut self,
        task: &Task<'_>,
        way: &Way,
        device: Arc<str>,
        scope: &Scope<'_>,
        first: Option<&[RowColumn]>,
    ) -> Option<(Vec<RowColumn>, WindowInstance)> {
        let written = task.written;
        self.checker.operators.clear();
        self.checker.aggregates.clear();
        self.checker.operator_base = OPERATOR_BASE;
        let mut failed = false;
        let condition = match written.kind {
            ast::WindowKind::Every => None,
            kind => {
                let why = if kind == ast::WindowKind::On {
                    "`on` needs a condition"
                } else {
                    "`while` needs a condition"
                };
                let window = WindowScope { device: device.clone(), by_device: task.by_device, columns: &[] };
                let scope = Scope { place: Place::Input(&window), ..scope.clone() };
                let typed = self.checker.condition(&written.expr, why, &scope);
                failed |= typed.is_error();
                Some(typed.expr)
            }
        };
        let mut columns: Vec<RowColumn> = Vec::new();
        let mut exprs = Vec::new();
        for (at, column) in written.columns.iter().enumerate() {
            let window = WindowScope { device: device.clone(), by_device: task.by_device, columns: &columns };
            let scope = Scope { place: Place::Column(&window), ..scope.clone() };
            let of_first = first.and_then(|first| first.get(ROW_BUILT_IN + at));
            let typed = self.column(column, &scope, of_first.map(|column| &column.ty));
            failed |= typed.is_error();
            columns.push(RowColumn { name: column.name.text.as_str().into(), ty: typed.ty });
            exprs.push(typed.expr);
        }
        let operators = std::mem::take(&mut self.checker.operators);
        let aggregates = std::mem::take(&mut self.checker.aggregates);
        self.checker.operator_base = 0;
        if failed {
            return None;
        }
        let all: Vec<RowColumn> = built_in_columns().into_iter().chain(columns).collect();
        let tags = self.row_tags(&device, &task.name, &all, written.span)?;
        let (built_in, own) = tags.split_at_checked(ROW_BUILT_IN)?;
        let built_in = <[TagId; ROW_BUILT_IN]>::try_from(built_in).ok()?;
        let columns = own.iter().zip(exprs).map(|(tag, expr)| Column { tag: *tag, expr }).collect();
        let tags = Vec::new();
        let mut instance =
            WindowInstance { device, tags, operators, condition, aggregates, columns, built_in };
        place_locals(&mut instance);
        instance.tags = sampled(&instance, &way.tags);
        Some((all, instance))
    }

    /// One column, with the type that is declared, or that the first device has given it.
    fn column(&mut self, column: &ast::Column, scope: &Scope<'_>, first: Option<&Ty>) -> Typed {
        let value = self.checker.expr(&column.value, scope);
        let what = format!("`{}`", column.name);
        let (at, checker) = (column.value.span, &mut *self.checker);
        match (&column.ty, first) {
            (Some(ty), _) => {
                let wanted = checker.type_of(ty);
                checker.percent_twice(&column.value, &value, &wanted);
                checker.declared(value, &wanted, at, ty.span, &what)
            }
            (None, _) if value.ty == Ty::Json => {
                let message = "the type of this part of a JSON text is not known";
                let fault = Diagnostic::new("E207", at, message);
                checker.report.push(fault.help(format!("declare it: `{} : real = ...`", column.name)));
                Typed::error()
            }
            // all devices have rows of one shape
            (None, Some(first)) if *first != value.ty => {
                checker.declared(value, first, at, column.name.span, &what)
            }
            (None, _) => value,
        }
    }

    /// Tags of the columns of one device.
    fn row_tags(
        &mut self,
        device: &Arc<str>,
        row: &Arc<str>,
        columns: &[RowColumn],
        at: Span,
    ) -> Option<Vec<TagId>> {
        let world = self.checker.world;
        let mut tags = Vec::with_capacity(columns.len());
        for column in columns {
            let number = world.tags.len() + self.flows.row_tags.len();
            let tag = row_tag(device, row, column);
            if let Some(other) = self.paths.get(&*tag.info.path) {
                let fault = crate::expand::same_path(&tag.info.path, *other, at);
                self.checker.report.push(fault);
                return None;
            }
            tags.push(TagId(u32::try_from(number).ok()?));
            self.flows.row_tags.push(tag);
        }
        Some(tags)
    }
}

fn row_tag(device: &Arc<str>, row: &Arc<str>, column: &RowColumn) -> Tag {
    let unit: Arc<str> = match &column.ty {
        Ty::Number(Number { unit, .. }) => unit.text.clone(),
        _ => "".into(),
    };
    let labels = if let Ty::Enum(labels) = &column.ty { labels.clone() } else { Labels::default() };
    Tag {
        info: TagInfo {
            path: format!("{device}.{row}.{}", column.name).into(),
            device: device.clone(),
            tag: column.name.clone(),
            unit,
            labels,
            desc: "".into(),
            row: row.clone(),
        },
        kind: column.ty.kind(),
        origin: Origin::Column,
        scale: None,
        range: None,
        deadband: None,
        counter: None,
        writable: false,
        family: None,
    }
}

fn rows_of(
    way: Way,
    name: Arc<str>,
    words: &Words,
    columns: Vec<RowColumn>,
    instances: Vec<WindowInstance>,
) -> Way {
    let taken: BTreeSet<TagId> =
        instances.iter().flat_map(|instance| instance.tags.iter().copied()).collect();
    let own = instances.iter().flat_map(|instance| instance.columns.iter().map(|column| column.tag));
    let tags = instances.iter().flat_map(|instance| instance.built_in).chain(own).collect();
    let window = Window {
        name,
        kind: words.kind.clone(),
        wait_ns: words.wait_ns,
        revise_ns: words.revise_ns,
        min_coverage: words.min_coverage,
        instances,
    };
    Way {
        tags: taken.into_iter().collect(),
        stages: way.stages,
        rows: Some(Arc::new(Rows { columns, tags, window: Some(window) })),
        ..Way::new(Vec::new())
    }
}

/// Tags of the way that the window folds or remembers.
fn sampled(instance: &WindowInstance, way: &[TagId]) -> Vec<TagId> {
    let mut read = BTreeSet::new();
    let operators = instance.operators.iter().flat_map(|operator| &operator.args);
    let aggregates = instance.aggregates.iter().map(|aggregate| &aggregate.arg);
    for expr in operators.chain(aggregates).chain(&instance.condition) {
        expr.for_each_tag(&mut |tag| {
            read.insert(tag);
        });
    }
    way.iter().copied().filter(|tag| read.contains(tag)).collect()
}

/// Gives the locals of operators, aggregates and columns their places, now that all of them are known.
fn place_locals(instance: &mut WindowInstance) {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let operators = count(WINDOW_LOCALS);
    let aggregates = operators.saturating_add(count(instance.operators.len()));
    let columns = aggregates.saturating_add(count(instance.aggregates.len()));
    let mut place = |expr: &mut Expr| {
        for_each_part(expr, &mut |part| {
            let Expr::Local(index, _) = part else { return };
            *index = match *index {
                i if i >= COLUMN_BASE => columns + (i - COLUMN_BASE),
                i if i >= AGGREGATE_BASE => aggregates + (i - AGGREGATE_BASE),
                i if i >= OPERATOR_BASE => operators + (i - OPERATOR_BASE),
                i => i,
            };
        });
    };
    instance.operators.iter_mut().flat_map(|operator| &mut operator.args).for_each(&mut place);
    instance.aggregates.iter_mut().for_each(|aggregate| place(&mut aggregate.arg));
    instance.columns.iter_mut().for_each(|column| place(&mut column.expr));
    instance.condition.iter_mut().for_each(place);
}

/// True for stages that differ only in the deadbands of tags.
fn same_stages(a: &[Stage], b: &[Stage]) -> bool {
    let rest = |stages: &[Stage]| -> Vec<Stage> {
        stages.iter().filter(|stage| !matches!(stage, Stage::Deadband(_))).cloned().collect()
    };
    // a stage that keeps state per tag may stand behind a deadband or not: only the first place is free
    let leading = |stages: &[Stage]| stages.iter().skip(1).all(|stage| !matches!(stage, Stage::Deadband(_)));
    leading(a) && leading(b) && rest(a) == rest(b)
}

fn join(way: &mut Way, other: Way) {
    let tags: BTreeSet<TagId> = way.tags.iter().chain(&other.tags).copied().collect();
    way.tags = tags.into_iter().collect();
    let Some(Stage::Deadband(more)) = other.stages.into_iter().next() else { return };
    match way.stages.first_mut() {
        Some(Stage::Deadband(bands)) => bands.extend(more),
        _ => way.stages.insert(0, Stage::Deadband(more)),
    }
}
