//! Which files of a repository an import needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fenliu_model::ModelError;
use serde::Deserialize;

use super::failure::Failure;
use super::listing::check_name;

const CONFIG: &str = "config.json";
/// An import needs one of them.
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// Files that are fetched if they are there: those of the tokenizer, and what sentence-transformers writes.
const OPTIONAL: [&str; 9] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Ends of the names of pickles.
const PICKLES: [&str; 5] = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];
/// Largest index of shards that is read. One of a thousand tensors has about 100 KB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The files that an import needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// All but the shards of the weights, small ones first, so that a file that is missing is noticed early.
    pub(super) files: Vec<&'static str>,
    /// Whether the last of `files` is an index, which names the shards.
    pub(super) has_shards: bool,
}

impl Selection {
    /// Selects from the names of all files.
    pub(super) fn of(names: &[&str]) -> Result<Self, Failure> {
        let has = |name: &&'static str| names.contains(name);
        if !has(&CONFIG) {
            let problem = format!("there is no {CONFIG}, so it is not a checkpoint of transformers");
            return Err(Failure::absent(problem));
        }
        if !TOKENIZERS.iter().any(has) {
            let problem = "there is neither tokenizer.json nor vocab.txt; \
                           `AutoTokenizer.from_pretrained(…).save_pretrained(…)` of transformers writes the first";
            return Err(Failure::absent(problem));
        }
        let weights = [WEIGHTS, INDEX].into_iter().find(has).ok_or_else(|| without_weights(names))?;
        let optional = TOKENIZERS.iter().chain(&OPTIONAL).copied().filter(has);
        let files = [CONFIG].into_iter().chain(optional).chain([weights]).collect();
        Ok(Self { files, has_shards: weights == INDEX })
    }

    /// The shards that the index in `directory` names.
    pub(super) fn shards(&self, directory: &Path) -> Result<BTreeSet<String>, Failure> {
        if self.has_shards { read_index(&directory.join(INDEX)) } else { Ok(BTreeSet::new()) }
    }
}

/// Why there are no weights to fetch.
fn without_weights(names: &[&str]) -> Failure {
    let is_pickle = |name: &&&str| PICKLES.iter().any(|end| name.ends_with(end));
    let Some(pickle) = names.iter().find(is_pickle) else {
        return Failure::absent(format!("there is neither {WEIGHTS} nor {INDEX}"));
    };
    Failure::unusable(format!(
        "its weights are only in a pickle ({pickle}), which can run code in programs that load it, and is not fetched; \
         convert them (`AutoModel….from_pretrained(…).save_pretrained(…, safe_serialization=True)` of transformers), \
         name a pull request with safetensors (@refs/pr/N), or download the files and import their directory"
    ))
}

/// The index of weights in several files.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

fn read_index(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let bytes = std::fs::metadata(path).map_err(ModelError::io("read", path))?.len();
    if bytes > MAX_INDEX_BYTES {
        let problem = format!("{INDEX} has {bytes} bytes but may have at most {MAX_INDEX_BYTES}");
        return Err(Failure::unusable(problem));
    }
    let content = std::fs::read(path).map_err(ModelError::io("read", path))?;
    let index: Index = serde_json::from_slice(&content).map_err(ModelError::json(path))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    shards.iter().try_for_each(|shard| check_shard(shard))?;
    Ok(shards)
}

fn check_shard(shard: &str) -> Result<(), Failure> {
    check_name(shard)?;
    if shard.ends_with(".safetensors") {
        return Ok(());
    }
    Err(Failure::unusable(format!("{INDEX} names `{shard}` but only .safetensors files are fetched")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(names: &[&str]) -> String {
        match Selection::of(names) {
            Err(Failure::Lasting { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_an_import_needs_is_selected() {
        let names = [
            "README.md",
            "config.json",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "vocab.txt",
        ];
        let selection = Selection::of(&names).unwrap();
        assert_eq!(selection.files, ["config.json", "vocab.txt", "model.safetensors"]);
        let names =
            ["model.safetensors.index.json", "tokenizer.json", "config.json", "1_Pooling/config.json"];
        let selection = Selection::of(&names).unwrap();
        assert_eq!(selection.files, ["config.json", "tokenizer.json", "1_Pooling/config.json", INDEX]);
        assert!(selection.has_shards);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(problem(&["model.safetensors", "vocab.txt"]).contains("no config.json"));
        assert!(
            problem(&["config.json", "model.safetensors"]).contains("neither tokenizer.json nor vocab.txt")
        );
        assert!(problem(&["config.json", "vocab.txt"]).contains("neither model.safetensors nor"));
        let pickles = problem(&["config.json", "vocab.txt", "pytorch_model.bin"]);
        assert!(pickles.contains("only in a pickle (pytorch_model.bin)"), "{pickles}");
    }
}
