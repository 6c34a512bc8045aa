//! The cleaning configuration: what a user writes to say how documents are cleaned.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::registry::OPERATORS;

/// How documents are cleaned, and which are rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CleanConfig {
    /// The steps that each document goes through, in order.
    ///
    /// Default: `["strip_html", "normalize", "to_simplified", "detect_lang"]`.
    pub steps: Vec<Step>,
    /// Languages to keep, as ISO 639-1 codes such as `zh`; others are rejected as `language`.
    ///
    /// Needs a step that sets `lang`. Default: empty, which keeps every language.
    pub languages: Vec<String>,
    /// Whether `languages` also rejects documents whose language is undetermined (`und`), such as headlines of a few
    /// names. Default: false.
    pub reject_undetermined: bool,
    /// A file of words that `segment` must know, one `word [frequency] [tag]` a line; `#` starts a comment
    /// line. Default: none.
    pub user_dict: Option<PathBuf>,
    /// Documents whose cleaned title and body have fewer characters than this, white space not counted, are
    /// rejected as `empty_text`. Default: 1.
    pub min_chars: usize,
}

impl Default for CleanConfig {
    fn default() -> Self {
        let steps = ["strip_html", "normalize", "to_simplified", "detect_lang"];
        CleanConfig {
            steps: steps.map(|name| Step::Operator(name.to_owned())).into(),
            languages: Vec::new(),
            reject_undetermined: false,
            user_dict: None,
            min_chars: 1,
        }
    }
}

/// One step of cleaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a step is an operator's name, { column, sql } or { reject, when }"
)]
pub enum Step {
    /// The name of an operator, which is applied to the columns that it is made for.
    Operator(String),
    /// Sets a column, or adds it, to a SQL expression over the columns so far.
    Column {
        /// The column to set. Columns of the lineage (`topic`, `offset`, `payload`, ...) cannot be set.
        column: String,
        /// A SQL expression over one row. It is cast to the column's type if the column exists already.
        sql: String,
    },
    /// Rejects the documents for which a SQL predicate is true.
    Reject {
        /// The reason that rejected rows carry: lower-case letters, digits and `_`.
        reject: String,
        /// A SQL predicate over the columns so far. A document for which it is null is kept.
        when: String,
    },
}

impl Step {
    /// The columns that the step sets, and the SQL that each is set to.
    fn assignments(&self) -> Vec<(&str, &str)> {
        match self {
            Step::Operator(name) => {
                let operator = OPERATORS.iter().find(|operator| operator.name() == name);
                operator.map(|operator| operator.sets.to_vec()).unwrap_or_default()
            }
            Step::Column { column, sql } => vec![(column, sql)],
            Step::Reject { .. } => vec![],
        }
    }
}

/// The words of SQL in lower case, which include all columns and functions that it names.
fn words(sql: &str) -> impl Iterator<Item = String> {
    let parts = sql.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|part| !part.is_empty()).map(str::to_lowercase)
}

impl CleanConfig {
    /// The part of this configuration on which the text that a model sees depends, as canonical JSON: the
    /// steps that set `title` or `body`, or a column that those steps read; the version of each operator in
    /// them; and the SHA-256 of the user dictionary if they segment text.
    ///
    /// Two configurations with equal fingerprints give the same text. A dictionary that cannot be read counts
    /// as `unreadable`; [`Plan::try_new`](crate::Plan::try_new) reports it.
    pub fn fingerprint(&self) -> String {
        let (steps, named) = self.text_steps();
        let operators: BTreeMap<&str, u32> = OPERATORS
            .iter()
            .filter(|operator| named.contains(operator.name()))
            .map(|operator| (operator.name(), operator.version))
            .collect();
        // Only then does the dictionary influence the text.
        let segments = operators.contains_key("segment");
        let user_dict = self.user_dict.as_deref().filter(|_| segments).map(file_hash);
        // Keys are in alphabetical order, so that the JSON does not depend on whether its maps are sorted.
        json!({ "operators": operators, "steps": steps, "user_dict": user_dict }).to_string()
    }

