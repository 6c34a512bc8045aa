//! From TOML text to a [`Config`], with every problem named.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Config, Problems};

/// More problems than this in one file are not worth listing.
const MAX_PROBLEMS: usize = 50;

impl Config {
    /// Reads a configuration: `file` (or only defaults), then `overrides` of the form `key=value`,
    /// then `${NAME}` from the environment.
    ///
    /// # Errors
    /// All problems: unreadable file, TOML syntax, unknown keys, values of a wrong type, unset variables.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Config, Problems> {
        let origin = file.map_or("command line".to_string(), |path| path.display().to_string());
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Problems::one(&origin, "", format!("cannot read {}: {error}", path.display()))
            })?,
            None => String::new(),
        };
        Config::parse(&text, &origin, overrides, &|name| std::env::var(name).ok())
    }

    /// As [`load`](Self::load), from `text`; `variable` looks up an environment variable.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(
        text: &str,
        origin: &str,
        overrides: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| Problems::one(origin, "", syntax_error(text, &error)))?;
        let mut value = Value::Table(table);
        let mut problems = Problems::new(origin);
        for text in overrides {
            apply_override(&mut value, text, &mut problems);
        }
        expand_variables(&mut value, "", variable, &mut problems);
        fill_in_types(&mut value);
        let config = read(value, &mut problems).unwrap_or_default();
        problems.into_result(config)
    }
}

/// A section that only sets other keys keeps the type that it has by default.
fn fill_in_types(root: &mut Value) {
    for (section, default) in [("source", "kafka"), ("dead_letters", "files")] {
        if let Some(Value::Table(table)) = root.get_mut(section) {
            table.entry("type").or_insert_with(|| Value::String(default.into()));
        }
    }
}

/// Where and why the text is not TOML; the line itself may hold a secret and is not shown.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: {}", error.message())
}

/// Reads `value` as `T`. A key that does not fit is noted and taken out and the rest is read again, so
/// that one run names all problems.
fn read<T: DeserializeOwned>(mut value: Value, problems: &mut Problems) -> Option<T> {
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

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

/// Steps of a dotted path: keys, and `[n]` or `n` for places in an array.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
}

