//! Importing a text classifier in the ONNX format: it becomes a bundle that can be served but not trained
//! further.
//!
//! Contract: an import does not change the computation. A graph that cannot be served is refused with the
//! reason, and nothing is published. How texts were cleaned is not known, so the manifest does not say it.
//! `fenliu-training` imports checkpoints that can be trained further.
//!
//! The graph must have the interface that [`crate::session`] describes. `tokenizer.json` and `config.json`
//! (labels and most tokens), which exporters of Hugging Face models write, are read from the graph's
//! directory, or from its parent if the graph is in a directory `onnx`.
//!
//! What the two files mean is the same for a checkpoint: [`label_names`] and [`tokenizer`] serve both imports.
//!
//! Not supported: graphs with other inputs or outputs, and several labels for one text.

mod graph;
pub mod label_names;
pub mod tokenizer;

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::batcher::TokenBatch;
use crate::bundle::{Bundle, BundleWriter, ModelDescription, ProblemType};
use crate::classifier::{Classifier, ClassifierOptions};
use crate::device::Device;
use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::session::Session;
use crate::tokenize::{Encoding, Tokenizer};
use graph::Graph;
use label_names::{LabelNames, Outputs};

/// The directory of the graph and its data in the bundle.
const DIRECTORY: &str = "onnx";
const CONFIG: &str = "config.json";
/// Default limit on the tokens of a text: the number of positions of most encoders.
const MAX_TOKENS: usize = 512;

/// What can be chosen about the import of a graph.
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// A Hugging Face `tokenizer.json`; `None` = the one beside the graph.
    pub tokenizer: Option<PathBuf>,
    /// Labels in logit order; `None` = those of `config.json`, or placeholders if it names none.
    pub labels: Option<Labels>,
    /// Most tokens of a text that the model reads; `None` = the limit in `config.json`, or 512.
    pub max_tokens: Option<usize>,
}

/// Imports the graph `path`, or the one in the directory `path`, as a new version of `<root>/<name>`.
/// External files with its weights are copied, too.
///
/// # Errors
///
/// There is no graph or more than one; it has another interface; tokenizer or labels are missing or do not
/// fit it; it does not run on texts of `max_tokens` tokens; ONNX Runtime is missing; a file cannot be read or
/// written. Nothing is published then.
pub fn onnx(path: &Path, root: &Path, name: &str, options: &OnnxOptions) -> Result<Bundle> {
    let source = find_graph(path)?;
    let config_path = companion(&source, CONFIG);
    let config = config_path.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let tokenizer = open_tokenizer(&source, options, &config)?;
    let max_tokens = options.max_tokens.or(config.max_tokens()).unwrap_or(MAX_TOKENS);
    tokenizer.encode("", max_tokens)?;
    let outputs = probe(&source, &tokenizer, max_tokens)?;
    let labels = labels(&source, config_path.as_deref(), &config, outputs, options)?;

    let graph = Graph::read(&source)?;
    let writer = BundleWriter::create(root, name)?;
    let file = copy(&source, &graph, writer.path())?;
    labels.save(&writer.path().join("labels.json"))?;
    tokenizer.save(writer.path())?;
    let description = ModelDescription {
        tokenization: Some(tokenizer.kind()),
        max_tokens,
        windows: 1,
        prefix: String::new(),
        pad_id: tokenizer.pad_id(),
        onnx: Some(file),
        linear: Vec::new(),
        zero_shot: None,
        problem_type: ProblemType::SingleLabel,
        preset: config.model_type.unwrap_or_else(|| "onnx".to_owned()),
        parameters: graph.parameters(),
        preprocessing: Value::Null,
        training: json!({ "imported_from": origin(path) }),
        parity_max_abs_diff: 0.0,
        trainable: false,
        head_trained: true,
    };
    // Checks that the copy runs without the original files.
    Classifier::open(&writer.preview(&description)?, &ClassifierOptions::default())?;
    writer.finish(description)
}

