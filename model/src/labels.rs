//! The labels of a classifier, in the order of its logits (`labels.json`).
//!
//! Contract: there are at least two labels; ids are not empty and unique. The meaning of labels and their
//! hierarchy belong to the taxonomy and are not known here.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Stable identifier, which is written into labelled records.
    pub id: String,
    /// Names for people by language tag (`en`, `zh`); may be empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub name: BTreeMap<String, String>,
}

/// The labels of a classifier; the position of a label is the index of its logit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// Checks the labels and keeps their order.
    ///
    /// # Errors
    ///
    /// Fewer than two labels, an empty id, or an id that occurs twice.
    pub fn try_new(labels: Vec<Label>) -> Result<Self> {
        if labels.len() < 2 {
            return Err(ModelError::Labels(format!("{} given but at least 2 are needed", labels.len())));
        }
        let mut seen = HashSet::with_capacity(labels.len());
        for (index, label) in labels.iter().enumerate() {
            if label.id.trim().is_empty() {
                return Err(ModelError::Labels(format!("label {index} has an empty id")));
            }
            if !seen.insert(label.id.as_str()) {
                return Err(ModelError::Labels(format!("`{}` occurs twice", label.id)));
            }
        }
        Ok(Self(labels))
    }

    /// Labels that have an id and no names.
    ///
    /// # Errors
    ///
    /// As [`Labels::try_new`].
    pub fn from_ids(ids: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Self::try_new(ids.into_iter().map(|id| Label { id: id.into(), name: BTreeMap::new() }).collect())
    }

    /// Reads `labels.json`: `[{"id": "sports", "name": {"en": "Sports"}}, …]`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not such JSON, or its labels violate the contract.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        Self::try_new(serde_json::from_slice(&bytes).map_err(ModelError::json(path))?)
    }

    /// Writes `labels.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.0).map_err(ModelError::json(path))?;
        std::fs::write(path, bytes).map_err(ModelError::io("write", path))
    }

    /// Number of labels, and of logits; never below two.
    #[expect(clippy::len_without_is_empty, reason = "a set of labels is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The label of a logit.
    pub fn get(&self, index: usize) -> Option<&Label> {
        self.0.get(index)
    }

    /// The logit of a label.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|label| label.id == id)
    }

    /// All labels in logit order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Label> {
        self.0.iter()
    }

    /// All ids in logit order.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|label| label.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_labels_load_in_the_same_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("labels.json");
        let mut labels = Labels::from_ids(["sports", "财经", "a"]).unwrap();
        labels.0[1].name.insert("en".into(), "Finance".into());
        labels.save(&path).unwrap();
        assert_eq!(Labels::load(&path).unwrap(), labels);
        assert_eq!(labels.index_of("a"), Some(2));
        assert_eq!(labels.index_of("b"), None);
        assert_eq!(labels.get(1).map(|label| label.id.as_str()), Some("财经"));
    }

    #[test]
    fn invalid_labels_are_refused() {
        for (ids, message) in [
            (vec!["a"], "invalid labels: 1 given but at least 2 are needed"),
            (vec!["a", " "], "invalid labels: label 1 has an empty id"),
            (vec!["a", "b", "a"], "invalid labels: `a` occurs twice"),
        ] {
            assert_eq!(Labels::from_ids(ids).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("labels.json");
        std::fs::write(&path, r#"[{"id": "a"}, {"id": "b", "nmae": {}}]"#).unwrap();
        let message = Labels::load(&path).unwrap_err().to_string();
        assert!(message.contains("labels.json") && message.contains("`nmae`"), "{message}");
    }
}
