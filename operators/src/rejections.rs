//! Which rows of a batch are rejected, and why. The first reason wins.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use fenliu_schemas::Stage;

use crate::OperatorError;

/// The columns of a raw or cleaned row that say why it was rejected: stage, reason, detail.
pub(crate) const REJECT_COLUMNS: [&str; 3] = ["reject_stage", "reject_reason", "reject_detail"];

/// The rejections of one batch, while its plan runs.
pub(crate) struct Rejections {
    rows: Vec<Verdict>,
}

#[derive(Clone)]
enum Verdict {
    /// Rejected before cleaning: the row's own reject columns stay.
    Before,
    Kept,
    Rejected {
        reason: String,
        detail: Option<String>,
    },
}

impl Rejections {
    /// Starts from the rejections that a batch came with.
    pub(crate) fn of(batch: &RecordBatch) -> Self {
        let reasons = batch.column_by_name(REJECT_COLUMNS[1]);
        let is_rejected = |row| reasons.is_some_and(|reasons| reasons.is_valid(row));
        let verdict = |row| if is_rejected(row) { Verdict::Before } else { Verdict::Kept };
        Rejections { rows: (0..batch.num_rows()).map(verdict).collect() }
    }

    /// Rejects a row that is not rejected yet.
    pub(crate) fn reject(&mut self, row: usize, reason: &str, detail: impl FnOnce() -> Option<String>) {
        if let Some(verdict @ Verdict::Kept) = self.rows.get_mut(row) {
            *verdict = Verdict::Rejected { reason: reason.to_owned(), detail: detail() };
        }
    }

    /// Writes the verdicts into the reject columns of `batch`.
    pub(crate) fn write(&self, batch: RecordBatch) -> Result<RecordBatch, OperatorError> {
        if !self.rows.iter().any(|verdict| matches!(verdict, Verdict::Rejected { .. })) {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut columns = batch.columns().to_vec();
        for (part, name) in REJECT_COLUMNS.into_iter().enumerate() {
            let index = schema.index_of(name)?;
            let before = columns.get(index).and_then(|column| column.as_string_opt::<i32>());
            let values = self.rows.iter().enumerate().map(|(row, verdict)| match verdict {
                Verdict::Kept => None,
                Verdict::Before => before.and_then(|b| b.is_valid(row).then(|| b.value(row))),
                Verdict::Rejected { reason, detail } => match part {
                    0 => Some(Stage::Clean.as_str()),
                    1 => Some(reason.as_str()),
                    _ => detail.as_deref(),
                },
            });
            let values: ArrayRef = Arc::new(values.collect::<StringArray>());
            if let Some(column) = columns.get_mut(index) {
                *column = values;
            }
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}
