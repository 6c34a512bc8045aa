//! Checkpoints with recorded outputs of PyTorch; `model/tests/references/huggingface.py` writes them.

use std::path::PathBuf;

use fenliu_model::batcher::TokenBatch;
use fenliu_model::session::Session;
use fenliu_model::{Classifier, ClassifierOptions, Device, Example};
use prost::Message;
use serde::Deserialize;

use super::*;
use crate::testing::has_runtime;
use crate::weights::Weights;
use crate::{Adaptation, FineTuneOptions, FineTuneRequest, Optimisation, stage_finetuned};

mod variants;

/// Recorded outputs of `transformers`.
#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    logits: Vec<Vec<f32>>,
    #[serde(default)]
    mean: Vec<Vec<f32>>,
    #[serde(default)]
    first_token: Vec<Vec<f32>>,
}

fn checkpoint(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/references").join(name)
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&std::fs::read(checkpoint(name).join("expected.json")).unwrap()).unwrap()
}

/// A copy of a checkpoint, to be changed.
fn copy(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(checkpoint(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    directory
}

/// Replaces a part of a file.
fn edit(directory: &Path, file: &str, from: &str, to: &str) {
    let path = directory.join(file);
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.contains(from), "`{from}` is not in {content}");
    std::fs::write(path, content.replace(from, to)).unwrap();
}

fn import(directory: &Path, options: &ImportOptions) -> Result<(tempfile::TempDir, Bundle)> {
    let root = tempfile::tempdir().unwrap();
    let bundle = huggingface(directory, root.path(), "imported", options)?;
    Ok((root, bundle))
}

/// Logits of the bundle's graph for texts of `expected` as one padded batch, and each alone.
fn logits(bundle: &Bundle, expected: &Expected) -> Vec<(usize, Vec<f32>)> {
    let model = &bundle.manifest().model;
    let encodings = bundle.tokenizer().unwrap().encode_batch(&expected.texts, model.max_tokens).unwrap();
    let ids: Vec<_> = encodings.iter().map(|encoding| encoding.ids.clone()).collect();
    assert_eq!(ids, expected.ids);
    let mut session = Session::open(&bundle.onnx_path().unwrap(), 1, Device::Cpu).unwrap();
    let all: Vec<usize> = (0..encodings.len()).collect();
    let groups = all.iter().map(|row| vec![*row]).chain([all.clone()]);
    let mut results = Vec::new();
    for rows in groups {
        let members: Vec<&[u32]> = rows.iter().map(|row| encodings[*row].ids.as_slice()).collect();
        let output = session.run(&TokenBatch::pad(&members, model.pad_id)).unwrap();
        results.extend(rows.into_iter().zip(output.values.chunks(output.labels).map(<[f32]>::to_vec)));
    }
    results
}

fn assert_close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-4, "{name}: {got} and {expected}");
    }
}

/// Checkpoints with a head that become our network.
const NETWORKS: [&str; 9] = [
    "bert_classifier",
    "bert_cased_classifier",
    "roberta_classifier",
    "distilbert_classifier",
    "electra_classifier",
    "camembert_classifier",
    "ernie_classifier",
    "albert_classifier",
    "megatron_bert_classifier",
];

/// Checkpoints with a head that can be served only.
const GRAPHS: [&str; 6] = [
    "mpnet_classifier",
    "modernbert_classifier",
    "modernbert_biased_classifier",
    "deberta_v2_classifier",
    "deberta_v2_conv_classifier",
    "roformer_classifier",
];

/// All checkpoints with a head, and whether they can be trained further.
fn classifiers() -> impl Iterator<Item = (&'static str, bool)> {
    NETWORKS.iter().map(|name| (*name, true)).chain(GRAPHS.iter().map(|name| (*name, false)))
}

#[test]
fn classifiers_give_the_logits_of_pytorch() {
    if !has_runtime() {
        return;
    }
    for (name, is_trainable) in classifiers() {
        let expected = expected(name);
        let (_root, bundle) = import(&checkpoint(name), &ImportOptions::default()).expect(name);
        assert_eq!(bundle.manifest().model.trainable, is_trainable, "{name}");
        for (row, logits) in logits(&bundle, &expected) {
            assert_close(name, &logits, &expected.logits[row]);
        }
        let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
        let encodings = classifier.encoder().encode_batch(&expected.texts).unwrap();
        assert_eq!(classifier.classify(&encodings).unwrap().len(), expected.texts.len());
    }
}

