//! The decoder: from the bytes of one message to a document, whatever the format.

use fenliu_engine::Result;
use fenliu_schemas::Document;

use crate::config::{DocumentsConfig, PayloadFormat};
use crate::fields::{BestValues, Fields};
use crate::schemas::Schemas;
use crate::undecoded::{Undecoded, reject};
use crate::{arrow, avro, json, protobuf};

/// Decodes messages by the configured format and field names.
///
/// A clone shares the compiled schemas, and starts with the schemas that the original has already fetched.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_bytes: u64,
    fields: Fields,
    format: Format,
}

/// The format of messages, with the schemas that are needed to read it.
#[derive(Clone, Debug)]
enum Format {
    Json,
    Bytes,
    Avro(Schemas<avro::AvroSchema>),
    Protobuf(Schemas<protobuf::ProtobufSchema>),
    Arrow,
}

impl Decoder {
    /// A decoder for `config`. It reads the schema file, if one is named; a registry is not contacted yet.
    ///
    /// # Errors
    /// The schema file cannot be read, or has no fields that fit `documents.fields`.
    pub fn try_new(config: &DocumentsConfig) -> Result<Self> {
        let fields = Fields::new(&config.fields);
        let format = match config.format {
            PayloadFormat::Json => Format::Json,
            PayloadFormat::Bytes => Format::Bytes,
            PayloadFormat::Arrow => Format::Arrow,
            PayloadFormat::Avro => Format::Avro(Schemas::try_new(config, &fields)?),
            PayloadFormat::Protobuf => Format::Protobuf(Schemas::try_new(config, &fields)?),
        };
        Ok(Decoder { max_bytes: config.max_bytes.as_u64(), fields, format })
    }

    /// A decoder for the rows of files, which are plain text if the format is `bytes`, and JSON objects otherwise.
    pub fn for_files(config: &DocumentsConfig) -> Self {
        let decoder = Decoder::json(config);
        match config.format {
            PayloadFormat::Bytes => Decoder { format: Format::Bytes, ..decoder },
            _ => decoder,
        }
    }

    /// A decoder of JSON objects, independent of the configured format.
    pub fn json(config: &DocumentsConfig) -> Self {
        Decoder {
            max_bytes: config.max_bytes.as_u64(),
            fields: Fields::new(&config.fields),
            format: Format::Json,
        }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// Why the message cannot be read as a document. The reasons of rejections are `too_large`, `missing_text`,
    /// `wrong_type`, `invalid_utf8`, `invalid_json`, `invalid_avro`, `invalid_protobuf`, `invalid_arrow` and `rows`; with
    /// a registry also `no_schema_id`, `unknown_schema` and `schema_incompatible`.
    pub fn decode<'a>(&mut self, payload: &'a [u8]) -> std::result::Result<Document<'a>, Undecoded> {
        if payload.len() as u64 > self.max_bytes {
            let detail = format!("{} bytes, `documents.max_bytes` is {}", payload.len(), self.max_bytes);
            return Err(reject("too_large", detail).into());
        }
        let fields = &self.fields;
        let mut found = BestValues::default();
        match &mut self.format {
            // The whole message is the body, which the cleaning step `decode_bytes` takes from the payload.
            Format::Bytes => return Ok(Document::default()),
            Format::Json => json::read(payload, fields, &mut found)?,
            Format::Arrow => arrow::read(payload, fields, &mut found)?,
            Format::Avro(schemas) => {
                let (schema, datum) = schemas.find(payload, fields)?;
                schema.read(datum, fields, &mut found)?;
            }
            Format::Protobuf(schemas) => {
                let (schema, message) = schemas.find(payload, fields)?;
                schema.read(message, fields, &mut found)?;
            }
        }
        Ok(found.into_document()?)
    }
}

#[cfg(test)]
mod tests;
