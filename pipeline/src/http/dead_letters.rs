//! Dead letters as the page shows them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use chrono::{DateTime, Utc};
use fenliu_schemas::text_column;
use serde::Serialize;

/// How much of a message is shown, in bytes.
const SHOWN: usize = 2048;

/// A dead letter as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DeadLetter {
    key: String,
    pub(super) stage: String,
    pub(super) reason: String,
    detail: Option<String>,
    #[serde(serialize_with = "super::time::rfc3339")]
    at: DateTime<Utc>,
    /// The beginning of the message as text; bytes that are no text are shown as U+FFFD.
    text: Option<String>,
    /// The same in hexadecimal, where it is not text.
    hex: Option<String>,
    /// The size of the message.
    bytes: usize,
}

/// The dead letters of some rows.
pub(super) fn letters(rows: &RecordBatch) -> Vec<DeadLetter> {
    (0..rows.num_rows()).filter_map(|row| letter(rows, row)).collect()
}

fn letter(rows: &RecordBatch, row: usize) -> Option<DeadLetter> {
    let text = |name: &'static str| {
        let column = text_column(rows, name).ok()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let partition = rows.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?.value(row);
    let offset = rows.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?.value(row);
    let payloads = rows.column_by_name("payload")?.as_binary_opt::<i32>()?;
    let payload = if payloads.is_valid(row) { payloads.value(row) } else { &[] };
    let shown = &payload[..payload.len().min(SHOWN)];
    // A character that was cut off at the end does not make it binary.
    let is_text = std::str::from_utf8(shown).map_or_else(|error| error.error_len().is_none(), |_| true);
    Some(DeadLetter {
        key: format!("{}/{partition}/{offset}", text("topic")?),
        stage: text("stage")?,
        reason: text("reason")?,
        detail: text("detail"),
        at: Utc::now(),
        text: Some(String::from_utf8_lossy(shown).into_owned()),
        hex: (!is_text).then(|| hex::encode(shown)),
        bytes: payload.len(),
    })
}
