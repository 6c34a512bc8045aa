//! What all schemas have in common, whatever their format and wherever they come from.

use std::path::PathBuf;

use crate::fields::Fields;

/// The text of a schema, with everything that compiling it needs.
#[derive(Clone, Debug, Default)]
pub(super) struct SchemaText {
    /// How messages name it: `schema 7`, or the path of the file.
    pub(super) label: String,
    /// The registry's name of its type: `AVRO`, `PROTOBUF` or `JSON`. Empty for a file.
    pub(super) kind: String,
    pub(super) text: String,
    /// Names and texts of the schemas that this one refers to.
    pub(super) references: Vec<(String, String)>,
    /// Directory in which imported files are looked up; only for a schema from a file.
    pub(super) directory: Option<PathBuf>,
    /// The message type, if messages do not name it themselves.
    pub(super) message: Option<String>,
}

/// A compiled schema of one format.
pub(super) trait Schema: Sized {
    /// The registry's name for schemas of this format.
    const KIND: &'static str;

    /// Compiles `source`, and checks that messages of this schema can hold a document.
    ///
    /// # Errors
    /// Why it cannot be used, without its label.
    fn compile(source: &SchemaText, fields: &Fields) -> Result<Self, String>;
}
