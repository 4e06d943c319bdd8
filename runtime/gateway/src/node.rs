//! `node.toml`: what is particular to this machine.
//!
//! ```toml
//! [node]    id = "alpha"   data = "/var/lib/gwp"
//! [listen]  metrics = "127.0.0.1:9464"   control = "0.0.0.0:9465"
//! [tls]     certificate = "gateway.pem"   key = "gateway.key"
//! [disk]    log_max = "4 GB"   reserve = "96 MB"   ballast = "32 MB"
//! [log]     level = "info"   format = "text"
//! [secrets] pg = { file = "/run/secrets/pg" }   mqtt = "in clear, readable by this user only"
//! [vars]    serial_a = "/dev/ttyUSB0"
//! [pair]    see [`pair`]
//! ```
//! Every wrong key or value is reported, each with its place and the nearest
//! right one. Nothing of this file is ever sent to a peer.

// Named, so that it is found also by the fuzz target that takes this file by its path.
#[path = "node/failback.rs"]
mod failback;
#[path = "node/pair.rs"]
mod pair;

pub use failback::Failback;
pub use pair::{PairLink, PairMember, WitnessMember};

use gwp_journal::SpacePolicy;
use gwp_syntax::{Diagnostic, Diagnostics, FileId, SourceMap, Span};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A larger file is not read.
pub const NODE_FILE_BYTES_MAX: u64 = 1 << 20;

/// Less reserve cannot keep the store from meeting a full disk: its write-ahead file and
/// memtables are written after the free space was looked at.
const RESERVE_MIN: u64 = 64_000_000;

/// Where certificate and key of the control interface stand, both PEM. A type of its own, because the fuzz target of
/// this file is built without the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a node is told.
#[derive(Clone, Debug)]
pub struct Node {
    /// The file it was read from, if any.
    pub file: Option<PathBuf>,
    pub id: String,
    pub data: PathBuf,
    pub metrics: Option<SocketAddr>,
    /// Where the control interface listens; a port of its own choice if none is named.
    pub control: SocketAddr,
    /// TLS of the control interface.
    pub tls: Option<TlsFiles>,
    pub space: SpacePolicy,
    pub log_level: String,
    pub log_format: LogFormat,
    pub secrets: BTreeMap<String, Secret>,
    pub vars: BTreeMap<String, String>,
    /// One of two.
    pub pair: Option<PairMember>,
    /// The third vote of a pair, for `gwp witness`.
    pub witness: Option<WitnessMember>,
}

/// Form of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    Json,
}

/// Where a secret's value is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Value(String),
    /// A file whose content, without the last line break, is the value.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Never shows a value.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::Value(_) => f.write_str("Value(...)"),
            Secret::File(path) => write!(f, "File({})", path.display()),
            Secret::Env(name) => write!(f, "Env({name})"),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Node {
            file: None,
            id: "node".into(),
            data: "data".into(),
            metrics: None,
            control: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            space: SpacePolicy::default(),
            log_level: "info".into(),
            log_format: LogFormat::Text,
            secrets: BTreeMap::new(),
            vars: BTreeMap::new(),
            pair: None,
            witness: None,
        }
    }
}

impl Node {
    /// The value of a secret.
    ///
    /// # Errors
    /// A sentence for people that says what to do.
    pub fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.get(name).map_or_else(|| Err(self.lacks(name, "secrets")), Secret::value)
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// A sentence for people that says what to do.
    pub fn var(&self, name: &str) -> Result<String, String> {
        self.vars.get(name).cloned().ok_or_else(|| self.lacks(name, "vars"))
    }

    fn lacks(&self, name: &str, section: &str) -> String {
        match &self.file {
            Some(file) => format!("{} has no `{name}` in [{section}]", file.display()),
            None => format!(
                "no node.toml was given: put `{name}` in [{section}] of one and add `--node node.toml`"
            ),
        }
    }
}

