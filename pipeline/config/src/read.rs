//! Deserialises a tree of TOML values into a type and names every key whose value does not fit.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::problems::Problems;
use crate::secrets::redacted;
use crate::tree::{get_mut, join, remove};

/// Most problems that are reported for one configuration.
const MAX_PROBLEMS: usize = 50;

/// Reads `value` as `T` and adds every key that does not fit to `problems`.
///
/// serde stops at the first error. To find all of them, the key at fault is removed and the rest is read again.
pub(crate) fn read<T: DeserializeOwned>(mut value: Value, problems: &mut Problems) -> Option<T> {
    for _ in 0..MAX_PROBLEMS {
        let Misfit { path, message } = match try_read(&value) {
            Ok(config) => return Some(config),
            Err(misfit) => misfit,
        };
        let key = key_at_fault::<T>(&value, &path, &message);
        let found = get_mut(&mut value, &key).filter(|found| !found.is_table());
        let found = found.map_or(String::new(), |found| format!("is {}: ", redacted(&key, found)));
        problems.add(&key, format!("{found}{message}"));
        // A missing key cannot be removed, so the next attempt would fail in the same way.
        if !remove(&mut value, &key) {
            return None;
        }
    }
    None
}

/// A value that does not fit: where serde stopped, and why.
#[derive(PartialEq)]
struct Misfit {
    path: String,
    message: String,
}

fn try_read<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(value.clone()).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().message().trim().to_string();
        Misfit { path: if path == "." { String::new() } else { path }, message }
    })
}

/// The key that makes reading fail at `path`.
///
/// For a table with a `type` (a source, a sink) serde reports the table itself and not the key inside it. The key at
/// fault is then found by trial: it is the one without which the error disappears.
fn key_at_fault<T: DeserializeOwned>(value: &Value, path: &str, message: &str) -> String {
    let Some(Value::Table(table)) = get_mut(&mut value.clone(), path).cloned() else {
        return path.to_string();
    };
    let helps = |key: &&String| {
        let mut without = value.clone();
        remove(&mut without, &join(path, key));
        match try_read::<T>(&without) {
            Ok(_) => true,
            // Without a mandatory key the error changes, too, but to a missing field: then it was not the key at
            // fault.
            Err(next) => next.message != message && !next.message.starts_with("missing field"),
        }
    };
    table.keys().find(helps).map_or_else(|| path.to_string(), |key| join(path, key))
}
