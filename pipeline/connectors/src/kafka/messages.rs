//! Rows to Kafka messages.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use fenliu_engine::Result;
use fenliu_schemas::{Lineage, SchemaError, primitive_column, text_at, text_column};
use rdkafka::message::{Header, OwnedHeaders};

use super::writer::MessageWriter;
use crate::json::json_lines;

/// Sends the rows of a batch to a topic, in order.
pub(super) type SendRows = fn(&MessageWriter, &str, &RecordBatch) -> Result<()>;

/// Labelled rows: a JSON object each, keyed by the document's id where it is among the columns.
pub(super) fn send_labelled(writer: &MessageWriter, topic: &str, rows: &RecordBatch) -> Result<()> {
    let ids = rows.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
    let lines = json_lines(rows)?;
    let values = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    values.enumerate().try_for_each(|(row, value)| {
        let key = ids.and_then(|ids| text_at(ids, row));
        writer.send(topic, key, value, None)
    })
}

/// Dead letters: the original bytes as the value, origin and reason as headers.
pub(super) fn send_dead_letters(writer: &MessageWriter, topic: &str, rows: &RecordBatch) -> Result<()> {
    let payloads = rows.column_by_name("payload").and_then(|column| column.as_binary_opt::<i32>());
    let payloads = payloads.ok_or(SchemaError::Column { column: "payload", expected: "Binary" })?;
    let lineage = Lineage::of(rows)?;
    let timestamps = primitive_column::<TimestampMillisecondType>(rows, "kafka_timestamp", "Timestamp(ms)")?;
    let texts = ["topic", "stage", "reason", "detail", "model_version"];
    let texts =
        texts.into_iter().map(|name| Ok((name, text_column(rows, name)?))).collect::<Result<Vec<_>>>()?;
    (0..rows.num_rows()).try_for_each(|row| {
        let mut headers = OwnedHeaders::new();
        for (name, text) in texts.iter().filter(|(_, text)| text.is_valid(row)) {
            headers = with_header(headers, name, text.value(row));
        }
        let (_, partition, offset) = lineage.row(row);
        headers = with_header(headers, "partition", &partition.to_string());
        headers = with_header(headers, "offset", &offset.to_string());
        if timestamps.is_valid(row) {
            headers = with_header(headers, "timestamp_ms", &timestamps.value(row).to_string());
        }
        writer.send(topic, None, payloads.value(row), Some(headers))
    })
}

fn with_header(headers: OwnedHeaders, name: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key: &format!("fenliu.{name}"), value: Some(value) })
}