/// Reads the text of a `node.toml`; relative paths in it are relative to `folder`.
/// What is wrong goes to `report`; the result then only helps to find more.
pub fn parse(file: FileId, text: &str, folder: &Path, report: &mut Diagnostics) -> Node {
    let mut node = Node::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            let span = Span::new(file, at.start, at.end);
            report.push(
                Diagnostic::new("E490", span, format!("this is not TOML: {}", error.message()))
                    .here("here")
                    .help("`key = \"text\"` below a `[section]`"),
            );
            return node;
        }
    };
    let mut reader = NodeReader { file, folder, report };
    for (section, value) in table.get_ref() {
        let Some(entries) = reader.table(value) else { continue };
        match &**section.get_ref() {
            "node" => reader.each(entries, &["id", "data"], |reader, key, value| match key {
                "id" => node.id = reader.text(value).unwrap_or_default(),
                _ => node.data = reader.path(value),
            }),
            "listen" => reader.each(entries, &["metrics", "control"], |reader, key, value| match key {
                "metrics" => node.metrics = reader.loopback(value),
                _ => node.control = reader.address(value).unwrap_or(node.control),
            }),
            "tls" => node.tls = reader.tls(value, entries),
            "pair" => node.pair = reader.pair(value, entries),
            "witness" => node.witness = reader.witness(value, entries),
            "disk" => reader.disk(entries, &mut node.space),
            "log" => reader.each(entries, &["level", "format"], |reader, key, value| match key {
                "level" => {
                    let levels = ["error", "warn", "info", "debug", "trace"];
                    if let Some(level) = reader.choice(value, &levels) {
                        node.log_level = level;
                    }
                }
                _ => match reader.choice(value, &["text", "json"]).as_deref() {
                    Some("json") => node.log_format = LogFormat::Json,
                    _ => node.log_format = LogFormat::Text,
                },
            }),
            "secrets" => {
                for (name, value) in entries {
                    if let Some(secret) = reader.secret(value) {
                        node.secrets.insert(name.get_ref().to_string(), secret);
                    }
                }
            }
            "vars" => {
                for (name, value) in entries {
                    if let Some(text) = reader.text(value) {
                        node.vars.insert(name.get_ref().to_string(), text);
                    }
                }
            }
            other => {
                let known = ["node", "listen", "tls", "disk", "log", "secrets", "vars", "pair", "witness"];
                let span = reader.span(section.span());
                reader.unknown("section", other, &known, span);
            }
        }
    }
    node
}

/// Reads and checks one file.
///
/// # Errors
/// It cannot be read or is too large; findings are in `report`.
pub fn load(path: &Path, sources: &mut SourceMap, report: &mut Diagnostics) -> std::io::Result<Node> {
    let size = std::fs::metadata(path)?.len();
    if size > NODE_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("{size} bytes are too many for a node.toml")));
    }
    let text = std::fs::read_to_string(path)?;
    let file = sources.add(path.display().to_string(), text.clone());
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Node { file: Some(path.into()), ..parse(file, &text, folder, report) })
}

