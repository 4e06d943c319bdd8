//! A configuration of Telegraf as a program: inputs become sources, outputs become sinks, and as there, everything
//! flows to everything. What has no counterpart becomes a comment that says what to do.

mod modbus;
mod mqtt;
mod opcua;
mod outputs;
mod s7comm;
mod section;

use super::Imported;
use super::draft::{Draft, Sink, Source};
use super::report::Report;
use super::text::{self, LineIndex, Names, line};
use section::Section;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Tags of one import at most.
const TAGS_MAX: usize = 200_000;
/// Telegraf's own interval where none is set.
const INTERVAL_MS: u64 = 10_000;

/// What has been read so far.
#[derive(Default)]
struct Import {
    items: Names,
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    tail: Vec<String>,
    report: Report,
    /// Interval of the agent in milliseconds.
    interval: u64,
    /// Tags that run.
    tags: usize,
}

impl Import {
    /// A source that only a later version can run.
    fn planned(&mut self, source: Source) {
        let tags = source.tags().count();
        if source.is_known() {
            self.tags += tags;
        } else {
            self.report.comments += tags;
            self.report.remind(format!(
                "this version has no driver `{}`: `{}` stands in the program as a comment",
                source.driver, source.name
            ));
        }
        self.sources.push(source);
    }

    /// A sink, unless there is one with the same settings: two would write to one place.
    fn sink(&mut self, at: u64, sink: Sink) {
        if self.sinks.iter().any(|other| other.driver == sink.driver && other.settings == sink.settings) {
            return self.report.lost(at, "the same output is there already; one sink is enough");
        }
        self.sinks.push(sink);
    }

    /// A section without a counterpart: a line of the program and of the report.
    fn remark(&mut self, at: u64, section: &str, what: &str) {
        let section = line(section);
        self.tail.push(format!("[[{section}]] of line {at}: {what}"));
        self.report.lost(at, format!("{section}: {what}"));
    }
}

/// Reads a configuration and writes the program.
///
/// # Errors
/// It is no TOML, or too large; in words.
pub fn import(toml: &str, file: &str) -> anyhow::Result<Imported> {
    let lines = LineIndex::of(toml);
    let table = DeTable::parse(toml).map_err(|error| {
        let at = error.span().map_or(1, |span| lines.line(span.start));
        anyhow::anyhow!("line {at}: this is no TOML: {}", line(error.message()))
    })?;
    let table = table.get_ref();
    let mut import = Import { interval: INTERVAL_MS, ..Import::default() };
    if let Some(agent) = table.get("agent").and_then(|agent| Section::of(agent, &lines)) {
        import.interval = agent.milliseconds("interval").filter(|ms| *ms > 0).unwrap_or(INTERVAL_MS);
    }
    for (kind, value) in table {
        plugins(&mut import, kind.get_ref(), value, &lines);
    }
    if import.sinks.is_empty() && import.sources.is_empty() && import.tail.is_empty() {
        anyhow::bail!("this is no configuration of Telegraf: it has no inputs and no outputs");
    }
    for source in
        import.sources.iter_mut().filter(|source| !source.is_known() && source.driver == "modbus_ascii")
    {
        let tags = source.tags().count();
        import.tags = import.tags.saturating_sub(tags);
        import.report.comments += tags;
        import.report.remind(format!(
            "this version does not speak Modbus ASCII: `{}` stands in the program as a comment",
            source.name
        ));
    }
    import.report.tags = import.tags;
    let head = vec![format!(
        "Imported from {} (configuration of Telegraf). Comments say what did not come over as it was.",
        line(file)
    )];
    let draft = Draft { head, sources: import.sources, sinks: import.sinks, tail: import.tail };
    Ok(Imported { text: draft.finished(&mut import.report)?, report: import.report })
}

