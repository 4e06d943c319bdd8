//! Settings that the language gives to every gateway, source and sink, whatever its driver.

use std::sync::Arc;

use gwp_core::Settings;
use gwp_core::manifest::{Manifest, Need, Setting, SettingKind, SettingValue, Standby};
use gwp_plan::schedule::WeekSchedule;
use gwp_plan::{
    BadPolicy, FullPolicy, GatewayPlan, JournalPolicy, KeyPart, MirrorPolicy, OnDisconnect, Order,
    RetryPolicy,
};
use gwp_syntax::ast::{self, Call, Expr, ExprKind};
use gwp_syntax::{Diagnostic, Span};

use super::Fields;
use crate::check::{Checker, Scope};
use crate::items::ItemKind;
use crate::units::Unit;

const YEAR_MS: i64 = 366 * 86_400_000;

const fn setting(name: &'static str, kind: SettingKind, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind, need: Need::Default(default), doc }
}

const fn duration(
    name: &'static str,
    min_ms: i64,
    max_ms: i64,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    setting(name, SettingKind::Duration { min_ms, max_ms }, default, doc)
}

/// Settings of the `gateway` item besides `failback`.
pub(crate) static GATEWAY: &[Setting] = &[
    setting(
        "timezone",
        SettingKind::Text,
        "UTC",
        "IANA name of the zone for schedules and calendar windows.",
    ),
    duration("takeover", 800, 60_000, "2 s", "Longest time until the other node has taken over."),
    setting(
        "without_witness",
        SettingKind::Choice(&["safety", "availability"]),
        "safety",
        "What counts when neither the peer nor the witness can be reached.",
    ),
    setting(
        "stale",
        SettingKind::Choice(&["allow", "ask", "deny"]),
        "allow",
        "Whether a node whose copy is behind may take over.",
    ),
];

static JOURNAL: &[Setting] = &[
    setting(
        "capacity",
        SettingKind::Bytes { min: 1_000_000, max: 100_000_000_000_000 },
        "1 GB",
        "Bytes the journal may hold.",
    ),
    duration("keep", 60_000, 10 * YEAR_MS, "7 d", "Age at which samples are dropped."),
    setting(
        "full",
        SettingKind::Choice(&["drop_oldest", "drop_newest", "block"]),
        "drop_oldest",
        "What happens when it is full.",
    ),
    setting(
        "mirror",
        SettingKind::Choice(&["before_send", "async"]),
        "before_send",
        "Whether a sample leaves before the peer holds it.",
    ),
];

static RETRY: &[Setting] = &[
    duration("first", 10, 3_600_000, "1 s", "Pause after the first failure; it doubles each time."),
    duration("max", 10, 86_400_000, "1 min", "Longest pause."),
];

/// Settings of every sink besides `key` and `dead_letter`.
pub(crate) static SINK: &[Setting] = &[
    Setting {
        name: "journal",
        kind: SettingKind::Block(JOURNAL),
        need: Need::Optional,
        doc: "The journal of the sink.",
    },
    Setting {
        name: "retry",
        kind: SettingKind::Block(RETRY),
        need: Need::Optional,
        doc: "Pauses after failures.",
    },
    setting(
        "order",
        SettingKind::Choice(&["per_tag", "total", "none"]),
        "per_tag",
        "Which samples must arrive in their order.",
    ),
    setting(
        "bad",
        SettingKind::Choice(&["send", "null", "skip", "last"]),
        "send",
        "What a bad value becomes at the destination.",
    ),
];

/// Names every sink takes, for suggestions.
const SINK_NAMES: &[&str] = &["journal", "retry", "order", "bad", "key", "dead_letter"];

/// Settings of every source besides `on_disconnect`.
pub(crate) static SOURCE: &[Setting] = &[
    duration("scan", 1, 86_400_000, "1 s", "Period in which tags are read, unless they say otherwise."),
    Setting {
        name: "standby",
        kind: SettingKind::Choice(&["hot", "transfer", "warm", "cold"]),
        need: Need::Optional,
        doc: "What it does on the node that is not active.",
    },
    duration("late", 0, 86_400_000, "0 s", "How late samples may arrive."),
    Setting {
        name: "time",
        kind: SettingKind::Choice(&["gateway", "device"]),
        need: Need::Optional,
        doc: "Whose clock stamps the samples: the gateway's, unless the driver says that it is the device's.",
    },
];

const SOURCE_NAMES: &[&str] = &["scan", "standby", "late", "time", "on_disconnect"];

