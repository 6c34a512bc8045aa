//! Where schemas come from: one file for all messages, or a schema registry that each message names a schema of.
//!
//! With a registry, a message begins with a [prefix](crate::prefix) that names its schema. Each message is read with the schema that it was written with, and fields are looked up by name. So a new version of
//! a schema, with fields added or removed, needs no change of the configuration.

use std::path::Path;

use fenliu_engine::{Error, Result};

use crate::config::DocumentsConfig;
use crate::fields::Fields;
use crate::prefix;
use crate::registry::SchemaRegistry;
use crate::schema::{Schema, SchemaText};
use crate::undecoded::Undecoded;

/// The source of schemas of one format.
#[derive(Clone, Debug)]
pub(super) enum Schemas<S> {
    File(Box<S>),
    Registry(Box<SchemaRegistry<S>>),
}

impl<S: Schema> Schemas<S> {
    /// The schema file of `config`, or its registry if it names no file.
    pub(super) fn try_new(config: &DocumentsConfig, fields: &Fields) -> Result<Self> {
        let Some(path) = &config.schema else {
            return Ok(Schemas::Registry(Box::new(SchemaRegistry::new(&config.registry))));
        };
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let source = SchemaText {
            label: path.display().to_string(),
            text,
            directory: path.parent().map(Path::to_path_buf),
            message: config.message.clone(),
            ..SchemaText::default()
        };
        let schema = S::compile(&source, fields)
            .map_err(|why| Error::input(format!("schema {}: {why}", path.display())))?;
        Ok(Schemas::File(Box::new(schema)))
    }

    /// The schema of `payload`, and the part of `payload` that was written with it.
    ///
    /// # Errors
    /// Rejects with `no_schema_id` if the message names no schema; otherwise as [`SchemaRegistry::find`].
    pub(super) fn find<'a>(
        &mut self,
        payload: &'a [u8],
        fields: &Fields,
    ) -> std::result::Result<(&mut S, &'a [u8]), Undecoded> {
        match self {
            Schemas::File(schema) => Ok((schema, payload)),
            Schemas::Registry(registry) => {
                let (id, rest) = prefix::split_or_reject(payload)?;
                Ok((registry.find(id, fields)?, rest))
            }
        }
    }
}
