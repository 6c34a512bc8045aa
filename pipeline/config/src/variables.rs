//! `${NAME}` in values: filled in from the environment, so that secrets need not be in files.

use toml::Value;

use crate::problems::Problems;
use crate::tree::join;

/// Replaces `${NAME}` in every string.
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
        let (name, behind) =
            after.split_once('}').ok_or_else(|| "has `${` without a closing `}`".to_string())?;
        let found = variable(name)
            .ok_or_else(|| format!("names the environment variable `{name}`, which is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&found);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