/// A source's part of the plan besides what its driver takes.
pub(crate) struct SourceFields {
    pub settings: Settings,
    pub scan_ns: i64,
    pub standby: Standby,
    pub late_ns: i64,
    pub device_time: bool,
    pub on_disconnect: OnDisconnect,
}

/// A sink's part of the plan besides its routes.
pub(crate) struct SinkFields {
    pub settings: Settings,
    pub journal: JournalPolicy,
    pub retry: RetryPolicy,
    pub order: Order,
    pub key: Vec<KeyPart>,
    pub bad: BadPolicy,
    /// Name of the sink that takes what is refused.
    pub dead_letter: Option<Arc<str>>,
    /// Place of `key`, if it is written.
    pub key_at: Option<Span>,
    /// The destination replaces what comes under the same key.
    pub replaces: bool,
    /// Place of `full = block`, for warnings.
    pub block_at: Option<Span>,
}

/// A device's part of the plan.
pub(crate) struct DeviceFields {
    pub settings: Settings,
    pub scan_ns: Option<i64>,
    /// `path`: where it stands in the plant.
    pub place: Option<Arc<str>>,
}

/// The gateway's part of the plan.
pub(crate) struct GatewayFields {
    pub plan: GatewayPlan,
    pub takeover_ns: i64,
}

fn owner(kind: &str, name: &ast::Name) -> String {
    format!("{kind} `{name}`")
}

/// Splits the settings that `table` names off.
fn split_off<'a>(fields: &mut Fields<'a>, table: &[Setting], what: String) -> Fields<'a> {
    let left = table.iter().filter_map(|def| fields.take(def.name)).collect();
    Fields { owner: what, at: fields.at, left, broken: fields.broken.clone() }
}

/// What the language itself gives to items is part of the plan, which all nodes share.
fn no_references(settings: &Settings, list: &[ast::Setting], checker: &mut Checker<'_, '_>) {
    for setting in list {
        match (settings.get(&setting.name.text), &setting.value) {
            (Some(SettingValue::Block(inner)), ast::SettingValue::Block(block)) => {
                no_references(inner, &block.list, checker);
            }
            (Some(SettingValue::NodeRef(name) | SettingValue::SecretRef(name)), _) if !name.is_empty() => {
                let message = format!("`{}` is the same on every node", setting.name);
                let fault = Diagnostic::new("E407", setting.span, message);
                checker.report.push(fault.help("write its value here"));
            }
            _ => {}
        }
    }
}

/// Checks the `gateway` item; without one the defaults count.
pub(crate) fn gateway(item: Option<&ast::Gateway>, checker: &mut Checker<'_, '_>) -> GatewayFields {
    let scope = Scope::constant();
    let (name, span) =
        item.map_or(("gateway".to_owned(), Span::default()), |item| (item.name.text.clone(), item.name.span));
    let (list, broken): (&[ast::Setting], &[ast::Name]) = match item {
        Some(item) => (&item.settings.list, &item.settings.broken),
        None => (&[], &[]),
    };
    let mut fields = Fields::new(format!("gateway `{name}`"), span, list, broken, checker.report);
    let failback = fields.take("failback");
    let zone_at = list.iter().find(|setting| setting.name.text == "timezone").map(|setting| setting.span);
    let mut settings = fields.finish(GATEWAY, &["failback"], true, checker, &scope);
    no_references(&settings, list, checker);
    let mut timezone: Arc<str> = settings.text("timezone").unwrap_or("UTC").into();
    if jiff::tz::TimeZone::get(&timezone).is_err() {
        let fault =
            Diagnostic::new("E407", zone_at.unwrap_or(span), format!("there is no time zone `{timezone}`"));
        checker.report.push(fault.help("zones have names such as `Europe/Berlin`"));
        // Said once; not again by every sink that writes local dates.
        timezone = "UTC".into();
    }
    settings.0.remove("timezone");
    checker.failback(failback, &timezone, &mut settings);
    let takeover_ns = settings.duration_ns("takeover").unwrap_or(2_000_000_000);
    GatewayFields { plan: GatewayPlan { name: name.into(), timezone, settings }, takeover_ns }
}

