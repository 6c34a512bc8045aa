//! The ways in which a message holds one Avro datum.
//!
//! - An [object container file](super::container) of one record. It contains its schema, which is used.
//! - The [single-object encoding](https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding): `C3 01`, a
//!   fingerprint of the schema and the datum. The fingerprint must be that of the schema file.
//! - A registry's [prefix](crate::prefix) and the datum. With a schema file, the file's schema is used.
//! - The bare datum, with a schema file.

use fenliu_engine::Result;
use fenliu_schemas::{Document, Reject};

use super::datum::AvroSchema;
use super::embedded::Embedded;
use crate::config::DocumentsConfig;
use crate::fields::{BestValues, Fields, Wanted};
use crate::looks::{AVRO_CONTAINER, AVRO_SINGLE_OBJECT};
use crate::prefix;
use crate::schemas::Schemas;
use crate::time::DateRules;
use crate::undecoded::{Undecoded, reject};

/// Decodes Avro messages.
#[derive(Clone, Debug)]
pub(crate) struct AvroMessages {
    schemas: Schemas<AvroSchema>,
    embedded: Embedded,
}

impl AvroMessages {
    /// A decoder with the schemas of `config`.
    pub(crate) fn try_new(config: &DocumentsConfig, fields: &Fields) -> Result<Self> {
        let embedded = Embedded::new(config.max_bytes.as_u64());
        Ok(AvroMessages { schemas: Schemas::try_new(config, fields)?, embedded })
    }

    /// The document in one message.
    ///
    /// # Errors
    /// Rejects with `invalid_avro`, `rows`, `too_large`, `no_schema_id` and the reasons of registries; then as
    /// [`BestValues::into_document`].
    pub(crate) fn document<'a>(
        &mut self,
        payload: &'a [u8],
        wanted: Wanted<'_>,
        dates: &DateRules,
    ) -> std::result::Result<Document<'a>, Undecoded> {
        if payload.starts_with(AVRO_CONTAINER) {
            return Ok(self.embedded.document(payload, wanted, dates)?);
        }
        if let Schemas::File(schema) = &self.schemas {
            return Ok(with_file(schema, payload, wanted)?.into_document(dates)?);
        }
        if let Some((fingerprint, _)) = single_object(payload) {
            let detail = format!(
                "the message is in Avro's single-object encoding, with the fingerprint {fingerprint:#018x}; a registry \
                 does not find schemas by that, only `documents.schema` can name the file"
            );
            return Err(reject("no_schema_id", detail).into());
        }
        let (schema, datum) = self.schemas.find(payload, wanted.fields)?;
        Ok(schema.read(datum, wanted)?.into_document(dates)?)
    }
}

/// The fingerprint and the datum, if `payload` begins as a single object does.
fn single_object(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (fingerprint, datum) = payload.strip_prefix(AVRO_SINGLE_OBJECT)?.split_first_chunk()?;
    Some((u64::from_le_bytes(*fingerprint), datum))
}

/// The values in `payload`, which was written with `schema`.
fn with_file<'m, 'a>(
    schema: &AvroSchema,
    payload: &'a [u8],
    wanted: Wanted<'m>,
) -> std::result::Result<BestValues<'m, 'a>, Reject> {
    let read = |datum| schema.read(datum, wanted);
    let single = single_object(payload);
    if let Some((_, datum)) = single.filter(|(fingerprint, _)| *fingerprint == schema.fingerprint()) {
        return read(datum);
    }
    // A bare datum can begin with any byte. Because it must end with its last field, one with something in front of it is
    // not read by mistake.
    let bare = match read(payload) {
        Ok(found) => return Ok(found),
        Err(why) => why,
    };
    if let Some((fingerprint, _)) = single {
        let own = schema.fingerprint();
        let detail = format!(
            "the message is in Avro's single-object encoding, with the fingerprint {fingerprint:#018x}, but that of \
             `documents.schema` is {own:#018x}"
        );
        return Err(reject("invalid_avro", detail));
    }
    let Some((_, datum)) = prefix::split(payload) else { return Err(bare) };
    read(datum).map_err(|inner| {
        let said = |why: &Reject| why.detail.clone().unwrap_or_default();
        reject("invalid_avro", format!("{}; without the prefix: {}", said(&bare), said(&inner)))
    })
}
