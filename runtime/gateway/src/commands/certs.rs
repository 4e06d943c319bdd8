//! `gwp certs`: certificates of OPC UA, on the disk of the node.

use anyhow::Context;
use clap::Subcommand;
use gwp_driver_opcua::security::{Entry, Facts, Own, Seen, Store, StoreError, Trust, read_certificate};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Characters of a name in the table.
const NAME_CHARS_MAX: usize = 40;

#[derive(Subcommand)]
pub enum CertsCommand {
    /// List them: thumbprint, end, name, application URI, and where a server was met
    Ls {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Trust a server: by thumbprint (its beginning is enough), or by a file with its certificate (DER or PEM)
    Trust {
        #[arg(value_name = "THUMBPRINT|FILE")]
        certificate: String,
    },
    /// Trust a server no more; it is refused from the next attempt to connect on
    Reject {
        /// Its beginning is enough
        thumbprint: String,
    },
    /// Write a certificate to a file: PEM if it ends in .pem or .crt, else DER. The key stays where it is
    Export {
        /// The gateway's own, which is made if there is none yet [default]
        #[arg(long, conflicts_with = "of")]
        own: bool,
        /// That of a server
        #[arg(long, value_name = "THUMBPRINT")]
        of: Option<String>,
        /// Never over another file
        file: PathBuf,
    },
}

/// Where certificates are.
#[derive(clap::Args)]
pub struct PkiArgs {
    /// Data directory of the gateway, as in its node.toml
    #[arg(long, global = true, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Folder of the certificates, if a source names another one [default: pki in the data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pki: Option<PathBuf>,
}

impl PkiArgs {
    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.pki.clone().unwrap_or_else(|| self.data.join("pki"))
    }
}

pub fn certs(command: &CertsCommand, place: &PkiArgs) -> anyhow::Result<ExitCode> {
    let store = Store::at(place.folder());
    let done = match command {
        CertsCommand::Ls { json } => ls(&store, *json),
        CertsCommand::Trust { certificate } => trust(&store, certificate),
        CertsCommand::Reject { thumbprint } => reject(&store, thumbprint),
        CertsCommand::Export { of, file, .. } => export(&store, of.as_deref(), file),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // What was named is wrong, not the machine.
        Err(error) => match error.downcast_ref::<StoreError>() {
            Some(StoreError::Unknown(_) | StoreError::Ambiguous { .. } | StoreError::Certificate { .. }) => {
                eprintln!("gwp: {error:#}");
                Ok(ExitCode::FAILURE)
            }
            _ => Err(error),
        },
    }
}

fn trust(store: &Store, certificate: &str) -> anyhow::Result<()> {
    let file = Path::new(certificate);
    let facts = if file.is_file() { read_certificate(file)? } else { store.find(certificate)?.facts };
    let unusable = facts.check(Timestamp::now()).err();
    let changed = store.put(&facts, Trust::Trusted)?;
    let what = if changed { "is trusted" } else { "was trusted already" };
    println!("{} ({}) {what}", facts.thumbprint, facts.subject);
    if let Some(why) = unusable {
        eprintln!("note: it cannot be used as it is: {why}");
    }
    Ok(())
}

fn reject(store: &Store, thumbprint: &str) -> anyhow::Result<()> {
    let facts = store.find(thumbprint)?.facts;
    let changed = store.put(&facts, Trust::Rejected)?;
    let what = if changed { "is trusted no more" } else { "was not trusted" };
    println!("{} ({}) {what}", facts.thumbprint, facts.subject);
    Ok(())
}

fn export(store: &Store, of: Option<&str>, file: &Path) -> anyhow::Result<()> {
    let facts = match of {
        Some(thumbprint) => store.find(thumbprint)?.facts,
        None => store.own()?.facts,
    };
    let is_pem = file.extension().is_some_and(|ending| ending == "pem" || ending == "crt");
    let bytes = if is_pem { facts.pem().into_bytes() } else { facts.der.clone() };
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let written = written.and_then(|mut opened| std::io::Write::write_all(&mut opened, &bytes));
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    println!("{}: {}, thumbprint {}", file.display(), facts.subject, facts.thumbprint);
    Ok(())
}

