//! JSON Lines on standard output.

use std::io::{ErrorKind, Write};

use arrow::array::RecordBatch;
use fenliu_engine::{Error, Kind, Result};

use crate::json::json_lines;
use crate::kind::Stream;
use crate::selection::Selection;

/// Writes each labelled row as a line. What the reader of the pipe does with it is not known here, so no position is
/// kept.
pub(super) struct StdoutSink {
    selection: Selection,
}

impl StdoutSink {
    /// Writes the rows of `selection`.
    pub(super) fn new(selection: Selection) -> Self {
        StdoutSink { selection }
    }
}

impl Stream for StdoutSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let lines = json_lines(&self.selection.apply(rows)?)?;
        let mut out = std::io::stdout().lock();
        // Flushed with each batch, before its rows go to any sink: a crash can repeat lines, but loses none.
        out.write_all(&lines).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::new(Kind::Refused, "standard output was closed by its reader"),
            _ => Error::file("write", "standard output")(error),
        })
    }
}