#[test]
fn every_family_has_a_checkpoint_with_recorded_outputs() {
    let model_type = |name: &str| -> String {
        let file = std::fs::read(checkpoint(name).join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&file).unwrap();
        config["model_type"].as_str().unwrap().to_owned()
    };
    let recorded: Vec<String> = classifiers().map(|(name, _)| model_type(name)).collect();
    for family in families::ALL.iter().filter(|family| family.name != "xlm-roberta") {
        assert!(recorded.iter().any(|name| name == family.name), "{}", family.name);
    }
}

#[test]
fn xlm_roberta_has_the_logits_of_roberta() {
    if !has_runtime() {
        return;
    }
    let expected = expected("roberta_classifier");
    let directory = copy("roberta_classifier");
    edit(directory.path(), "config.json", "\"roberta\"", "\"xlm-roberta\"");
    let (_root, bundle) = import(directory.path(), &ImportOptions::default()).unwrap();
    for (row, logits) in logits(&bundle, &expected) {
        assert_close("xlm-roberta", &logits, &expected.logits[row]);
    }
}

#[test]
fn layers_that_albert_shares_are_stored_once_in_the_graph() {
    if !has_runtime() {
        return;
    }
    let (_root, bundle) = import(&checkpoint("albert_classifier"), &ImportOptions::default()).unwrap();
    let graph = std::fs::read(bundle.onnx_path().unwrap()).unwrap();
    let graph = fenliu_model::onnx::ModelProto::decode(graph.as_slice()).unwrap().graph.unwrap();
    let expansions = graph.initializer.iter().filter(|tensor| tensor.name.ends_with("expand.weight"));
    assert_eq!(expansions.count(), 2, "four layers in two groups");
}

#[test]
fn families_that_are_served_only_are_not_tuned_and_need_a_head() {
    if !has_runtime() {
        return;
    }
    let (root, base) = import(&checkpoint("mpnet_classifier"), &ImportOptions::default()).unwrap();
    let options = FineTuneOptions::new(&base, Adaptation::Head);
    let row = Example { text: "bank".to_owned(), label: "LABEL_0".to_owned(), group: None };
    let request = FineTuneRequest {
        base: &base,
        destination: crate::Destination { root: root.path(), name: "imported" },
        train: vec![row.clone()],
        further: false,
        dev: vec![row],
        preprocessing: Value::Null,
        options: &options,
        work: None,
    };
    let error = stage_finetuned(request, &mut ()).err().unwrap().to_string();
    assert!(
        error.contains("its encoder is of the family mpnet, which can be served but not trained here"),
        "{error}"
    );

    let directory = copy("mpnet_classifier");
    edit(directory.path(), "config.json", "MPNetForSequenceClassification", "MPNetForMaskedLM");
    let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("no trained classification head, and the family mpnet can be served but not"),
        "{error}"
    );
}

/// `x W + b` of a dense layer of the bundle.
fn linear(weights: &Weights, name: &str, x: &[f32], outputs: usize) -> Vec<f32> {
    let mut weights = weights.clone();
    let matrix = weights.take(&format!("{name}.weight"), &[x.len(), outputs]).unwrap();
    let mut sums = weights.take(&format!("{name}.bias"), &[outputs]).unwrap();
    for (x, row) in x.iter().zip(matrix.chunks(outputs)) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += x * weight);
    }
    sums
}

