//! Which rows of a batch are rejected, and why. A row keeps the first reason that it is rejected for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use fenliu_schemas::Stage;

use crate::OperatorError;

/// The columns that state why a row was rejected: stage, reason, detail. All are null for a row that is kept.
pub(crate) const REJECT_COLUMNS: [&str; 3] = ["reject_stage", "reject_reason", "reject_detail"];

/// The rejections of one batch, collected while its plan runs.
pub(crate) struct Rejections {
    rows: Vec<RowStatus>,
}

/// Whether a row is rejected.
#[derive(Clone)]
enum RowStatus {
    /// An earlier stage rejected it; its reject columns stay as they are.
    RejectedBefore,
    /// No stage rejected it so far.
    Kept,
    /// Cleaning rejects it.
    Rejected { reason: String, detail: Option<String> },
}

impl Rejections {
    /// The rejections that `batch` already has.
    pub(crate) fn of(batch: &RecordBatch) -> Self {
        let reasons = batch.column_by_name(REJECT_COLUMNS[1]);
        let is_rejected = |row| reasons.is_some_and(|reasons| reasons.is_valid(row));
        let status = |row| if is_rejected(row) { RowStatus::RejectedBefore } else { RowStatus::Kept };
        Rejections { rows: (0..batch.num_rows()).map(status).collect() }
    }

    /// Rejects a row, unless it is already rejected. `detail` is called only if it is needed.
    pub(crate) fn reject(&mut self, row: usize, reason: &str, detail: impl FnOnce() -> Option<String>) {
        if let Some(status @ RowStatus::Kept) = self.rows.get_mut(row) {
            *status = RowStatus::Rejected { reason: reason.to_owned(), detail: detail() };
        }
    }

    /// Writes the rejections into the reject columns of `batch`.
    ///
    /// # Errors
    /// The batch lacks one of the columns.
    pub(crate) fn write(&self, batch: RecordBatch) -> Result<RecordBatch, OperatorError> {
        if !self.rows.iter().any(|status| matches!(status, RowStatus::Rejected { .. })) {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut columns = batch.columns().to_vec();
        for (part, name) in REJECT_COLUMNS.into_iter().enumerate() {
            if let Some(column) = columns.get_mut(schema.index_of(name)?) {
                *column = self.column(part, column);
            }
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// The new values of the reject column number `part`, which had the values `before`.
    fn column(&self, part: usize, before: &ArrayRef) -> ArrayRef {
        let before = before.as_string_opt::<i32>();
        let values = self.rows.iter().enumerate().map(|(row, status)| match status {
            RowStatus::Kept => None,
            RowStatus::RejectedBefore => before.and_then(|b| b.is_valid(row).then(|| b.value(row))),
            RowStatus::Rejected { reason, detail } => match part {
                0 => Some(Stage::Clean.as_str()),
                1 => Some(reason.as_str()),
                _ => detail.as_deref(),
            },
        });
        Arc::new(values.collect::<StringArray>())
    }
}
