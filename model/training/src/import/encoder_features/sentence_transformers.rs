//! What sentence-transformers writes beside a checkpoint: `modules.json`, which lists the steps from a text to its features,
//! and their settings.
//!
//! Read are the pooling by the first token, the mean or the largest values, normalisation, and the most tokens of a text.
//! Steps with weights of their own, and other kinds of pooling, are refused by name.

use std::path::{Component, Path, PathBuf};

use fenliu_model::{ModelError, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::onnx::{FeaturePooling, PooledTokens};

const MODULES: &str = "modules.json";
const SETTINGS: &str = "sentence_bert_config.json";
/// The pooling's usual place, for directories without `modules.json`.
const POOLING: &str = "1_Pooling";
/// What the keys begin with that say what is pooled.
const MODE: &str = "pooling_mode_";

/// The files of a directory.
pub(super) struct SentenceTransformer {
    directory: PathBuf,
}

/// A step.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    /// The name of its class in Python.
    #[serde(rename = "type")]
    class: String,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    max_seq_length: Option<usize>,
}

impl SentenceTransformer {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// The most tokens of a text, if a file says it.
    pub(super) fn max_tokens(&self) -> Result<Option<usize>> {
        Ok(self.read::<Settings>(SETTINGS)?.and_then(|settings| settings.max_seq_length))
    }

    /// How hidden states become features, if a file says it.
    pub(super) fn pooling(&self) -> Result<Option<FeaturePooling>> {
        let Some(modules) = self.read::<Vec<Module>>(MODULES)? else {
            let tokens = self.pooled_tokens(POOLING)?;
            return Ok(tokens.map(|tokens| FeaturePooling { tokens, normalise: false }));
        };
        let (mut tokens, mut normalise) = (None, false);
        for module in &modules {
            match module.class.rsplit('.').next().unwrap_or_default() {
                "Transformer" => {}
                "Pooling" => tokens = self.pooled_tokens(&module.path)?,
                "Normalize" => normalise = true,
                other => {
                    let problem = format!(
                        "the step `{other}` is not implemented here; choose the pooling to do without it"
                    );
                    return Err(self.refuse(MODULES, &problem));
                }
            }
        }
        let tokens =
            tokens.ok_or_else(|| self.refuse(MODULES, "no step is a `Pooling` with a configuration"))?;
        Ok(Some(FeaturePooling { tokens, normalise }))
    }

    /// What the pooling whose settings lie in the directory `path` reads, if it is there.
    fn pooled_tokens(&self, path: &str) -> Result<Option<PooledTokens>> {
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside {
            let problem = format!("the path `{path}` is not a directory beside the file");
            return Err(self.refuse(MODULES, &problem));
        }
        let file = if path.is_empty() { "config.json".to_owned() } else { format!("{path}/config.json") };
        let Some(keys) = self.read::<Map<String, Value>>(&file)? else { return Ok(None) };
        let modes: Vec<&str> = modes(&keys);
        match modes[..] {
            ["cls" | "cls_token"] => Ok(Some(PooledTokens::Cls)),
            ["mean" | "mean_tokens"] => Ok(Some(PooledTokens::Mean)),
            ["max" | "max_tokens"] => Ok(Some(PooledTokens::Max)),
            _ => {
                let problem = format!(
                    "the pooling is `{}` but must be one of cls_token, mean_tokens, max_tokens; choose one to do without it",
                    modes.join(", ")
                );
                Err(self.refuse(&file, &problem))
            }
        }
    }

    /// Reads a file; `None` if it is not there.
    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>> {
        let path = self.directory.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        serde_json::from_slice(&bytes).map(Some).map_err(ModelError::json(&path))
    }

    fn refuse(&self, file: &str, problem: &str) -> ModelError {
        ModelError::import(&self.directory, format!("{file}: {problem}"))
    }
}

/// What is pooled: `pooling_mode`, or the end of each key that is true.
fn modes(keys: &Map<String, Value>) -> Vec<&str> {
    if let Some(mode) = keys.get("pooling_mode") {
        return mode.as_str().into_iter().collect();
    }
    let chosen = keys.iter().filter(|(_, value)| **value == Value::Bool(true));
    chosen.filter_map(|(key, _)| key.strip_prefix(MODE)).collect()
}