/// Checks a `source` item against its driver.
pub(crate) fn source(
    item: &ast::Source,
    driver: &'static Manifest,
    checker: &mut Checker<'_, '_>,
) -> SourceFields {
    let scope = Scope::constant();
    let what = owner("source", &item.name);
    let mut fields =
        Fields::new(what.clone(), item.name.span, &item.body.settings, &item.body.broken, checker.report);
    let on_disconnect = fields.take("on_disconnect");
    let standby_at =
        item.body.settings.iter().find(|setting| setting.name.text == "standby").map(|setting| setting.span);
    let common = split_off(&mut fields, SOURCE, what).finish(SOURCE, SOURCE_NAMES, true, checker, &scope);
    let settings = fields.finish(driver.settings, SOURCE_NAMES, true, checker, &scope);
    no_references(&common, &item.body.settings, checker);
    let can = driver.source().map_or(&[] as &[Standby], |traits| traits.standby);
    let standby = match common.text("standby").and_then(standby_of) {
        Some(wanted) => {
            if !can.contains(&wanted) {
                let words: Vec<_> = can.iter().map(|mode| standby_word(*mode)).collect();
                let message = format!("`{}` cannot do `standby = {}`", driver.name, standby_word(wanted));
                let fault = Diagnostic::new("E407", standby_at.unwrap_or(item.name.span), message);
                checker.report.push(fault.help(format!("it can: {}", words.join(", "))));
            }
            wanted
        }
        None if can.contains(&Standby::Transfer) && !driver.is_polled(&settings) => Standby::Transfer,
        None if can.contains(&Standby::Warm) => Standby::Warm,
        None => can.first().copied().unwrap_or(Standby::Cold),
    };
    SourceFields {
        settings,
        scan_ns: common.duration_ns("scan").unwrap_or(1_000_000_000),
        standby,
        late_ns: common.duration_ns("late").unwrap_or(0),
        device_time: match common.text("time") {
            Some(word) => word == "device",
            None => driver.source().is_some_and(|traits| traits.device_time),
        },
        on_disconnect: checker.on_disconnect(on_disconnect, driver),
    }
}

/// Checks the settings of a device against the driver of its source; of a source's own tags without reporting what
/// is missing.
pub(crate) fn device(
    item: &ast::Device,
    driver: Option<&'static Manifest>,
    checker: &mut Checker<'_, '_>,
    scope: &Scope<'_>,
) -> DeviceFields {
    let what = owner("device", &item.name);
    let mut fields =
        Fields::new(what, item.name.span, &item.body.settings, &item.body.broken, checker.report);
    let place = fields.take("path").and_then(|path| checker.place(path, scope));
    let scan_ns = fields.take("scan").and_then(|scan| match &scan.value {
        ast::SettingValue::Range(range) if range.high.is_none() => checker.scan(&range.low, scope),
        _ => {
            checker.report.push(
                Diagnostic::new("E407", scan.span, "`scan` needs a time").help("for example `scan = 1 s`"),
            );
            None
        }
    });
    let table = match driver {
        Some(driver) => driver.source().map_or(&[] as &[Setting], |traits| traits.device_settings),
        None => &[],
    };
    if item.source.is_some() && driver.is_none() {
        return DeviceFields { settings: Settings::default(), scan_ns, place };
    }
    let settings = fields.finish(table, &["scan", "path"], true, checker, scope);
    DeviceFields { settings, scan_ns, place }
}

/// Device settings of the tags that stand in the source itself: the defaults.
pub(crate) fn check_only_device(
    driver: &'static Manifest,
    at: Span,
    checker: &mut Checker<'_, '_>,
) -> Settings {
    let table = driver.source().map_or(&[] as &[Setting], |traits| traits.device_settings);
    let fields = Fields::new(String::new(), at, [], &[], checker.report);
    fields.finish(table, &[], false, checker, &Scope::constant())
}

