//! Raw rows: one row for each message of the source, whether or not it could be decoded.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::message::{KAFKA_HEADERS, KAFKA_KEY, KafkaColumnsBuilder, KeyAndHeaders, kafka_fields};
use crate::{Document, Reject, SchemaError, Warnings};

/// Columns with the position and the bytes of the original message, and with the reason of a rejection. No cleaning step
/// may replace them.
pub const LINEAGE: &[&str] = &[
    "topic",
    "partition",
    "offset",
    "kafka_timestamp",
    KAFKA_KEY,
    KAFKA_HEADERS,
    "payload",
    "reject_stage",
    "reject_reason",
    "reject_detail",
    DECODE_WARNINGS,
];

/// The column with what decoding left out or mended, such as `published_at:unreadable`.
pub const DECODE_WARNINGS: &str = "decode_warnings";

/// The field of the column [`DECODE_WARNINGS`].
pub(crate) fn warnings_field() -> Field {
    Field::new_list(DECODE_WARNINGS, Field::new("item", DataType::Utf8, true), true)
}

/// Milliseconds since the Unix epoch, UTC: the type of every time in fenliu.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The raw schema.
///
/// | column | type | null when |
/// |---|---|---|
/// | `topic`, `partition`, `offset` | Utf8, Int32, Int64 | never |
/// | `kafka_timestamp` | Timestamp(ms, UTC) | the source has none (files) |
/// | `payload` | Binary | the message has no value (a deletion); else its bytes as they came |
/// | `kafka_key` | Binary | the message has no key, the source has none (files), or nothing uses the column |
/// | `kafka_headers` | List\<Struct\<key Utf8, value Binary\>\> | the same of headers |
/// | `id`, `title`, `body`, `url`, `source`, `lang`, `label` | Utf8 | absent, or the row is rejected |
/// | `published_at` | Timestamp(ms, UTC) | absent, or the row is rejected |
/// | `reject_stage`, `reject_reason`, `reject_detail` | Utf8 | the row is good (`detail` also where there is none) |
/// | `decode_warnings` | List\<Utf8\> | there are none, or the row is rejected |
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let [key, headers] = kafka_fields();
        Arc::new(Schema::new(vec![
            Field::new("topic", DataType::Utf8, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("kafka_timestamp", timestamp_type(), true),
            Field::new("payload", DataType::Binary, true),
            text("id"),
            text("title"),
            text("body"),
            text("url"),
            text("source"),
            text("lang"),
            Field::new("published_at", timestamp_type(), true),
            text("label"),
            text("reject_stage"),
            text("reject_reason"),
            text("reject_detail"),
            key,
            headers,
            warnings_field(),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The position of a message in its source.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Kafka topic, or the file's path.
    pub topic: &'a str,
    /// Kafka partition; 0 for files.
    pub partition: i32,
    /// Kafka offset; the row's number, from 0, for files.
    pub offset: i64,
    /// Kafka message timestamp, milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
}

/// Collects messages to one raw [`RecordBatch`].
#[derive(Debug)]
pub struct RawBuilder {
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    kafka_timestamp: TimestampMillisecondBuilder,
    payload: BinaryBuilder,
    id: StringBuilder,
    title: StringBuilder,
    body: StringBuilder,
    url: StringBuilder,
    source: StringBuilder,
    lang: StringBuilder,
    published_at: TimestampMillisecondBuilder,
    label: StringBuilder,
    reject_stage: StringBuilder,
    reject_reason: StringBuilder,
    reject_detail: StringBuilder,
    kafka: KafkaColumnsBuilder,
    warnings: ListBuilder<StringBuilder>,
}

impl Default for RawBuilder {
    fn default() -> Self {
        RawBuilder::with_capacity(0, 0, 0)
    }
}

impl RawBuilder {
    /// Allocates room for `rows` with this many bytes of payloads and bodies, because a buffer that grows is copied.
    fn with_capacity(rows: usize, payload_bytes: usize, body_bytes: usize) -> Self {
        let timestamps = || TimestampMillisecondBuilder::new().with_data_type(timestamp_type());
        RawBuilder {
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            kafka_timestamp: timestamps(),
            payload: BinaryBuilder::with_capacity(rows, payload_bytes),
            id: StringBuilder::new(),
            title: StringBuilder::new(),
            body: StringBuilder::with_capacity(rows, body_bytes),
            url: StringBuilder::new(),
            source: StringBuilder::new(),
            lang: StringBuilder::new(),
            published_at: timestamps(),
            label: StringBuilder::new(),
            reject_stage: StringBuilder::new(),
            reject_reason: StringBuilder::new(),
            reject_detail: StringBuilder::new(),
            kafka: KafkaColumnsBuilder::new(),
            warnings: ListBuilder::new(StringBuilder::new()),
        }
    }

    /// Appends one message without a key and headers; see [`append_message`](Self::append_message).
    pub fn append(&mut self, origin: Origin<'_>, payload: &[u8], document: &Result<Document<'_>, Reject>) {
        self.append_message(origin, KeyAndHeaders::default(), Some(payload), document);
    }

    /// Appends one message with its key, headers and value, and with its decoded document or the reason why it could not be
    /// decoded.
    pub fn append_message(
        &mut self,
        origin: Origin<'_>,
        message: KeyAndHeaders<'_>,
        payload: Option<&[u8]>,
        document: &Result<Document<'_>, Reject>,
    ) {
        self.topic.append_value(origin.topic);
        self.partition.append_value(origin.partition);
        self.offset.append_value(origin.offset);
        self.kafka_timestamp.append_option(origin.timestamp_ms);
        self.payload.append_option(payload);
        let fields = document.as_ref().ok();
        self.id.append_option(fields.and_then(|d| d.id.as_deref()));
        self.title.append_option(fields.and_then(|d| d.title.as_deref()));
        self.body.append_option(fields.and_then(|d| d.body.as_deref()));
        self.url.append_option(fields.and_then(|d| d.url.as_deref()));
        self.source.append_option(fields.and_then(|d| d.source.as_deref()));
        self.lang.append_option(fields.and_then(|d| d.lang.as_deref()));
        self.published_at.append_option(fields.and_then(|d| d.published_at));
        self.label.append_option(fields.and_then(|d| d.label.as_deref()));
        let reject = document.as_ref().err();
        self.reject_stage.append_option(reject.map(|r| r.stage.as_str()));
        self.reject_reason.append_option(reject.map(|r| r.reason.as_ref()));
        self.reject_detail.append_option(reject.and_then(|r| r.detail.as_deref()));
        self.kafka.append(message);
        self.append_warnings(fields.map(|document| &document.warnings));
    }

    fn append_warnings(&mut self, warnings: Option<&Warnings>) {
        let warnings = warnings.filter(|warnings| !warnings.is_empty());
        for (part, reason) in warnings.into_iter().flat_map(Warnings::iter) {
            self.warnings.values().append_value(format!("{part}:{reason}"));
        }
        self.warnings.append(warnings.is_some());
    }

    /// The number of rows that were appended since the last [`finish`](Self::finish).
    pub fn len(&self) -> usize {
        self.offset.values_slice().len()
    }

    /// Whether no row was appended since the last [`finish`](Self::finish).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows in the order in which they were appended, and starts again with room for as many.
    ///
    /// # Errors
    /// [`SchemaError::Arrow`] if a text column is larger than 2 GiB, Arrow's bound for `Utf8`.
    pub fn finish(&mut self) -> Result<RecordBatch, SchemaError> {
        let (payload, body) = (self.payload.values_slice().len(), self.body.values_slice().len());
        let next = RawBuilder::with_capacity(self.len(), payload, body);
        let mut rows = std::mem::replace(self, next);
        rows.build()
    }

    fn build(&mut self) -> Result<RecordBatch, SchemaError> {
        let [key, headers] = self.kafka.finish();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.kafka_timestamp.finish()),
            Arc::new(shrunk(self.payload.finish())),
            Arc::new(self.id.finish()),
            Arc::new(self.title.finish()),
            Arc::new(shrunk(self.body.finish())),
            Arc::new(self.url.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.lang.finish()),
            Arc::new(self.published_at.finish()),
            Arc::new(self.label.finish()),
            Arc::new(self.reject_stage.finish()),
            Arc::new(self.reject_reason.finish()),
            Arc::new(self.reject_detail.finish()),
            key,
            headers,
            Arc::new(self.warnings.finish()),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

/// The column without the room that was left over. The builder has room for as much as the batch before needed, and rows
/// can wait for a sink for minutes: batches of a few rows would then hold the memory of full ones.
fn shrunk<T: Array>(mut column: T) -> T {
    column.shrink_to_fit();
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;

    fn origin(offset: i64) -> Origin<'static> {
        Origin { topic: "news", partition: 3, offset, timestamp_ms: None }
    }

    #[test]
    fn a_rejected_message_keeps_its_position_and_its_bytes() {
        let mut builder = RawBuilder::default();
        let good = Document { body: Some("正文".into()), ..Document::default() };
        builder.append(origin(7), b"{}", &Ok(good));
        builder.append(origin(8), b"\xff", &Err(Reject::new(Stage::Decode, "invalid_utf8", None)));
        assert_eq!(builder.len(), 2);
        let batch = builder.finish().unwrap();
        assert_eq!(batch.schema(), schema());
        assert_eq!(batch.num_rows(), 2);
        let (kept, rejected) = crate::split_rejected(&batch).unwrap();
        assert_eq!((kept.num_rows(), rejected.num_rows()), (1, 1));
        assert!(builder.is_empty());
    }

    #[test]
    fn lineage_columns_are_in_the_schema() {
        for column in LINEAGE {
            assert!(schema().field_with_name(column).is_ok(), "{column}");
        }
    }
}