fn get_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    steps(path).try_fold(value, |value, step| match value {
        Value::Table(table) => table.get_mut(step),
        Value::Array(array) => array.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes the value at `path` out. An array loses all its elements with one, since the places of the
/// others would shift and later problems would name the wrong one.
fn remove(value: &mut Value, path: &str) -> bool {
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

/// Applies `key=value`; the value is TOML where it parses as such, else a string.
fn apply_override(root: &mut Value, text: &str, problems: &mut Problems) {
    let parts = text.split_once('=').and_then(|(key, given)| Some((key, override_path(key)?, given)));
    let Some((key, path, given)) = parts else {
        problems.add("", format!("--set `{text}` must have the form key=value"));
        return;
    };
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
        Some(Value::Array(array)) if last.parse() == Ok(array.len()) => array.push(parsed),
        _ => problems.add(key, "given by --set is inside something that is not a table"),
    }
}

/// The steps of an override's key, which is a TOML key: a step that holds dots is quoted.
fn override_path(key: &str) -> Option<Vec<String>> {
    let mut tree = Value::Table(format!("{key} = 0").parse().ok()?);
    let mut path = vec![];
    while let Value::Table(table) = tree {
        let (name, child) = table.into_iter().next()?;
        path.push(name);
        tree = child;
    }
    Some(path)
}

/// Replaces `${NAME}` in every string.
fn expand_variables(
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

/// Stands for a secret in everything that is printed.
pub(super) const REDACTED: &str = "********";

/// Properties of a catalog that are no secret; a header may be one under any name.
const OPEN_CATALOG_PROPERTIES: &[&str] = &["oauth2-server-uri", "prefix", "scope", "warehouse"];

/// Whether the value of `key` must not be printed: librdkafka properties and options of stores
/// are where most secrets live.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let of_catalog = key.split_once("catalog.properties.").map(|(_, name)| name);
    key == "documents.registry.password"
        || of_catalog.is_some_and(|name| !OPEN_CATALOG_PROPERTIES.contains(&name))
        || (key.contains("properties") || key.contains("storage"))
            && [
                "password",
                "secret",
                "token",
                "jaas",
                "passphrase",
                "ssl.key",
                "pem",
                "credential",
                "oauthbearer.config",
                "user.info",
            ]
            .iter()
            .any(|word| key.contains(word))
}

fn redacted(key: &str, value: &Value) -> String {
    if is_secret(key) { REDACTED.to_string() } else { value.to_string() }
}

impl Config {
    /// The configuration as TOML, secrets replaced by asterisks.
    pub fn to_redacted_toml(&self) -> String {
        toml::to_string_pretty(&self.to_redacted_value()).unwrap_or_else(|error| error.to_string())
    }

    /// The configuration as a tree of values, secrets replaced by asterisks.
    pub fn to_redacted_value(&self) -> Value {
        let mut value = Value::try_from(self).unwrap_or_else(|error| Value::String(error.to_string()));
        redact(&mut value, "");
        value
    }
}

fn redact(value: &mut Value, key: &str) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(name, child)| redact(child, &join(key, name))),
        Value::Array(array) => array.iter_mut().for_each(|child| redact(child, key)),
        Value::String(text) if is_secret(key) && !text.is_empty() => *text = REDACTED.to_string(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SinkConfig;

    fn parse(text: &str, overrides: &[&str]) -> Result<Config, Problems> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let variable = |name: &str| (name == "KAFKA_PASSWORD").then(|| "hunter2".to_string());
        Config::parse(text, "test.toml", &overrides, &variable)
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let text = r#"
            nmae = "x"
            [kafka]
            brokers = 5
            [source]
            type = "kafka"
            topics = "news"
            gruop = "g"
            [model]
            top_k = "three"
            [limits]
            memory = "lots"
            batch_linger = "20"
            [[sinks]]
            type = "files"
            path = "out"
            format = "orc"
        "#;
        let problems = parse(text, &[]).unwrap_err();
        let keys: Vec<&str> = problems.problems.iter().map(|p| p.key.as_str()).collect();
        for key in [
            "nmae",
            "kafka.brokers",
            "source.topics",
            "source.gruop",
            "model.top_k",
            "limits.memory",
            "limits.batch_linger",
            "sinks[0].format",
        ] {
            assert!(keys.contains(&key), "{key} not in {problems}");
        }
        assert_eq!(keys.len(), 8, "{problems}");
        assert!(problems.to_string().contains("\"three\""), "{problems}");
        assert!(problems.to_string().contains("orc"), "{problems}");
    }

    #[test]
    fn an_unknown_type_is_named() {
        let problems = parse("[source]\ntype = \"kafkaa\"", &[]).unwrap_err();
        assert!(problems.to_string().contains("kafkaa"), "{problems}");
        assert!(problems.problems[0].key.starts_with("source"), "{problems}");
    }

    #[test]
    fn overrides_and_variables_apply() {
        let text =
            "[kafka.properties]\n\"sasl.password\" = \"${KAFKA_PASSWORD}\"\n[[sinks]]\ntype = \"stdout\"";
        let overrides = [
            "kafka.brokers=a:1",
            "kafka.properties.\"linger.ms\"=5",
            "dead_letters.path=dead",
            "model.top_k=7",
            "sinks.0.columns=[\"id\"]",
        ];
        let config = parse(text, &overrides).unwrap();
        assert_eq!(config.kafka.brokers, "a:1");
        assert_eq!(config.model.top_k, 7);
        assert_eq!(config.kafka.properties["sasl.password"], "hunter2");
        assert_eq!(config.kafka.properties["linger.ms"], "5");
        assert!(matches!(&config.sinks[0], SinkConfig::Stdout(sink) if sink.columns == ["id"]));
        let printed = config.to_redacted_toml();
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("max_batch_tokens = 4096"), "{printed}");
    }

    #[test]
    fn what_a_catalog_is_told_is_not_printed() {
        let text = "[[sinks]]\ntype = \"iceberg\"\n[sinks.catalog.properties]\n\"header.X-Api-Key\" = \"s3cret\"\n\
                    credential = \"id:s3cret\"\nscope = \"catalog\"";
        let printed = parse(text, &[]).unwrap().to_redacted_toml();
        assert!(!printed.contains("s3cret") && printed.contains("scope = \"catalog\""), "{printed}");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let problems = parse("name = \"${NOPE}\"", &[]).unwrap_err();
        assert_eq!(problems.problems[0].key, "name");
        assert!(problems.to_string().contains("NOPE"));
    }

    #[test]
    fn what_is_printed_reads_back() {
        let config = Config::default();
        assert_eq!(parse(&config.to_redacted_toml(), &[]).unwrap(), config);
    }
}
