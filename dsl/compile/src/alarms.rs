//! Alarms: a condition with its delays, and the columns of the events that it gives (ISA-18.2).

use std::sync::Arc;

use gwp_core::TagId;
use gwp_plan::plan::ALARM_COLUMNS;
use gwp_plan::{Alarm, AlarmSeverity, Calc};
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::attributes::Found;
use crate::check::{Checker, Place, Scope};
use crate::settings::Fields;
use crate::types::{Labels, Ty, Typed};
use crate::world::{Attributes, World};

/// Name of the rows that alarms give.
pub(crate) const ALARMS: &str = gwp_plan::plan::ALARM_ROWS;

/// Columns of an alarm event, in the order of the plan.
pub(crate) const EVENT_COLUMNS: [&str; ALARM_COLUMNS] =
    ["alarm", "event", "severity", "message", "state", "operator"];

/// Name, among the alarm events of a device, of the tag with the orders of operators.
pub(crate) const ORDERS: &str = "orders";

/// The column of [`EVENT_COLUMNS`] with the severity.
const SEVERITY: usize = 2;

const SETTINGS: [&str; 4] = ["clear", "clear_for", "severity", "message"];

const SEVERITIES: [(&str, AlarmSeverity); 4] = [
    ("low", AlarmSeverity::Low),
    ("medium", AlarmSeverity::Medium),
    ("high", AlarmSeverity::High),
    ("critical", AlarmSeverity::Critical),
];

/// Longest delay of an alarm or a state function, in seconds.
pub(crate) const DELAY_MAX_S: f64 = 366.0 * 86_400.0;

/// Attributes of the tag of an alarm.
pub(crate) fn attributes(alarm: &ast::Alarm) -> Attributes {
    let hold = alarm.hold.as_ref().map_or(String::new(), |hold| format!(" for {hold}"));
    Attributes { desc: format!("alarm when {}{hold}", alarm.when).into(), ..Attributes::default() }
}

/// Type and attributes of a column of alarm events.
pub(crate) fn event_attributes(column: usize) -> Found {
    let ty = event_type(column);
    let labels = if let Ty::Enum(labels) = &ty { labels.clone() } else { Labels::default() };
    (ty, Attributes { labels, ..Attributes::default() }, None)
}

/// Type of a column of alarm events.
pub(crate) fn event_type(column: usize) -> Ty {
    match column {
        SEVERITY => {
            Ty::Enum(SEVERITIES.iter().map(|(word, severity)| (*severity as i64, Arc::from(*word))).collect())
        }
        _ => Ty::Text,
    }
}

/// Settings of an alarm by name.
struct Settings<'a> {
    clear: Option<&'a ast::Expr>,
    clear_for: Option<&'a ast::Expr>,
    severity: AlarmSeverity,
    message: Option<&'a ast::Expr>,
}

/// Lowers an alarm. `None` if something is wrong with it.
pub(crate) fn alarm(
    checker: &mut Checker<'_, '_>,
    tag: TagId,
    device: usize,
    alarm: &ast::Alarm,
) -> Option<Calc> {
    let scope = Scope { device: Some(device), place: Place::State, ..Scope::default() };
    let condition = checker.condition(&alarm.when, "`when` needs a condition", &scope);
    let on_delay_ns = alarm.hold.as_ref().map_or(Some(0), |hold| checker.delay(hold, &scope));
    let settings = settings(checker, alarm, &scope);
    let clear = settings.clear.map(|clear| checker.condition(clear, "`clear` needs a condition", &scope));
    let off_delay_ns = settings.clear_for.map_or(Some(0), |hold| checker.delay(hold, &scope));
    let home = checker.world.device(device)?;
    let message = match settings.message {
        None => Typed::text(&format!("{}: {}", home.name, alarm.name.text)),
        Some(message) => text(checker, message, &Scope { alarm: Some(&alarm.name.text), ..scope }),
    };
    let (columns, orders) = (home.events?, home.orders?);
    if [Some(&condition), clear.as_ref(), Some(&message)].into_iter().flatten().any(Typed::is_error) {
        return None;
    }
    let alarm = Alarm {
        name: alarm.name.text.as_str().into(),
        orders,
        on_delay_ns: on_delay_ns?,
        clear: clear.map(|clear| clear.expr),
        off_delay_ns: off_delay_ns?,
        severity: settings.severity,
        message: message.expr,
        columns,
    };
    let operators = std::mem::take(&mut checker.operators);
    Some(Calc { tag, operators, expr: condition.expr, alarm: Some(Box::new(alarm)) })
}

/// The message, as text.
fn text(checker: &mut Checker<'_, '_>, message: &ast::Expr, scope: &Scope<'_>) -> Typed {
    let typed = checker.expr(message, scope);
    match &typed.ty {
        Ty::Text | Ty::Error => typed,
        ty => {
            let fault = Diagnostic::new("E207", message.span, "a message is text");
            checker.report.push(
                fault
                    .here(format!("this is {}", ty.describe()))
                    .help("write it as text: `\"{x} is too high\"`"),
            );
            Typed::error()
        }
    }
}

fn settings<'a>(checker: &mut Checker<'_, '_>, alarm: &'a ast::Alarm, scope: &Scope<'_>) -> Settings<'a> {
    let (list, broken): (&[ast::Setting], &[ast::Name]) = match &alarm.settings {
        Some(settings) => (&settings.list, &settings.broken),
        None => (&[], &[]),
    };
    let mut fields =
        Fields::new(format!("alarm `{}`", alarm.name), alarm.name.span, list, broken, checker.report);
    let [clear, clear_for, severity, message] = SETTINGS.map(|name| fields.take(name));
    fields.finish(&[], &SETTINGS, false, checker, scope);
    let [clear, clear_for, message] = [clear, clear_for, message]
        .map(|setting| setting.and_then(|setting| single(setting, checker.report)));
    let words = &["low", "medium", "high", "critical"];
    let word = severity.and_then(|setting| {
        single(setting, checker.report).and_then(|value| checker.choice_of(value, setting, words))
    });
    let severity = SEVERITIES.iter().find(|(name, _)| Some(*name) == word);
    Settings {
        clear,
        clear_for,
        message,
        severity: severity.map_or(AlarmSeverity::Medium, |(_, severity)| *severity),
    }
}

/// The single value of a setting.
fn single<'a>(setting: &'a ast::Setting, report: &mut Diagnostics) -> Option<&'a ast::Expr> {
    match &setting.value {
        ast::SettingValue::Range(range) if range.high.is_none() => Some(&range.low),
        _ => {
            let message = format!("`{}` needs one value", setting.name);
            report.push(Diagnostic::new("E407", setting.span, message));
            None
        }
    }
}

/// The expressions of an alarm that it reads tags with.
pub(crate) fn expressions(alarm: &ast::Alarm) -> impl Iterator<Item = &ast::Expr> {
    let list = alarm.settings.iter().flat_map(|settings| &settings.list);
    let read = list.filter_map(|setting| match (&setting.value, setting.name.text.as_str()) {
        (ast::SettingValue::Range(range), "clear" | "message") => Some(&range.low),
        _ => None,
    });
    [&alarm.when].into_iter().chain(read)
}

/// Words of an alarm's message: the device and the name of the alarm.
pub(crate) fn message_word(world: &World<'_>, word: &str, scope: &Scope<'_>) -> Option<Typed> {
    let alarm = scope.alarm?;
    match word {
        "alarm" => Some(Typed::text(alarm)),
        "device" => world.device(scope.device?).map(|device| Typed::text(&device.name)),
        _ => None,
    }
}
