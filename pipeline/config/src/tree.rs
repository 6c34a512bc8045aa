//! Dotted paths in a tree of TOML values: `sinks[0].path` and `sinks.0.path` are the same place.

use toml::Value;

/// The path of `key` inside the table at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

/// The steps of a dotted path: keys of tables, and `[n]` or `n` for elements of arrays.
pub(crate) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
}

/// The value at `path`.
pub(crate) fn get_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    at_mut(value, steps(path))
}

/// The value at the end of `steps`, each of which is a key of a table or an index of an array.
pub(crate) fn at_mut<'a, 's>(
    value: &'a mut Value,
    mut steps: impl Iterator<Item = &'s str>,
) -> Option<&'a mut Value> {
    steps.try_fold(value, |value, step| match value {
        Value::Table(table) => table.get_mut(step),
        Value::Array(array) => array.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Removes the value at `path`. Returns whether there was one.
///
/// For an element of an array the whole array is emptied: without that element the following ones would get other
/// indexes, and later problems would name the wrong element.
pub(crate) fn remove(value: &mut Value, path: &str) -> bool {
    let names: Vec<&str> = steps(path).collect();
    let Some((last, parents)) = names.split_last() else { return false };
    match get_mut(value, &parents.join(".")) {
        Some(Value::Table(table)) => table.remove(*last).is_some(),
        Some(Value::Array(array)) if !array.is_empty() => {
            array.clear();
            true
        }
        _ => false,
    }
}
