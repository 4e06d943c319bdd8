//! Stages with arguments: `changes`, `sample`, `rename`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gwp_core::TagId;
use gwp_plan::Stage;
use gwp_syntax::ast::{self, Call, Expr, ExprKind, Text, TextPart};
use gwp_syntax::{Diagnostic, Span};

use super::{Compiler, Flow, Way, add_stage};
use crate::check::Scope;
use crate::check::resolve::Meaning;
use crate::items::nearest;
use crate::types::{Number, Ty, Typed, describe_unit};
use crate::units::Unit;

/// Stages that are written like functions.
pub(super) const NAMES: [&str; 3] = ["changes", "sample", "rename"];

/// A stage in words; sinks have none.
pub(super) fn words(stage: &ast::Stage) -> Option<String> {
    match stage {
        ast::Stage::Where(condition, _) => Some(format!("where {condition}")),
        ast::Stage::Call(call) => Some(call.to_string()),
        ast::Stage::Split(branches, _) => {
            let one = |branch: &ast::Branch| {
                let condition = branch.when.as_ref().map_or("else".to_owned(), |when| format!("when {when}"));
                let stages = branch.stages.iter().map(|stage| match stage {
                    ast::Stage::Targets(names, _) => {
                        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                    }
                    other => words(other).unwrap_or_default(),
                });
                format!("{condition} -> {}", stages.collect::<Vec<_>>().join(" -> "))
            };
            Some(format!("split {{ {} }}", branches.iter().map(one).collect::<Vec<_>>().join("; ")))
        }
        ast::Stage::Window(window) => Some(window_words(window)),
        ast::Stage::Targets(..) => None,
    }
}

fn window_words(window: &ast::Window) -> String {
    let kind = match window.kind {
        ast::WindowKind::Every => "every",
        ast::WindowKind::On => "on",
        ast::WindowKind::While => "while",
    };
    let words: String = window.attrs.iter().map(|(word, value)| format!(" {word} {value}")).collect();
    let columns = window.columns.iter().map(|column| format!("{} = {}", column.name, column.value));
    format!("{kind} {}{words} {{ {} }}", window.expr, columns.collect::<Vec<_>>().join(", "))
}

/// What a pattern of `rename` may ask of a tag.
struct Told {
    path: Arc<str>,
    tag: Arc<str>,
    device: Arc<str>,
    index: Option<i64>,
    place: Option<Arc<str>>,
}

