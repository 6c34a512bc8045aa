//! What a user configures of standard output.

use serde::{Deserialize, Serialize};

/// JSON Lines on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StdoutSinkConfig {
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}
