//! Dead letters: rejected messages with everything needed to understand and replay them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMillisecondArray, new_null_array,
};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::message::{KAFKA_HEADERS, KAFKA_KEY, kafka_fields};
use crate::raw::timestamp_type;
use crate::{Reject, SchemaError};

/// The dead-letter schema.
///
/// `topic`, `partition`, `offset`, `kafka_timestamp`, `kafka_key`, `kafka_headers` and `payload` are the original message's
/// (`payload` is null where the message has no value, which is how a deletion is sent);
/// `stage` and `reason` are short names, `detail` a sentence (null where there is none), `id` null
/// where the message could not be decoded, `rejected_at` the time of rejection, `model_version` the model that
/// could not handle the document (null where it did not come that far).
///
/// `kafka_key` and `kafka_headers` are the last columns since earlier releases did not write them: a directory can hold
/// files with and without them, and whoever reads it takes what is missing for null.
pub fn dead_letter_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let [key, headers] = kafka_fields();
        Arc::new(Schema::new(vec![
            Field::new("topic", DataType::Utf8, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("kafka_timestamp", timestamp_type(), true),
            Field::new("id", DataType::Utf8, true),
            Field::new("stage", DataType::Utf8, false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, true),
            Field::new("rejected_at", timestamp_type(), false),
            Field::new("payload", DataType::Binary, true),
            Field::new("model_version", DataType::Utf8, true),
            key,
            headers,
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// Turns rejected rows (raw or cleaned), which contain the reason of the rejection, into dead letters.
///
/// # Errors
/// [`SchemaError::Arrow`] if a row has no `reject_stage` or `reject_reason`, or if a column is missing.
pub fn dead_letters(rejected: &RecordBatch, rejected_at_ms: i64) -> Result<RecordBatch, SchemaError> {
    let why = [
        column(rejected, "reject_stage")?,
        column(rejected, "reject_reason")?,
        column(rejected, "reject_detail")?,
    ];
    let no_version = new_null_array(&DataType::Utf8, rejected.num_rows());
    assemble(rejected, why, no_version, rejected_at_ms)
}

/// Turns cleaned rows that the model with `model_version` could not handle into dead letters; `rejects` has the reason for
/// each row.
///
/// # Errors
/// [`SchemaError::Length`] unless there is exactly one reject per row; [`SchemaError::Arrow`] if a column is missing.
pub fn model_dead_letters(
    rows: &RecordBatch,
    rejects: &[Reject],
    model_version: &str,
    rejected_at_ms: i64,
) -> Result<RecordBatch, SchemaError> {
    if rejects.len() != rows.num_rows() {
        return Err(SchemaError::Length { what: "rejects", got: rejects.len(), rows: rows.num_rows() });
    }
    let why: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|reject| reject.stage.as_str()))),
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|reject| reject.reason.as_ref()))),
        Arc::new(StringArray::from_iter(rejects.iter().map(|reject| reject.detail.as_deref()))),
    ];
    let version: ArrayRef = Arc::new(StringArray::from(vec![model_version; rows.num_rows()]));
    assemble(rows, why, version, rejected_at_ms)
}

/// Takes the labelled rows with the numbers of `rejects` out of `rows`, and turns them into dead letters: the rows that are
/// kept, and the letters. The rows must have the column `payload`.
///
/// # Errors
/// [`SchemaError::Arrow`] if a column is missing.
pub fn set_aside(
    rows: &RecordBatch,
    rejects: &BTreeMap<usize, Reject>,
    rejected_at_ms: i64,
) -> Result<(RecordBatch, RecordBatch), SchemaError> {
    let is_kept: BooleanArray = (0..rows.num_rows()).map(|row| Some(!rejects.contains_key(&row))).collect();
    let refused = filter_record_batch(rows, &not(&is_kept)?)?;
    let why: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(rejects.values().map(|reject| reject.stage.as_str()))),
        Arc::new(StringArray::from_iter_values(rejects.values().map(|reject| reject.reason.as_ref()))),
        Arc::new(StringArray::from_iter(rejects.values().map(|reject| reject.detail.as_deref()))),
    ];
    let version = refused.column_by_name("model_version").map(Arc::clone);
    let version = version.unwrap_or_else(|| new_null_array(&DataType::Utf8, refused.num_rows()));
    let letters = assemble(&refused, why, version, rejected_at_ms)?;
    Ok((filter_record_batch(rows, &is_kept)?, letters))
}

