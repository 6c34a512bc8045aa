//! JSON Lines on standard output.

use std::io::{ErrorKind, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_operators::Projection;

use super::json_lines;
use super::selection::compile;
use crate::config::{SinkConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};

/// Writes each labelled row as a line; the reader at the other end of a pipe is the durable part.
pub struct StdoutSink {
    projection: Projection,
}

impl StdoutSink {
    /// The configured sink of this type, for rows of `schema`; none where there is none.
    ///
    /// # Errors
    /// Every column or predicate that does not compile.
    pub fn find(config: &ValidatedConfig, schema: &SchemaRef) -> Result<Option<Self>> {
        let is_stdout = |sink: &&SinkConfig| matches!(sink, SinkConfig::Stdout(_));
        let Some(sink) = config.sinks.iter().find(is_stdout) else { return Ok(None) };
        let projection = compile("sinks (stdout)", schema, sink.columns(), sink.filter())?;
        Ok(Some(StdoutSink { projection }))
    }

    /// Writes rows and flushes.
    ///
    /// # Errors
    /// When nobody reads any more, or an expression fails on a row.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let lines = json_lines(&self.projection.apply(rows)?)?;
        let mut out = std::io::stdout().lock();
        out.write_all(&lines).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => PipelineError::Data("standard output was closed by its reader".into()),
            _ => PipelineError::file("write", "standard output")(error),
        })
    }
}
