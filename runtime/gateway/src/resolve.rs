//! From references in a plan to the values of this node.

use crate::node::Node;
use gwp_core::Settings;
use gwp_core::manifest::{Setting, SettingError, SettingKind, SettingValue};

/// Replaces `secret()` and `node()` by their values, read as the kinds of `table`. What is
/// missing or wrong goes to `errors`, once; it stays a reference, which drivers take as right.
pub fn resolve(
    settings: &Settings,
    table: &[Setting],
    node: &Node,
    of: &str,
    errors: &mut Vec<String>,
) -> Settings {
    let resolved = settings.0.iter().map(|(name, value)| {
        let def = table.iter().find(|def| def.name == &**name);
        let found = match (value, def.map(|def| &def.kind)) {
            (SettingValue::Block(block), Some(SettingKind::Block(table))) => {
                let of = format!("{of}: {name}");
                return (name.clone(), SettingValue::Block(resolve(block, table, node, &of, errors)));
            }
            (SettingValue::SecretRef(secret), _) => node.secret(secret),
            (SettingValue::NodeRef(var), _) => node.var(var),
            _ => return (name.clone(), value.clone()),
        };
        let read = found.and_then(|text| match def {
            // Of a secret nothing is shown, also not in an error.
            Some(def) if !matches!(value, SettingValue::SecretRef(_)) => {
                gwp_compile::setting_from_text(def, &text)
            }
            _ => Ok(SettingValue::Text(text.into())),
        });
        let value = read.unwrap_or_else(|reason| {
            let line = format!("{of}: {name}: {reason}");
            // A device has as many poll groups as scan classes, and a family many devices.
            if !errors.contains(&line) {
                errors.push(line);
            }
            value.clone()
        });
        (name.clone(), value)
    });
    Settings(resolved.collect())
}

/// Errors of a component's check, as lines.
pub fn lines(of: &str, errors: Vec<SettingError>) -> impl Iterator<Item = String> {
    errors.into_iter().map(move |error| format!("{of}: {} ({})", error.message, error.help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Secret;
    use gwp_core::manifest::Need;

    const fn setting(name: &'static str, kind: SettingKind) -> Setting {
        Setting { name, kind, need: Need::Optional, doc: "" }
    }

    static TABLE: &[Setting] = &[
        setting("password", SettingKind::Secret),
        setting("token", SettingKind::Secret),
        setting("unit_id", SettingKind::Int { min: 0, max: 247 }),
        setting("baud", SettingKind::Int { min: 300, max: 115_200 }),
        setting("line", SettingKind::Block(&[setting("port", SettingKind::Text)])),
    ];

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.set("password", SettingValue::SecretRef("pg".into()));
        settings.set("token", SettingValue::SecretRef("gone".into()));
        settings.set("unit_id", SettingValue::NodeRef("unit".into()));
        settings.set("baud", SettingValue::NodeRef("baud".into()));
        let mut block = Settings::default();
        block.set("port", SettingValue::NodeRef("serial_a".into()));
        settings.set("line", SettingValue::Block(block));
        settings
    }

    #[test]
    fn references_become_values_and_every_missing_one_is_named_once() {
        let mut node = Node { file: Some("etc/node.toml".into()), ..Node::default() };
        node.secrets.insert("pg".into(), Secret::Value("s3".into()));
        node.vars.insert("unit".into(), "17".into());
        node.vars.insert("baud".into(), "fast".into());
        let mut errors = Vec::new();
        for _ in 0..2 {
            let resolved = resolve(&settings(), TABLE, &node, "sink/db", &mut errors);
            assert_eq!(resolved.text("password"), Some("s3"));
            assert_eq!(resolved.int("unit_id"), Some(17), "read as the number that it is");
            assert!(resolved.is_unresolved("token") && resolved.is_unresolved("baud"));
        }
        assert_eq!(
            errors,
            [
                "sink/db: baud: `fast` does not do: nothing is called `fast` here",
                "sink/db: line: port: etc/node.toml has no `serial_a` in [vars]",
                "sink/db: token: etc/node.toml has no `gone` in [secrets]",
            ]
        );
    }

    #[test]
    fn without_a_node_file_the_message_says_how_to_give_one() {
        let mut errors = Vec::new();
        resolve(&settings(), TABLE, &Node::default(), "sink/db", &mut errors);
        let expected = [
            "`baud` in [vars]",
            "`serial_a` in [vars]",
            "`pg` in [secrets]",
            "`gone` in [secrets]",
            "`unit` in [vars]",
        ];
        assert_eq!(errors.len(), expected.len());
        for (error, expected) in errors.iter().zip(expected) {
            assert!(
                error.contains("no node.toml was given") && error.contains("--node node.toml"),
                "{error}"
            );
            assert!(error.contains(expected), "{error}");
        }
    }
}
