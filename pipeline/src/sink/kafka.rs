//! A Kafka topic as a sink: messages are sent as they come, and a flush waits until the brokers have
//! acknowledged all of them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use fenliu_schemas::SchemaError;
use rdkafka::message::{Header, OwnedHeaders};

use super::{Sink, json_lines};
use crate::classify::text_column;
use crate::config::{KafkaSinkConfig, ValidatedConfig};
use crate::error::Result;
use crate::kafka::{TopicWriter, client_config};

/// Sends the rows of a batch, in order.
type SendRows = fn(&TopicWriter, &RecordBatch) -> Result<()>;

/// Sends rows to a topic.
pub(super) struct KafkaSink {
    writer: TopicWriter,
    send_rows: SendRows,
}

impl KafkaSink {
    /// Makes the producer; `send_rows` is [`send_labelled`] or [`send_dead_letters`].
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub(super) fn try_new(
        config: &ValidatedConfig,
        sink: &KafkaSinkConfig,
        send_rows: SendRows,
    ) -> Result<Self> {
        let mut client = client_config(&config.kafka, &sink.properties);
        if let Some(brokers) = &sink.brokers {
            client.set("bootstrap.servers", brokers);
        }
        Ok(KafkaSink { writer: TopicWriter::try_new(client, &sink.topic)?, send_rows })
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        (self.send_rows)(&self.writer, rows)
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush()
    }
}

/// Labelled rows: a JSON object each, keyed by the document's id where it is among the columns.
pub(super) fn send_labelled(writer: &TopicWriter, rows: &RecordBatch) -> Result<()> {
    let ids = rows.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
    let lines = json_lines(rows)?;
    let values = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    values.enumerate().try_for_each(|(row, value)| {
        let key = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        writer.send(key, value, None)
    })
}

/// Dead letters: the original bytes as the value, origin and reason as headers.
pub(super) fn send_dead_letters(writer: &TopicWriter, rows: &RecordBatch) -> Result<()> {
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
        writer.send(None, payloads.value(row), Some(headers))
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
