//! Replaces `${NAME}` in values by the environment variable of that name, so that a configuration file need not
//! contain secrets.

use toml::Value;

use crate::problems::Problems;
use crate::tree::join;

/// Replaces `${NAME}` in every string of `value`, which is the value of `key`.
///
/// `variable` looks up an environment variable. A variable that is not set is added to `problems`.
pub(crate) fn expand_variables(
    value: &mut Value,
    key: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems,
) {
    match value {
        Value::String(text) => match expand(text, variable) {
            Ok(expanded) => *text = expanded,
            Err(message) => problems.add(key, message),
        },
        Value::Table(table) => {
            for (name, child) in table.iter_mut() {
                expand_variables(child, &join(key, name), variable, problems);
            }
        }
        Value::Array(array) => {
            for (index, child) in array.iter_mut().enumerate() {
                expand_variables(child, &format!("{key}[{index}]"), variable, problems);
            }
        }
        _ => {}
    }
}

fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, remainder) =
            after.split_once('}').ok_or_else(|| "has `${` without a closing `}`".to_string())?;
        let found = variable(name)
            .ok_or_else(|| format!("names the environment variable `{name}`, which is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&found);
        // Only the text after the variable is searched further: a value that contains `${` is not expanded again.
        rest = remainder;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
