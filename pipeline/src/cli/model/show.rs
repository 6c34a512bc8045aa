//! `fenliu model show`

use chrono::Utc;
use fenliu_model::registry::{History, HistoryEntry};
use fenliu_model::{Alias, AliasRecord, ModelDescription, Registry, VersionEntry};
use serde::Serialize;
use serde_json::Value;

use super::list::age;
use super::output;
use crate::error::{Converted, Result};

/// Most changes in the text output; `--json` lists all.
const LATEST: usize = 10;
/// Most labels in the text output; `--json` lists all.
const LABELS: usize = 20;

/// A version, with the aliases and the history of its model.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    version: VersionEntry,
    champion: Option<AliasRecord>,
    challenger: Option<AliasRecord>,
    history: History,
}

pub(super) fn show((registry, selector): &(Registry, Option<String>), json: bool) -> Result<()> {
    let version = match selector {
        Some(selector) => registry.resolve(selector).converted()?,
        None => registry.current().converted()?,
    };
    let shown = Shown {
        version: registry.version(&version).converted()?,
        champion: registry.alias(Alias::Champion).converted()?,
        challenger: registry.alias(Alias::Challenger).converted()?,
        history: registry.history().converted()?,
    };
    if json {
        return output::json(&shown);
    }
    for problem in &shown.history.problems {
        output::note(problem);
    }
    output::line(shown.text().trim_end())
}

impl Shown {
    fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.facts() {
            text += &format!("{key:14}{value}\n");
        }
        if self.history.entries.is_empty() {
            return text;
        }
        text += "\nlatest changes\n";
        for entry in self.history.entries.iter().rev().take(LATEST) {
            text += &format!("  {}\n", line(entry));
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let version = &self.version;
        let mut facts = vec![
            ("version", version.version.clone()),
            ("created", format!("{}, {} ago", version.created_at, age(&version.created_at, Utc::now()))),
            ("roles", if version.roles.is_empty() { "none".to_owned() } else { version.roles.join(", ") }),
            ("size", bytesize::ByteSize(version.bytes).to_string()),
        ];
        facts.extend(version.problem.clone().map(|problem| ("problem", problem)));
        let Some(manifest) = &version.manifest else { return facts };
        let model = &manifest.model;
        let labels = &version.labels;
        let more = if labels.len() > LABELS { ", …" } else { "" };
        let shown = labels.iter().take(LABELS).map(String::as_str).collect::<Vec<_>>().join(", ");
        facts.extend([
            ("model", format!("{}, {}, {} parameters", manifest.name, model.preset, model.parameters)),
            ("labels", format!("{}: {shown}{more}", labels.len())),
            ("texts", reads(model)),
        ]);
        facts.push(match (model.trainable, model.head_trained) {
            (false, _) => ("use", "serve only: it has no weights to train".to_owned()),
            (true, false) => ("use", "none before its head is trained: fine-tune it first".to_owned()),
            (true, true) => ("parity", format!("logits differ by at most {:.1e}", model.parity_max_abs_diff)),
        });
        if let Value::Object(training) = &model.training {
            let scalars = training.iter().filter(|(_, value)| !value.is_object() && !value.is_null());
            let line = scalars.map(|(key, value)| format!("{key} {}", plain(value)));
            facts.push(("training", line.collect::<Vec<_>>().join(", ")));
        }
        facts
    }
}

/// One change, as a line of text.
fn line(entry: &HistoryEntry) -> String {
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match entry {
        HistoryEntry::Alias { alias, record } => format!(
            "{}  {} = {} by {}{}",
            record.at,
            alias.name(),
            record.version,
            record.by,
            because(&record.reason)
        ),
        HistoryEntry::Remove { version, by, at, reason } => {
            format!("{at}  removed {version} by {by}{}", because(reason))
        }
    }
}

/// What the model reads of a text.
fn reads(model: &ModelDescription) -> String {
    let Some(tokenization) = &model.tokenization else { return "n-grams of the whole text".to_owned() };
    let linear = if !model.linear.is_empty() { ", and n-grams of the whole text" } else { "" };
    let tokens = model.max_tokens * model.windows;
    format!("{}, at most {tokens} tokens{linear}", word(tokenization))
}

/// The value as it is written in JSON, without quotation marks.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).map_or_else(|_| "-".to_owned(), |value| plain(&value))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:.4}"))
        }
        other => other.to_string(),
    }
}
