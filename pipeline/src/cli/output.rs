//! The one place that writes results to standard output.

use std::io::Write;

use serde::Serialize;

use crate::error::{PipelineError, Result};

/// Prints a line of a result.
pub(super) fn line(text: impl AsRef<str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(PipelineError::file("write", "standard output"))
}

/// Prints a result as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| PipelineError::Encode { format: "JSON", message: error.to_string() })?;
    line(text)
}

/// Reports why a command failed. A closed standard error is nobody listening.
pub(super) fn error(error: &PipelineError) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Tells a person what is going on, apart from the result.
pub(super) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}
