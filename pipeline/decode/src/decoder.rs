//! The decoder: from the bytes of one message to a document, whatever the format.

use fenliu_engine::Result;
use fenliu_schemas::Document;

use crate::avro::AvroMessages;
use crate::config::{Deletions, DocumentsConfig, PayloadFormat};
use crate::fields::{DELETION, Fields, Wanted};
use crate::file::{Content, FileRules};
use crate::schemas::Schemas;
use crate::time::DateRules;
use crate::undecoded::{Undecoded, reject};
use crate::{arrow, json, looks, prefix, protobuf, strict};

/// Decodes messages by the configured format and field names.
///
/// A clone shares the compiled schemas, and starts with the schemas that the original has already fetched.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_bytes: u64,
    fields: Fields,
    dates: DateRules,
    format: Format,
    deletions: Deletions,
    /// The warnings that no document may have.
    strict: Vec<String>,
    /// Where the array of documents is inside a JSON file that is one object.
    records: Option<String>,
    /// Values that every document has beside its own fields, by name.
    columns: Vec<(String, String)>,
}

/// The reason of a message without a value.
const TOMBSTONE: &str = "tombstone";

/// The format of messages, with the schemas that are needed to read it.
#[derive(Clone, Debug)]
enum Format {
    Json {
        /// Whether a registry's prefix is expected in front of the object.
        is_prefixed: bool,
    },
    Bytes,
    Avro(Box<AvroMessages>),
    Protobuf(Schemas<protobuf::ProtobufSchema>),
    Arrow,
}

impl Decoder {
    /// A decoder for `config`. It reads the schema file, if one is named; a registry is not contacted yet.
    ///
    /// # Errors
    /// The schema file cannot be read, or has no fields that fit `documents.fields`.
    pub fn try_new(config: &DocumentsConfig) -> Result<Self> {
        let fields = Fields::new(&config.ranked_fields());
        let format = match config.format {
            PayloadFormat::Json => Format::Json { is_prefixed: !config.registry.url.is_empty() },
            PayloadFormat::Bytes => Format::Bytes,
            PayloadFormat::Arrow => Format::Arrow,
            PayloadFormat::Avro => Format::Avro(Box::new(AvroMessages::try_new(config, &fields)?)),
            PayloadFormat::Protobuf => Format::Protobuf(Schemas::try_new(config, &fields)?),
        };
        Ok(Decoder { fields, format, ..Decoder::json(config) })
    }

    /// A decoder for the rows of files, which are plain text if the format is `bytes`, and JSON objects otherwise.
    pub fn for_files(config: &DocumentsConfig) -> Self {
        let decoder = Decoder::json(config);
        match config.format {
            PayloadFormat::Bytes => Decoder { format: Format::Bytes, ..decoder },
            _ => decoder,
        }
    }

    /// How files are read for this decoder: of tables only the columns that it wants.
    pub fn file_rules(&self) -> FileRules {
        FileRules {
            wanted: Some(self.fields.clone()),
            plain: matches!(self.format, Format::Bytes),
            records: self.records.clone(),
            ..FileRules::default()
        }
    }

    /// A decoder of JSON objects, independent of the configured format.
    pub fn json(config: &DocumentsConfig) -> Self {
        Decoder {
            max_bytes: config.max_bytes.as_u64(),
            fields: Fields::new(&config.ranked_fields()),
            dates: config.date_rules(),
            format: Format::Json { is_prefixed: false },
            deletions: config.deletions,
            strict: config.strict.clone(),
            records: config.records(),
            columns: vec![],
        }
    }

    /// Whether a message with this value is only counted, since it deletes a document; `None`: it has no value.
    pub fn skips(&mut self, payload: Option<&[u8]>) -> bool {
        match payload {
            _ if self.deletions != Deletions::Skip => false,
            None => true,
            Some(payload) => self.decode(payload).is_err_and(|why| self.is_skipped(&why)),
        }
    }

    /// As [`skips`](Self::skips), for a row of a file.
    pub fn skips_row(&mut self, row: &Content) -> bool {
        self.deletions == Deletions::Skip && self.decode_row(row).is_err_and(|why| self.is_skipped(&why))
    }

    /// Whether a message that was not decoded for this reason is only counted.
    pub(crate) fn is_skipped(&self, why: &Undecoded) -> bool {
        let is_deletion =
            matches!(why, Undecoded::Reject(reject) if matches!(&*reject.reason, TOMBSTONE | DELETION));
        is_deletion && self.deletions == Deletions::Skip
    }

