//! The tokenizer of a checkpoint: `tokenizer.json`, or BERT's WordPiece from `vocab.txt`.

use std::path::Path;

use fenliu_model::import::tokenizer;
use fenliu_model::tokenize::{Tokenizer, WordPieceOptions};
use fenliu_model::{ModelError, Result};
use serde::Deserialize;

const FAST: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";
const SETTINGS: &str = "tokenizer_config.json";

/// The settings in `tokenizer_config.json` that belong to a `vocab.txt`; defaults are those of `transformers`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    do_lower_case: bool,
    tokenize_chinese_chars: bool,
    strip_accents: Option<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { do_lower_case: true, tokenize_chinese_chars: true, strip_accents: None }
    }
}

pub(super) fn load(directory: &Path, model_type: &str) -> Result<Tokenizer> {
    let fast = directory.join(FAST);
    if fast.exists() {
        return tokenizer::open(&fast, Some(model_type));
    }
    let vocabulary = directory.join(VOCABULARY);
    if !vocabulary.exists() {
        let problem = format!(
            "it has neither {FAST} nor {VOCABULARY}; `AutoTokenizer.from_pretrained(…).save_pretrained(…)` of transformers writes the first"
        );
        return Err(ModelError::import(directory, problem));
    }
    tokenizer::check(directory, Some(model_type))?;
    let settings = settings(directory)?;
    Tokenizer::from_wordpiece_vocabulary(
        &vocabulary,
        &WordPieceOptions {
            lowercase: settings.do_lower_case,
            split_chinese: settings.tokenize_chinese_chars,
            strip_accents: settings.strip_accents,
        },
    )
}

fn settings(directory: &Path) -> Result<Settings> {
    let path = directory.join(SETTINGS);
    if !path.exists() {
        return Ok(Settings::default());
    }
    let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(ModelError::json(&path))
}
