//! Which values are secrets, and how they are kept out of everything that is printed.

use toml::Value;

use crate::tree::join;

/// Stands for a secret in everything that is printed.
pub const REDACTED: &str = "********";

/// Properties of a catalog that are no secret; a header may be one under any name.
const OPEN_CATALOG_PROPERTIES: &[&str] = &["oauth2-server-uri", "prefix", "scope", "warehouse"];

/// Whether the value of `key` must not be printed: librdkafka properties and options of stores
/// are where most secrets live.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let of_catalog = key.split_once("catalog.properties.").map(|(_, name)| name);
    key.ends_with(".password")
        || of_catalog.is_some_and(|name| !OPEN_CATALOG_PROPERTIES.contains(&name))
        || (key.contains("properties") || key.contains("storage"))
            && [
                "password",
                "secret",
                "token",
                "jaas",
                "passphrase",
                "ssl.key",
                "pem",
                "credential",
                "oauthbearer.config",
                "user.info",
            ]
            .iter()
            .any(|word| key.contains(word))
}

/// The value of `key` for a message.
pub(crate) fn redacted(key: &str, value: &Value) -> String {
    if is_secret(key) { REDACTED.to_string() } else { value.to_string() }
}

/// Replaces the secrets in a configuration by asterisks.
pub fn redact(value: &mut Value) {
    redact_at(value, "");
}

fn redact_at(value: &mut Value, key: &str) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(name, child)| redact_at(child, &join(key, name))),
        Value::Array(array) => array.iter_mut().for_each(|child| redact_at(child, key)),
        Value::String(text) if is_secret(key) && !text.is_empty() => *text = REDACTED.to_string(),
        _ => {}
    }
}
