//! Reads a configuration from a file or from text.
//!
//! The steps, in this order: parse TOML, apply `--set` overrides, replace former names, fill in environment variables,
//! fill in default types, deserialise. Each step adds its problems to one list, so that all are reported together.

use std::env::VarError;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::lines::Lines;
use crate::overrides::apply_override;
use crate::problems::Problems;
use crate::read::read;
use crate::renamed::{Renamed, RenamedValue, apply_renamed};
use crate::text::{decode, normalize};
use crate::variables::{Lookup, expand_variables};

/// What reading needs to know about a configuration beside its Rust type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format {
    /// Sections that have a `type`, each with its default type, which is used where the section does not set one.
    pub types: &'static [(&'static str, &'static str)],
    /// Keys that had another name in earlier releases.
    pub renamed: &'static [Renamed],
    /// Values that had another name in earlier releases.
    pub renamed_values: &'static [RenamedValue],
}

/// Reads a configuration from `file` (without one, only defaults), applies `overrides` of the form `key=value`, and fills
/// in `${NAME}` and `${NAME:-default}` from the environment.
///
/// # Errors
/// All problems at once: the file cannot be read, or not as UTF-8, TOML syntax, unknown keys, values of a wrong type,
/// variables that are not set.
pub fn load<T: DeserializeOwned + Default>(
    file: Option<&Path>,
    overrides: &[String],
    format: &Format,
) -> Result<T, Problems> {
    let origin = file.map_or("command line".to_string(), |path| path.display().to_string());
    let text = file.map_or(Ok(String::new()), |path| read_text(path, &origin))?;
    parse_with(&text, &origin, overrides, &|name| std::env::var(name), format)
}

fn read_text(path: &Path, origin: &str) -> Result<String, Problems> {
    let name = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| Problems::one(origin, "", format!("cannot read {name}: {error}")))?;
    decode(bytes).map_err(|problem| Problems::one(origin, "", format!("{name} {problem}")))
}

/// As [`load`], from `text`; `variable` looks up an environment variable.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned + Default>(
    text: &str,
    origin: &str,
    overrides: &[String],
    variable: &dyn Fn(&str) -> Option<String>,
    format: &Format,
) -> Result<T, Problems> {
    parse_with(text, origin, overrides, &|name| variable(name).ok_or(VarError::NotPresent), format)
}

fn parse_with<T: DeserializeOwned + Default>(
    text: &str,
    origin: &str,
    overrides: &[String],
    lookup: Lookup<'_>,
    format: &Format,
) -> Result<T, Problems> {
    let text = &normalize(text);
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| Problems::one(origin, "", syntax_error(text, &error)))?;
    let mut value = Value::Table(table);
    let mut lines = Lines::of(text);
    let mut problems = Problems::new(origin);
    for text in overrides {
        apply_override(&mut value, text, &mut lines, &mut problems);
    }
    // After the overrides, so that these may use former names too.
    apply_renamed(&mut value, format.renamed, format.renamed_values, &mut lines, &mut problems);
    let filled = expand_variables(&mut value, &lines, lookup, &mut problems);
    fill_in_types(&mut value, format.types);
    // The default is never used: if reading fails, there is a problem in the list.
    let config = read(value, &filled, &mut problems).unwrap_or_default();
    problems.into_result(config)
}

fn fill_in_types(root: &mut Value, types: &[(&str, &str)]) {
    for (section, default) in types {
        if let Some(Value::Table(table)) = root.get_mut(section) {
            table.entry("type").or_insert_with(|| Value::String((*default).into()));
        }
    }
}

/// Line number and reason of a TOML syntax error. The text of the line is left out, because it may contain a secret.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: {}", error.message())
}
