//! Rejections: why a document is not labelled and becomes a dead letter.

use std::borrow::Cow;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{filter_record_batch, is_null, not};

use crate::SchemaError;
use crate::rows::text_column;

/// Where in the pipeline a document was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Decoding: from bytes to a document.
    Decode,
    /// Cleaning: operators and reject rules.
    Clean,
    /// Tokenisation: from text to token ids.
    Tokenize,
    /// Inference: the model.
    Infer,
    /// Writing: what a sink refuses of one row.
    Write,
}

impl Stage {
    /// The name in rows and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Clean => "clean",
            Stage::Tokenize => "tokenize",
            Stage::Infer => "infer",
            Stage::Write => "write",
        }
    }
}

/// A rejection: a short machine-readable reason and, where it helps, a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The stage that rejected the document.
    pub stage: Stage,
    /// One of a small number of words, so that it can be the label of a metric: `invalid_json`, `too_large`, ...
    pub reason: Cow<'static, str>,
    /// The value at fault and what was expected, for a person.
    pub detail: Option<String>,
}

impl Reject {
    /// A rejection at `stage`.
    pub fn new(stage: Stage, reason: &'static str, detail: Option<String>) -> Self {
        Reject { stage, reason: Cow::Borrowed(reason), detail }
    }
}

/// Splits a batch into the rows without a `reject_reason` and the rows with one. Both keep the order of the rows.
///
/// # Errors
/// [`SchemaError::Column`] when the batch has no `reject_reason` of type Utf8.
pub fn split_rejected(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch), SchemaError> {
    let reason = text_column(batch, "reject_reason")?;
    // Most batches contain no rejected row. They are returned as they are, without copying a column.
    if reason.null_count() == reason.len() {
        return Ok((batch.clone(), batch.slice(0, 0)));
    }
    let kept = is_null(reason)?;
    Ok((filter_record_batch(batch, &kept)?, filter_record_batch(batch, &not(&kept)?)?))
}
