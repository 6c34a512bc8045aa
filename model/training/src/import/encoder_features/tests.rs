//! Checkpoints with features that PyTorch computed; `model/tests/references/features.py` writes them.

use std::path::PathBuf;

use fenliu_model::Device;
use fenliu_model::batcher::TokenBatch;
use fenliu_model::session::Session;
use serde::Deserialize;

use super::*;
use crate::import::families;
use crate::onnx::{FeaturePooling, PooledTokens, SentenceGraph};
use crate::publish::write_graph;
use crate::testing::has_runtime;

const MEAN: FeaturePooling = FeaturePooling { tokens: PooledTokens::Mean, normalise: false };
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

/// The family of an encoder, and its features of a padded batch and of each text alone, each with the number of its text.
fn features(directory: &Path, pooling: FeaturePooling) -> (&'static str, Vec<(usize, Vec<f32>)>) {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("features.onnx");
    let encoder = open_encoder(directory, None, usize::MAX).unwrap();
    let width = encoder.graph.width;
    write_graph(&SentenceGraph::new(encoder.graph, pooling).features(), &path).unwrap();
    let mut session = Session::open(&path, 1, Device::Cpu).unwrap();
    let ids = read::<Texts>(&directory.join("expected.json")).ids;
    let all: Vec<usize> = (0..ids.len()).collect();
    let mut rows = Vec::new();
    for group in all.iter().map(|row| vec![*row]).chain([all.clone()]) {
        let texts: Vec<&[u32]> = group.iter().map(|row| ids[*row].as_slice()).collect();
        let output = session.run(&TokenBatch::pad(&texts, encoder.tokenizer.pad_id())).unwrap();
        assert_eq!(output.labels, width);
        rows.extend(group.into_iter().zip(output.values.chunks(width).map(<[f32]>::to_vec)));
    }
    (encoder.family, rows)
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
            let (family, rows) = features(&directory, pooling);
            seen.push(family);
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

#[test]
fn what_does_not_fit_the_checkpoint_is_refused() {
    let directory = checkpoints().into_iter().find(|path| path.ends_with("bert_classifier")).unwrap();
    for (limit, max_tokens) in [(9, 9), (512, 72)] {
        assert_eq!(open_encoder(&directory, None, limit).unwrap().max_tokens, max_tokens);
    }
    let error = open_encoder(&directory, Some(73), 72).err().unwrap().to_string();
    assert!(error.contains("`max_tokens` is 73 but must be between 1 and 72"), "{error}");
}
