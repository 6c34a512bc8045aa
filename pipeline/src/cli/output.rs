//! The one place that writes results to standard output.

use std::io::Write;

use serde::Serialize;

use crate::error::{Error, Result};

/// Prints a line of a result.
pub(super) fn line(text: impl AsRef<str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(Error::file("write", "standard output"))
}

/// Prints rows in aligned columns.
pub(super) fn table<const COLUMNS: usize>(
    header: &[&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(header).add_rows(rows);
    // Columns are told apart by their distance alone, and the first starts at the margin.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    line(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Prints a result as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))?;
    line(text)
}

/// Reports why a command failed. A closed standard error is nobody listening.
pub(super) fn error(error: &Error) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Tells a person what is going on, apart from the result.
pub(super) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}
