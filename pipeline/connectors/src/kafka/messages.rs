//! Rows to Kafka messages.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use fenliu_schemas::SchemaError;
use rdkafka::message::{Header, OwnedHeaders};

use super::json_lines;
use crate::classify::text_column;
use crate::error::Result;
use crate::kafka::MessageWriter;

/// Sends the rows of a batch to a topic, in order.
pub(super) type SendRows = fn(&MessageWriter, &str, &RecordBatch) -> Result<()>;

/// Labelled rows: a JSON object each, keyed by the document's id where it is among the columns.
pub(super) fn send_labelled(writer: &MessageWriter, topic: &str, rows: &RecordBatch) -> Result<()> {
    let ids = rows.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
    let lines = json_lines(rows)?;
    let values = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    values.enumerate().try_for_each(|(row, value)| {
        let key = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        writer.send(topic, key, value, None)
    })
}

/// Dead letters: the original bytes as the value, origin and reason as headers.
pub(super) fn send_dead_letters(writer: &MessageWriter, topic: &str, rows: &RecordBatch) -> Result<()> {
    let payloads = column(rows, "payload", "Binary")?.as_binary::<i32>();
    let partitions = column(rows, "partition", "Int32")?.as_primitive::<Int32Type>();
    let offsets = column(rows, "offset", "Int64")?.as_primitive::<Int64Type>();
    let timestamps =
        column(rows, "kafka_timestamp", "Timestamp(ms)")?.as_primitive::<TimestampMillisecondType>();
    let texts = ["topic", "stage", "reason", "detail", "model_version"];
    let texts =
        texts.into_iter().map(|name| Ok((name, text_column(rows, name)?))).collect::<Result<Vec<_>>>()?;
    (0..rows.num_rows()).try_for_each(|row| {
        let mut headers = OwnedHeaders::new();
        for (name, text) in texts.iter().filter(|(_, text)| text.is_valid(row)) {
            headers = with_header(headers, name, text.value(row));
        }
        headers = with_header(headers, "partition", &partitions.value(row).to_string());
        headers = with_header(headers, "offset", &offsets.value(row).to_string());
        if timestamps.is_valid(row) {
            headers = with_header(headers, "timestamp_ms", &timestamps.value(row).to_string());
        }
        writer.send(topic, None, payloads.value(row), Some(headers))
    })
}

fn column<'a>(
    rows: &'a RecordBatch,
    name: &'static str,
    expected: &'static str,
) -> Result<&'a arrow::array::ArrayRef> {
    Ok(rows.column_by_name(name).ok_or(SchemaError::Column { column: name, expected })?)
}

fn with_header(headers: OwnedHeaders, name: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key: &format!("fenliu.{name}"), value: Some(value) })
}
