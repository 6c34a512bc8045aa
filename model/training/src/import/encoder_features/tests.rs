//! Checkpoints with features that PyTorch computed; `model/tests/references/features.py` writes them.

use std::path::PathBuf;

use fenliu_model::Device;
use fenliu_model::batcher::TokenBatch;
use fenliu_model::onnx::ModelProto;
use fenliu_model::session::Session;
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::import::families;
use crate::testing::has_runtime;

const MEAN: FeaturePooling = DEFAULT;
const CLS: FeaturePooling = FeaturePooling { tokens: PooledTokens::Cls, normalise: false };
const MAX: FeaturePooling = FeaturePooling { tokens: PooledTokens::Max, normalise: false };

#[derive(Deserialize)]
struct Texts {
    ids: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Expected {
    mean: Vec<Vec<f32>>,
    max: Vec<Vec<f32>>,
    cls: Vec<Vec<f32>>,
}

/// All directories with recorded features.
fn checkpoints() -> Vec<PathBuf> {
    let references = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/references");
    let entries = std::fs::read_dir(references).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("features.json").exists()).collect()
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The features of the exported graph for a padded batch, and for each text alone.
fn features(directory: &Path, pooling: FeaturePooling) -> (EncoderFeatures, Vec<(usize, Vec<f32>)>) {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("graphs/features.onnx");
    let options = FeatureOptions { pooling: Some(pooling), max_tokens: None };
    let exported = export_features(directory, &path, &options).unwrap();
    rename_output(&path);
    let mut session = Session::open(&path, 1, Device::Cpu).unwrap();
    let ids = read::<Texts>(&directory.join("expected.json")).ids;
    let all: Vec<usize> = (0..ids.len()).collect();
    let mut rows = Vec::new();
    for group in all.iter().map(|row| vec![*row]).chain([all.clone()]) {
        let texts: Vec<&[u32]> = group.iter().map(|row| ids[*row].as_slice()).collect();
        let output = session.run(&TokenBatch::pad(&texts, exported.tokenizer.pad_id())).unwrap();
        assert_eq!(output.labels, exported.width);
        rows.extend(group.into_iter().zip(output.values.chunks(exported.width).map(<[f32]>::to_vec)));
    }
    (exported, rows)
}

/// A session reads `logits`; the graph's output has another name.
fn rename_output(path: &Path) {
    let mut model = ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let [output] = &mut graph.output[..] else { panic!("one output") };
    assert_eq!(std::mem::replace(&mut output.name, "logits".to_owned()), "features");
    for name in graph.node.iter_mut().flat_map(|node| &mut node.output) {
        if name == "features" {
            "logits".clone_into(name);
        }
    }
    std::fs::write(path, model.encode_to_vec()).unwrap();
}

#[test]
fn features_of_every_family_are_those_of_pytorch() {
    if !has_runtime() {
        return;
    }
    let mut seen = Vec::new();
    for directory in checkpoints() {
        let expected: Expected = read(&directory.join("features.json"));
        for (pooling, expected) in [(MEAN, &expected.mean), (MAX, &expected.max), (CLS, &expected.cls)] {
            let (exported, rows) = features(&directory, pooling);
            assert_eq!((exported.pooling, exported.width), (pooling, 16));
            seen.push(exported.family);
            for (row, features) in rows {
                for (got, expected) in features.iter().zip(&expected[row]) {
                    let name = directory.display();
                    assert!((got - expected).abs() <= 1e-4, "{name}, {pooling:?}: {got} and {expected}");
                }
            }
        }
    }
    for family in families::ALL.iter().filter(|family| family.name != "xlm-roberta") {
        assert!(seen.contains(&family.name), "{}", family.name);
    }
}

#[test]
fn normalised_features_have_a_length_of_1() {
    if !has_runtime() {
        return;
    }
    let directory = checkpoints().into_iter().find(|path| path.ends_with("bert_classifier")).unwrap();
    let expected: Expected = read(&directory.join("features.json"));
    let (_, rows) = features(&directory, FeaturePooling { normalise: true, ..MEAN });
    for (row, features) in rows {
        let length = expected.mean[row].iter().map(|value| value * value).sum::<f32>().sqrt();
        for (got, expected) in features.iter().zip(&expected.mean[row]) {
            assert!((got - expected / length).abs() <= 1e-5, "{got} and {expected} / {length}");
        }
    }
}

/// A copy of a checkpoint with files of sentence-transformers.
fn with_files(files: &[(&str, Value)]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let directory = checkpoints().into_iter().find(|path| path.ends_with("bert_classifier")).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(directory.join(file), copy.path().join(file)).unwrap();
    }
    for (file, content) in files {
        let path = copy.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content.to_string()).unwrap();
    }
    copy
}

