//! From a tree of TOML values to a type, with every key named that does not fit.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::problems::Problems;
use crate::secrets::redacted;
use crate::tree::{get_mut, join, remove};

/// More problems than this in one file are not worth listing.
const MAX_PROBLEMS: usize = 50;

/// Reads `value` as `T`. A key that does not fit is noted and taken out and the rest is read again, so
/// that one run names all problems.
pub(crate) fn read<T: DeserializeOwned>(mut value: Value, problems: &mut Problems) -> Option<T> {
    for _ in 0..MAX_PROBLEMS {
        let Failure { path, message } = match try_read(&value) {
            Ok(config) => return Some(config),
            Err(failure) => failure,
        };
        let key = guilty_key::<T>(&value, &path, &message);
        let found = get_mut(&mut value, &key).filter(|found| !found.is_table());
        let found = found.map_or(String::new(), |found| format!("is {}: ", redacted(&key, found)));
        problems.add(&key, format!("{found}{message}"));
        if !remove(&mut value, &key) {
            return None;
        }
    }
    None
}

/// Where reading stopped, and why.
#[derive(PartialEq)]
struct Failure {
    path: String,
    message: String,
}

fn try_read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value.clone()).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().message().trim().to_string();
        Failure { path: if path == "." { String::new() } else { path }, message }
    })
}

/// The key that makes reading fail at `path`.
///
/// serde reports an error inside a tagged table (a source, a sink) at the table: the guilty key is
/// then the one without which the error goes away.
fn guilty_key<T: DeserializeOwned>(value: &Value, path: &str, message: &str) -> String {
    let Some(Value::Table(table)) = get_mut(&mut value.clone(), path).cloned() else {
        return path.to_string();
    };
    let helps = |key: &&String| {
        let mut without = value.clone();
        remove(&mut without, &join(path, key));
        match try_read::<T>(&without) {
            Ok(_) => true,
            Err(next) => next.message != message && !next.message.starts_with("missing field"),
        }
    };
    table.keys().find(helps).map_or_else(|| path.to_string(), |key| join(path, key))
}
