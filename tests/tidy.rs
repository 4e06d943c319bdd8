//! The rules of the house that a program can check.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    gwp_tests::workspace()
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    metadata.packages
}

/// Normal dependencies of a package: ours, and all.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn rooms_know_only_what_they_may() {
    let core: &[&str] = &["gwp-core"];
    let may: BTreeMap<&str, &[&str]> = [
        ("gwp-core", &[][..]),
        ("gwp-syntax", &[]),
        ("gwp-plan", core),
        ("gwp-compile", &["gwp-core", "gwp-syntax", "gwp-plan"]),
        ("gwp-ide", &["gwp-core", "gwp-syntax", "gwp-plan", "gwp-compile"]),
        ("gwp-journal", &["gwp-core", "gwp-redundancy"]),
        ("gwp-engine", &["gwp-core", "gwp-plan", "gwp-journal", "gwp-redundancy"]),
        ("gwp-console", &["gwp-core", "gwp-plan", "gwp-engine"]),
        ("gwp-driver-simulator", core),
        ("gwp-mqtt", core),
        ("gwp-redundancy", core),
        ("gwp-cluster", &["gwp-core", "gwp-journal", "gwp-redundancy"]),
        ("gwp-driver-kit", core),
        ("gwp-driver-contract", core),
        ("gwp-driver-modbus", &["gwp-core", "gwp-driver-kit"]),
        ("gwp-driver-s7", &["gwp-core", "gwp-driver-kit"]),
        ("gwp-driver-opcua", &["gwp-core", "gwp-driver-kit"]),
        ("gwp-driver-mqtt", &["gwp-core", "gwp-mqtt"]),
        ("gwp-sink-console", core),
        ("gwp-sink-file", core),
        ("gwp-sink-sql", core),
        ("gwp-sink-mqtt", &["gwp-core", "gwp-mqtt"]),
    ]
    .into();
    let mut checked = 0;
    for package in packages() {
        let ours: BTreeSet<String> =
            dependencies(&package).into_iter().filter(|name| name.starts_with("gwp-")).collect();
        match may.get(package.name.as_str()) {
            Some(allowed) => {
                checked += 1;
                for name in ours {
                    assert!(allowed.contains(&&*name), "{} must not depend on {name}", package.name);
                }
            }
            None => assert!(
                ["gwp-gateway", "gwp-tests", "gwp-campaign", "gwp-benches"].contains(&package.name.as_str()),
                "{} has no rule here",
                package.name
            ),
        }
    }
    assert_eq!(checked, may.len(), "a room with a rule is gone");
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let homes: BTreeMap<&str, &[&str]> = [
        ("pest", &["gwp-syntax"][..]),
        ("ractor", &["gwp-engine"]),
        ("fjall", &["gwp-journal"]),
        ("rusqlite", &["gwp-sink-sql", "gwp-campaign"]),
        ("rumqttc", &["gwp-mqtt", "gwp-driver-mqtt", "gwp-sink-mqtt", "gwp-benches"]),
        ("opcua", &["gwp-driver-opcua"]),
        ("tokio-modbus", &["gwp-driver-modbus", "gwp-benches"]),
        ("anyhow", &["gwp-gateway", "gwp-benches"]),
        ("axum", &["gwp-console", "gwp-gateway"]),
        ("argon2", &["gwp-console"]),
        ("gen-lsp-types", &["gwp-gateway"]),
    ]
    .into();
    for package in packages() {
        for name in dependencies(&package) {
            if let Some(homes) = homes.get(&*name) {
                assert!(homes.contains(&package.name.as_str()), "{} must not name {name}", package.name);
            }
        }
    }
}

#[test]
fn pure_rooms_have_no_runtime() {
    for package in packages() {
        let pure = ["gwp-core", "gwp-syntax", "gwp-plan", "gwp-compile", "gwp-ide", "gwp-redundancy"]
            .contains(&package.name.as_str());
        for dependency in package.dependencies.iter().filter(|found| found.kind == DependencyKind::Normal) {
            if pure && dependency.name == "tokio" {
                assert_eq!(package.name.as_str(), "gwp-core", "{} is pure", package.name);
                assert_eq!(dependency.features, ["sync"]);
                assert!(!dependency.uses_default_features);
            }
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for room in ["runtime", "dsl", "drivers", "sinks", "tests", "benches"] {
        walk(&root().join(room), &mut found);
    }
    assert!(found.len() > 50);
    found
}

#[test]
fn files_and_functions_keep_the_house_measure() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > 700 {
            wrong.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        // A function begins with `fn` and ends with a brace in the column where its line begins.
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start();
            let is_fn = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(super) fn "]
                .iter()
                .any(|start| words.starts_with(start));
            if is_fn && !words.ends_with(';') {
                let close = format!("{}}}", " ".repeat(indent));
                let end = lines[at..].iter().position(|line| *line == close).unwrap_or(0);
                if end + 1 > 70 {
                    wrong.push(format!("{}:{}: {} lines in a function", path.display(), at + 1, end + 1));
                }
            }
            at += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_say_why_they_exist_and_no_test_is_left_out() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or("");
        let inside = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        let is_test = inside.contains("test");
        assert!(is_test || first.starts_with("//!"), "{} opens without a reason", path.display());
        let ignored = ["#[", "ignore"].concat();
        assert!(!text.contains(&ignored), "{} leaves a test out", path.display());
        for mark in [["todo", "!("].concat(), ["unimplemented", "!("].concat()] {
            assert!(!text.contains(&mark), "{}: {mark}", path.display());
        }
    }
}

#[test]
fn log_lines_hold_no_debug_text() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (start, _) in text.match_indices("tracing::") {
            let call = &text[start..];
            let level = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];
            let Some(open) = level.iter().find_map(|level| {
                call["tracing::".len()..].starts_with(level).then_some("tracing::".len() + level.len())
            }) else {
                continue;
            };
            let end = call.find(");").or(call.find("),")).unwrap_or(call.len());
            let fields = call.get(open..end).unwrap_or("");
            let debug = fields.starts_with('?')
                || [", ?", "= ?", " ?", ":?}"].iter().any(|mark| fields.contains(mark));
            if debug {
                wrong.push(format!("{}: {}", path.display(), fields.lines().next().unwrap_or("")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