fn modules(classes: &[&str]) -> Value {
    let module = |(number, class): (usize, &&str)| {
        let path = if number == 0 { String::new() } else { format!("{number}_{class}") };
        json!({"idx": number, "name": "", "path": path, "type": format!("sentence_transformers.models.{class}")})
    };
    classes.iter().enumerate().map(module).collect()
}

fn export(directory: &Path, options: &FeatureOptions) -> Result<EncoderFeatures> {
    export_features(directory, &directory.join("features.onnx"), options)
}

#[test]
fn files_of_sentence_transformers_say_what_is_not_chosen() {
    let cls = json!({"word_embedding_dimension": 16, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "include_prompt": true});
    let max = json!({"pooling_mode_max_tokens": true});
    let pooling = |pooling: &Value| ("1_Pooling/config.json", pooling.clone());
    let normalised = ("modules.json", modules(&["Transformer", "Pooling", "Normalize"]));
    let plain = ("modules.json", modules(&["Transformer", "Pooling"]));
    let limit = |tokens: usize| {
        ("sentence_bert_config.json", json!({"max_seq_length": tokens, "do_lower_case": false}))
    };
    for (files, expected, max_tokens) in [
        (vec![], MEAN, 72),
        (vec![pooling(&cls)], CLS, 72),
        (vec![pooling(&cls), normalised.clone()], FeaturePooling { normalise: true, ..CLS }, 72),
        (vec![pooling(&max), plain.clone(), limit(9)], MAX, 9),
        // More than the checkpoint has positions.
        (vec![limit(512)], MEAN, 72),
    ] {
        let directory = with_files(&files);
        let exported = export(directory.path(), &FeatureOptions::default()).unwrap();
        assert_eq!((exported.pooling, exported.max_tokens), (expected, max_tokens), "{files:?}");
        let chosen = FeatureOptions { pooling: Some(MAX), max_tokens: Some(8) };
        let exported = export(directory.path(), &chosen).unwrap();
        assert_eq!((exported.pooling, exported.max_tokens), (MAX, 8));
    }
}

#[test]
fn steps_that_are_not_implemented_are_named_unless_the_pooling_is_chosen() {
    let weighted = json!({"pooling_mode_weightedmean_tokens": true});
    let both = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true});
    let outside = json!([{"path": "../1_Pooling", "type": "sentence_transformers.models.Pooling"}]);
    let plain = ("modules.json", modules(&["Transformer", "Pooling"]));
    for (files, message) in [
        (vec![("1_Pooling/config.json", weighted)], "the pooling is `weightedmean_tokens`"),
        (vec![("1_Pooling/config.json", both)], "the pooling is `cls_token, mean_tokens`"),
        (vec![("modules.json", modules(&["Transformer", "Dense"]))], "the step `Dense` is not implemented"),
        (vec![("modules.json", outside)], "the path `../1_Pooling` is not a directory beside the file"),
        (vec![plain], "no step is a `Pooling` with a configuration"),
    ] {
        let directory = with_files(&files);
        let error = export(directory.path(), &FeatureOptions::default()).unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
        export(directory.path(), &FeatureOptions { pooling: Some(MEAN), max_tokens: None }).unwrap();
    }
}

#[test]
fn what_does_not_fit_the_checkpoint_is_refused() {
    let directory = with_files(&[]);
    let options = FeatureOptions { pooling: None, max_tokens: Some(73) };
    let error = export(directory.path(), &options).unwrap_err().to_string();
    assert!(error.contains("`max_tokens` is 73 but must be between 1 and 72"), "{error}");
}