/// All plugins of one kind: `inputs`, `outputs` and others.
fn plugins<'t>(import: &mut Import, kind: &str, value: &'t Spanned<DeValue<'t>>, lines: &'t LineIndex) {
    let at = lines.line(value.span().start);
    let Some(table) = value.get_ref().as_table() else {
        return import.report.lost(at, format!("`{}` does not come over", line(kind)));
    };
    if kind == "agent" {
        return;
    }
    if kind == "global_tags" {
        if !table.is_empty() {
            import
                .report
                .lost(at, "global_tags: a topic or a name from `rename` can say where a sample is from");
        }
        return;
    }
    for (name, plugin) in table {
        let name = name.get_ref();
        let many =
            plugin.get_ref().as_array().into_iter().flatten().filter_map(|one| Section::of(one, lines));
        let one = plugin.get_ref().as_table().and_then(|_| Section::of(plugin, lines));
        for section in many.chain(one) {
            match (kind, &**name) {
                ("inputs", "modbus") => modbus::input(import, &section),
                ("inputs", "opcua") => opcua::opcua(import, &section, false),
                ("inputs", "opcua_listener") => opcua::opcua(import, &section, true),
                ("inputs", "s7comm") => s7comm::s7comm(import, &section),
                ("inputs", "mqtt_consumer") => mqtt::input(import, &section),
                ("outputs", "mqtt") => outputs::mqtt(import, &section),
                ("outputs", "sql") => outputs::sql(import, &section),
                ("outputs", "file") => outputs::file(import, &section),
                _ => import.remark(section.line, &format!("{kind}.{name}"), advice(kind)),
            }
        }
    }
}

/// What to do about a plugin that has no counterpart.
fn advice(kind: &str) -> &'static str {
    match kind {
        "inputs" => {
            "there is no driver for it here; leave it to Telegraf, and let that publish to an MQTT broker which a source `mqtt` reads"
        }
        "outputs" => "there is no sink for it in this version; MQTT, SQLite and CSV files are there",
        "processors" => "write calcs, `scale`, `where` or `rename` instead",
        "aggregators" => "write a window instead: `-> every 1 min { mean = avg(power) }`",
        "secretstores" => "passwords stand in [secrets] of node.toml",
        _ => "it has no counterpart here",
    }
}

/// An address as a text; one with a variable of the environment in it becomes a value of node.toml.
fn address_or_node(address: &str, name: &str, report: &mut Report) -> String {
    if !address.is_empty() && !address.contains(['$', '@']) {
        return text::quoted(address);
    }
    // what stands before `@` may be a password
    let shown = address.rsplit('@').next().unwrap_or_default();
    report.remind(format!("say where `{name}` is, in [vars] of node.toml (Telegraf: `{}`)", line(shown)));
    format!("node({})", text::quoted(name))
}

/// The setting that stands for a password.
fn secret(name: &str, at: u64, report: &mut Report) -> String {
    report.lost(at, format!("the password goes to [secrets] of node.toml as `{}`", line(name)));
    format!("password = secret({})", text::quoted(name))
}

/// Settings that name an MQTT broker; `None` (and a remark) if it cannot be reached that way.
fn broker(import: &mut Import, section: &Section<'_>, name: &str, plugin: &str) -> Option<Vec<String>> {
    let servers = section.texts("servers");
    let server = servers.first().copied().unwrap_or_default();
    if servers.len() > 1 {
        import.report.lost(section.line_of("servers"), "one broker per source or sink: the first is taken");
    }
    let (scheme, rest) = server.split_once("://").unwrap_or(("tcp", server));
    let scheme = match scheme {
        "tcp" | "mqtt" => "mqtt",
        "ssl" | "tls" | "mqtts" | "tcps" => "ssl",
        other => {
            let what = format!("MQTT over `{}` is not in this version", line(other));
            import.remark(section.line, plugin, &what);
            return None;
        }
    };
    let rest = rest.trim_end_matches('/');
    let plain = !rest.is_empty()
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
    let address = if plain { format!("{scheme}://{rest}") } else { String::new() };
    let mut settings = vec![format!("broker = {}", address_or_node(&address, name, &mut import.report))];
    if let Some(user) = section.text("username") {
        settings.push(format!("user = {}", text::quoted(user)));
    }
    if section.has("password") {
        settings.push(secret(name, section.line_of("password"), &mut import.report));
    }
    for (from, to) in [("tls_ca", "ca"), ("tls_cert", "cert"), ("tls_key", "cert_key")] {
        if let Some(path) = section.text(from) {
            settings.push(format!("{to} = {}", text::quoted(path)));
        }
    }
    if section.text("protocol") == Some("3.1.1") {
        settings.push("version = v311".into());
    }
    Some(settings)
}

#[cfg(test)]
mod tests;
