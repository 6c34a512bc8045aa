//! `history.jsonl`: every move of an alias and every removal, oldest first.
//!
//! The alias files are authoritative, and the history is written after them. A crash between the two is
//! repaired before the next change: the record of an alias that the history lacks is added to it, and an
//! incomplete last line is removed.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::alias::{self, Alias, AliasRecord};
use crate::error::{ModelError, Result};

const FILE: &str = "history.jsonl";

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum HistoryEntry {
    /// An alias was moved.
    Alias {
        /// Which one.
        alias: Alias,
        /// The version that it named from then on.
        #[serde(flatten)]
        record: AliasRecord,
    },
    /// A version was removed.
    Remove {
        /// ULID of the version.
        version: String,
        /// Who removed it.
        by: String,
        /// When, RFC 3339, UTC.
        at: String,
        /// Why; may be empty.
        reason: String,
    },
}

/// The changes of a model's aliases and versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// Oldest first.
    pub entries: Vec<HistoryEntry>,
    /// Lines that cannot be read, each with its number and the reason, such as a last line that a crash cut
    /// short.
    pub problems: Vec<String>,
}

/// Reads the history, and adds the current aliases that it lacks.
pub(super) fn load(model: &Path) -> Result<History> {
    let mut history = parse(&read(model)?);
    history.entries.extend(unwritten(model, &history.entries)?);
    Ok(history)
}

/// Writes the current aliases that the history lacks into it.
pub(super) fn complete(model: &Path) -> Result<()> {
    append(model, None)
}

/// Writes the current aliases that the history lacks, and then `entry`.
pub(super) fn append(model: &Path, entry: Option<HistoryEntry>) -> Result<()> {
    let content = read(model)?;
    let mut pending = unwritten(model, &parse(&content).entries)?;
    pending.extend(entry);
    let path = path(model);
    let mut lines = String::new();
    for entry in pending {
        lines.push_str(&serde_json::to_string(&entry).map_err(ModelError::json(&path))?);
        lines.push('\n');
    }
    // A crash can have cut off the last line. It is removed: its entry is added again from the alias, if it is
    // still current.
    let whole_lines = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) as u64;
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(ModelError::io("open", &path))?;
    file.set_len(whole_lines)
        .and_then(|()| file.seek(SeekFrom::End(0)))
        .and_then(|_| file.write_all(lines.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(ModelError::io("write", &path))
}

/// Entries of the current aliases that `entries` lacks.
fn unwritten(model: &Path, entries: &[HistoryEntry]) -> Result<Vec<HistoryEntry>> {
    let mut missing = Vec::new();
    for alias in Alias::ALL {
        if let Some(record) = alias::load(model, alias)? {
            let entry = HistoryEntry::Alias { alias, record };
            if !entries.contains(&entry) {
                missing.push(entry);
            }
        }
    }
    Ok(missing)
}

fn parse(content: &[u8]) -> History {
    let mut history = History::default();
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(entry) => history.entries.push(entry),
            Err(error) => history.problems.push(format!("{FILE} line {number}: {error}")),
        }
    }
    history
}

fn read(model: &Path) -> Result<Vec<u8>> {
    let path = path(model);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(ModelError::io("read", &path)(error)),
    }
}

fn path(model: &Path) -> PathBuf {
    model.join(FILE)
}
