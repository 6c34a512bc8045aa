//! JSON Lines on standard output.

use std::io::{ErrorKind, Write};

use arrow::array::RecordBatch;

use super::{Sink, json_lines};
use crate::error::{PipelineError, Result};

/// Writes each row as a line; the reader at the other end of a pipe is the durable part.
pub(super) struct StdoutSink;

impl Sink for StdoutSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let lines = json_lines(rows)?;
        written(std::io::stdout().lock().write_all(&lines))
    }

    fn flush(&mut self) -> Result<()> {
        written(std::io::stdout().lock().flush())
    }
}

fn written(result: std::io::Result<()>) -> Result<()> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PipelineError::Data("standard output was closed by its reader".into()),
        _ => PipelineError::file("write", "standard output")(error),
    })
}
