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
//! Not supported: graphs with other inputs or outputs, and several labels for one text.

mod graph;

use std::collections::BTreeMap;
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

/// The directory of the graph and its data in the bundle.
const DIRECTORY: &str = "onnx";
/// Default limit on the tokens of a text: the number of positions of most encoders.
const MAX_TOKENS: usize = 512;

/// What can be chosen about the import of a graph.
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// A Hugging Face `tokenizer.json`; `None` = the one beside the graph.
    pub tokenizer: Option<PathBuf>,
    /// Labels in logit order; `None` = those of `config.json`.
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
    let config = match companion(&source, "config.json") {
        Some(path) => Config::read(&path)?,
        None => Config::default(),
    };
    let tokenizer = tokenizer(&source, options)?;
    let labels = labels(&source, &config, options)?;
    let max_tokens = options.max_tokens.or(config.max_tokens()).unwrap_or(MAX_TOKENS);
    tokenizer.encode("", max_tokens)?;
    probe(&source, &tokenizer, &labels, max_tokens)?;

    let graph = Graph::read(&source)?;
    let writer = BundleWriter::create(root, name)?;
    let file = copy(&source, &graph, writer.path())?;
    labels.save(&writer.path().join("labels.json"))?;
    tokenizer.save(writer.path())?;
    let description = ModelDescription {
        tokenization: tokenizer.kind(),
        max_tokens,
        pad_id: tokenizer.pad_id(),
        onnx: file,
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

fn tokenizer(graph: &Path, options: &OnnxOptions) -> Result<Tokenizer> {
    match options.tokenizer.clone().or_else(|| companion(graph, "tokenizer.json")) {
        Some(path) => Tokenizer::from_file(&path),
        None => {
            Err(ModelError::import(graph, "there is no tokenizer.json beside it: name the tokenizer's file"))
        }
    }
}

fn labels(graph: &Path, config: &Config, options: &OnnxOptions) -> Result<Labels> {
    match (&options.labels, &config.id2label) {
        (Some(labels), _) => Ok(labels.clone()),
        (None, Some(names)) => Labels::from_ids(names.values()),
        (None, None) => {
            let problem = "there is no config.json with `id2label` beside it: name the labels, in the order of the logits";
            Err(ModelError::import(graph, problem))
        }
    }
}

/// Runs the graph on the extreme inputs of serving: padding, the highest token, and the longest text.
fn probe(graph: &Path, tokenizer: &Tokenizer, labels: &Labels, max_tokens: usize) -> Result<()> {
    // On the original, before anything is copied: weights in external files can have gigabytes.
    let mut session = Session::open(graph, ClassifierOptions::default().threads, Device::Cpu)?;
    let highest = (tokenizer.vocab_size() - 1) as u32;
    let pad = tokenizer.pad_id();
    let document = |id: u32, length: usize| Encoding { ids: vec![id; length], truncated: false };
    let mut run = |documents: &[Encoding], what: &str| {
        let rows: Vec<&Encoding> = documents.iter().collect();
        let logits = session.run(&TokenBatch::pad(&rows, pad));
        logits.map_err(|error| ModelError::import(graph, format!("it does not run on {what}: {error}")))
    };
    let logits = run(&[document(pad, 3), document(pad, 1)], "two texts of different length")?;
    if logits.labels != labels.len() {
        let ids = labels.ids().join(", ");
        let problem = format!("it has {} logits but there are {} labels: {ids}", logits.labels, labels.len());
        return Err(ModelError::import(graph, problem));
    }
    run(&[document(highest, 1)], &format!("token {highest}, which the tokenizer has"))?;
    run(&[document(pad, max_tokens)], &format!("a text of {max_tokens} tokens, which `max_tokens` allows"))?;
    Ok(())
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
    problem_type: Option<String>,
    id2label: Option<BTreeMap<usize, String>>,
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<usize>,
}

impl Config {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        let config: Self = serde_json::from_slice(&bytes).map_err(ModelError::json(path))?;
        match config.problem_type.as_deref() {
            None | Some("single_label_classification") => Ok(config),
            Some(other) => {
                let problem = format!("`problem_type` is `{other}` but one label of each text must be right");
                Err(ModelError::import(path, problem))
            }
        }
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
mod tests {
    use std::fs;

    use super::*;
    use crate::session::graphs::TestGraph;
    use crate::tokenize::VocabularyOptions;

    /// A directory as exporters write it, with a graph of two labels.
    fn export(config: &Value) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("onnx")).unwrap();
        TestGraph::default().save(&directory.path().join("onnx/model.onnx"));
        let options = VocabularyOptions { min_count: 1, ..VocabularyOptions::default() };
        let tokenizer = Tokenizer::train_subword(&["bank match".to_owned()], &options).unwrap();
        assert!(tokenizer.vocab_size() <= 64, "the graph has no more embeddings");
        tokenizer.save(directory.path()).unwrap();
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        directory
    }

    fn config() -> Value {
        json!({
            "model_type": "xlm-roberta", "id2label": {"1": "sports", "0": "finance"},
            "max_position_embeddings": 66, "pad_token_id": 1, "hidden_size": 48,
        })
    }

    fn import(path: &Path, options: &OnnxOptions) -> Result<Bundle> {
        let root = path.ancestors().find(|path| path.join("config.json").exists()).unwrap();
        onnx(path, &root.join("models"), "news", options)
    }

    #[test]
    fn an_exported_directory_becomes_a_bundle_that_serves() {
        let directory = export(&config());
        let bundle = import(directory.path(), &OnnxOptions::default()).unwrap();
        let bundle = Bundle::open(bundle.path()).unwrap();
        assert_eq!(bundle.labels().ids(), ["finance", "sports"]);
        let model = &bundle.manifest().model;
        assert_eq!((model.max_tokens, model.preset.as_str()), (64, "xlm-roberta"));
        assert_eq!((model.trainable, model.head_trained), (false, true));
        // 64 embeddings and a head of two labels, each 48 wide; constants for axes are not parameters.
        assert_eq!(model.parameters, 48 * (64 + 2));
        let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
        let encodings = classifier.encoder().encode_batch(&["bank", "match match bank"]).unwrap();
        assert_eq!(classifier.classify(&encodings).unwrap().len(), 2);
    }

    /// `tests/references/onnx_graph.py` writes the graph.
    #[test]
    fn a_graph_that_pytorch_exported_gives_the_logits_of_pytorch() {
        #[derive(Deserialize)]
        struct Expected {
            texts: Vec<String>,
            logits: Vec<Vec<f32>>,
        }
        let references = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/references");
        let checkpoint = references.join("bert_classifier");
        let directory = tempfile::tempdir().unwrap();
        for file in [
            references.join("bert_graph/model.onnx"),
            checkpoint.join("config.json"),
            checkpoint.join("tokenizer.json"),
        ] {
            fs::copy(&file, directory.path().join(file.file_name().unwrap())).unwrap();
        }
        let bundle = import(directory.path(), &OnnxOptions::default()).unwrap();
        let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
        let expected = fs::read(checkpoint.join("expected.json")).unwrap();
        let Expected { texts, logits } = serde_json::from_slice(&expected).unwrap();
        let encodings = classifier.encoder().encode_batch(&texts).unwrap();
        let got = classifier.logits(&encodings).unwrap();
        for (got, expected) in got.iter().flatten().zip(logits.iter().flatten()) {
            assert!((got - expected).abs() <= 1e-4, "{got} and {expected}");
        }
        assert_eq!(got.iter().flatten().count(), texts.len() * 3);
    }

    #[test]
    fn external_weights_are_copied_with_the_graph() {
        let directory = export(&config());
        let graph = directory.path().join("onnx/model.onnx");
        let mut bytes = fs::read(&graph).unwrap();
        // Concatenated protocol buffers are parsed as one message, so this adds a tensor to the graph.
        bytes.extend(graph::tests::external_tensor("weights.bin"));
        fs::write(&graph, bytes).unwrap();
        fs::write(directory.path().join("onnx/weights.bin"), [0; 8]).unwrap();
        let bundle = import(&graph, &OnnxOptions::default()).unwrap();
        assert_eq!(fs::read(bundle.path().join("onnx/weights.bin")).unwrap(), [0; 8]);
        fs::remove_file(directory.path().join("onnx/weights.bin")).unwrap();
        let error = import(&graph, &OnnxOptions::default()).unwrap_err().to_string();
        assert!(error.contains("weights.bin"), "{error}");
    }

    #[test]
    fn mismatches_are_refused_by_name_and_nothing_is_published() {
        let three = Labels::from_ids(["a", "b", "c"]).unwrap();
        let short = OnnxOptions { max_tokens: Some(0), ..OnnxOptions::default() };
        let labels = OnnxOptions { labels: Some(three), ..OnnxOptions::default() };
        let with = |key: &str, value: Value| {
            let mut config = config();
            config[key] = value;
            config
        };
        let plain = OnnxOptions::default();
        for (config, options, message) in [
            (config(), &labels, "it has 2 logits but there are 3 labels: a, b, c"),
            (config(), &short, "`max_tokens` is 0"),
            (with("id2label", Value::Null), &plain, "name the labels, in the order of the logits"),
            (with("problem_type", json!("multi_label_classification")), &plain, "`problem_type` is `multi_"),
            (with("id2label", json!({"a": "b"})), &plain, "config.json"),
        ] {
            let directory = export(&config);
            let error = import(directory.path(), options).unwrap_err().to_string();
            assert!(error.contains(message), "`{message}` is not in: {error}");
            assert!(!directory.path().join("models").exists());
        }
    }

    #[test]
    fn a_missing_or_ambiguous_file_is_named() {
        let directory = export(&config());
        let refusal = |path: &Path| import(path, &OnnxOptions::default()).unwrap_err().to_string();
        fs::copy(directory.path().join("onnx/model.onnx"), directory.path().join("onnx/int8.onnx")).unwrap();
        assert!(refusal(directory.path()).contains("name one of: "));
        fs::remove_file(directory.path().join("tokenizer.json")).unwrap();
        assert!(refusal(&directory.path().join("onnx/int8.onnx")).contains("there is no tokenizer.json"));
        fs::remove_dir_all(directory.path().join("onnx")).unwrap();
        assert!(refusal(directory.path()).contains("it holds no .onnx file"));
    }
}
