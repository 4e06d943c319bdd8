//! `gwp editor`: what editors need to know of the language, made from the compiler's own tables.

use gwp_syntax::{WordClass, keywords};
use serde_json::{Value, json};
use std::process::ExitCode;

/// For which editors.
#[derive(clap::Subcommand)]
pub enum EditorCommand {
    /// Print a TextMate grammar (JSON): Visual Studio Code, JetBrains, Sublime Text, Zed, GitHub
    Textmate,
}

pub fn editor(command: &EditorCommand) -> anyhow::Result<ExitCode> {
    match command {
        EditorCommand::Textmate => println!("{:#}", textmate()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A name as the grammar has it, in single quotes or not.
const NAME: &str = r"(?:'[^'\n]+'|[A-Za-z_]\w*)";

/// The words of a class as alternatives of a regular expression.
fn words(class: WordClass) -> String {
    let words: Vec<_> = keywords().into_iter().filter(|word| word.1 == class).map(|word| word.0).collect();
    format!("(?:{})", words.join("|"))
}

fn scope(name: &str) -> Value {
    json!({ "name": format!("{name}.gwp") })
}

/// What matches the pattern has that scope.
fn rule(pattern: &str, name: &str) -> Value {
    json!({ "match": pattern, "name": format!("{name}.gwp") })
}

/// The groups of the pattern have those scopes.
fn parts(pattern: String, names: &[&str]) -> Value {
    let captures = (1..).zip(names).map(|(at, name)| (at.to_string(), scope(name)));
    json!({ "match": pattern, "captures": captures.collect::<serde_json::Map<_, _>>() })
}

fn include(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({ "include": format!("#{name}") })).collect()
}

/// A grammar for editors that colour with TextMate scopes; <https://macromates.com/manual/en/language_grammars>.
///
/// Words that may also be names are only taken for keywords where the language takes them for such.
fn textmate() -> Value {
    let [items, members, types] = [WordClass::Item, WordClass::Member, WordClass::Type].map(words);
    let [attributes, connectives, operators] =
        [WordClass::Attribute, WordClass::Connective, WordClass::Operator].map(words);
    let reserved = format!(r"(?:{attributes}|{connectives}|{operators})\b");
    let unit = format!(r"%|(?:1/)?(?!{reserved})[A-Za-z°µμΩ‰][\w°µμΩ²³]*(?:[/.·][A-Za-z°µμΩ‰][\w°µμΩ²³]*)*");
    let value = ["time", "number", "call", "word", "sign", "name"];
    let all = ["comment", "text", "item", "member", "type", "key"];
    json!({
        "name": "gwp",
        "scopeName": "source.gwp",
        "fileTypes": ["gwp"],
        "patterns": include(&[&all[..], &value[..]].concat()),
        "repository": {
            "comment": rule("//.*$", "comment.line.double-slash"),
            "text": {
                "name": "string.quoted.double.gwp",
                "begin": "\"",
                "end": "\"|$",
                "patterns": [
                    rule(r#"\{\{|\}\}|\\["\\nt]"#, "constant.character.escape"),
                    {
                        "name": "meta.embedded.gwp",
                        "begin": r"\{",
                        "end": r"\}|$",
                        "beginCaptures": { "0": scope("punctuation.section.embedded.begin") },
                        "endCaptures": { "0": scope("punctuation.section.embedded.end") },
                        "patterns": include(&[&["text"], &value[..]].concat()),
                    },
                ],
            },
            "item": { "patterns": [
                parts(format!(r"^\s*({items})\b(?=\s+[\d\x22])"), &["keyword.declaration"]),
                parts(format!(r"^\s*({items})\s+({NAME})"), &["keyword.declaration", "entity.name.type"]),
            ] },
            "member": parts(
                format!(r"\b({members})\s+({NAME})"),
                &["keyword.declaration", "entity.name.tag"],
            ),
            "type": parts(
                format!(r"(:)\s*({types})\b(?:[ \t]+(?!{reserved})({unit}))?"),
                &["punctuation.separator.type", "storage.type", "keyword.other.unit"],
            ),
            "key": rule(r"\b[A-Za-z_]\w*(?=\s*=(?!=))", "entity.other.attribute-name"),
            "time": rule(
                r"\b\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?|\b\d\d:\d\d(?::\d\d(?:\.\d+)?)?\b",
                "constant.other.time",
            ),
            "number": parts(
                format!(r"\b(\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+\b)?)(?: *({unit}))?"),
                &["constant.numeric", "keyword.other.unit"],
            ),
            "call": rule(&format!(r"\b(?!{reserved})[A-Za-z_]\w*(?=\s*\()"), "entity.name.function"),
            "word": { "patterns": [
                rule(&format!(r"\b{attributes}\b"), "storage.modifier"),
                rule(&format!(r"\b{connectives}\b"), "keyword.control"),
                rule(&format!(r"\b{operators}\b"), "keyword.operator.word"),
                rule(r"\b(?:true|false)\b", "constant.language"),
            ] },
            "sign": rule(r"->|==|!=|<=|>=|\.\.|[=<>+*/-]", "keyword.operator"),
            "name": rule(r"'[^'\n]+'|\b[A-Za-z_]\w*", "variable.other"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_in_the_rule_of_its_class() {
        let grammar: Value = serde_json::from_str(&textmate().to_string()).unwrap();
        let rules = &grammar["repository"];
        for (word, class) in keywords() {
            let place = match class {
                WordClass::Item => "/item/patterns/1/match",
                WordClass::Member => "/member/match",
                WordClass::Type => "/type/match",
                WordClass::Attribute => "/word/patterns/0/match",
                WordClass::Connective => "/word/patterns/1/match",
                WordClass::Operator => "/word/patterns/2/match",
            };
            let pattern = rules.pointer(place).and_then(Value::as_str).unwrap();
            let found = pattern.split(['(', ')', ':', '|']).any(|part| part == word);
            assert!(found, "{word} is not in {pattern}");
        }
    }

    /// All scopes and all includes below a value.
    fn collect(value: &Value, scopes: &mut Vec<String>, includes: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("name", Value::String(name)) => scopes.push(name.clone()),
                ("include", Value::String(name)) => includes.push(name.clone()),
                _ => collect(value, scopes, includes),
            }),
            Value::Array(values) => values.iter().for_each(|value| collect(value, scopes, includes)),
            _ => {}
        }
    }

    #[test]
    fn scopes_are_those_of_the_language_and_every_rule_is_used() {
        let grammar = textmate();
        let (mut scopes, mut includes) = (Vec::new(), Vec::new());
        collect(&grammar["patterns"], &mut scopes, &mut includes);
        collect(&grammar["repository"], &mut scopes, &mut includes);
        assert!(scopes.len() > 15 && scopes.iter().all(|scope| scope.ends_with(".gwp")), "{scopes:?}");
        for rule in grammar["repository"].as_object().unwrap().keys() {
            assert!(includes.contains(&format!("#{rule}")), "{rule} is never used");
        }
        assert!(includes.iter().all(|name| grammar["repository"].get(&name[1..]).is_some()));
    }
}
