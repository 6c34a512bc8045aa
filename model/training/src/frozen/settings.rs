//! How an encoder's states become the vector of a text, as a directory of sentence-transformers says it.
//!
//! `modules.json` names the modules one after another: a transformer, then pooling, then possibly the division by the
//! length. `config_sentence_transformers.json` names what is put before texts. A directory without these files is that of
//! an encoder alone; the mean over the tokens, divided by its length, then suits most models.
//!
//! Contract: a module or setting that is not implemented here is refused by its name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fenliu_model::{ModelError, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::onnx::{FeaturePooling, PooledTokens};

const MODULES: &str = "modules.json";
const POOLING: &str = "config.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const PROMPTS: &str = "config_sentence_transformers.json";

/// Prompts that suit classification, the best first. The last is for models that search, in which a text to classify is
/// a query rather than a passage.
const SUITABLE_PROMPTS: [&str; 2] = ["classification", "query"];

/// What a directory says of its encoder.
#[derive(Debug, PartialEq)]
pub(super) struct Settings {
    /// Where the checkpoint is.
    pub(super) checkpoint: PathBuf,
    pub(super) pooling: FeaturePooling,
    /// What is put before each text.
    pub(super) prefix: String,
    /// Most tokens of a text, if something says it.
    pub(super) max_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Pooling {
    /// Newer files name the mode; older ones have a switch for each.
    #[serde(default)]
    pooling_mode: Option<String>,
    #[serde(default = "yes")]
    include_prompt: bool,
    #[serde(flatten)]
    switches: BTreeMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct Transformer {
    #[serde(default)]
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// The settings of a directory. `prefix` replaces the one that its files say.
    pub(super) fn read(directory: &Path, prefix: Option<&str>) -> Result<Self> {
        let prompts: Prompts = optional(&directory.join(PROMPTS))?;
        let prefix = prefix.map_or_else(|| prompts.suitable(), str::to_owned);
        let modules = directory.join(MODULES);
        if !modules.exists() {
            let pooling = FeaturePooling { tokens: PooledTokens::Mean, normalise: true };
            return Ok(Self { checkpoint: directory.to_path_buf(), pooling, prefix, max_tokens: None });
        }
        let pooling = FeaturePooling { tokens: PooledTokens::Mean, normalise: false };
        let checkpoint = directory.to_path_buf();
        let mut settings = Self { checkpoint, pooling, prefix, max_tokens: None };
        for module in read::<Vec<Module>>(&modules)? {
            settings.add(directory, &module)?;
        }
        Ok(settings)
    }

    fn add(&mut self, directory: &Path, module: &Module) -> Result<()> {
        let refuse = |problem: String| Err(ModelError::import(directory, format!("{MODULES}: {problem}")));
        let path = directory.join(&module.path);
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {
                let Transformer { max_seq_length, do_lower_case } = optional(&path.join(TRANSFORMER))?;
                if do_lower_case {
                    let problem = format!("{TRANSFORMER}: `do_lower_case` is true but must be false");
                    return Err(ModelError::import(directory, problem));
                }
                self.max_tokens = max_seq_length;
                self.checkpoint = path;
            }
            "Pooling" => {
                let pooling: Pooling = read(&path.join(POOLING))?;
                if !pooling.include_prompt && !self.prefix.is_empty() {
                    let problem = format!(
                        "{}/{POOLING}: `include_prompt` is false, which is not implemented with the prefix `{}`",
                        module.path, self.prefix
                    );
                    return Err(ModelError::import(directory, problem));
                }
                let kind = pooling.kind();
                self.pooling.tokens = kind.map_err(|modes| {
                    let problem = format!("{}/{POOLING}: it pools by {modes}", module.path);
                    ModelError::import(directory, format!("{problem} but must by mean, cls or max"))
                })?;
            }
            "Normalize" => self.pooling.normalise = true,
            other => return refuse(format!("the module `{other}` is not implemented")),
        }
        Ok(())
    }
}

impl Pooling {
    /// The mode, or the names of the modes that are not implemented.
    fn kind(&self) -> Result<PooledTokens, String> {
        let switched = self.switches.iter().filter(|(_, value)| value.as_bool() == Some(true));
        let switched = switched.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
        let modes: Vec<&str> = self.pooling_mode.as_deref().into_iter().chain(switched).collect();
        match modes.as_slice() {
            ["mean" | "mean_tokens"] => Ok(PooledTokens::Mean),
            ["cls" | "cls_token"] => Ok(PooledTokens::Cls),
            ["max" | "max_tokens"] => Ok(PooledTokens::Max),
            modes => Err(format!("`{}`", modes.join("` and `"))),
        }
    }
}

impl Prompts {
    fn suitable(&self) -> String {
        let names = self.default_prompt_name.as_deref().into_iter().chain(SUITABLE_PROMPTS);
        names.filter_map(|name| self.prompts.get(name)).next().cloned().unwrap_or_default()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(ModelError::json(path))
}

fn optional<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    if path.exists() { read(path) } else { Ok(T::default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, file: &str, content: &str) {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    const MODULES_OF_E5: &str = r#"[
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;

    #[test]
    fn a_directory_of_sentence_transformers_says_everything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let modules = MODULES_OF_E5.replace(r#""path": """#, r#""path": "0_Transformer""#);
        write(path, MODULES, &modules);
        write(path, "0_Transformer/sentence_bert_config.json", r#"{"max_seq_length": 128}"#);
        let cls =
            r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "include_prompt": true}"#;
        write(path, "1_Pooling/config.json", cls);
        write(path, PROMPTS, r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#);
        let expected = Settings {
            checkpoint: path.join("0_Transformer"),
            pooling: FeaturePooling { tokens: PooledTokens::Cls, normalise: true },
            prefix: "query: ".to_owned(),
            max_tokens: Some(128),
        };
        assert_eq!(Settings::read(path, None).unwrap(), expected);
        assert_eq!(Settings::read(path, Some("")).unwrap().prefix, "");
    }

    #[test]
    fn an_encoder_alone_is_pooled_by_the_mean() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::read(directory.path(), Some("query: ")).unwrap();
        assert_eq!(settings.pooling, FeaturePooling { tokens: PooledTokens::Mean, normalise: true });
        assert_eq!((settings.prefix.as_str(), settings.max_tokens), ("query: ", None));
        assert_eq!(settings.checkpoint, directory.path());
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_name() {
        let mean = r#"{"pooling_mode_mean_tokens": true}"#;
        for (modules, pooling, message) in [
            (MODULES_OF_E5.replace("Normalize", "Dense"), mean, "the module `Dense` is not implemented"),
            (MODULES_OF_E5.into(), r#"{"pooling_mode": "lasttoken"}"#, "pools by `lasttoken`"),
            (
                MODULES_OF_E5.into(),
                r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
                "pools by `cls_token` and `mean_tokens`",
            ),
            (
                MODULES_OF_E5.into(),
                r#"{"pooling_mode": "mean", "include_prompt": false}"#,
                "`include_prompt` is false",
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            write(directory.path(), MODULES, &modules);
            write(directory.path(), "1_Pooling/config.json", pooling);
            let error = Settings::read(directory.path(), Some("query: ")).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
