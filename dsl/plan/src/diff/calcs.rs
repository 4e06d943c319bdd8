//! Calcs, alarms and writes: which functions remember what they did.

use super::changes::{Detail, Effect, State};
use super::describe::{Described, Pair};
use super::fingerprint::Fingerprint;
use super::sources::tag_attributes;
use super::words::{self, compared};
use crate::plan::{Alarm, Calc, Plan};
use crate::write::{Allow, Limit};
use gwp_core::manifest::written_duration;

pub(super) fn changed(pair: &Pair<'_>, i: usize, j: usize) -> Described {
    let (old, new) = (&pair.called.calcs[i], &pair.new.calcs[j]);
    let mut details = Vec::new();
    if let (Some(old), Some(new)) = (pair.called.tag(old.tag), pair.new.tag(new.tag)) {
        tag_attributes(&mut details, old, new);
    }
    let functions = |calc: &Calc| -> Vec<String> {
        calc.operators.iter().map(|operator| words::function(&operator.function)).collect()
    };
    let (had, has) = (functions(old), functions(new));
    if had != has {
        let shown = |functions: &[String]| words::or_none(&functions.join(", "));
        details.push(Detail::value("functions", shown(&had), shown(&has)));
    }
    let expressions = |plan: &Plan, calc: &Calc| {
        let args: Vec<_> = calc.operators.iter().map(|operator| &operator.args).collect();
        Fingerprint::of(plan, &(&calc.expr, args))
    };
    if expressions(pair.called, old) != expressions(pair.new, new) {
        let what = if new.alarm.is_some() { "condition" } else { "expression" };
        details.push(Detail::changed(what));
    }
    // As `Circuit::adopt` does: the same function at the same place goes on, whatever its arguments are.
    let kept = |(operator, before): (&crate::plan::Operator, &crate::plan::Operator)| {
        operator.function == before.function
    };
    let kept = new.operators.iter().zip(&old.operators).filter(|both| kept(*both)).count();
    if let (Some(before), Some(after)) = (&old.alarm, &new.alarm) {
        let mut details = details_of_alarm(details, pair, before, after);
        when(&mut details);
        return (details, alarm_effect(before, after, kept, new), false);
    }
    let (state, words) = match (new.operators.len(), old.operators.len()) {
        (0, 0) => (None, "counts from the next sample on"),
        (all, _) if kept == all => (Some(State::Kept), "state kept, counts from the next sample on"),
        (_, 0) => (Some(State::Anew), "functions that remember begin with the next samples"),
        _ if kept == 0 => (Some(State::Anew), "begins anew: its functions are others"),
        _ => (Some(State::InPart), "functions that have changed begin anew, the others keep their state"),
    };
    let replaced = state == Some(State::Anew) && !old.operators.is_empty();
    (details, Effect { state, ..Effect::words(words) }, replaced)
}

/// The description of an alarm is its condition as written, with its delay: that says it all.
fn when(details: &mut Vec<Detail>) {
    let text = |text: &str| text.trim_matches('"').strip_prefix("alarm when ").map(str::to_owned);
    let written = details.iter().position(|detail| {
        matches!(detail, Detail::Value { what, old, new }
            if what == "description" && text(old).is_some() && text(new).is_some())
    });
    let Some(written) = written else { return };
    if let Detail::Value { what, old, new } = &mut details[written] {
        *what = "when".to_owned();
        (*old, *new) = (text(old).unwrap_or_default(), text(new).unwrap_or_default());
    }
    details.retain(|detail| match detail {
        Detail::Changed { what } => what != "condition",
        Detail::Value { what, .. } => what != "for",
        _ => true,
    });
}

fn details_of_alarm(mut details: Vec<Detail>, pair: &Pair<'_>, old: &Alarm, new: &Alarm) -> Vec<Detail> {
    let shown = |ns: &i64| written_duration(*ns);
    compared(&mut details, "for", (&old.on_delay_ns, &new.on_delay_ns), shown);
    compared(&mut details, "clear_for", (&old.off_delay_ns, &new.off_delay_ns), shown);
    compared(&mut details, "severity", (&old.severity, &new.severity), |severity| words::choice(severity));
    let other = |old: &dyn Fn(&Plan) -> Fingerprint, new: &dyn Fn(&Plan) -> Fingerprint| {
        old(pair.called) != new(pair.new)
    };
    if other(&|plan| Fingerprint::of(plan, &old.clear), &|plan| Fingerprint::of(plan, &new.clear)) {
        details.push(Detail::changed("clear"));
    }
    if other(&|plan| Fingerprint::of(plan, &old.message), &|plan| Fingerprint::of(plan, &new.message)) {
        details.push(Detail::changed("message"));
    }
    details
}

fn alarm_effect(old: &Alarm, new: &Alarm, kept: usize, calc: &Calc) -> Effect {
    let mut words = vec!["the alarm stays as it is".to_owned()];
    if (old.on_delay_ns, old.off_delay_ns) != (new.on_delay_ns, new.off_delay_ns) {
        words.push("a delay that runs counts from its beginning".to_owned());
    }
    let whole = kept == calc.operators.len();
    if !whole {
        words.push("functions that have changed begin anew".to_owned());
    }
    Effect { state: Some(if whole { State::Kept } else { State::InPart }), words, ..Effect::default() }
}

pub(super) fn removed(plan: &Plan, index: usize) -> Effect {
    let calc = &plan.calcs[index];
    match (calc.alarm.is_some(), calc.operators.is_empty()) {
        (true, _) => Effect {
            state: Some(State::Ends),
            ..Effect::words("ends without an event, whatever its state is")
        },
        (false, false) => Effect { state: Some(State::Ends), ..Effect::words("its state is forgotten") },
        (false, true) => Effect::words("no more samples"),
    }
}

pub(super) fn write_changed(pair: &Pair<'_>, i: usize, j: usize) -> Described {
    let (old, new) = (&pair.called.writes[i], &pair.new.writes[j]);
    let mut details = Vec::new();
    let path = |plan: &Plan, tag| plan.tag(tag).map_or_else(String::new, |tag| tag.info.path.to_string());
    let (target, targets) = (path(pair.called, old.target), path(pair.new, new.target));
    compared(&mut details, "target", (&target, &targets), String::clone);
    compared(&mut details, "allow", (&old.allow, &new.allow), |allow| match allow {
        Allow::Range { low, high } => format!("{low}..{high}"),
        Allow::OneOf(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("[{}]", values.join(", "))
        }
    });
    compared(&mut details, "limit", (&old.limit, &new.limit), |limit| match limit {
        None => words::NONE.to_owned(),
        Some(Limit { count, per_ns }) => format!("{count} per {}", written_duration(*per_ns)),
    });
    compared(&mut details, "expire", (&old.expire_ns, &new.expire_ns), |ns| written_duration(*ns));
    compared(&mut details, "verify", (&old.verify_ns, &new.verify_ns), |ns| {
        ns.map_or_else(|| words::NONE.to_owned(), written_duration)
    });
    let commands = (pair.called.tag(old.command), pair.new.tag(new.command));
    if let (Some(before), Some(after)) = commands
        && before.origin != after.origin
    {
        details.push(Detail::changed("address of its commands"));
    }
    (details, Effect::words("from the next command on"), false)
}