    /// The steps on which `title` and `body` depend, and all words of their SQL. Steps are examined from the
    /// last to the first, because a step counts if a later one that counts reads a column that it sets.
    fn text_steps(&self) -> (Vec<&Step>, BTreeSet<String>) {
        let mut needed = BTreeSet::from(["title".to_owned(), "body".to_owned()]);
        let mut steps = Vec::new();
        for step in self.steps.iter().rev() {
            let assignments = step.assignments();
            if assignments.iter().any(|(column, _)| needed.contains(*column)) {
                needed.extend(assignments.iter().flat_map(|(_, sql)| words(sql)));
                steps.push(step);
            }
        }
        steps.reverse();
        (steps, needed)
    }
}

fn file_hash(path: &Path) -> String {
    let Ok(bytes) = fs::read(path) else {
        return "unreadable".to_owned();
    };
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<CleanConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_kind_of_step_is_read_back_as_it_was_written() {
        let json = r#"{
            "steps": [
                "normalize",
                {"column": "title", "sql": "upper(title)"},
                {"reject": "too_old", "when": "published_at < '2000-01-01'"}
            ],
            "languages": ["zh"], "user_dict": "words.txt", "min_chars": 5
        }"#;
        let config = parsed(json).unwrap();
        assert_eq!(config.steps.len(), 3);
        assert_eq!(parsed(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(parsed("{}").unwrap(), CleanConfig::default());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let cases = [
            (r#"{"step": []}"#, "unknown field `step`"),
            (r#"{"steps": [{"column": "a"}]}"#, "{ column, sql } or { reject, when }"),
            (r#"{"steps": [{"column": "a", "sql": "1", "when": "true"}]}"#, "{ column, sql }"),
        ];
        for (json, message) in cases {
            let error = parsed(json).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn the_fingerprint_depends_only_on_what_changes_title_or_body() {
        let base = CleanConfig::default();
        let with = |change: fn(&mut CleanConfig)| {
            let mut config = CleanConfig::default();
            change(&mut config);
            config.fingerprint()
        };
        assert_eq!(with(|c| c.min_chars = 9), base.fingerprint());
        assert_eq!(with(|c| c.languages = vec!["zh".into()]), base.fingerprint());
        assert_eq!(
            with(|c| c.steps.push(Step::Reject { reject: "x".into(), when: "true".into() })),
            base.fingerprint()
        );
        assert_eq!(with(|c| drop(c.steps.pop())), base.fingerprint(), "`lang` is not read");
        assert_eq!(with(|c| c.steps.push(Step::Operator("segment".into()))), base.fingerprint());
        assert_ne!(with(|c| drop(c.steps.remove(0))), base.fingerprint());
        assert!(base.fingerprint().contains(r#""strip_html":2"#), "{}", base.fingerprint());
    }

    #[test]
    fn the_fingerprint_has_operators_that_sql_calls_in_upper_case() {
        let sql = "SEGMENT(Normalize(body))".to_owned();
        let steps = vec![Step::Column { column: "body".into(), sql }];
        let fingerprint = CleanConfig { steps, ..CleanConfig::default() }.fingerprint();
        assert!(fingerprint.contains(r#"{"normalize":2,"segment":1}"#), "{fingerprint}");
    }

    #[test]
    fn a_step_counts_when_the_text_is_made_of_its_column() {
        let column = |column: &str, sql: &str| Step::Column { column: column.into(), sql: sql.into() };
        let with =
            |steps: &[Step]| CleanConfig { steps: steps.to_vec(), ..CleanConfig::default() }.fingerprint();
        let channel = column("channel", "upper(url)");
        let body = column("body", "concat(CHANNEL, body)");
        assert_eq!(with(std::slice::from_ref(&channel)), with(&[]));
        assert_ne!(with(&[channel, body.clone()]), with(&[body]));
    }

    #[test]
    fn the_fingerprint_depends_on_the_content_of_the_dictionary_not_on_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = |name: &str, words: &str| {
            let path = folder.path().join(name);
            fs::write(&path, words).unwrap();
            CleanConfig {
                steps: vec![Step::Column {
                    column: "body".into(),
                    sql: "array_to_string(segment(body), ' ')".into(),
                }],
                user_dict: Some(path),
                ..CleanConfig::default()
            }
        };
        let one = config("a", "云计算").fingerprint();
        assert_eq!(one, config("b", "云计算").fingerprint());
        assert_ne!(one, config("c", "区块链").fingerprint());
    }
}
