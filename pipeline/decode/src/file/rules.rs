//! How files are read, and how their errors name them.

use std::fmt;

use fenliu_engine::Error;

use super::source::Input;
use crate::fields::Fields;

/// How the rows of files are read.
#[derive(Clone, Debug, Default)]
pub struct FileRules {
    /// The fields that are read of tables, which store columns apart; `None`: all.
    pub(crate) wanted: Option<Fields>,
    /// Each line is a document of plain text, or the whole file is, and not JSON.
    pub(crate) plain: bool,
    /// The whole file is one document.
    pub(crate) whole: bool,
    /// The path to the array of documents inside a JSON object, such as `response.docs`.
    pub(crate) records: Option<String>,
    /// Take a last line of plain text or CSV also where its line break is missing.
    pub(crate) takes_final_line: bool,
}

impl FileRules {
    /// For files that are complete: a last line counts whether or not it ends with a line break.
    #[must_use]
    pub fn complete(self) -> Self {
        FileRules { takes_final_line: true, ..self }
    }

    /// For files that are one document each.
    #[must_use]
    pub fn whole(self) -> Self {
        FileRules { whole: true, ..self }
    }
}

/// The error that names the file.
pub(super) fn failed(input: &dyn Input, error: &dyn fmt::Display) -> Error {
    Error::input(format!("{}: {error}", input.name()))
}
