//! Where schemas come from: a file, or a registry that messages name a number of.
//!
//! With a registry a message begins with a zero byte and the schema's number in four bytes, big-endian:
//! Confluent's wire format
//! (<https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>).
//! Each message is read by the schema that it was written by, and fields are looked up by name, so a new
//! number with an added or a missing field needs nothing from us.

use std::path::Path;

use fenliu_engine::{Error, Result};

use crate::config::DocumentsConfig;
use crate::fields::Fields;
use crate::registry::Registry;
use crate::schema::{Schema, Source};
use crate::undecoded::{Undecoded, reject};

/// Where schemas come from.
#[derive(Clone, Debug)]
pub(super) enum Schemas<S> {
    File(Box<S>),
    Registry(Box<Registry<S>>),
}

impl<S: Schema> Schemas<S> {
    /// The schema file of `config`, or else its registry.
    pub(super) fn try_new(config: &DocumentsConfig, fields: &Fields) -> Result<Self> {
        let Some(path) = &config.schema else {
            return Ok(Schemas::Registry(Box::new(Registry::new(&config.registry))));
        };
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let source = Source {
            label: path.display().to_string(),
            text,
            directory: path.parent().map(Path::to_path_buf),
            message: config.message.clone(),
            ..Source::default()
        };
        let schema = S::compile(&source, fields)
            .map_err(|why| Error::input(format!("schema {}: {why}", path.display())))?;
        Ok(Schemas::File(Box::new(schema)))
    }

    /// The schema of `payload` and the bytes that are written by it.
    ///
    /// # Errors
    /// `no_schema_id`, or as [`Registry::find`].
    pub(super) fn find<'a>(
        &mut self,
        payload: &'a [u8],
        fields: &Fields,
    ) -> std::result::Result<(&mut S, &'a [u8]), Undecoded> {
        match self {
            Schemas::File(schema) => Ok((schema, payload)),
            Schemas::Registry(registry) => {
                let (number, rest) = schema_number(payload)?;
                Ok((registry.find(number, fields)?, rest))
            }
        }
    }
}

fn schema_number(payload: &[u8]) -> std::result::Result<(u32, &[u8]), Undecoded> {
    match payload {
        [0, a, b, c, d, rest @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        [0, ..] => {
            Err(reject("no_schema_id", format!("only {} bytes, at least 5 are needed", payload.len())).into())
        }
        [first, ..] => Err(reject(
            "no_schema_id",
            format!("the first byte is {first:#04x}, not 0: not written for a schema registry"),
        )
        .into()),
        [] => Err(reject("no_schema_id", "the message is empty".into()).into()),
    }
}
