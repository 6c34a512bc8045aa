//! The rows of a file, and what is left at its end.

use std::fmt;
use std::sync::Arc;

use fenliu_engine::Result;

use super::table::TableRows;

/// One row of a file.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the file, from 0.
    pub number: i64,
    /// What it holds.
    pub content: Content,
}

/// What a row holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes as a message would have them: a JSON object, or plain text.
    Bytes(Vec<u8>),
    /// A row of columns.
    Cells(Arc<TableRows>, usize),
    /// What makes the row unreadable, while the others of the file can be read.
    Broken {
        /// A short name: `invalid_utf8`.
        reason: &'static str,
        /// What is wrong.
        detail: String,
    },
}

impl Content {
    /// The row as the bytes of a message: rows of columns are JSON objects. Empty if the row is broken.
    pub fn payload(&self) -> &[u8] {
        match self {
            Content::Bytes(bytes) => bytes,
            Content::Cells(rows, index) => rows.json(*index),
            Content::Broken { .. } => &[],
        }
    }
}

/// What was left at the end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A last line that may still be in the writing.
    Unfinished {
        /// How many bytes it has so far.
        bytes: usize,
    },
    /// The file ends in the middle of its compressed data.
    Truncated,
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rest::Unfinished { bytes } => {
                write!(
                    f,
                    "the last line, {bytes} bytes without a line break, may still be in the writing and was not read"
                )
            }
            Rest::Truncated => {
                f.write_str("the compressed data end too early; what follows the last whole row was not read")
            }
        }
    }
}

/// Reads the rows of one file, in order.
pub trait FileRows: Send {
    /// The next row; `None` at the end. Blank lines count, but are no rows.
    ///
    /// # Errors
    /// The file cannot be read any further.
    fn next_row(&mut self) -> Result<Option<Row>>;

    /// The number that the next row would have: how many rows were read, blank lines included.
    fn next_number(&self) -> i64;

    /// What was left at the end, once [`next_row`](Self::next_row) has returned `None`.
    fn rest(&self) -> Option<Rest> {
        None
    }
}