#[test]
fn an_encoder_gets_a_head_over_the_hidden_states_of_pytorch() {
    if !has_runtime() {
        return;
    }
    let name = "bert_encoder";
    let expected = expected(name);
    for pooling in [None, Some(Pooling::Mean), Some(Pooling::FirstToken)] {
        let options = ImportOptions { pooling, ..ImportOptions::default() };
        let (_root, bundle) = import(&checkpoint(name), &options).unwrap();
        let weights = Weights::read(&bundle.path().join("weights/model.safetensors")).unwrap();
        for (row, logits) in logits(&bundle, &expected) {
            let pooled = match pooling {
                Some(Pooling::FirstToken) => {
                    let dense = linear(&weights, "pooler", &expected.first_token[row], 16);
                    dense.into_iter().map(f32::tanh).collect()
                }
                _ => expected.mean[row].clone(),
            };
            assert_close(name, &logits, &linear(&weights, "head", &pooled, 2));
        }
        assert_eq!(bundle.labels().ids(), ["LABEL_0", "LABEL_1"]);
        assert!(!bundle.manifest().model.head_trained);
        let error = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no trained classification head: fine-tune it first"), "{error}");
    }
}

#[test]
fn labels_and_length_are_those_of_the_checkpoint_or_chosen() {
    if !has_runtime() {
        return;
    }
    let chosen = |ids: &[&str]| ImportOptions {
        labels: Some(Labels::from_ids(ids.to_vec()).unwrap()),
        ..ImportOptions::default()
    };
    let tokens = |max_tokens| ImportOptions { max_tokens: Some(max_tokens), ..ImportOptions::default() };
    let cases = [
        ("bert_classifier", ImportOptions::default(), vec!["finance", "sports", "weather"], 72),
        ("bert_classifier", chosen(&["a", "b", "c"]), vec!["a", "b", "c"], 72),
        ("bert_encoder", chosen(&["a", "b", "c"]), vec!["a", "b", "c"], 72),
        ("roberta_classifier", tokens(9), vec!["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"], 9),
        ("roberta_classifier", tokens(70), vec!["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"], 70),
    ];
    for (name, options, labels, max_tokens) in cases {
        let (_root, bundle) = import(&checkpoint(name), &options).unwrap();
        assert_eq!(
            (bundle.labels().ids(), bundle.manifest().model.max_tokens),
            (labels.into_iter().map(String::from).collect(), max_tokens)
        );
        assert_eq!(bundle.manifest().model.training, json!({ "imported_from": name }));
    }
    for (name, options, message) in [
        ("bert_classifier", chosen(&["a", "b"]), "2 labels are given but the head has 3"),
        ("bert_classifier", tokens(73), "`max_tokens` is 73 but must be between 1 and 72"),
        ("roberta_classifier", tokens(71), "must be between 1 and 70"),
        ("bert_classifier", tokens(2), "must be more than the 2 special tokens"),
    ] {
        let error = import(&checkpoint(name), &options).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn settings_that_are_not_implemented_are_refused_by_name() {
    let cases = [
        (
            "\"bert\"",
            "\"gpt2\"",
            "`model_type` is `gpt2` but must be one of bert, roberta, xlm-roberta, camembert, distilbert, electra, ernie, \
             albert, mpnet, deberta-v2, modernbert, roformer, megatron-bert",
        ),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"silu\"", "`hidden_act` is `silu`"),
        (
            "\"model_type\"",
            "\"position_embedding_type\": \"relative_key\", \"model_type\"",
            "`position_embedding_type` is `relative_key` but must be `absolute`",
        ),
        ("\"is_decoder\": false", "\"is_decoder\": true", "`is_decoder` is true"),
        (
            "\"model_type\"",
            "\"problem_type\": \"multi_label_classification\", \"model_type\"",
            "`problem_type` is `multi_label_classification`",
        ),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "shared by 3 attention heads"),
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "`hidden_size` is 32 but the embeddings are 16 wide"),
        ("\"intermediate_size\": 24", "\"intermediate_size\": 48", "asks for [48, 16]"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "encoder.layer.2"),
        ("\"0\": \"finance\"", "\"3\": \"finance\"", "`id2label` does not number labels from 0"),
        ("\"hidden_size\": 16,", "", "missing field `hidden_size`"),
    ];
    for (from, to, message) in cases {
        let directory = copy("bert_classifier");
        edit(directory.path(), "config.json", from, to);
        let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }
}