struct NodeReader<'a> {
    file: FileId,
    folder: &'a Path,
    report: &'a mut Diagnostics,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl NodeReader<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn wrong(&mut self, value: &Value<'_>, message: &str, help: &str) {
        let span = self.span(value.span());
        self.report.push(Diagnostic::new("E490", span, message).here("here").help(help));
    }

    fn unknown(&mut self, what: &str, name: &str, known: &[&str], span: Span) {
        let near = known
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        let near = near.filter(|near| strsim::jaro_winkler(near, name) > 0.75);
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        let message = format!("node.toml has no {what} `{name}`");
        self.report.push(Diagnostic::new("E490", span, message).here(format!("unknown {what}")).help(help));
    }

    fn table<'t>(&mut self, value: &'t Value<'_>) -> Option<&'t DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong(value, "a section is expected here", "write `[node]` and the settings below it");
                None
            }
        }
    }

    fn each<'t>(
        &mut self,
        table: &'t DeTable<'_>,
        known: &[&str],
        mut take: impl FnMut(&mut Self, &str, &'t Value<'t>),
    ) where
        't: 't,
    {
        for (key, value) in table {
            let name = &**key.get_ref();
            if known.contains(&name) {
                take(self, name, value);
            } else {
                let span = self.span(key.span());
                self.unknown("key", name, known, span);
            }
        }
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong(value, "a text is expected here", "put it in double quotes");
                None
            }
        }
    }

    fn path(&mut self, value: &Value<'_>) -> PathBuf {
        self.folder.join(self.text(value).unwrap_or_default())
    }

    fn choice(&mut self, value: &Value<'_>, known: &[&str]) -> Option<String> {
        let text = self.text(value)?;
        if known.contains(&text.as_str()) {
            return Some(text);
        }
        let span = self.span(value.span());
        self.unknown("word", &text, known, span);
        None
    }

    fn address(&mut self, value: &Value<'_>) -> Option<SocketAddr> {
        let address = self.text(value)?.parse().ok();
        if address.is_none() {
            self.wrong(value, "this is not an address with a port", "for example \"127.0.0.1:9464\"");
        }
        address
    }

    fn loopback(&mut self, value: &Value<'_>) -> Option<SocketAddr> {
        let address = self.address(value)?;
        if !address.ip().is_loopback() {
            let help = "use 127.0.0.1; a proxy with authentication may publish it";
            self.wrong(value, "this is served without encryption, so on loopback only", help);
            return None;
        }
        Some(address)
    }

    fn tls(&mut self, section: &Value<'_>, entries: &DeTable<'_>) -> Option<TlsFiles> {
        let (mut certificate, mut key) = (None, None);
        self.each(entries, &["certificate", "key"], |reader, name, value| match name {
            "certificate" => certificate = Some(reader.path(value)),
            _ => key = Some(reader.path(value)),
        });
        let files = certificate.zip(key);
        if files.is_none() {
            let help = "certificate = \"gateway.pem\" and key = \"gateway.key\"";
            self.wrong(section, "TLS needs a certificate and its key", help);
        }
        files.map(|(certificate, key)| TlsFiles { certificate, key })
    }

    fn bytes(&mut self, value: &Value<'_>) -> Option<u64> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            _ => self.text(value)?,
        };
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit.trim() {
            "" | "B" => Some(1.0),
            "kB" => Some(1e3),
            "MB" => Some(1e6),
            "GB" => Some(1e9),
            "TB" => Some(1e12),
            _ => None,
        };
        match (number.parse::<f64>(), factor) {
            (Ok(number), Some(factor)) => Some((number * factor) as u64),
            _ => {
                self.wrong(value, "an amount of data is expected here", "for example \"500 MB\" or \"4 GB\"");
                None
            }
        }
    }

    fn disk(&mut self, entries: &DeTable<'_>, space: &mut SpacePolicy) {
        self.each(entries, &["log_max", "reserve", "ballast"], |reader, key, value| {
            let Some(bytes) = reader.bytes(value) else { return };
            match key {
                "log_max" => space.log_bytes_max = bytes,
                "reserve" if bytes < RESERVE_MIN => reader.wrong(
                    value,
                    "the reserve is too small: the store itself needs room to give room back",
                    "at least \"64 MB\"",
                ),
                "reserve" => space.reserve_bytes = bytes,
                _ => space.ballast_bytes = bytes,
            }
        });
    }

    fn secret(&mut self, value: &Value<'_>) -> Option<Secret> {
        match value.get_ref() {
            DeValue::String(text) => Some(Secret::Value(text.to_string())),
            DeValue::Table(table) => {
                let mut secret = None;
                self.each(table, &["file", "env"], |reader, key, value| {
                    secret = match key {
                        "file" => Some(Secret::File(reader.path(value))),
                        _ => reader.text(value).map(Secret::Env),
                    };
                });
                secret
            }
            _ => {
                self.wrong(value, "a secret is a text", "or { file = \"path\" } or { env = \"NAME\" }");
                None
            }
        }
    }
}

impl Secret {
    /// The value.
    ///
    /// # Errors
    /// A sentence for people that names the place, never the value.
    pub fn value(&self) -> Result<String, String> {
        match self {
            Secret::Value(value) => Ok(value.clone()),
            Secret::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("{} cannot be read: {error}", path.display())),
            Secret::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Node, Vec<String>) {
        let mut sources = SourceMap::default();
        let file = sources.add("node.toml", text);
        let mut report = Diagnostics::default();
        let node = parse(file, text, Path::new("/etc/gwp"), &mut report);
        let found = report
            .into_sorted()
            .iter()
            .map(|d| format!("{}: {}", d.message, d.help.as_deref().unwrap_or("")))
            .collect();
        (node, found)
    }

