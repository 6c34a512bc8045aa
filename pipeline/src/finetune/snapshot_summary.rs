//! Figures about a snapshot, which are stored in the state of its job.

use std::collections::BTreeMap;

use fenliu_connectors::kafka::Ends;
use serde::{Deserialize, Serialize};

/// What a snapshot contains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SnapshotSummary {
    /// Number of replayed documents (`finetune.data`).
    pub data: usize,
    /// Number of corrections that became rows.
    pub feedback: usize,
    /// Number of documents for testing only (`finetune.test`).
    pub test: usize,
    /// Number of documents of another source (`finetune.far`).
    #[serde(default)]
    pub far: usize,
    /// Number of replayed and test documents that a correction gave another label.
    pub relabelled: usize,
    /// Number of replayed documents that were left out because they are also test documents.
    pub data_in_test: usize,
    /// Number of documents without a label, and of those that cleaning rejected.
    pub unusable: usize,
    /// Number of corrections that were not used, by reason; each of them is in `skipped.jsonl`.
    pub skipped: BTreeMap<String, usize>,
    /// Number of messages and rows that were read as corrections, including invalid ones.
    pub seen: u64,
    /// The range of offsets that was read of each partition of the feedback topic: first and next.
    pub ends: Ends,
    /// SHA-256 over labels and texts of all rows, in order.
    pub sha256: String,
}
