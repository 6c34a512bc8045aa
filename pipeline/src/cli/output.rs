//! Writes results to standard output and notes to standard error. No other module prints.

use std::io::Write;

use serde::Serialize;

use crate::error::{Error, Result};

/// Prints one line of a result.
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
    // There are no lines between columns, only two blanks after each; the first column starts at the margin.
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

/// Prints why a command failed. Write errors are ignored: if standard error is closed, nobody can read the message.
pub(super) fn error(error: &Error) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Prints a note for a person to standard error, so that it does not mix with the result.
pub(super) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}