fn ls(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let own = store.own_if_made()?;
    let (entries, strange) = store.list()?;
    let now = Timestamp::now();
    if as_json {
        println!("{:#}", as_value(own.as_ref(), &entries));
    } else {
        print!("{}", table(own.as_ref(), &entries, now));
        if own.is_none() {
            println!(
                "no own certificate yet: the first start of an OPC UA source, or `gwp certs export`, makes it"
            );
        }
    }
    for file in strange {
        eprintln!("note: {} is no certificate", file.display());
    }
    if let Some(warning) = own.and_then(|own| own.warning(now)) {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn as_value(own: Option<&Own>, entries: &[Entry]) -> Value {
    let one = |state: &str, facts: &Facts, file: &Path, seen: Option<&Seen>| {
        json!({
            "state": state, "thumbprint": facts.thumbprint, "subject": facts.subject,
            "application_uri": facts.application_uri, "hosts": facts.hosts,
            "not_before": facts.not_before.to_string(), "not_after": facts.not_after.to_string(),
            "key_bits": facts.key_bits, "file": file,
            "seen": seen.map(|seen| json!({ "url": seen.url, "time": seen.time.to_string() })),
        })
    };
    let own = own.map(|own| one("own", &own.facts, &own.certificate, None));
    let others =
        entries.iter().map(|entry| one(entry.trust.word(), &entry.facts, &entry.file, entry.seen.as_ref()));
    Value::Array(own.into_iter().chain(others).collect())
}

/// One line per certificate; columns as wide as what stands in them.
fn table(own: Option<&Own>, entries: &[Entry], now: Timestamp) -> String {
    let heads = ["STATE", "THUMBPRINT", "ENDS", "NAME", "APPLICATION", "MET AT"].map(String::from);
    let row = |state: &str, facts: &Facts, seen: Option<&Seen>| {
        let ends = facts.not_after.strftime("%Y-%m-%d").to_string();
        let ends = if facts.not_after < now { format!("{ends} (ended)") } else { ends };
        let uri = facts.application_uri.as_deref().unwrap_or("-");
        let met = seen
            .map_or("-".to_owned(), |seen| format!("{}, {}", seen.url, seen.time.strftime("%Y-%m-%d %H:%M")));
        [state.into(), facts.thumbprint.clone(), ends, short(&facts.subject), short(uri), met]
    };
    let own = own.map(|own| row("own", &own.facts, None));
    let others = entries.iter().map(|entry| row(entry.trust.word(), &entry.facts, entry.seen.as_ref()));
    let rows: Vec<[String; 6]> = [heads].into_iter().chain(own).chain(others).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

fn short(text: &str) -> String {
    if text.chars().count() <= NAME_CHARS_MAX {
        return text.into();
    }
    text.chars().take(NAME_CHARS_MAX - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(subject: &str, ends: i64) -> Facts {
        Facts {
            thumbprint: "ab".repeat(20),
            subject: subject.into(),
            application_uri: None,
            hosts: Vec::new(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::from_second(ends).unwrap(),
            key_bits: Some(2048),
            der: Vec::new(),
            file_name: String::new(),
        }
    }

    #[test]
    fn the_table_is_as_wide_as_it_has_to_be() {
        let seen =
            Some(Seen { url: "opc.tcp://plc:4840".into(), time: Timestamp::from_second(86_400).unwrap() });
        let long = format!("CN={}", "x".repeat(60));
        let entries = [
            Entry { trust: Trust::Trusted, file: "a".into(), facts: facts("CN=a", 86_400 * 400), seen },
            Entry { trust: Trust::Rejected, file: "b".into(), facts: facts(&long, 5), seen: None },
        ];
        let told = table(None, &entries, Timestamp::from_second(86_400).unwrap());
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].ends_with("opc.tcp://plc:4840, 1970-01-02 00:00"), "{told}");
        assert!(lines[1].contains("  1971-02-05          CN=a "), "{told}");
        assert!(
            lines[2].contains("  1970-01-01 (ended)  CN=xxx") && lines[2].contains("xx..  -  "),
            "{told}"
        );
        let at = |line: &str, text: &str| line.find(text).unwrap();
        assert_eq!(at(lines[0], "NAME"), at(lines[1], "CN=a"));
        assert_eq!(at(lines[0], "MET AT"), at(lines[1], "opc.tcp"));
    }
}
