//! `--set key=value`: sets single keys over those of the file.

use toml::{Table, Value};

use crate::lines::Lines;
use crate::problems::Problems;

/// Applies the override `text` of the form `key=value`. The value is read as TOML; if it is not valid TOML, it is taken
/// as a string, so that strings need no quotes on the command line.
///
/// Problems show the key alone, because the value may be a secret.
pub(crate) fn apply_override(root: &mut Value, text: &str, lines: &mut Lines, problems: &mut Problems) {
    let parts = text.split_once('=').and_then(|(key, given)| Some((key, override_path(key)?, given)));
    let Some((key, path, given)) = parts else {
        let shown = text.split(['=', ':', ' ']).next().unwrap_or_default();
        problems.add("", format!("--set `{shown}...` must have the form key=value"));
        return;
    };
    lines.forget(&path);
    // TOML has no syntax for a value alone, so it is parsed as the value of a key.
    let parsed = format!("v = {given}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    let parsed = parsed.unwrap_or_else(|| Value::String(given.to_string()));
    let Some((last, parents)) = path.split_last() else { return };
    let target = parents.iter().try_fold(root, |value, step| match value {
        Value::Table(table) => Some(table.entry(step).or_insert_with(|| Value::Table(Table::new()))),
        Value::Array(array) => array.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    });
    match target {
        Some(Value::Table(table)) => {
            table.insert(last.clone(), parsed);
        }
        // The index after the last element appends one.
        Some(Value::Array(array)) if last.parse() == Ok(array.len()) => array.push(parsed),
        _ => problems.add(key, "was given by --set, but its parent is not a table"),
    }
}

/// The steps of an override's key. The key has TOML's syntax: a step that contains dots is in quotes.
fn override_path(key: &str) -> Option<Vec<String>> {
    // TOML's parser splits the key: it reads `a."b.c" = 0` as nested tables, one for each step.
    let mut tree = Value::Table(format!("{key} = 0").parse().ok()?);
    let mut path = vec![];
    while let Value::Table(table) = tree {
        let (name, child) = table.into_iter().next()?;
        path.push(name);
        tree = child;
    }
    Some(path)
}
