//! From references in a plan to the values of this node.

use crate::node::Node;
use gwp_core::Settings;
use gwp_core::manifest::{SettingError, SettingValue};
use std::sync::Arc;

/// Replaces `secret()` and `node()` by their values; what is missing goes to `errors`.
pub fn resolve(settings: &Settings, node: &Node, of: &str, errors: &mut Vec<String>) -> Settings {
    let resolved = settings.0.iter().map(|(name, value)| {
        let value = match value {
            SettingValue::SecretRef(secret) => text(
                node.secrets.get(&**secret).map_or_else(
                    || Err(format!("node.toml has no `{secret}` in [secrets]")),
                    |secret| secret.value(),
                ),
                of,
                name,
                errors,
            ),
            SettingValue::NodeRef(var) => text(
                node.vars.get(&**var).cloned().ok_or_else(|| format!("node.toml has no `{var}` in [vars]")),
                of,
                name,
                errors,
            ),
            SettingValue::Block(block) => {
                SettingValue::Block(resolve(block, node, &format!("{of}.{name}"), errors))
            }
            other => other.clone(),
        };
        (name.clone(), value)
    });
    Settings(resolved.collect())
}

fn text(found: Result<String, String>, of: &str, name: &str, errors: &mut Vec<String>) -> SettingValue {
    match found {
        Ok(value) => SettingValue::Text(value.into()),
        Err(reason) => {
            errors.push(format!("{of}: {name}: {reason}"));
            SettingValue::Text("".into())
        }
    }
}

/// Errors of a component's `prepare`, as lines.
pub fn lines(of: &Arc<str>, errors: Vec<SettingError>) -> Vec<String> {
    errors.into_iter().map(|error| format!("{of}: {} ({})", error.message, error.help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Secret;

    #[test]
    fn references_become_values_and_every_missing_one_is_named() {
        let mut node = Node::default();
        node.secrets.insert("pg".into(), Secret::Value("s3".into()));
        let mut settings = Settings::default();
        settings.set("password", SettingValue::SecretRef("pg".into()));
        settings.set("token", SettingValue::SecretRef("gone".into()));
        let mut block = Settings::default();
        block.set("port", SettingValue::NodeRef("serial_a".into()));
        settings.set("line", SettingValue::Block(block));
        let mut errors = Vec::new();
        let resolved = resolve(&settings, &node, "sink/db", &mut errors);
        assert_eq!(resolved.text("password"), Some("s3"));
        assert_eq!(errors.len(), 2);
        assert!(errors[0].contains("serial_a") && errors[1].contains("gone"), "{errors:?}");
    }
}