impl Compiler<'_, '_, '_> {
    pub(super) fn call(&mut self, flow: &Flow<'_>, ways: &mut [Way], call: &Call) {
        match call.name.text.as_str() {
            "changes" => self.changes(ways, call),
            "sample" => {
                let Some([period]) = self.arguments(call, ["period"]) else { return };
                let Some(period) = period else {
                    let fault = Diagnostic::new("E112", call.span, "`sample` needs a period");
                    return self.checker.report.push(fault.help("write `sample(10 s)`"));
                };
                if let Some(period_ns) = self.duration(period) {
                    add_stage(ways, &Stage::Sample { period_ns });
                }
            }
            "rename" => {
                let Some([pattern]) = self.arguments(call, ["pattern"]) else { return };
                match pattern.map(|pattern| (&pattern.kind, pattern.span)) {
                    Some((ExprKind::Text(text), span)) => self.rename(flow, ways, text, span),
                    _ => {
                        let fault = Diagnostic::new("E307", call.span, "`rename` needs a text");
                        self.checker.report.push(fault.help("such as `rename(\"{device}_{tag}\")`"));
                    }
                }
            }
            name => {
                let fault = Diagnostic::new("E311", call.name.span, format!("there is no stage `{name}`"));
                self.checker.report.push(match nearest(name, NAMES.into_iter()) {
                    Some(near) => fault.help(format!("did you mean `{near}`?")).fix_here(near),
                    None => fault.help("there are: where, changes, sample, rename, split, every, on, while"),
                });
            }
        }
    }

    /// Arguments by name or in order.
    fn arguments<'e, const N: usize>(
        &mut self,
        call: &'e Call,
        names: [&str; N],
    ) -> Option<[Option<&'e Expr>; N]> {
        let mut found = [None; N];
        for (at, arg) in call.args.iter().enumerate() {
            let place = match &arg.key {
                Some(key) => names.iter().position(|name| *name == key.text),
                None => Some(at).filter(|at| *at < N),
            };
            let Some(place) = place else {
                let span = arg.key.as_ref().map_or(arg.value.span, |key| key.span);
                let fault = Diagnostic::new("E112", span, format!("`{}` has no such argument", call.name));
                self.checker.report.push(fault.help(format!("it takes: {}", names.join(", "))));
                return None;
            };
            if found[place].replace(&arg.value).is_some() {
                self.checker.report.push(Diagnostic::new(
                    "E409",
                    arg.value.span,
                    "this argument is given twice",
                ));
            }
        }
        Some(found)
    }

    /// A positive time in nanoseconds.
    fn duration(&mut self, value: &Expr) -> Option<i64> {
        let seconds = self.checker.fixed_number(value, &Unit::second(), false, &Scope::constant())?;
        if !(0.001..=1e9).contains(&seconds) {
            self.checker.report.push(Diagnostic::new("E407", value.span, "at least 1 ms is needed here"));
            return None;
        }
        Some((seconds * 1e9).round() as i64)
    }

    fn changes(&mut self, ways: &mut [Way], call: &Call) {
        let Some([deadband, heartbeat]) = self.arguments(call, ["deadband", "heartbeat"]) else { return };
        let heartbeat_ns = heartbeat.and_then(|value| self.duration(value));
        let band = deadband.map(|value| (self.checker.expr(value, &Scope::constant()), value.span));
        for way in ways.iter_mut().filter(|way| way.rows.is_none()) {
            let deadband = match &band {
                Some((band, span)) => self.bands(&way.tags, band, *span),
                None => BTreeMap::new(),
            };
            way.stages.push(Stage::Changes { deadband, heartbeat_ns });
        }
    }

    /// The deadband of each number, in its unit; `%` is of the range of the tag.
    fn bands(&mut self, tags: &[TagId], band: &Typed, span: Span) -> BTreeMap<TagId, f64> {
        let mut bands = BTreeMap::new();
        let Some(written) = band.as_number().cloned() else {
            if !band.is_error() {
                let fault = Diagnostic::new("E207", span, "a deadband is a number with a unit");
                self.checker.report.push(fault.here(format!("this is {}", band.ty.describe())));
            }
            return bands;
        };
        let difference =
            Typed { expr: band.expr.clone(), ty: Ty::number(written.real, written.unit.difference()) };
        for tag in tags {
            let Some(found) = self.checker.world.tag(*tag) else { continue };
            let Ty::Number(Number { unit, .. }) = &found.ty else { continue };
            let value = if unit.dim == written.unit.dim {
                difference.clone().number_in(&unit.difference())
            } else if written.unit.dim.is_none() && !written.unit.is_none() {
                let share = difference.clone().number_in(&Unit::none());
                match (share, found.attrs.range) {
                    (Some(share), Some((low, high))) => Some(share * (high - low)),
                    _ => {
                        let message = format!("{} of what? `{}` has no range", written.unit, found.path);
                        let fault = Diagnostic::new("E214", span, message);
                        self.checker.report.push(fault.help(format!("give it one: `range 0..100 {unit}`")));
                        return bands;
                    }
                }
            } else {
                let band = describe_unit(&written.unit);
                let message =
                    format!("the deadband is {band}, but `{}` is {}", found.path, describe_unit(unit));
                let fault = Diagnostic::new("E202", span, message);
                self.checker
                    .report
                    .push(fault.help("make one flow for each unit, or give the tags a `deadband` each"));
                return bands;
            };
            match value {
                Some(value) if value >= 0.0 => bands.insert(*tag, value),
                Some(_) => {
                    self.checker.report.push(Diagnostic::new("E208", span, "a deadband cannot be negative"));
                    return bands;
                }
                None => {
                    self.checker.report.push(Diagnostic::new("E210", span, "a fixed value is needed here"));
                    return bands;
                }
            };
        }
        bands
    }

    /// New names for all tags on the ways; two tags must not get the same.
    fn rename(&mut self, flow: &Flow<'_>, ways: &mut [Way], pattern: &Text, span: Span) {
        let mut taken: HashMap<Arc<str>, TagId> = HashMap::new();
        for way in ways {
            let tags = way.rows.as_ref().map_or(way.tags.as_slice(), |rows| &rows.tags).to_vec();
            for tag in tags {
                let Some(name) = self.new_name(flow, tag, pattern) else { return };
                if name.is_empty() {
                    return self.checker.report.push(Diagnostic::new("E307", span, "a name cannot be empty"));
                }
                let name: Arc<str> = name.into();
                if let Some(other) = taken.insert(name.clone(), tag)
                    && other != tag
                {
                    let path = |tag| self.told(tag).map_or("".into(), |told| told.path);
                    let message =
                        format!("`{}` and `{}` would both be called `{name}`", path(other), path(tag));
                    let fault = Diagnostic::new("E307", span, message);
                    return self
                        .checker
                        .report
                        .push(fault.help("add what tells them apart, such as `{device}`"));
                }
                way.names.insert(tag, name);
            }
        }
    }

    fn without_place(&mut self, device: &str, at: Span) -> Option<String> {
        let fault = Diagnostic::new("E307", at, format!("`{device}` has no `path`, so nothing is its place"));
        self.checker
            .report
            .push(fault.help("give the device a `path`, or send it through a flow of its own"));
        None
    }

    /// What the tags on a way are called at its sink: as `rename` has said, else with the place of their device
    /// before their path, if it has one. No two get the same: a path has no `/`.
    pub(super) fn names_at_sink(&mut self, way: &Way, at: Span) -> BTreeMap<TagId, Arc<str>> {
        let mut names = way.names.clone();
        let tags = way.rows.as_ref().map_or(way.tags.as_slice(), |rows| &rows.tags);
        for tag in tags.iter().filter(|tag| !way.names.contains_key(tag)) {
            let Some(Told { path, place: Some(place), .. }) = self.told(*tag) else { continue };
            let name = format!("{place}/{path}");
            if let Err(fault) = self.checker.world.unfolded.text(name.len(), at) {
                self.checker.report.extend(fault);
                return names;
            }
            names.insert(*tag, name.into());
        }
        names
    }

    /// The words by which a tag or a column of rows can be told.
    fn told(&self, tag: TagId) -> Option<Told> {
        let world = self.checker.world;
        if let Some(found) = world.tag(tag) {
            let device = world.device(found.device)?;
            let (path, tag) = (found.path.clone(), found.name.clone());
            let place = device.place.clone();
            return Some(Told { path, tag, device: device.name.clone(), index: device.index, place });
        }
        let info = &self.flows.row_tags.get(tag.index().checked_sub(world.tags.len())?)?.info;
        let device = world.by_name.get(&info.device).and_then(|device| world.device(*device));
        let (path, tag, device_name) = (info.path.clone(), info.tag.clone(), info.device.clone());
        let (index, place) = device.map_or((None, None), |device| (device.index, device.place.clone()));
        Some(Told { path, tag, device: device_name, index, place })
    }

    fn new_name(&mut self, flow: &Flow<'_>, tag: TagId, pattern: &Text) -> Option<String> {
        let mut out = String::new();
        for part in &pattern.parts {
            match part {
                TextPart::Literal(literal) => out.push_str(literal),
                TextPart::Insert(insert) => {
                    let told = self.told(tag)?;
                    let word = match &insert.kind {
                        ExprKind::Path(path) if path.rest.is_empty() && path.members.is_none() => {
                            path.root.text.as_str()
                        }
                        _ => "",
                    };
                    match word {
                        "device" => out.push_str(&told.device),
                        "tag" => out.push_str(&told.tag),
                        "place" => match &told.place {
                            Some(place) => out.push_str(place),
                            None => return self.without_place(&told.device, insert.span),
                        },
                        "path" => out.push_str(&told.path),
                        "flow" => out.push_str(&flow.name.text),
                        "index" if let Some(index) = told.index => out.push_str(&index.to_string()),
                        _ if self.is_no_word(insert) => return None,
                        _ => out.push_str(&self.checker.fixed_insert(insert, &Scope::constant())?),
                    }
                }
            }
        }
        Some(out)
    }

    /// Reports a name in a pattern that means nothing, with the words that do.
    fn is_no_word(&mut self, insert: &Expr) -> bool {
        let ExprKind::Path(path) = &insert.kind else { return false };
        match self.checker.world.resolve(path, &Scope::constant()) {
            Meaning::Unknown(fault) if fault.help.is_none() => {
                let words = "`rename` knows `{device}`, `{tag}`, `{path}`, `{index}` and `{flow}`";
                self.checker.report.push(fault.help(words));
                true
            }
            _ => false,
        }
    }
}
