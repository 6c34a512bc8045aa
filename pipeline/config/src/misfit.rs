//! Reading a tree of values into a type once, and what does not fit.

use serde::de::DeserializeOwned;
use toml::Value;

/// A value that does not fit: where serde stopped, and why.
#[derive(PartialEq)]
pub(crate) struct Misfit {
    /// The path of the value, or of a table with a `type` around it.
    pub path: String,
    /// The message of serde, which may contain the value.
    pub message: String,
}

/// Reads `value` once.
pub(crate) fn try_read<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(value.clone()).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().message().trim().to_string();
        Misfit { path: if path == "." { String::new() } else { path }, message }
    })
}
