//! The tokenizer of a checkpoint from elsewhere: `tokenizer.json` under the settings of
//! `tokenizer_config.json`.
//!
//! Both files can say whether texts are lower-cased, and they can contradict each other. Contract: what counts is
//! what `AutoTokenizer.from_pretrained` of `transformers` makes of them (checked with releases 4.57 and 5.24):
//!
//! - For BERT's tokenizer and its copies (DistilBERT, ELECTRA, …), `do_lower_case`, `strip_accents` and
//!   `tokenize_chinese_chars` of `tokenizer_config.json` replace the settings of a `BertNormalizer` in
//!   `tokenizer.json`. For a normalizer of another kind the two releases disagree about `do_lower_case`, so a
//!   contradiction is refused.
//! - For those of ALBERT and DeBERTa v2, the two releases disagree about `do_lower_case`, so a contradiction is refused.
//! - For every other tokenizer `tokenizer.json` alone counts.
//!
//! A tokenizer that needs more than these files, as RoFormer's does, is refused.
//!
//! One deviation: `transformers` takes a setting that `tokenizer_config.json` leaves out for its default, and would
//! lower-case the texts of a cased `tokenizer.json` that comes alone. Here the only file that speaks counts, and a
//! warning says so.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};

use crate::error::{ModelError, Result};
use crate::tokenize::Tokenizer;

const SETTINGS: &str = "tokenizer_config.json";
const LOWER_CASE: &str = "do_lower_case";

/// Tokenizers of `transformers` that apply the settings to a `BertNormalizer`; their names may end in `Fast`.
const BERT_TOKENIZERS: [&str; 7] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "MPNetTokenizer",
    "SqueezeBertTokenizer",
];
/// The values of `model_type` whose tokenizers these are, if `tokenizer_class` is not given.
const BERT_MODELS: [&str; 9] = [
    "bert",
    "convbert",
    "distilbert",
    "electra",
    "ernie",
    "megatron-bert",
    "mobilebert",
    "mpnet",
    "squeezebert",
];
/// Tokenizers of the kind of SentencePiece that know `do_lower_case`.
const PIECE_TOKENIZERS: [&str; 2] = ["AlbertTokenizer", "DebertaV2Tokenizer"];
/// The values of `model_type` whose tokenizers these are, if `tokenizer_class` is not given.
const PIECE_MODELS: [&str; 2] = ["albert", "deberta-v2"];
/// A tokenizer that cuts texts into Chinese words first, with a program that is in no file of the checkpoint.
const JIEBA_TOKENIZER: &str = "RoFormerTokenizer";
/// The value of `model_type` whose tokenizer that is, if `tokenizer_class` is not given.
const JIEBA_MODEL: &str = "roformer";

/// Opens `tokenizer.json` as `transformers` does for a checkpoint of this `model_type`, which is that of its
/// `config.json`. The settings are read from the directory of the file.
///
/// # Errors
///
/// A file cannot be read or is invalid, or the two contradict each other and it is not certain which counts.
pub fn open(tokenizer_json: &Path, model_type: Option<&str>) -> Result<Tokenizer> {
    let settings_path = tokenizer_json.with_file_name(SETTINGS);
    let settings = read(&settings_path)?;
    let refuse = |problem: String| ModelError::import(&settings_path, problem);
    check_jieba(&settings, model_type).map_err(refuse)?;
    if is_one_of(&settings, model_type, &PIECE_TOKENIZERS, &PIECE_MODELS) {
        return Tokenizer::from_file_with(tokenizer_json, |normalizer| {
            let lower_case = flag(&settings, LOWER_CASE).map_err(refuse)?;
            check_agreement(normalizer, lower_case).map_err(refuse)?;
            Ok(None)
        });
    }
    if !is_one_of(&settings, model_type, &BERT_TOKENIZERS, &BERT_MODELS) {
        return Tokenizer::from_file(tokenizer_json);
    }
    Tokenizer::from_file_with(tokenizer_json, |normalizer| resolve(normalizer, &settings).map_err(refuse))
}

