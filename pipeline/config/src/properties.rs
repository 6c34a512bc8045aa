//! Options that are passed unchanged to a library: to librdkafka, to an object store or to a catalog.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Value;

/// Options by name.
pub type Properties = BTreeMap<String, String>;

/// Reads option values that are written as strings, numbers or booleans, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// A value is of another type, or a name that contains dots is not in quotes.
pub fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    values.into_iter().map(|(name, value)| text(&name, value).map(|text| (name, text))).collect()
}

fn text<E: Error>(name: &str, value: Value) -> Result<String, E> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        // TOML reads `a.b = 1` as a table `a` with a key `b`, so the option would get another name.
        Value::Table(table) if !table.is_empty() => {
            let inner = table.into_iter().next().map_or_else(String::new, |(key, _)| key);
            Err(E::custom(format!("write the name in quotes: \"{name}.{inner}\" = ...")))
        }
        _ => Err(E::custom(format!("`{name}` must be a string, a number or a boolean"))),
    }
}