/// Checks a `sink` item against its driver.
pub(crate) fn sink(item: &ast::Sink, driver: &'static Manifest, checker: &mut Checker<'_, '_>) -> SinkFields {
    let scope = Scope::constant();
    let what = owner("sink", &item.name);
    let broken = &item.settings.broken;
    let mut fields = Fields::new(what.clone(), item.name.span, &item.settings.list, broken, checker.report);
    let key = fields.take("key");
    let key_at = key.map(|key| key.span);
    let dead_letter = fields.take("dead_letter");
    let common = split_off(&mut fields, SINK, what).finish(SINK, SINK_NAMES, true, checker, &scope);
    let settings = fields.finish(driver.settings, SINK_NAMES, true, checker, &scope);
    no_references(&common, &item.settings.list, checker);
    let full_at = inner_setting(&item.settings.list, "journal", "full");
    if full_at.is_none() && !broken.iter().any(|name| name.text == "journal") {
        let message = format!("the journal of `{}` drops its oldest samples when it is full", item.name);
        let fault = Diagnostic::new("N701", item.name.span, message);
        checker.report.push(fault.help("say so, or choose otherwise: `journal { full = drop_oldest }`"));
    }
    let journal = journal(common.block("journal"));
    let retry = common.block("retry");
    let retry_ns = |name, default| retry.and_then(|retry| retry.duration_ns(name)).unwrap_or(default);
    SinkFields {
        block_at: full_at.filter(|_| journal.full == FullPolicy::Block),
        settings,
        journal,
        retry: RetryPolicy {
            first_ns: retry_ns("first", 1_000_000_000),
            max_ns: retry_ns("max", 60_000_000_000),
        },
        order: match common.text("order") {
            Some("total") => Order::Total,
            Some("none") => Order::None,
            _ => Order::PerTag,
        },
        key: checker.key(key),
        key_at,
        replaces: driver.sink().is_some_and(|traits| traits.idempotent),
        bad: match common.text("bad") {
            Some("null") => BadPolicy::Null,
            Some("skip") => BadPolicy::Skip,
            Some("last") => BadPolicy::Last,
            _ => BadPolicy::Send,
        },
        dead_letter: checker.dead_letter(dead_letter, item),
    }
}

fn inner_setting(list: &[ast::Setting], block: &str, name: &str) -> Option<Span> {
    list.iter().find(|setting| setting.name.text == block).and_then(|setting| match &setting.value {
        ast::SettingValue::Block(block) => {
            block.list.iter().find(|inner| inner.name.text == name).map(|inner| inner.span)
        }
        _ => None,
    })
}

fn journal(block: Option<&Settings>) -> JournalPolicy {
    const DAY_NS: i64 = 86_400_000_000_000;
    JournalPolicy {
        capacity_bytes: block.and_then(|block| block.bytes("capacity")).unwrap_or(1_000_000_000),
        keep_ns: block.and_then(|block| block.duration_ns("keep")).unwrap_or(7 * DAY_NS),
        full: match block.and_then(|block| block.text("full")) {
            Some("drop_newest") => FullPolicy::DropNewest,
            Some("block") => FullPolicy::Block,
            _ => FullPolicy::DropOldest,
        },
        mirror: match block.and_then(|block| block.text("mirror")) {
            Some("async") => MirrorPolicy::Async,
            _ => MirrorPolicy::BeforeSend,
        },
    }
}

fn standby_of(word: &str) -> Option<Standby> {
    [Standby::Hot, Standby::Transfer, Standby::Warm, Standby::Cold]
        .into_iter()
        .find(|mode| standby_word(*mode) == word)
}

/// The word in a program.
pub(crate) fn standby_word(mode: Standby) -> &'static str {
    match mode {
        Standby::Hot => "hot",
        Standby::Transfer => "transfer",
        Standby::Warm => "warm",
        Standby::Cold => "cold",
    }
}

/// The single value of a setting.
fn single(setting: &ast::Setting) -> Option<&Expr> {
    match &setting.value {
        ast::SettingValue::Range(range) if range.high.is_none() => Some(&range.low),
        _ => None,
    }
}

/// A setting that is a word, or a call with one argument.
fn word_or_call(setting: &ast::Setting) -> Option<Result<&str, (&Call, &Expr)>> {
    match &single(setting)?.kind {
        ExprKind::Path(path) if path.rest.is_empty() && path.members.is_none() => {
            Some(Ok(path.root.text.as_str()))
        }
        ExprKind::Call(call) => match call.args.as_slice() {
            [arg] if arg.key.is_none() => Some(Err((call, &arg.value))),
            _ => None,
        },
        _ => None,
    }
}