#[test]
fn files_that_are_missing_or_do_not_belong_together_are_named() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 8] = [
        (
            "bert_classifier",
            |path| {
                let weights = path.join("model.safetensors");
                let whole = std::fs::read(&weights).unwrap();
                std::fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
            },
            "model.safetensors: ",
        ),
        (
            "roberta_classifier",
            |path| {
                let huge = format!("\"pad_token_id\": {}", usize::MAX);
                edit(path, "config.json", "\"pad_token_id\": 1", &huge);
            },
            "`pad_token_id` leaves none of the 72 positions",
        ),
        (
            "bert_classifier",
            |path| std::fs::remove_file(path.join("model.safetensors")).unwrap(),
            "neither model.safetensors nor pytorch_model.bin",
        ),
        ("bert_classifier", |path| std::fs::remove_file(path.join("config.json")).unwrap(), "config.json"),
        (
            "bert_classifier",
            |path| std::fs::remove_file(path.join("tokenizer.json")).unwrap(),
            "neither tokenizer.json nor vocab.txt",
        ),
        (
            "bert_cased_classifier",
            |path| std::fs::write(path.join("pytorch_model.bin"), b"\x80\x02").unwrap(),
            "pytorch_model.bin: ",
        ),
        (
            "bert_cased_classifier",
            |path| edit(path, "vocab.txt", "[SEP]\n", "[END]\n"),
            "vocab.txt: there is no line `[SEP]`",
        ),
        (
            "bert_encoder",
            |path| {
                let mut vocabulary = std::fs::read_to_string(path.join("vocab.txt")).unwrap();
                vocabulary.extend((0..40).map(|number| format!("word{number}\n")));
                std::fs::write(path.join("vocab.txt"), vocabulary).unwrap();
            },
            "there are embeddings of 100: they do not belong together",
        ),
    ];
    for (name, damage, message) in cases {
        let directory = copy(name);
        damage(directory.path());
        let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }
}

#[test]
fn heads_for_other_tasks_are_not_taken_for_a_classifier() {
    if !has_runtime() {
        return;
    }
    let directory = copy("bert_classifier");
    edit(directory.path(), "config.json", "BertForSequenceClassification", "BertForMultipleChoice");
    let (_root, bundle) = import(directory.path(), &ImportOptions::default()).unwrap();
    assert!(!bundle.manifest().model.head_trained);
}

#[test]
fn an_imported_encoder_is_fine_tuned_into_a_classifier() {
    if !has_runtime() {
        return;
    }
    let (root, base) = import(&checkpoint("bert_encoder"), &ImportOptions::default()).unwrap();
    let row = |number: usize| {
        let (label, word) = if number.is_multiple_of(2) { ("money", "bank") } else { ("weather", "fell") };
        let fillers = ["the", "rate", "after"].iter().cycle().skip(number).take(2 + number % 3);
        let text = fillers.copied().chain([word]).collect::<Vec<_>>().join(" ");
        Example { text, label: label.to_owned(), group: None }
    };
    let train: Vec<Example> = (0..120).map(row).collect();
    let dev = train.iter().take(20).cloned().collect();
    let mut options = FineTuneOptions::new(&base, Adaptation::Full);
    options.optimisation =
        Optimisation { epochs: 12, batch_rows: 8, learning_rate: 5e-3, dropout: 0.0, ..options.optimisation };
    options.transfer.head_learning_rate = 1e-2;
    let request = FineTuneRequest {
        base: &base,
        destination: crate::Destination { root: root.path(), name: "imported" },
        train,
        further: false,
        dev,
        preprocessing: Value::Null,
        options: &options,
        work: None,
    };
    let staged = stage_finetuned(request, &mut ()).unwrap();
    assert_eq!(staged.report().dev.as_ref().map(|dev| dev.accuracy), Some(1.0));
    let bundle = staged.publish().unwrap();
    assert_eq!(bundle.labels().ids(), ["money", "weather"]);
    let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
    let encodings =
        classifier.encoder().encode_batch(&["rate after the bank", "rate after the fell"]).unwrap();
    let labels = classifier.classify(&encodings).unwrap();
    assert_eq!([labels[0].top(1)[0].0, labels[1].top(1)[0].0], [0, 1]);
}
