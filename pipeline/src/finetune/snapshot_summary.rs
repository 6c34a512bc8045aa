//! What a snapshot of the rows to learn from holds, in figures.

use std::collections::BTreeMap;

use fenliu_connectors::kafka::Ends;
use serde::{Deserialize, Serialize};

/// What a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SnapshotSummary {
    /// Replayed documents.
    pub data: usize,
    /// Corrections that became rows.
    pub feedback: usize,
    /// Documents named for testing.
    pub test: usize,
    /// Replayed or test documents that a correction gave another label.
    pub relabelled: usize,
    /// Replayed documents that were left out because they are test documents.
    pub data_in_test: usize,
    /// Documents without a label, or that cleaning rejected.
    pub unusable: usize,
    /// Corrections that were not used, by reason; each is in `skipped.jsonl`.
    pub skipped: BTreeMap<String, usize>,
    /// Corrections and what should have been some, as far as this snapshot reaches.
    pub seen: u64,
    /// Offset ranges of the feedback topic by partition: first and next.
    pub ends: Ends,
    /// SHA-256 over labels and texts of all rows, in their order.
    pub sha256: String,
}
