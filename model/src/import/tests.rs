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
        (config(), &labels, "3 labels are given but the head has 2 outputs (`logits` of the graph)"),
        (config(), &short, "`max_tokens` is 0"),
        (with("problem_type", json!("multi_label_classification")), &plain, "`problem_type` is `multi_"),
        (with("id2label", json!({"a": "b"})), &plain, "config.json: `id2label` has the key `a`"),
        (with("id2label", json!({"0": "a", "2": "b"})), &plain, "1 is missing before 2 (`b`)"),
        (with("id2label", json!({"0": "a"})), &plain, "`id2label` names 1 labels but the head has 2 outputs"),
    ] {
        let directory = export(&config);
        let error = import(directory.path(), options).unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
        assert!(!directory.path().join("models").exists());
    }
}

#[test]
fn labels_that_config_json_does_not_name_are_placeholders_and_without_it_they_must_be_given() {
    let mut silent = config();
    silent["id2label"] = Value::Null;
    let directory = export(&silent);
    let bundle = import(directory.path(), &OnnxOptions::default()).unwrap();
    assert_eq!(bundle.labels().ids(), ["LABEL_0", "LABEL_1"]);

    let root = directory.path().join("models");
    fs::remove_file(directory.path().join("config.json")).unwrap();
    let import = |options: &OnnxOptions| onnx(directory.path(), &root, "news", options);
    let error = import(&OnnxOptions::default()).unwrap_err().to_string();
    assert!(error.contains("name the 2 labels (--labels), in the order of the logits"), "{error}");
    let labels = |ids: &[&str]| OnnxOptions {
        labels: Some(Labels::from_ids(ids.to_vec()).unwrap()),
        ..OnnxOptions::default()
    };
    assert_eq!(import(&labels(&["a", "b"])).unwrap().labels().ids(), ["a", "b"]);
    let error = import(&labels(&["a", "b", "c"])).unwrap_err().to_string();
    assert!(error.contains("model.onnx: 3 labels are given but the head has 2 outputs"), "{error}");
}

#[test]
fn a_graph_with_one_output_is_no_classifier() {
    let directory = export(&config());
    let graph = TestGraph { labels: 1, ..TestGraph::default() };
    graph.save(&directory.path().join("onnx/model.onnx"));
    let error = import(directory.path(), &OnnxOptions::default()).unwrap_err().to_string();
    assert!(error.contains("the head has 1 output (`logits` of the graph): it gives a score"), "{error}");
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