    /// Which field of a row serves which part of the document: part and field. Empty for formats without fields, and for
    /// a row that cannot be read.
    pub fn served(&self, row: &Content) -> Vec<(&'static str, String)> {
        let found = match (row, &self.format) {
            (Content::Cells(rows, index), _) => {
                let mut found = self.wanted().start();
                rows.take(*index, &self.fields, &mut found);
                found
            }
            (Content::Bytes(payload), Format::Json { .. }) => match json::found(payload, self.wanted()) {
                Some(found) => found,
                None => return vec![],
            },
            _ => return vec![],
        };
        found.served()
    }

    /// Decodes one row of a file.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_row<'a>(&mut self, row: &'a Content) -> std::result::Result<Document<'a>, Undecoded> {
        match row {
            Content::Bytes(payload) => self.decode(payload),
            Content::Cells(rows, index) => {
                self.check_size(rows.json(*index))?;
                let mut found = self.wanted().start();
                rows.take(*index, &self.fields, &mut found);
                let document = found.into_document(&self.dates)?;
                Ok(strict::without_warnings(document, &self.strict)?)
            }
            Content::Broken { reason, detail } => Err(reject(reason, detail.clone()).into()),
        }
    }

    /// Columns that all documents to come have beside their own fields, such as those of a directory's name. A field of
    /// the document with the same name is preferred.
    pub fn set_columns(&mut self, columns: Vec<(String, String)>) {
        self.columns = columns;
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { fields: &self.fields, columns: &self.columns }
    }

    fn check_size(&self, payload: &[u8]) -> std::result::Result<(), Undecoded> {
        if payload.len() as u64 <= self.max_bytes {
            return Ok(());
        }
        let detail = format!("{} bytes, `documents.max_bytes` is {}", payload.len(), self.max_bytes);
        Err(reject("too_large", detail).into())
    }

    /// Decodes one message, which may have no value.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and with the reason `tombstone` for a message without a value.
    pub(crate) fn decode_message<'a>(
        &mut self,
        payload: Option<&'a [u8]>,
    ) -> std::result::Result<Document<'a>, Undecoded> {
        match payload {
            Some(payload) => self.decode(payload),
            None => {
                Err(reject(TOMBSTONE, "a message without a value: its document was deleted".into()).into())
            }
        }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// Why the message cannot be read as a document. The reasons of rejections are `too_large`, `missing_text`, `deletion`, `strict`,
    /// `invalid_utf8`, `invalid_json`, `invalid_avro`, `invalid_protobuf`, `invalid_arrow` and `rows`; with
    /// a registry also `no_schema_id`, `unknown_schema` and `schema_incompatible`. Of a message that is in another format,
    /// the detail says which.
    pub fn decode<'a>(&mut self, payload: &'a [u8]) -> std::result::Result<Document<'a>, Undecoded> {
        self.check_size(payload)?;
        let document = self.document(payload);
        let document = document.map_err(|why| looks::named(why, payload, self.format.name()))?;
        Ok(strict::without_warnings(document, &self.strict)?)
    }

    fn document<'a>(&mut self, payload: &'a [u8]) -> std::result::Result<Document<'a>, Undecoded> {
        let Decoder { fields, dates, columns, .. } = self;
        let wanted = Wanted { fields, columns };
        let found = match &mut self.format {
            // The whole message is the body, which the cleaning step `decode_bytes` takes from the payload.
            Format::Bytes => return Ok(Document::default()),
            Format::Json { is_prefixed } => {
                let json = Some(payload).filter(|_| *is_prefixed).and_then(prefix::json_behind);
                return Ok(json::document(json.unwrap_or(payload), wanted, dates)?);
            }
            Format::Arrow => {
                let row = arrow::read(payload)?;
                let mut found = wanted.start();
                row.take(0, fields, &mut found);
                return Ok(found.into_document(dates)?.into_owned());
            }
            Format::Avro(messages) => return messages.document(payload, wanted, dates),
            Format::Protobuf(schemas) => {
                let (schema, message) = schemas.find(payload, fields)?;
                let mut found = wanted.start();
                schema.read(message, fields, &mut found)?;
                found
            }
        };
        Ok(found.into_document(dates)?)
    }
}

impl Format {
    fn name(&self) -> PayloadFormat {
        match self {
            Format::Json { .. } => PayloadFormat::Json,
            Format::Bytes => PayloadFormat::Bytes,
            Format::Avro(_) => PayloadFormat::Avro,
            Format::Protobuf(_) => PayloadFormat::Protobuf,
            Format::Arrow => PayloadFormat::Arrow,
        }
    }
}

#[cfg(test)]
mod tests;
