//! Why a document leaves the main path.

use std::borrow::Cow;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{filter_record_batch, is_null, not};

use crate::SchemaError;
use crate::rows::text_column;

/// Where in the pipeline a document was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From bytes to a document.
    Decode,
    /// Cleaning operators and reject rules.
    Clean,
    /// From text to token ids.
    Tokenize,
    /// The model.
    Infer,
}

impl Stage {
    /// The name that rows and metrics carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Clean => "clean",
            Stage::Tokenize => "tokenize",
            Stage::Infer => "infer",
        }
    }
}

/// One rejection: a short machine-readable reason and, where it helps, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The stage that rejected.
    pub stage: Stage,
    /// Bounded vocabulary, fit for a metric's label: `invalid_json`, `too_large`, ...
    pub reason: Cow<'static, str>,
    /// The value and the bound, for a person.
    pub detail: Option<String>,
}

impl Reject {
    /// A rejection at `stage`.
    pub fn new(stage: Stage, reason: &'static str, detail: Option<String>) -> Self {
        Reject { stage, reason: Cow::Borrowed(reason), detail }
    }
}

/// Splits a batch by `reject_reason`: rows without one, then rows with one. Order is kept in both.
///
/// # Errors
/// [`SchemaError::Column`] when the batch has no `reject_reason` of type Utf8.
pub fn split_rejected(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch), SchemaError> {
    let reason = text_column(batch, "reject_reason")?;
    if reason.null_count() == reason.len() {
        return Ok((batch.clone(), batch.slice(0, 0)));
    }
    let kept = is_null(reason)?;
    Ok((filter_record_batch(batch, &kept)?, filter_record_batch(batch, &not(&kept)?)?))
}
