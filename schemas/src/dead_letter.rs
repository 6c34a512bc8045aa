//! Dead letters: rejected messages with everything needed to understand and replay them.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::SchemaError;
use crate::raw::timestamp_type;

/// The dead-letter schema.
///
/// `topic`, `partition`, `offset`, `kafka_timestamp` and `payload` are the original message's;
/// `stage` and `reason` are short names, `detail` a sentence (null where there is none), `id` null
/// where the message could not be decoded, `rejected_at` the time of rejection.
pub fn dead_letter_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
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
            Field::new("payload", DataType::Binary, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// Turns rejected rows (raw or cleaned) to dead letters.
///
/// # Errors
/// [`SchemaError::Arrow`] when a row has no `reject_stage` or `reject_reason`, or a column is missing.
pub fn dead_letters(rejected: &RecordBatch, rejected_at_ms: i64) -> Result<RecordBatch, SchemaError> {
    let times =
        TimestampMillisecondArray::from(vec![rejected_at_ms; rejected.num_rows()]).with_timezone("UTC");
    let column = |name: &str| -> Result<ArrayRef, SchemaError> {
        let index = rejected.schema().index_of(name)?;
        Ok(Arc::clone(rejected.column(index)))
    };
    let columns = vec![
        column("topic")?,
        column("partition")?,
        column("offset")?,
        column("kafka_timestamp")?,
        column("id")?,
        column("reject_stage")?,
        column("reject_reason")?,
        column("reject_detail")?,
        Arc::new(times),
        column("payload")?,
    ];
    Ok(RecordBatch::try_new(dead_letter_schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, RawBuilder, Reject, Stage};
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    #[test]
    fn a_dead_letter_keeps_origin_and_bytes() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 1, offset: 42, timestamp_ms: Some(5) };
        builder.append(
            origin,
            b"{oops",
            &Err(Reject::new(Stage::Decode, "invalid_json", Some("at 1".into()))),
        );
        let letters = dead_letters(&builder.finish().unwrap(), 9).unwrap();
        assert_eq!(letters.column_by_name("offset").unwrap().as_primitive::<Int64Type>().value(0), 42);
        assert_eq!(letters.column_by_name("payload").unwrap().as_binary::<i32>().value(0), b"{oops");
        assert_eq!(letters.column_by_name("reason").unwrap().as_string::<i32>().value(0), "invalid_json");
    }

    #[test]
    fn a_good_row_cannot_become_a_dead_letter() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 1, offset: 42, timestamp_ms: None };
        builder.append(origin, b"{}", &Ok(crate::Document::default()));
        assert!(dead_letters(&builder.finish().unwrap(), 9).is_err());
    }
}