impl Checker<'_, '_> {
    /// `failback = manual`, `after(10 min)` or `window("Sun 02:00-04:00")`: kept as `failback` and its argument.
    fn failback(&mut self, written: Option<&ast::Setting>, timezone: &str, settings: &mut Settings) {
        settings.set("failback", SettingValue::Text("manual".into()));
        let Some(setting) = written else { return };
        match word_or_call(setting) {
            Some(Ok("manual")) => return,
            Some(Err((call, argument))) if call.name.text == "after" => {
                if let Some(seconds) = self.fixed_number(argument, &Unit::second(), false, &Scope::constant())
                {
                    settings.set("failback", SettingValue::Text("after".into()));
                    settings.set("failback_after", SettingValue::Duration((seconds * 1e9).round() as i64));
                }
                return;
            }
            Some(Err((call, argument))) if call.name.text == "window" => {
                if let ExprKind::Text(text) = &argument.kind
                    && let Some(text) = text.literal()
                {
                    if let Err(why) = WeekSchedule::parse(&text, timezone) {
                        self.report.push(Diagnostic::new("E211", argument.span, why));
                    }
                    settings.set("failback", SettingValue::Text("window".into()));
                    settings.set("failback_window", SettingValue::Text(text.into()));
                    return;
                }
            }
            _ => {}
        }
        let fault = Diagnostic::new("E407", setting.span, "`failback` is not understood");
        self.report.push(fault.help("write `manual`, `after(10 min)` or `window(\"Sun 02:00-04:00\")`"));
    }

    /// `on_disconnect = mark_bad` or `hold(4 h)`.
    fn on_disconnect(&mut self, written: Option<&ast::Setting>, driver: &Manifest) -> OnDisconnect {
        let Some(setting) = written else { return OnDisconnect::MarkBad };
        match word_or_call(setting) {
            Some(Ok("mark_bad")) => OnDisconnect::MarkBad,
            Some(Err((call, argument))) if call.name.text == "hold" => {
                if !driver.source().is_some_and(|traits| traits.buffers) {
                    let message =
                        format!("a device of `{}` keeps nothing while it cannot be reached", driver.name);
                    let fault = Diagnostic::new("E412", setting.span, message)
                        .here("this would wait for samples that never come");
                    self.report.push(fault.help("write `on_disconnect = mark_bad`, or leave it out"));
                    return OnDisconnect::MarkBad;
                }
                let seconds = self.fixed_number(argument, &Unit::second(), false, &Scope::constant());
                seconds.map_or(OnDisconnect::MarkBad, |seconds| {
                    OnDisconnect::Hold((seconds * 1e9).round() as i64)
                })
            }
            _ => {
                let fault = Diagnostic::new("E407", setting.span, "`on_disconnect` is not understood");
                self.report.push(fault.help("write `mark_bad` or `hold(4 h)`"));
                OnDisconnect::MarkBad
            }
        }
    }

    /// `key = [path, time, seq]`
    fn key(&mut self, written: Option<&ast::Setting>) -> Vec<KeyPart> {
        const WORDS: &[&str] = &["path", "time", "seq", "flow", "device", "start"];
        let Some(setting) = written else { return vec![KeyPart::Path, KeyPart::Time, KeyPart::Seq] };
        let ast::SettingValue::List(list, _) = &setting.value else {
            let fault = Diagnostic::new("E407", setting.span, "`key` needs a list of words");
            self.report.push(fault.help("for example `key = [path, time, seq]`"));
            return Vec::new();
        };
        let mut parts = Vec::new();
        for item in list {
            let part = match self.choice_of(item, setting, WORDS) {
                Some("path") => KeyPart::Path,
                Some("time") => KeyPart::Time,
                Some("seq") => KeyPart::Seq,
                Some("flow") => KeyPart::Flow,
                Some("device") => KeyPart::Device,
                Some(_) => KeyPart::Start,
                None => continue,
            };
            if parts.contains(&part) {
                self.report.push(Diagnostic::new("E409", item.span, "this part of the key is given twice"));
            } else {
                parts.push(part);
            }
        }
        if list.is_empty() {
            self.report.push(Diagnostic::new("E407", setting.span, "a key has at least one part"));
        }
        parts
    }

    /// `dead_letter = other_sink`
    fn dead_letter(&mut self, written: Option<&ast::Setting>, item: &ast::Sink) -> Option<Arc<str>> {
        let setting = written?;
        let name = match single(setting).map(|value| &value.kind) {
            Some(ExprKind::Path(path)) if path.rest.is_empty() && path.members.is_none() => &path.root,
            _ => {
                let fault = Diagnostic::new("E407", setting.span, "`dead_letter` needs the name of a sink");
                self.report.push(fault);
                return None;
            }
        };
        if name.text == item.name.text {
            let fault = Diagnostic::new("E407", name.span, "a sink cannot be its own dead letter");
            self.report.push(fault.help("name another sink, such as a file"));
            return None;
        }
        if !self.world.items.sinks.iter().any(|sink| sink.name.text == name.text) {
            self.report.extend(self.world.items.unknown(name, &[ItemKind::Sink]));
            return None;
        }
        Some(name.text.as_str().into())
    }
}