/// Checks that the files in `directory` say all of the tokenizer of a checkpoint of this `model_type`.
///
/// # Errors
///
/// They do not, because the tokenizer uses another program; or `tokenizer_config.json` cannot be read or is invalid.
pub fn check(directory: &Path, model_type: Option<&str>) -> Result<()> {
    let path = directory.join(SETTINGS);
    check_jieba(&read(&path)?, model_type).map_err(|problem| ModelError::import(&path, problem))
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(ModelError::json(path))
}

/// Whether a tokenizer is of one of these classes, or, if its class is not given, of a model of one of these types.
fn is_one_of(
    settings: &Map<String, Value>,
    model_type: Option<&str>,
    classes: &[&str],
    models: &[&str],
) -> bool {
    match class(settings) {
        Some(class) => classes.contains(&class),
        None => model_type.is_some_and(|model_type| models.contains(&model_type)),
    }
}

/// The name of the tokenizer's class, without `Fast`.
fn class(settings: &Map<String, Value>) -> Option<&str> {
    let class = settings.get("tokenizer_class").and_then(Value::as_str)?;
    Some(class.strip_suffix("Fast").unwrap_or(class))
}

fn check_jieba(settings: &Map<String, Value>, model_type: Option<&str>) -> Result<(), String> {
    let class = class(settings).or((model_type == Some(JIEBA_MODEL)).then_some(JIEBA_TOKENIZER));
    if class != Some(JIEBA_TOKENIZER) {
        return Ok(());
    }
    Err(format!(
        "the tokenizer is a {JIEBA_TOKENIZER}, which cuts texts into words with jieba; that is not implemented here. If the \
         model reads characters, name BertTokenizer as `tokenizer_class`"
    ))
}

/// The normalizer that replaces the one of `tokenizer.json`; `None` if that one stays.
fn resolve(
    normalizer: Option<&NormalizerWrapper>,
    settings: &Map<String, Value>,
) -> Result<Option<NormalizerWrapper>, String> {
    let lower_case = flag(settings, LOWER_CASE)?;
    let Some(NormalizerWrapper::BertNormalizer(stored)) = normalizer else {
        check_agreement(normalizer, lower_case)?;
        return Ok(None);
    };
    let strip_accents = match settings.get("strip_accents") {
        // Null is a value of its own: accents are stripped if texts are lower-cased.
        Some(Value::Null) => None,
        _ => flag(settings, "strip_accents")?.or(stored.strip_accents),
    };
    let chinese = flag(settings, "tokenize_chinese_chars")?.unwrap_or(stored.handle_chinese_chars);
    let lower = lower_case.unwrap_or(stored.lowercase);
    if lower_case.is_none() && !lower {
        tracing::warn!(
            "tokenizer.json does not lower-case texts, and tokenizer_config.json does not say do_lower_case, which \
             transformers takes for true: tokenizer.json counts here"
        );
    }
    let resolved = BertNormalizer::new(stored.clean_text, chinese, strip_accents, lower);
    let is_other = (resolved.handle_chinese_chars, resolved.strip_accents, resolved.lowercase)
        != (stored.handle_chinese_chars, stored.strip_accents, stored.lowercase);
    if is_other {
        tracing::warn!(
            stored = ?stored,
            used = ?resolved,
            "tokenizer_config.json contradicts the normalizer of tokenizer.json, and counts, as in transformers"
        );
    }
    Ok(is_other.then_some(NormalizerWrapper::BertNormalizer(resolved)))
}

fn check_agreement(normalizer: Option<&NormalizerWrapper>, lower_case: Option<bool>) -> Result<(), String> {
    let stored = normalizer.is_some_and(lower_cases);
    match lower_case {
        Some(set) if set != stored => {
            let does = if stored { "lower-cases" } else { "does not lower-case" };
            Err(format!(
                "`{LOWER_CASE}` is {set} but the `normalizer` of tokenizer.json {does} texts, and releases of \
                 transformers disagree about which counts: set `{LOWER_CASE}` to {stored} if tokenizer.json is right, \
                 or correct its `normalizer`"
            ))
        }
        _ => Ok(()),
    }
}

fn lower_cases(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(lower_cases),
        _ => false,
    }
}

fn flag(settings: &Map<String, Value>, key: &str) -> Result<Option<bool>, String> {
    match settings.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(format!("`{key}` is {other} but must be true or false")),
    }
}

#[cfg(test)]
mod tests;
