//! `FIELD=VALUE`: selects rows of a file by the value of a field.

use serde::{Deserialize, Serialize};

/// Keeps the rows in which a field has a given value; written `FIELD=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct RowFilter {
    /// Name of the field.
    pub field: String,
    /// The value that it must have, as text.
    pub value: String,
}

impl std::str::FromStr for RowFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() => {
                Ok(RowFilter { field: field.into(), value: value.into() })
            }
            _ => Err(format!("`{text}` must have the form FIELD=VALUE")),
        }
    }
}

impl TryFrom<String> for RowFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RowFilter> for String {
    fn from(RowFilter { field, value }: RowFilter) -> String {
        format!("{field}={value}")
    }
}

impl RowFilter {
    /// Whether the field of the document in `payload`, a JSON object, has the value.
    pub(crate) fn keeps(&self, payload: &[u8]) -> bool {
        let value: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
        match value.as_ref().and_then(|object| object.get(&self.field)) {
            Some(serde_json::Value::String(text)) => *text == self.value,
            other => other.is_some_and(|number_or_flag| format!("{number_or_flag}") == self.value),
        }
    }
}
