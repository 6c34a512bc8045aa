//! Rows to Kafka messages: value, key and headers.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Schema, TimestampMillisecondType};
use fenliu_engine::Result;
use fenliu_schemas::{
    Headers, KAFKA_HEADERS, KAFKA_KEY, Lineage, SchemaError, kafka_keys, primitive_column, text_column,
};
use rdkafka::message::{Headers as _, OwnedHeaders};

use super::headers::{header, without_own};
use super::writer::{MessageWriter, NewMessage};
use crate::cluster::{MessageKey, Topic};
use crate::json::json_lines;
use crate::selection::{Beside, Role, Selected};

/// The place of a row in the source, as SQL.
const LINEAGE: &str = r#""topic" || '/' || "partition" || '/' || "offset""#;

/// The header of a dead letter with the original key, where the letter itself has another key.
pub(super) const ORIGINAL_KEY: &str = "fenliu.key";

/// The header of a dead letter whose value was cut: how many bytes the original has.
pub(super) const PAYLOAD_BYTES: &str = "payload_bytes";

/// The most bytes that a header takes beside its name and value.
const HEADER_BYTES: usize = 10;

/// The most bytes that a message takes beside key, value and headers: the head of its batch, its own fields, and the
/// header that says that it was cut.
const MESSAGE_BYTES: usize = 256;

/// How the rows of an output become messages.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    role: Role,
    key: MessageKey,
    headers: bool,
    /// The most bytes that a message may have, if that is known.
    limit: Option<usize>,
}

impl Messages {
    /// The messages of `topic` for rows of `role`.
    pub(super) fn new(topic: &Topic, role: Role) -> Self {
        let (default, always) = match role {
            Role::Labelled => (MessageKey::Id, false),
            Role::DeadLetters => (MessageKey::Source, true),
        };
        Messages {
            role,
            key: topic.key.clone().unwrap_or(default),
            headers: topic.headers || always,
            limit: None,
        }
    }

    /// The same, where a message may have at most `limit` bytes.
    pub(super) fn with_limit(self, limit: Option<usize>) -> Self {
        Messages { limit, ..self }
    }

    /// Whether no message ever has a key, where the columns of its value are those of `schema`.
    pub(super) fn are_keyless(&self, schema: &Schema) -> bool {
        match &self.key {
            MessageKey::None => true,
            MessageKey::Id => schema.column_with_name("id").is_none(),
            MessageKey::Source | MessageKey::Lineage | MessageKey::Sql(_) => false,
        }
    }

    /// What messages need beside the columns of their value: the key, then the headers.
    pub(super) fn beside(&self) -> Vec<Beside> {
        let by_sql = |sql: &str| Beside::Sql { key: "key.sql", sql: sql.to_owned() };
        let key = match &self.key {
            MessageKey::Source => Some(Beside::Column(KAFKA_KEY)),
            MessageKey::Lineage => Some(by_sql(LINEAGE)),
            MessageKey::Sql(sql) => Some(by_sql(sql)),
            MessageKey::Id | MessageKey::None => None,
        };
        let headers = self.headers.then_some(Beside::Column(KAFKA_HEADERS));
        key.into_iter().chain(headers).collect()
    }

    /// Sends a message for each row to `topic`, in order. `selected` has what [`beside`](Self::beside) asks for.
    ///
    /// # Errors
    /// A column that JSON cannot hold; as [`MessageWriter::send`].
    pub(super) fn send(&self, writer: &MessageWriter, topic: &str, selected: &Selected) -> Result<()> {
        let keys = self.keys(selected)?;
        let headers = selected.beside.last().filter(|_| self.headers).map(Headers::of).transpose()?;
        match self.role {
            Role::Labelled => send_labelled(writer, topic, &selected.rows, &keys, headers),
            Role::DeadLetters => self.send_dead_letters(writer, topic, &selected.rows, &keys, headers),
        }
    }