    #[test]
    fn reads_everything_it_documents() {
        let (node, found) = read(
            "[node]\nid = \"alpha\"\ndata = \"data\"\n[listen]\nmetrics = \"127.0.0.1:9464\"\n\
             control = \"0.0.0.0:9465\"\n[tls]\ncertificate = \"gw.pem\"\nkey = \"/keys/gw\"\n[disk]\nlog_max = \"4 GB\"\nreserve = 100000000\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
             [secrets]\npg = { file = \"pg\" }\nmqtt = \"x\"\npi = { env = \"PI\" }\n[vars]\nserial_a = \"/dev/ttyS0\"\n",
        );
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(node.data, Path::new("/etc/gwp/data"));
        assert_eq!((node.space.log_bytes_max, node.space.reserve_bytes), (4_000_000_000, 100_000_000));
        let tls = TlsFiles { certificate: "/etc/gwp/gw.pem".into(), key: "/keys/gw".into() };
        assert_eq!((node.control, node.tls.clone()), (([0, 0, 0, 0], 9465).into(), Some(tls)));
        assert_eq!(node.secrets["pg"], Secret::File("/etc/gwp/pg".into()));
        assert_eq!(node.log_format, LogFormat::Json);
        assert!(!format!("{node:?}").contains("\"x\""));
    }

    #[test]
    fn every_mistake_is_reported_with_the_nearest_right_word() {
        let (_, found) = read(
            "[nod]\nid = 1\n[listen]\nmetric = \"127.0.0.1:1\"\nmetrics = \"0.0.0.0:9464\"\n[disk]\nlog_max = \"4 apples\"\n[log]\nlevel = \"inof\"\n[tls]\nkey = \"k\"\n",
        );
        let expected = ["`node`", "`metrics`", "127.0.0.1", "4 GB", "`info`", "gateway.pem"];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should contain {expected}");
        }
    }

    #[test]
    fn a_member_of_a_pair_knows_itself_its_key_and_its_links() {
        let (node, found) = read(
            "[pair]\nme = \"backup\"\nkey = \"pair.key\"\nlinks = [{ here = \"10.0.1.2:9470\", peer = \"10.0.1.1:9470\", \
             witness = \"10.0.1.9:9470\" }, { here = \"10.0.2.2:9470\", peer = \"10.0.2.1:9470\" }]\n",
        );
        assert_eq!(found, Vec::<String>::new());
        let pair = node.pair.unwrap();
        assert!(!pair.is_primary && pair.key == Path::new("/etc/gwp/pair.key"));
        assert_eq!(pair.links.len(), 2);
        assert_eq!((pair.links[1].witness, pair.failback), (None, Failback::Manual));
        let member = "[pair]\nme = \"backup\"\nkey = \"k\"\nlinks = [{ here = \"10.0.1.2:9470\", peer = \"10.0.1.1:9470\" }]\n";
        let (node, found) = read(&format!(
            "{member}failback = \"auto\"\nfailback_after = \"10 min\"\nfailback_window = \"22:00-04:00\"\n"
        ));
        assert_eq!(found, Vec::<String>::new());
        let window = Some("22:00-04:00".parse().unwrap());
        let after = std::time::Duration::from_secs(600);
        assert_eq!(node.pair.unwrap().failback, Failback::Auto { after, window });
        for (wrong, help) in [
            ("failback = \"always\"", "auto, manual"),
            ("failback = \"auto\"\nfailback_after = \"5 h\"", "10 min"),
            ("failback = \"auto\"\nfailback_window = \"at night\"", "01:00-05:00"),
            ("failback_after = \"10 min\"", "failback = \"auto\""),
        ] {
            let (_, found) = read(&format!("{member}{wrong}\n"));
            assert!(found.iter().any(|found| found.contains(help)), "{wrong}: {found:?}");
        }
        let (node, found) = read("[witness]\nkey = \"k\"\nlisten = [\"0.0.0.0:9470\"]\n");
        assert_eq!((found.len(), node.witness.unwrap().listen.len()), (0, 1));
        for wrong in [
            "[pair]\nme = \"primary\"\nkey = \"k\"\n",
            "[pair]\nme = \"first\"\nkey = \"k\"\nlinks = []\n",
            "[pair]\nme = \"primary\"\nkey = \"k\"\nlinks = [{ here = \"10.0.1.2:9470\" }]\n",
            "[witness]\nkey = \"k\"\n",
        ] {
            assert!(!read(wrong).1.is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_has_one_clear_finding() {
        let (_, found) = read("[node\nid = ");
        assert_eq!(found.len(), 1);
    }
}
