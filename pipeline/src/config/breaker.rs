//! The section `breaker`.

use serde::{Deserialize, Serialize};

/// When the pipeline stops for want of usable documents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerConfig {
    /// Largest share of the newest documents that may fail. Default: 0.05.
    pub share: f64,
    /// How many documents that share is of; the pipeline stops as soon as more than `share` x `rows` of
    /// them have failed. 0: it never stops. Default: 1,000.
    pub rows: usize,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { share: 0.05, rows: 1000 }
    }
}
