//! `fenliu model list`

use std::path::Path;

use chrono::{DateTime, Utc};
use fenliu_model::{Registry, VersionEntry};
use serde::Serialize;
use serde_json::Value;

use super::{name, path};
use crate::cli::output;
use crate::error::{Converted, Error, Result};

/// A line of the list.
#[derive(Debug, Serialize)]
struct Line {
    model: String,
    #[serde(flatten)]
    version: VersionEntry,
}

pub(super) fn list(models: &Path, model: Option<&str>, json: bool) -> Result<()> {
    let registries = match model {
        Some(model) => vec![Registry::open(&path(models, model)).converted()?],
        None => all(models)?,
    };
    let mut lines = Vec::new();
    for registry in &registries {
        let of_model = |version| Line { model: name(registry), version };
        lines.extend(registry.versions().converted()?.into_iter().map(of_model));
    }
    if json {
        return output::json(&lines);
    }
    if lines.is_empty() {
        output::note(format!("no versions in {}", models.display()));
        return Ok(());
    }
    let header = ["MODEL", "VERSION", "ALIAS", "AGE", "ACCURACY", "MACRO-F1", "LABELS", "SIZE", ""];
    let now = Utc::now();
    output::table(&header, lines.iter().map(|line| row(line, now)))
}

/// Every model below `models`, by name.
fn all(models: &Path) -> Result<Vec<Registry>> {
    let entries = std::fs::read_dir(models).map_err(Error::file("list", models))?;
    let mut registries = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("list", models))?.path();
        // Other things may lie beside the models.
        registries.extend(Registry::open(&path).ok());
    }
    registries.sort_by_key(name);
    Ok(registries)
}

fn row(line: &Line, now: DateTime<Utc>) -> [String; 9] {
    let version = &line.version;
    let description = version.manifest.as_ref().map(|manifest| &manifest.model);
    let note = match (&version.problem, description) {
        (Some(problem), _) => problem.clone(),
        (None, Some(model)) if !model.head_trained => format!("{}, head not trained", model.preset),
        (None, Some(model)) if !model.trainable => format!("{}, serve only", model.preset),
        (None, Some(model)) => model.preset.clone(),
        (None, None) => String::new(),
    };
    let score = |key: &str| {
        let score = description.and_then(|model| model.training.get(key)).and_then(Value::as_f64);
        score.map_or("-".to_owned(), |score| format!("{score:.4}"))
    };
    let roles = if version.in_use && version.roles.is_empty() {
        "(newest)".to_owned()
    } else {
        version.roles.join(", ")
    };
    [
        line.model.clone(),
        version.version.clone(),
        roles,
        age(&version.created_at, now),
        score("dev_accuracy"),
        score("dev_macro_f1"),
        version.labels.len().to_string(),
        bytesize::ByteSize(version.bytes).to_string(),
        note,
    ]
}

/// How long ago `at` was, in its largest whole unit.
pub(super) fn age(at: &str, now: DateTime<Utc>) -> String {
    let Ok(at) = DateTime::parse_from_rfc3339(at) else { return "-".to_owned() };
    let seconds = now.signed_duration_since(at).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = Utc::now();
        for (seconds, expected) in
            [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86_400, "1 d"), (864_000, "10 d")]
        {
            assert_eq!(age(&(now - TimeDelta::seconds(seconds)).to_rfc3339(), now), expected);
        }
        assert_eq!(age("yesterday", now), "-");
    }
}
