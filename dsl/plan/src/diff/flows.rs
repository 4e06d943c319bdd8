//! Flows: ways to sinks, what their stages remember, and the windows on them.

use super::changes::{Detail, Effect, State};
use super::describe::{Described, Pair};
use super::fingerprint::Fingerprint;
use super::items::routes_of;
use super::lanes::Fate;
use super::words::{self, compared, counted, some_of};
use crate::plan::{Plan, Route, Stage, Window, WindowKind};
use crate::{Calendar, Period};
use gwp_core::manifest::written_duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn changed(pair: &mut Pair<'_>, old: &Arc<str>, new: &Arc<str>) -> Described {
    let details = details(pair, old, new);
    let mut fates: BTreeMap<usize, Fate> = BTreeMap::new();
    let mut begins: BTreeSet<&str> = BTreeSet::new();
    let had: BTreeSet<&str> =
        routes_of(pair.called, old).iter().map(|(sink, _)| &*pair.called.sinks[*sink].name).collect();
    for (sink, _) in routes_of(pair.new, new) {
        let name = &*pair.new.sinks[sink].name;
        if !had.contains(name) {
            begins.insert(name);
        }
        if let Some(fate) = pair.lanes.fate(sink, new) {
            fates.insert(sink, fate);
        }
    }
    let (effect, replaced) = effect(pair.new, new, &fates, &begins);
    (details, effect, replaced)
}

fn effect(plan: &Plan, flow: &str, fates: &BTreeMap<usize, Fate>, begins: &BTreeSet<&str>) -> (Effect, bool) {
    let sum = |of: &dyn Fn(&Fate) -> usize| fates.values().map(of).sum::<usize>();
    let most = |of: &dyn Fn(&Fate) -> usize| fates.values().map(of).max().unwrap_or(0);
    let kept = sum(&|fate| fate.stages_kept + fate.windows_kept);
    let (stages, windows) = (sum(&|fate| fate.stages_anew), most(&|fate| fate.windows_anew));
    let anew = stages + windows;
    let mut words = Vec::new();
    let state = match (kept, anew) {
        (0, 0) => None,
        (_, 0) => Some(State::Kept),
        (0, _) => Some(State::Anew),
        _ => Some(State::InPart),
    };
    if state == Some(State::Kept) {
        words.push("state kept".to_owned());
    }
    if windows > 0 {
        let (which, its) =
            if windows == 1 { ("the window begins", "its") } else { ("windows begin", "their") };
        words.push(format!("{which} anew"));
        words
            .push(format!("{its} open row is dropped, the next one covers the time from the switch on only"));
    }
    if stages > 0 {
        words.push("stages begin anew: the next sample of each tag passes".to_owned());
    }
    if !begins.is_empty() {
        words.push(format!("begins at {}", some_of(begins.iter())));
    }
    let has_window = routes_of(plan, flow).iter().any(|(_, route)| route.window.is_some());
    if windows == 0 && state == Some(State::Kept) && has_window {
        words.push("the row that is open is finished in the new way".to_owned());
    }
    if words.is_empty() {
        words.push("from the next sample on".to_owned());
    }
    (Effect { state, words, ..Effect::default() }, state == Some(State::Anew) && windows > 0)
}

fn details(pair: &Pair<'_>, old: &Arc<str>, new: &Arc<str>) -> Vec<Detail> {
    let mut details = Vec::new();
    let summary = |plan: &Plan, flow: &str| plan.flows.iter().find(|summary| *summary.name == *flow).cloned();
    let (before, after) = (routes_of(pair.called, old), routes_of(pair.new, new));
    if let (Some(old), Some(new)) = (summary(pair.called, old), summary(pair.new, new)) {
        let list = |list: &Vec<Arc<str>>| list.join(", ");
        compared(&mut details, "from", (&old.inputs, &new.inputs), list);
        stages(&mut details, &old.stages, &new.stages);
        names_of(&mut details, "output", &old.outputs, &new.outputs);
        let high = |high: &bool| if *high { "high" } else { "normal" }.to_owned();
        compared(&mut details, "priority", (&old.high_priority, &new.high_priority), high);
        compared(&mut details, "standby", (&old.standby, &new.standby), |standby| words::standby(*standby));
    }
    let written = details.len();
    windows(&mut details, pair, &before, &after);
    if details.len() > written {
        // The same once more, as written.
        let window = |text: &str| ["every ", "on ", "while "].iter().any(|word| text.starts_with(word));
        details.retain(|detail| {
            !matches!(detail, Detail::Value { what, old, new } if what == "stage" && window(old) && window(new))
        });
    }
    tags(&mut details, pair, &before, &after);
    let bands = |plan: &Plan, routes: &[(usize, &Route)]| {
        let bands = routes.iter().flat_map(|(_, route)| &route.stages).filter_map(|stage| match stage {
            Stage::Deadband(bands) | Stage::Changes { deadband: bands, .. } => Some(bands),
            _ => None,
        });
        Fingerprint::of(plan, &bands.collect::<Vec<_>>())
    };
    if details.is_empty() && bands(pair.called, &before) != bands(pair.new, &after) {
        details.push(Detail::changed("deadband of its tags"));
    }
    if details.is_empty() {
        details.push(Detail::changed("what its conditions or columns compute"));
    }
    details
}

