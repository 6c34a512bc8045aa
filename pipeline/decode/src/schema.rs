//! What a schema is, whatever its format and wherever it comes from.

use std::path::PathBuf;

use crate::fields::Fields;

/// A schema's text and what it takes to compile it.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// For messages: `schema 7`, or the file's path.
    pub(super) label: String,
    /// What the registry calls its type: `AVRO`, `PROTOBUF`, `JSON`. Empty for a file.
    pub(super) kind: String,
    pub(super) text: String,
    /// Texts of schemas that this one refers to, by the name that it uses.
    pub(super) references: Vec<(String, String)>,
    /// Where imported files are, for the schema of a file.
    pub(super) directory: Option<PathBuf>,
    /// The message type, where messages do not say it themselves.
    pub(super) message: Option<String>,
}

/// A compiled schema of one format.
pub(super) trait Schema: Sized {
    /// What a registry calls schemas of this format.
    const KIND: &'static str;

    /// Compiles `source`, and checks that documents can be read by it.
    ///
    /// # Errors
    /// Why not, without the label.
    fn compile(source: &Source, fields: &Fields) -> Result<Self, String>;
}