/// Builds the dead letters of `rows`; `why` has the columns `stage`, `reason` and `detail`.
fn assemble(
    rows: &RecordBatch,
    why: [ArrayRef; 3],
    model_version: ArrayRef,
    rejected_at_ms: i64,
) -> Result<RecordBatch, SchemaError> {
    let times = TimestampMillisecondArray::from(vec![rejected_at_ms; rows.num_rows()]).with_timezone("UTC");
    let [stage, reason, detail] = why;
    let columns = vec![
        column(rows, "topic")?,
        column(rows, "partition")?,
        column(rows, "offset")?,
        column(rows, "kafka_timestamp")?,
        column(rows, "id")?,
        stage,
        reason,
        detail,
        Arc::new(times),
        column(rows, "payload")?,
        model_version,
        column(rows, KAFKA_KEY)?,
        column(rows, KAFKA_HEADERS)?,
    ];
    Ok(RecordBatch::try_new(dead_letter_schema(), columns)?)
}

fn column(rows: &RecordBatch, name: &str) -> Result<ArrayRef, SchemaError> {
    let index = rows.schema().index_of(name)?;
    Ok(Arc::clone(rows.column(index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Headers, KeyAndHeaders, Origin, RawBuilder, Reject, Stage, kafka_keys};
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    #[test]
    fn a_dead_letter_keeps_origin_and_bytes() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 1, offset: 42, timestamp_ms: Some(5) };
        let headers = [("trace".into(), None)];
        builder.append_message(
            origin,
            KeyAndHeaders { key: Some(b"\xff"), headers: &headers },
            Some(b"{oops"),
            &Err(Reject::new(Stage::Decode, "invalid_json", Some("at 1".into()))),
        );
        let letters = dead_letters(&builder.finish().unwrap(), 9).unwrap();
        assert_eq!(letters.column_by_name("offset").unwrap().as_primitive::<Int64Type>().value(0), 42);
        assert_eq!(letters.column_by_name("payload").unwrap().as_binary::<i32>().value(0), b"{oops");
        assert_eq!(letters.column_by_name("reason").unwrap().as_string::<i32>().value(0), "invalid_json");
        assert_eq!(kafka_keys(&letters, KAFKA_KEY).unwrap().value(0), b"\xff");
        let headers = Headers::of(letters.column_by_name(KAFKA_HEADERS).unwrap()).unwrap();
        assert_eq!(headers.row(0).collect::<Vec<_>>(), [("trace", None)]);
    }

    #[test]
    fn a_row_that_was_not_rejected_cannot_become_a_dead_letter() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 1, offset: 42, timestamp_ms: None };
        builder.append(origin, b"{}", &Ok(crate::Document::default()));
        assert!(dead_letters(&builder.finish().unwrap(), 9).is_err());
    }

    #[test]
    fn a_document_that_the_model_cannot_handle_names_the_model() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 1, offset: 42, timestamp_ms: None };
        builder.append(origin, b"{}", &Ok(crate::Document::default()));
        let rows = builder.finish().unwrap();
        let reject = Reject::new(Stage::Infer, "not_finite", Some("logit 0 is NaN".into()));
        let letters = model_dead_letters(&rows, &[reject], "01K", 9).unwrap();
        let text = |name| letters.column_by_name(name).unwrap().as_string::<i32>().value(0);
        assert_eq!((text("stage"), text("reason"), text("model_version")), ("infer", "not_finite", "01K"));
        assert_eq!(letters.column_by_name("payload").unwrap().as_binary::<i32>().value(0), b"{}");
        assert!(model_dead_letters(&rows, &[], "01K", 9).is_err());
    }
}