/// Stages as written, without those that both begin and end with.
fn stages(details: &mut Vec<Detail>, old: &[Arc<str>], new: &[Arc<str>]) {
    let begin = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[begin..], &new[begin..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    if let ([old], [new]) = (old, new) {
        details.push(Detail::value("stage", old, new));
        return;
    }
    details.extend(new.iter().map(|stage| Detail::Added { what: format!("`{stage}`") }));
    details.extend(old.iter().map(|stage| Detail::Removed { what: format!("`{stage}`") }));
}

fn names_of(details: &mut Vec<Detail>, what: &str, old: &[Arc<str>], new: &[Arc<str>]) {
    let set = |names: &[Arc<str>]| -> BTreeSet<String> { names.iter().map(ToString::to_string).collect() };
    let (old, new) = (set(old), set(new));
    let (old, new) = (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    words::names(details, what, &old, &new);
}

fn tags(details: &mut Vec<Detail>, pair: &Pair<'_>, old: &[(usize, &Route)], new: &[(usize, &Route)]) {
    let paths = |plan: &Plan, routes: &[(usize, &Route)]| -> BTreeSet<Arc<str>> {
        let tags = routes.iter().flat_map(|(_, route)| &route.tags);
        tags.filter_map(|tag| plan.tag(*tag)).map(|tag| tag.info.path.clone()).collect()
    };
    let (old, new) = (paths(pair.called, old), paths(pair.new, new));
    let (come, gone) = (new.difference(&old).count(), old.difference(&new).count());
    if come > 0 {
        details.push(Detail::Added { what: counted(come, "tag") });
    }
    if gone > 0 {
        details.push(Detail::Removed { what: counted(gone, "tag") });
    }
}

fn windows(details: &mut Vec<Detail>, pair: &Pair<'_>, old: &[(usize, &Route)], new: &[(usize, &Route)]) {
    let by_name = |routes: &[(usize, &Route)]| -> BTreeMap<Arc<str>, Window> {
        let windows = routes.iter().filter_map(|(_, route)| route.window.as_deref());
        windows.map(|window| (window.name.clone(), window.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let rows = |windows: &BTreeMap<Arc<str>, Window>| -> Vec<Arc<str>> { windows.keys().cloned().collect() };
    names_of(details, "rows", &rows(&old), &rows(&new));
    for (name, old) in &old {
        let Some(new) = new.get(name) else { continue };
        window(details, pair, old, new);
    }
}

fn window(details: &mut Vec<Detail>, pair: &Pair<'_>, old: &Window, new: &Window) {
    let span = |ns: &i64| written_duration(*ns);
    compared(details, "window", (&old.kind, &new.kind), kind);
    compared(details, "wait", (&old.wait_ns, &new.wait_ns), span);
    compared(details, "revise", (&old.revise_ns, &new.revise_ns), span);
    compared(details, "min_coverage", (&old.min_coverage, &new.min_coverage), |share| {
        format!("{} %", share * 100.0)
    });
    let devices = |window: &Window| -> Vec<Arc<str>> {
        window.instances.iter().map(|one| one.device.clone()).collect()
    };
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (devices(old).into_iter().collect(), devices(new).into_iter().collect());
    let (come, gone) = (after.difference(&before).count(), before.difference(&after).count());
    if come > 0 {
        details.push(Detail::Added { what: format!("rows of {}", counted(come, "device")) });
    }
    if gone > 0 {
        details.push(Detail::Removed { what: format!("rows of {}", counted(gone, "device")) });
    }
    let (had, has) = (columns(pair.called, old), columns(pair.new, new));
    words::names(details, "column", &had, &has);
}

fn columns<'p>(plan: &'p Plan, window: &Window) -> BTreeSet<&'p str> {
    let columns = window.instances.iter().flat_map(|instance| &instance.columns);
    columns.filter_map(|column| plan.tag(column.tag)).map(|tag| &*tag.info.tag).collect()
}

fn kind(kind: &WindowKind) -> String {
    let WindowKind::Every { calendar, over_ns } = kind else { return words::choice(kind) };
    let Calendar { period, at_min, timezone } = calendar;
    let mut text = match period {
        Period::Time(ns) => format!("every {}", written_duration(*ns)),
        Period::Days(days) => format!("every {days} d"),
        Period::Months(months) => format!("every {}", counted(usize::from(*months), "month")),
    };
    if *at_min > 0 {
        text += &format!(" at {:02}:{:02}", at_min / 60, at_min % 60);
    }
    if let Some(over) = over_ns {
        text += &format!(" over {}", written_duration(*over));
    }
    format!("{text} in {timezone}")
}

pub(super) fn has_windows(plan: &Plan, flow: &str) -> bool {
    routes_of(plan, flow).iter().any(|(_, route)| route.window.is_some())
}
