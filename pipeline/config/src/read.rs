//! Deserialises a tree of TOML values into a type and names every key whose value does not fit.
//!
//! No message contains a secret, or what an environment variable holds: where a value came from a variable, messages
//! show the text of the file, such as `${ROWS}`.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::misfit::{Misfit, try_read};
use crate::problems::Problems;
use crate::secrets::{is_secret, redacted};
use crate::tree::{at_mut, get_mut, join, remove};
use crate::typed::convert_one;
use crate::variables::Filled;

/// Most problems that are reported for one configuration.
const MAX_PROBLEMS: usize = 50;

/// Reads `value` as `T` and adds every key that does not fit to `problems`; `filled` are the strings that came from
/// environment variables.
///
/// serde stops at the first error. To find all of them, the key at fault is removed and the rest is read again.
pub(crate) fn read<T: DeserializeOwned>(
    mut value: Value,
    filled: &[Filled],
    problems: &mut Problems,
) -> Option<T> {
    for _ in 0..MAX_PROBLEMS {
        let misfit = match read_converted(&mut value, filled) {
            Ok(config) => return Some(config),
            Err(misfit) => misfit,
        };
        let key = key_at_fault::<T>(&value, &misfit);
        // A variable that is not set is a problem already.
        if problems.problems.iter().all(|problem| problem.key != key) {
            let message = describe::<T>(&mut value, filled, &key, &misfit.message);
            problems.add(&key, message);
        }
        // A missing key cannot be removed, so the next attempt would fail in the same way.
        if !remove(&mut value, &key) {
            return None;
        }
    }
    None
}

/// As [`try_read`], after strings from environment variables have become numbers and booleans where `T` wants these.
fn read_converted<T: DeserializeOwned>(value: &mut Value, filled: &[Filled]) -> Result<T, Misfit> {
    loop {
        let misfit = match try_read(value) {
            Ok(config) => return Ok(config),
            Err(misfit) => misfit,
        };
        // Each round turns one string into another type, so there are at most as many as there are strings.
        if !convert_one::<T>(value, filled, &misfit) {
            return Err(misfit);
        }
    }
}

/// What is wrong with the value of `key`, which serde refuses with `message`.
fn describe<T: DeserializeOwned>(value: &mut Value, filled: &[Filled], key: &str, message: &str) -> String {
    // The value is left out, because the key may be a misspelt `password`.
    if message.starts_with("unknown field") {
        return message.to_string();
    }
    if let Some(filled) = filled.iter().find(|filled| filled.key == key) {
        return describe_filled::<T>(value, filled, message);
    }
    let is_hidden = is_secret(key) || quotes_variable(value, filled, message);
    let found = get_mut(value, key).filter(|found| !found.is_table());
    let shown = found.map_or(String::new(), |found| format!("is {}: ", redacted(key, found)));
    if is_hidden { shown + &without_value(message) } else { shown + message }
}

/// The problem of a value that came from an environment variable.
fn describe_filled<T: DeserializeOwned>(value: &Value, filled: &Filled, message: &str) -> String {
    let Filled { path, key, written, line, .. } = filled;
    let place = line.map_or(String::new(), |line| format!("in line {line} "));
    let shown = redacted(key, &Value::String(written.clone()));
    let reason = masked_message::<T>(value, path, written)
        .filter(|_| !is_secret(key))
        .unwrap_or_else(|| without_value(message));
    format!("{place}is {shown}, which holds no value that fits: {reason}")
}

/// Whether `message` contains what a variable holds. It can, if the key at fault was not found.
fn quotes_variable(value: &mut Value, filled: &[Filled], message: &str) -> bool {
    filled.iter().any(|filled| {
        let found = at_mut(value, filled.path.iter().map(String::as_str));
        found.and_then(|found| found.as_str()).is_some_and(|text| !text.is_empty() && message.contains(text))
    })
}

/// The message for the text of the file in place of what the variable holds; `None` if that has no such message.
fn masked_message<T: DeserializeOwned>(value: &Value, path: &[String], written: &str) -> Option<String> {
    let mut masked = value.clone();
    *at_mut(&mut masked, path.iter().map(String::as_str))? = Value::String(written.to_string());
    let message = try_read::<T>(&masked).err()?.message;
    // Only then is it certain that the message is about this value.
    message.contains(written).then_some(message)
}

/// What serde expected, without the value that it found.
fn without_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "not a valid value".to_string(),
    }
}

/// The key that makes reading fail.
///
/// For a table with a `type` (a source, a sink) serde reports the table itself and not the key inside it. The key at
/// fault is then found by trial: it is the one without which the error disappears.
fn key_at_fault<T: DeserializeOwned>(value: &Value, misfit: &Misfit) -> String {
    let Misfit { path, message } = misfit;
    let Some(Value::Table(table)) = get_mut(&mut value.clone(), path).cloned() else {
        return path.clone();
    };
    let helps = |key: &&String| {
        let mut without = value.clone();
        remove(&mut without, &join(path, key));
        match try_read::<T>(&without) {
            Ok(_) => true,
            // Without a mandatory key the error changes, too, but to a missing field: then it was not the key at
            // fault.
            Err(next) => next.message != *message && !next.message.starts_with("missing field"),
        }
    };
    table.keys().find(helps).map_or_else(|| path.clone(), |key| join(path, key))
}

#[cfg(test)]
mod tests;
