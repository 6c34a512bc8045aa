//! What `config.json` of a checkpoint says about the labels: `id2label`, `label2id` and `num_labels`.
//!
//! Contract: labels that were chosen by hand are taken as they are; else those of `id2label`, as
//! `transformers` does; else those of `label2id`; else the placeholders `LABEL_0`, `LABEL_1`, … of
//! `transformers`, one for each output. How many outputs the head has is what its weights say, never what the
//! file says, so a set of labels that does not fit them is refused. An error names the key, the value and what
//! to do, but not the file, which the caller knows.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::labels::Labels;

mod numbered;

use numbered::numbered;

/// Number of labels of a checkpoint that says nothing about them: the default of `transformers`.
const DEFAULT: usize = 2;
/// A limit on placeholders, so that a senseless `num_labels` does not take all memory.
const MOST_PLACEHOLDERS: usize = 100_000;
/// Names that a message lists.
const NAMES_IN_MESSAGES: usize = 20;

/// The outputs of a classification head.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    /// How many there are.
    pub number: usize,
    /// The file and tensor that say so, for messages.
    pub origin: &'a str,
}

/// The keys about labels in `config.json`. They are kept as they stand in the file, since a mistake in them
/// does not matter if labels are chosen by hand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LabelNames {
    id2label: Option<Value>,
    label2id: Option<Value>,
    num_labels: Option<Value>,
    problem_type: Option<String>,
}

impl LabelNames {
    /// The labels in the order of the outputs; `outputs` is `None` for an encoder without a head, which can get
    /// any number of them.
    ///
    /// # Errors
    ///
    /// The head has one output or is no single-label classifier; the labels do not fit the head; or the names in the
    /// file have gaps, are not unique, or are no names.
    pub fn labels(&self, outputs: Option<Outputs<'_>>, chosen: Option<&Labels>) -> Result<Labels, String> {
        if let Some(outputs) = outputs {
            self.check_head(outputs)?;
        }
        match chosen {
            Some(chosen) => fitting(chosen, outputs),
            None => self.own(outputs).map_err(|problem| format!("{problem}; {}", advice(outputs))),
        }
    }

    /// Checks that the head gives one of several labels to each text.
    fn check_head(&self, outputs: Outputs<'_>) -> Result<(), String> {
        let kind = self.problem_type.as_deref();
        if outputs.number < 2 {
            let said = kind.map(|kind| format!(", and `problem_type` is `{kind}`")).unwrap_or_default();
            return Err(format!(
                "the head has {} output ({}){said}: it gives a score (a regression or a single sigmoid) and not one \
                 of several labels; train it with at least 2 outputs",
                outputs.number, outputs.origin
            ));
        }
        match kind {
            None | Some("single_label_classification") => Ok(()),
            Some(kind) => Err(format!(
                "`problem_type` is `{kind}` but must be `single_label_classification`: one label of each text must \
                 be right; train the head again for a single label"
            )),
        }
    }

    /// The labels that the file names, or placeholders.
    fn own(&self, outputs: Option<Outputs<'_>>) -> Result<Labels, String> {
        let Some((key, names)) = self.names()? else {
            let names = placeholders(self.count(outputs)?);
            return Labels::from_ids(names).map_err(|error| error.to_string());
        };
        if let Some(outputs) = outputs.filter(|outputs| outputs.number != names.len()) {
            let (number, origin) = (outputs.number, outputs.origin);
            return Err(format!(
                "`{key}` names {} labels but the head has {number} outputs ({origin})",
                names.len()
            ));
        }
        if names.len() < 2 {
            return Err(format!("`{key}` names {} label but a classifier has at least 2", names.len()));
        }
        check_unique(key, &names)?;
        self.warn_of_contradiction(key, &names);
        Labels::from_ids(names).map_err(|error| format!("`{key}`: {error}"))
    }

    /// The names in the order of their numbers, and the key that has them.
    fn names(&self) -> Result<Option<(&'static str, Vec<String>)>, String> {
        if let Some(value) = self.id2label.as_ref().filter(|value| !is_empty(value)) {
            let entries = by_number("id2label", value)?;
            return Ok(Some(("id2label", numbered("id2label", entries)?)));
        }
        if let Some(value) = self.label2id.as_ref().filter(|value| !is_empty(value)) {
            let entries = by_name("label2id", value)?;
            return Ok(Some(("label2id", numbered("label2id", entries)?)));
        }
        Ok(None)
    }