    fn keys<'a>(&self, selected: &'a Selected) -> Result<Keys<'a>> {
        match &self.key {
            MessageKey::None => Ok(Keys::None),
            MessageKey::Id => {
                let ids = selected.rows.column_by_name("id").and_then(|ids| ids.as_string_opt::<i32>());
                Ok(ids.map_or(Keys::None, Keys::Text))
            }
            _ => Ok(Keys::of(selected.beside.first())?),
        }
    }

    /// Dead letters: the original bytes as the value, the original headers, and origin and reason as headers of ours.
    fn send_dead_letters(
        &self,
        writer: &MessageWriter,
        topic: &str,
        rows: &RecordBatch,
        keys: &Keys<'_>,
        headers: Option<Headers<'_>>,
    ) -> Result<()> {
        let payloads = kafka_keys(rows, "payload")?;
        let letters = Letters::of(rows, self.key == MessageKey::Source)?;
        (0..rows.num_rows()).try_for_each(|row| {
            // The message may be a replayed dead letter. The headers of its earlier rejection would be taken for those
            // of this one.
            let original = headers.into_iter().flat_map(|headers| headers.row(row));
            let headers = letters.add_headers(without_own(original), row);
            let value = payloads.is_valid(row).then(|| payloads.value(row));
            let (value, headers) = self.cut(value, headers, keys.row(row));
            let headers = Some(headers);
            writer.send(NewMessage { key: keys.row(row), headers, value, ..NewMessage::new(topic, &[]) })
        })
    }

    /// The first bytes of a value that its topic would refuse as a whole; a header then says how long it is.
    fn cut<'v>(
        &self,
        value: Option<&'v [u8]>,
        headers: OwnedHeaders,
        key: Option<&[u8]>,
    ) -> (Option<&'v [u8]>, OwnedHeaders) {
        let (Some(value), Some(limit)) = (value, self.limit) else { return (value, headers) };
        let beside = headers
            .iter()
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + HEADER_BYTES);
        let room = limit.saturating_sub(beside.sum::<usize>() + key.map_or(0, <[u8]>::len) + MESSAGE_BYTES);
        if value.len() <= room {
            return (Some(value), headers);
        }
        (value.get(..room), with_text(headers, PAYLOAD_BYTES, &value.len().to_string()))
    }
}

/// Labelled rows: a JSON object each.
fn send_labelled(
    writer: &MessageWriter,
    topic: &str,
    rows: &RecordBatch,
    keys: &Keys<'_>,
    headers: Option<Headers<'_>>,
) -> Result<()> {
    let lines = json_lines(rows)?;
    // JSON escapes line breaks within texts, so each line is one row.
    let values = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    values.enumerate().try_for_each(|(row, value)| {
        let passed_on = headers.into_iter().flat_map(|headers| headers.row(row));
        let headers = passed_on.fold(None, |all: Option<OwnedHeaders>, (name, value)| {
            Some(header(all.unwrap_or_default(), name, value))
        });
        writer.send(NewMessage { key: keys.row(row), headers, ..NewMessage::new(topic, value) })
    })
}

/// The keys of messages.
enum Keys<'a> {
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    None,
}

impl<'a> Keys<'a> {
    fn of(column: Option<&'a ArrayRef>) -> Result<Self, SchemaError> {
        let text = column.and_then(|column| column.as_string_opt::<i32>()).map(Keys::Text);
        let bytes = || column.and_then(|column| column.as_binary_opt::<i32>()).map(Keys::Bytes);
        text.or_else(bytes).ok_or(SchemaError::Column { column: KAFKA_KEY, expected: "Utf8 or Binary" })
    }

    fn row(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Keys::Text(keys) => keys.is_valid(row).then(|| keys.value(row).as_bytes()),
            Keys::Bytes(keys) => keys.is_valid(row).then(|| keys.value(row)),
            Keys::None => None,
        }
    }
}

/// What the headers of dead letters say.
struct Letters<'a> {
    texts: Vec<(&'static str, &'a StringArray)>,
    lineage: Lineage<'a>,
    timestamps: &'a TimestampMillisecondArray,
    /// The original keys, where the letters have others.
    keys: Option<&'a BinaryArray>,
}

impl<'a> Letters<'a> {
    fn of(rows: &'a RecordBatch, has_original_key: bool) -> Result<Self> {
        let texts = ["topic", "stage", "reason", "detail", "model_version"];
        let texts = texts.into_iter().map(|name| Ok((name, text_column(rows, name)?)));
        Ok(Letters {
            texts: texts.collect::<Result<_>>()?,
            lineage: Lineage::of(rows)?,
            timestamps: primitive_column::<TimestampMillisecondType>(
                rows,
                "kafka_timestamp",
                "Timestamp(ms)",
            )?,
            keys: (!has_original_key).then(|| kafka_keys(rows, KAFKA_KEY)).transpose()?,
        })
    }

    fn add_headers(&self, mut headers: OwnedHeaders, row: usize) -> OwnedHeaders {
        for (name, text) in self.texts.iter().filter(|(_, text)| text.is_valid(row)) {
            headers = with_text(headers, name, text.value(row));
        }
        let (_, partition, offset) = self.lineage.row(row);
        headers = with_text(headers, "partition", &partition.to_string());
        headers = with_text(headers, "offset", &offset.to_string());
        if self.timestamps.is_valid(row) {
            headers = with_text(headers, "timestamp_ms", &self.timestamps.value(row).to_string());
        }
        match self.keys {
            Some(keys) => header(headers, ORIGINAL_KEY, keys.is_valid(row).then(|| keys.value(row))),
            None => headers,
        }
    }
}

fn with_text(headers: OwnedHeaders, name: &str, value: &str) -> OwnedHeaders {
    header(headers, &format!("fenliu.{name}"), Some(value.as_bytes()))
}
