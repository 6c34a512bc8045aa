//! Decides which values are secrets and keeps them out of everything that is printed.

use toml::Value;

use crate::tree::join;

/// Printed in place of a secret.
pub const REDACTED: &str = "********";

/// Properties of a catalog that may be printed. All others count as secrets, because a catalog can take any HTTP header
/// as a property and the name of a header does not say whether its value is secret.
const OPEN_CATALOG_PROPERTIES: &[&str] = &["oauth2-server-uri", "prefix", "scope", "warehouse"];

/// Whether the value of `key` is a secret.
///
/// Keys of our own are secrets if they end in `.password`, `.client_secret` or `.token`. Options of librdkafka and of object stores have names that
/// we do not control, so a value counts as a secret if its name contains a word that such names contain.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let catalog_property = key.split_once("catalog.properties.").map(|(_, name)| name);
    key.ends_with(".password")
        || key.ends_with(".client_secret")
        || key.ends_with(".token")
        || catalog_property.is_some_and(|name| !OPEN_CATALOG_PROPERTIES.contains(&name))
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

/// The value of `key` as messages show it: a secret is replaced by asterisks.
pub(crate) fn redacted(key: &str, value: &Value) -> String {
    if is_secret(key) { REDACTED.to_string() } else { value.to_string() }
}

/// Replaces all secrets in a configuration by asterisks.
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
