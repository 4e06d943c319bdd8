//! Real editors: the TextMate grammar in the engine that many use, and the language server in Neovim.

use std::process::{Command, Stdio};

/// Tokens of all programs of the cookbook: program and line, text, innermost scope.
fn tokens() -> Vec<(String, String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let grammar = folder.path().join("gwp.tmLanguage.json");
    let printed = Command::new(gwp_tests::gwp()).args(["editor", "textmate"]).output().expect("gwp");
    assert!(printed.status.success());
    std::fs::write(&grammar, printed.stdout).expect("written");
    let pipelines = gwp_tests::workspace().join("pipelines");
    let programs = ["hello.gwp", "meters.gwp", "modbus_mqtt.gwp"];
    let out = Command::new("sh")
        .arg(gwp_tests::workspace().join("tests/peers/textmate.sh"))
        .arg(&grammar)
        .args(programs)
        .current_dir(pipelines)
        .stderr(Stdio::inherit())
        .output()
        .expect("sh");
    assert!(out.status.success(), "the tokens cannot be had");
    let text = String::from_utf8(out.stdout).expect("text");
    text.lines()
        .map(|line| {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut part = || parts.next().expect("three parts");
            let (place, token, scope) = (part(), part(), part());
            (place, serde_json::from_str(&token).expect("a text"), scope)
        })
        .collect()
}

#[test]
fn the_textmate_grammar_colours_the_cookbook() {
    if !gwp_tests::peers_wanted("the_textmate_grammar_colours_the_cookbook") {
        return;
    }
    let tokens = tokens();
    assert!(tokens.len() > 400, "{}", tokens.len());
    let expected = [
        ("hello.gwp", "source", "keyword.declaration.gwp"),
        ("hello.gwp", "demo", "entity.name.type.gwp"),
        ("hello.gwp", "tag", "keyword.declaration.gwp"),
        ("hello.gwp", "inflow", "entity.name.tag.gwp"),
        ("hello.gwp", "at", "keyword.control.gwp"),
        ("hello.gwp", "sine 20..80 every 60 s", "string.quoted.double.gwp"),
        ("hello.gwp", "real", "storage.type.gwp"),
        ("hello.gwp", "m3/h", "keyword.other.unit.gwp"),
        ("hello.gwp", "%", "keyword.other.unit.gwp"),
        ("hello.gwp", "deadband", "storage.modifier.gwp"),
        ("hello.gwp", "100", "constant.numeric.gwp"),
        ("hello.gwp", "scan", "entity.other.attribute-name.gwp"),
        ("hello.gwp", "->", "keyword.operator.gwp"),
        ("hello.gwp", "date", "variable.other.gwp"),
        ("meters.gwp", "template", "keyword.declaration.gwp"),
        ("meters.gwp", "counter", "storage.modifier.gwp"),
        ("meters.gwp", "scan", "storage.modifier.gwp"),
        ("meters.gwp", "within", "entity.name.function.gwp"),
        ("meters.gwp", "and", "keyword.operator.word.gwp"),
        ("meters.gwp", "except", "keyword.control.gwp"),
        ("meters.gwp", "where", "keyword.control.gwp"),
        ("meters.gwp", "kVA", "keyword.other.unit.gwp"),
        ("modbus_mqtt.gwp", "enum", "storage.modifier.gwp"),
        ("modbus_mqtt.gwp", "uint", "storage.type.gwp"),
    ];
    for (program, text, scope) in expected {
        let found = tokens.iter().any(|(place, token, scoped)| {
            place.starts_with(&format!("{program}:")) && token == text && scoped == scope
        });
        let others: Vec<_> = tokens.iter().filter(|token| token.1 == text).collect();
        assert!(found, "{program}: `{text}` is not {scope}: {others:?}");
    }
    // what no rule takes has the scope of the whole file: brackets, commas and the like only
    for (place, token, scope) in &tokens {
        let bare = scope == "source.gwp" && token.chars().any(char::is_alphanumeric);
        assert!(!bare, "{place}: nothing colours `{token}`");
    }
    let comments = tokens.iter().filter(|token| token.2 == "comment.line.double-slash.gwp");
    assert!(comments.clone().count() >= 4 && comments.clone().all(|token| token.1.starts_with("//")));
}

#[test]
fn neovim_mends_looks_up_and_formats_a_program() {
    if !gwp_tests::peers_wanted("neovim_mends_looks_up_and_formats_a_program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plant.gwp");
    let text = "// Füllstände 🏭\nsource sim : simulator {\n  tag level at \"sine 0..100 every 60 s\" : real %   desc \"🏭 tank\"\n  \
                calc full = level > 90 % or levle > 95 %\n}\nsink screen : console { journal { full = drop_oldest } }\n\
                flow all = sim -> screen\n";
    std::fs::write(&file, text).expect("written");
    let script = gwp_tests::workspace().join("tests/peers/neovim.sh");
    let mut command = Command::new("sh");
    let out =
        command.arg(script).arg(gwp_tests::gwp()).arg(&file).stderr(Stdio::inherit()).output().expect("sh");
    assert!(out.status.success(), "Neovim cannot be had");
    let seen: serde_json::Value = serde_json::from_slice(&out.stdout).expect("what it saw");
    assert_eq!(seen["error"], serde_json::Value::Null, "{seen}");
    assert_eq!(
        (&seen["before"][0]["code"], &seen["before"][0]["line"]),
        (&"E101".into(), &4.into()),
        "{seen}"
    );
    assert_eq!(seen["action"], "Replace `levle` with `level`");
    assert!(seen["hover"].as_str().is_some_and(|text| text.contains("🏭 tank")), "{seen}");
    assert_eq!(seen["definition"], 6);
    assert!(seen["completion"].as_array().is_some_and(|list| list.contains(&"modbus_tcp".into())), "{seen}");
    assert_eq!(seen["symbols"], 3);
    let mended = text.replace("levle", "level").replace("%   desc", "% desc");
    assert_eq!(seen["text"].as_str(), Some(mended.trim_end()));
    assert_eq!(seen["stopped"], true);
}