/// The name of an imported file or directory for the manifest. The rest of its path is not recorded, since it
/// would reveal the layout of the machine.
pub fn origin(path: &Path) -> String {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    full.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The graph at `path`, or the only one in the directory `path`.
fn find_graph(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let mut graphs = Vec::new();
    for directory in [path.to_path_buf(), path.join(DIRECTORY)] {
        if directory.is_dir() {
            for entry in std::fs::read_dir(&directory).map_err(ModelError::io("list", &directory))? {
                graphs.push(entry.map_err(ModelError::io("list", &directory))?.path());
            }
        }
    }
    graphs.retain(|file| file.extension().is_some_and(|extension| extension == "onnx"));
    graphs.sort();
    match graphs.as_slice() {
        [graph] => Ok(graph.clone()),
        [] => Err(ModelError::import(path, "it holds no .onnx file, nor does a directory `onnx` in it")),
        several => {
            let names: Vec<String> = several.iter().map(|graph| graph.display().to_string()).collect();
            Err(ModelError::import(
                path,
                format!("it holds more than one graph, name one of: {}", names.join(", ")),
            ))
        }
    }
}

/// The file `name` that belongs to `graph`.
fn companion(graph: &Path, name: &str) -> Option<PathBuf> {
    let beside = graph.parent()?;
    let above = beside.parent().filter(|_| beside.file_name().is_some_and(|name| name == DIRECTORY));
    [Some(beside), above].into_iter().flatten().map(|path| path.join(name)).find(|path| path.is_file())
}

fn open_tokenizer(graph: &Path, options: &OnnxOptions, config: &Config) -> Result<Tokenizer> {
    match options.tokenizer.clone().or_else(|| companion(graph, "tokenizer.json")) {
        Some(path) => tokenizer::open(&path, config.model_type.as_deref()),
        None => {
            Err(ModelError::import(graph, "there is no tokenizer.json beside it: name the tokenizer's file"))
        }
    }
}

fn labels(
    graph: &Path,
    config_path: Option<&Path>,
    config: &Config,
    number: usize,
    options: &OnnxOptions,
) -> Result<Labels> {
    let (None, None) = (config_path, &options.labels) else {
        let outputs = Outputs { number, origin: "`logits` of the graph" };
        let labels = config.labels.labels(Some(outputs), options.labels.as_ref());
        return labels.map_err(|problem| match config_path {
            Some(path) => ModelError::import(path, problem),
            None => ModelError::import(graph, problem),
        });
    };
    let problem = format!(
        "there is no {CONFIG} beside it: name the {number} labels (--labels), in the order of the logits"
    );
    Err(ModelError::import(graph, problem))
}

/// Runs the graph on the extreme inputs of serving: padding, the highest token, and the longest text. Returns how
/// many logits it gives.
fn probe(graph: &Path, tokenizer: &Tokenizer, max_tokens: usize) -> Result<usize> {
    // On the original, before anything is copied: weights in external files can have gigabytes.
    let mut session = Session::open(graph, ClassifierOptions::default().threads, Device::Cpu)?;
    let highest = (tokenizer.vocab_size() - 1) as u32;
    let pad = tokenizer.pad_id();
    let document = |id: u32, length: usize| Encoding::new(vec![id; length], false);
    let mut run = |documents: &[Encoding], what: &str| {
        let rows: Vec<&[u32]> = documents.iter().map(|document| document.ids.as_slice()).collect();
        let logits = session.run(&TokenBatch::pad(&rows, pad));
        logits.map_err(|error| ModelError::import(graph, format!("it does not run on {what}: {error}")))
    };
    let logits = run(&[document(pad, 3), document(pad, 1)], "two texts of different length")?;
    run(&[document(highest, 1)], &format!("token {highest}, which the tokenizer has"))?;
    run(&[document(pad, max_tokens)], &format!("a text of {max_tokens} tokens, which `max_tokens` allows"))?;
    Ok(logits.labels)
}

/// Copies the graph and the files of its weights; returns the graph's path in the bundle.
fn copy(source: &Path, graph: &Graph, bundle: &Path) -> Result<String> {
    let beside = source.parent().unwrap_or(Path::new(""));
    let name = source.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| ModelError::import(source, "its name is not UTF-8"))?;
    for file in graph.external_files().into_iter().chain([name.to_owned()]) {
        let is_inside = Path::new(&file)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(ModelError::import(
                source,
                format!("its weights lie outside its directory, in `{file}`"),
            ));
        }
        let (from, to) = (beside.join(&file), bundle.join(DIRECTORY).join(&file));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))?;
        }
        std::fs::copy(&from, &to).map_err(ModelError::io("copy", &from))?;
    }
    Ok(format!("{DIRECTORY}/{name}"))
}

/// The fields of an exporter's `config.json` that are used.
#[derive(Debug, Default, Deserialize)]
struct Config {
    model_type: Option<String>,
    #[serde(flatten)]
    labels: LabelNames,
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<usize>,
}

impl Config {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(ModelError::json(path))
    }

    /// Number of positions that texts can use.
    fn max_tokens(&self) -> Option<usize> {
        // RoBERTa's first position is the padding token's id plus one.
        let roberta =
            self.model_type.as_deref().is_some_and(|name| name.contains("roberta") || name == "camembert");
        let unused = if roberta { self.pad_token_id.unwrap_or(1) + 1 } else { 0 };
        self.max_position_embeddings.map(|positions| positions.saturating_sub(unused))
    }
}

#[cfg(test)]
mod tests;
