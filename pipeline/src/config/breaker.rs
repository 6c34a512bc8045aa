//! The section `breaker`.

use serde::{Deserialize, Serialize};

/// When the pipeline stops because too many documents fail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerConfig {
    /// Largest share of the newest `rows` documents that may fail. Default: 0.05.
    pub share: f64,
    /// Number of documents in the window. The pipeline stops as soon as more than `share` x `rows` of the newest ones
    /// have failed. 0: it never stops. Default: 1,000.
    pub rows: usize,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { share: 0.05, rows: 1000 }
    }
}