    /// Number of placeholders.
    fn count(&self, outputs: Option<Outputs<'_>>) -> Result<usize, String> {
        let said = self.num_labels.as_ref().filter(|value| !value.is_null());
        let Some(outputs) = outputs else {
            let said = said.and_then(Value::as_u64).map_or(DEFAULT, |number| number as usize);
            return Ok(said.clamp(DEFAULT, MOST_PLACEHOLDERS));
        };
        match said {
            Some(said) if said.as_u64() != Some(outputs.number as u64) => Err(format!(
                "`num_labels` is {said} but the head has {} outputs ({})",
                outputs.number, outputs.origin
            )),
            _ => Ok(outputs.number),
        }
    }

    /// `transformers` reads the names of outputs from `id2label` alone, so that wins; but a `label2id` that says
    /// something else may be the one that the texts were labelled with.
    fn warn_of_contradiction(&self, key: &str, names: &[String]) {
        let Some(other) = self.label2id.as_ref().filter(|_| key == "id2label") else { return };
        let Ok(mut other) = by_name("label2id", other).and_then(|entries| numbered("label2id", entries))
        else {
            return;
        };
        if other != names {
            other.truncate(NAMES_IN_MESSAGES);
            tracing::warn!(
                id2label = ?&names[..names.len().min(NAMES_IN_MESSAGES)],
                label2id = ?other,
                "id2label and label2id of config.json contradict each other: id2label is used, as transformers does"
            );
        }
    }
}

fn placeholders(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("LABEL_{number}")).collect()
}

fn fitting(chosen: &Labels, outputs: Option<Outputs<'_>>) -> Result<Labels, String> {
    match outputs {
        Some(Outputs { number, origin }) if number != chosen.len() => Err(format!(
            "{} labels are given but the head has {number} outputs ({origin}); give {number} labels (--labels), in \
             the order of the outputs",
            chosen.len()
        )),
        _ => Ok(chosen.clone()),
    }
}

/// What to do about names that cannot be used.
fn advice(outputs: Option<Outputs<'_>>) -> String {
    let number = outputs.map(|outputs| format!("{} ", outputs.number)).unwrap_or_default();
    format!("correct it, or give {number}labels (--labels) in the order of the outputs")
}

/// `transformers` leaves the key out, or writes null or an empty map, if there are no names.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Numbers and names of `{"0": "sports", …}`, or of a list, whose positions are the numbers.
fn by_number(key: &str, value: &Value) -> Result<Vec<(usize, String)>, String> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(number, name)| Ok((key_number(key, number, name)?, text(key, number, name)?)))
            .collect(),
        Value::Array(list) => {
            let entries = list.iter().enumerate();
            entries.map(|(number, name)| Ok((number, text(key, &number.to_string(), name)?))).collect()
        }
        other => Err(format!("`{key}` is {other} but must map numbers to names")),
    }
}

/// Numbers and names of `{"sports": 0, …}`; the numbers may be in quotes.
fn by_name(key: &str, value: &Value) -> Result<Vec<(usize, String)>, String> {
    let Value::Object(map) = value else {
        return Err(format!("`{key}` is {value} but must map names to numbers"));
    };
    let entries = map.iter().map(|(name, number)| {
        let parsed = match number {
            Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            Value::String(digits) => digits.trim().parse().ok(),
            _ => None,
        };
        let parsed =
            parsed.ok_or_else(|| format!("`{key}` has {number} for `{name}`, which is no number from 0"));
        Ok((parsed?, name.clone()))
    });
    entries.collect()
}

fn key_number(key: &str, number: &str, name: &Value) -> Result<usize, String> {
    number
        .trim()
        .parse()
        .map_err(|_| format!("`{key}` has the key `{number}` (for {name}), which is no number from 0"))
}

/// A name. Data sets whose classes are numbers leave integers here, which become their digits.
fn text(key: &str, number: &str, name: &Value) -> Result<String, String> {
    match name {
        Value::String(name) => Ok(name.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(name.to_string()),
        other => Err(format!("`{key}` has {other} for {number}, which is no name")),
    }
}

/// Checks that each name stands for one output.
fn check_unique(key: &str, names: &[String]) -> Result<(), String> {
    let mut problems = Vec::new();
    let mut first_uses: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            problems.push(format!("the name of {number} is empty"));
        } else if let Some(first) = first_uses.get(name.as_str()) {
            problems.push(format!("{first} and {number} are both named `{name}`"));
        } else {
            first_uses.insert(name, number);
        }
    }
    problems.truncate(NAMES_IN_MESSAGES);
    if problems.is_empty() { Ok(()) } else { Err(format!("in `{key}` {}", problems.join(", "))) }
}

#[cfg(test)]
mod tests;
