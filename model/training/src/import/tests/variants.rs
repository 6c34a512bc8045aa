//! The same weights as they come out of other programs: other names, files and types.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde_json::Map;

use super::*;

const SAFETENSORS: &str = "model.safetensors";

fn tensors(directory: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(directory.join(SAFETENSORS), &Device::Cpu).unwrap()
}

fn save(directory: &Path, file: &str, tensors: &HashMap<String, Tensor>) {
    candle_core::safetensors::save(tensors, directory.join(file)).unwrap();
}

/// Changes the tensors of a checkpoint.
fn change(directory: &Path, change: impl Fn(&mut HashMap<String, Tensor>)) {
    let mut all = tensors(directory);
    change(&mut all);
    save(directory, SAFETENSORS, &all);
}

fn rename(directory: &Path, rename: impl Fn(&str) -> String) {
    change(directory, |all| *all = all.drain().map(|(name, tensor)| (rename(&name), tensor)).collect());
}

/// Replaces keys of `config.json`; null removes one.
fn configure(directory: &Path, keys: &Value) {
    let path = directory.join("config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in keys.as_object().unwrap() {
        match value {
            Value::Null => _ = config.remove(key),
            value => _ = config.insert(key.clone(), value.clone()),
        }
    }
    std::fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
}

/// Checks the logits of a changed checkpoint against those of PyTorch for the original one.
fn assert_logits(name: &str, directory: &Path) {
    let expected = expected(name);
    let (_root, bundle) = import(directory, &ImportOptions::default()).expect(name);
    assert!(bundle.manifest().model.head_trained, "{name}");
    for (row, logits) in logits(&bundle, &expected) {
        assert_close(name, &logits, &expected.logits[row]);
    }
}

#[test]
fn names_of_wrappers_are_left_out() {
    if !has_runtime() {
        return;
    }
    for (name, _) in classifiers().filter(|(name, _)| *name != "bert_cased_classifier") {
        let directory = copy(name);
        rename(directory.path(), |tensor| format!("module.{tensor}"));
        assert_logits(name, directory.path());
    }
    for wrapper in ["_orig_mod.", "module._orig_mod.", "model.", "net.classifier."] {
        let directory = copy("bert_classifier");
        rename(directory.path(), |tensor| format!("{wrapper}{tensor}"));
        assert_logits("bert_classifier", directory.path());
    }
}

#[test]
fn a_wrapped_encoder_beside_a_bare_head_is_refused() {
    let directory = copy("bert_classifier");
    rename(directory.path(), |tensor| tensor.replace("bert.", "module.bert."));
    let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
    let message = "model.safetensors: the encoder's tensors lie under `module.` (as in \
                   `module.bert.embeddings.word_embeddings.weight`) but others do not (`classifier.bias`, \
                   `classifier.weight`)";
    assert!(error.contains(message), "{error}");
}

#[test]
fn weights_in_shards_are_read() {
    if !has_runtime() {
        return;
    }
    for name in
        ["bert_classifier", "albert_classifier", "modernbert_classifier", "deberta_v2_conv_classifier"]
    {
        let directory = copy(name);
        split(directory.path());
        assert_logits(name, directory.path());
    }
}

/// Divides the weights of a checkpoint into three files.
fn split(directory: &Path) {
    let mut map = Map::new();
    let mut shards: [HashMap<String, Tensor>; 3] = Default::default();
    for (number, (name, tensor)) in tensors(directory).into_iter().enumerate() {
        map.insert(name.clone(), json!(format!("model-0000{}-of-00003.safetensors", number % 3 + 1)));
        shards[number % 3].insert(name, tensor);
    }
    for (number, shard) in shards.iter().enumerate() {
        save(directory, &format!("model-0000{}-of-00003.safetensors", number + 1), shard);
    }
    std::fs::remove_file(directory.join(SAFETENSORS)).unwrap();
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(directory.join("model.safetensors.index.json"), index).unwrap();
}

#[test]
fn pickles_in_shards_are_read() {
    if !has_runtime() {
        return;
    }
    let directory = copy("bert_cased_classifier");
    let whole = directory.path().join("pytorch_model.bin");
    let pickle = candle_core::pickle::PthTensors::new(&whole, None).unwrap();
    let mut names: Vec<&String> = pickle.tensor_infos().keys().collect();
    names.sort();
    let entry = |(number, name): (usize, &&String)| {
        ((**name).clone(), json!(format!("pytorch_model-0000{}-of-00002.bin", number % 2 + 1)))
    };
    let map: Map<String, Value> = names.iter().enumerate().map(entry).collect();
    std::fs::copy(&whole, directory.path().join("pytorch_model-00001-of-00002.bin")).unwrap();
    std::fs::rename(&whole, directory.path().join("pytorch_model-00002-of-00002.bin")).unwrap();
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(directory.path().join("pytorch_model.bin.index.json"), index).unwrap();
    assert_logits("bert_cased_classifier", directory.path());
}

#[test]
fn weights_of_half_precision_become_the_nearest_floats() {
    if !has_runtime() {
        return;
    }
    let expected = expected("bert_classifier");
    // Logits of the rounded weights differ from those of the exact ones: by less than these.
    for (dtype, tolerance) in [(DType::F16, 0.005), (DType::BF16, 0.03), (DType::F64, 1e-4)] {
        let directory = copy("bert_classifier");
        change(directory.path(), |all| {
            for tensor in all.values_mut().filter(|tensor| tensor.dtype() == DType::F32) {
                *tensor = tensor.to_dtype(dtype).unwrap();
            }
        });
        let rounded = tensors(directory.path())["classifier.bias"].to_dtype(DType::F32).unwrap();
        let (_root, bundle) = import(directory.path(), &ImportOptions::default()).unwrap();
        let mut weights = Weights::read(&bundle.path().join("weights/model.safetensors")).unwrap();
        assert_eq!(weights.take("head.bias", &[3]).unwrap(), rounded.to_vec1::<f32>().unwrap());
        for (row, logits) in logits(&bundle, &expected) {
            for (got, exact) in logits.iter().zip(&expected.logits[row]) {
                assert!((got - exact).abs() <= tolerance, "{dtype:?}: {got} and {exact}");
            }
        }
    }
}

#[test]
fn half_precision_and_labels_of_the_head_alone_are_read_for_every_family() {
    if !has_runtime() {
        return;
    }
    for (name, _) in classifiers().filter(|(name, _)| *name != "bert_cased_classifier") {
        let expected = expected(name);
        let directory = copy(name);
        change(directory.path(), |all| {
            for tensor in all.values_mut().filter(|tensor| tensor.dtype() == DType::F32) {
                *tensor = tensor.to_dtype(DType::F16).unwrap();
            }
        });
        configure(directory.path(), &json!({"id2label": null, "label2id": null}));
        let (_root, bundle) = import(directory.path(), &ImportOptions::default()).expect(name);
        let placeholders = (0..expected.logits[0].len()).map(|number| format!("LABEL_{number}"));
        assert_eq!(bundle.labels().ids(), placeholders.collect::<Vec<_>>(), "{name}");
        for (row, logits) in logits(&bundle, &expected) {
            for (got, exact) in logits.iter().zip(&expected.logits[row]) {
                // The rounding of the weights.
                assert!((got - exact).abs() <= 0.05, "{name}: {got} and {exact}");
            }
        }
    }
}

/// A checkpoint whose head has this many outputs.
fn with_outputs(outputs: usize) -> tempfile::TempDir {
    let directory = copy("bert_classifier");
    change(directory.path(), |all| {
        let weight = Tensor::ones((outputs, 16), DType::F32, &Device::Cpu).unwrap();
        all.insert("classifier.weight".to_owned(), weight);
        all.insert("classifier.bias".to_owned(), Tensor::zeros(outputs, DType::F32, &Device::Cpu).unwrap());
    });
    configure(directory.path(), &json!({"id2label": null, "label2id": null}));
    directory
}

fn chosen(ids: &[&str]) -> ImportOptions {
    ImportOptions { labels: Some(Labels::from_ids(ids.to_vec()).unwrap()), ..ImportOptions::default() }
}

#[test]
fn the_head_says_how_many_labels_there_are() {
    if !has_runtime() {
        return;
    }
    let four = chosen(&["a", "b", "c", "d"]);
    let plain = ImportOptions::default();
    let cases = [
        (json!({}), &plain, ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]),
        (json!({}), &four, ["a", "b", "c", "d"]),
        (json!({"num_labels": 4}), &plain, ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]),
        (json!({"num_labels": 4}), &four, ["a", "b", "c", "d"]),
        (
            json!({"label2id": {"vote": 3, "money": 0, "sport": 1, "weather": 2}}),
            &plain,
            ["money", "sport", "weather", "vote"],
        ),
        (json!({"id2label": {"2": 2, "0": 0, "3": 3, "1": 1}}), &plain, ["0", "1", "2", "3"]),
        (json!({"id2label": {"0": "L", "1": "L", "2": "other", "3": ""}}), &four, ["a", "b", "c", "d"]),
    ];
    let directory = with_outputs(4);
    let original = std::fs::read(directory.path().join("config.json")).unwrap();
    for (keys, options, labels) in cases {
        std::fs::write(directory.path().join("config.json"), &original).unwrap();
        configure(directory.path(), &keys);
        let (_root, bundle) = import(directory.path(), options).unwrap();
        assert_eq!(bundle.labels().ids(), labels, "{keys}");
    }
}

#[test]
fn heads_that_labels_do_not_fit_are_refused_with_file_key_and_advice() {
    let gap = json!({"id2label": {"10": "x", "2": "c", "0": "a", "1": "b"}});
    let twice = json!({"id2label": {"0": "LABEL", "1": "LABEL", "2": "other", "3": ""}});
    let plain = ImportOptions::default();
    let cases = [
        (
            4,
            json!({}),
            chosen(&["a", "b"]),
            "config.json: 2 labels are given but the head has 4 outputs (`classifier.weight` of model.safetensors); give 4 labels",
        ),
        (
            4,
            gap,
            plain.clone(),
            "config.json: `id2label` does not number labels from 0 without a gap: 3 is missing",
        ),
        (
            4,
            twice,
            plain.clone(),
            "config.json: in `id2label` 0 and 1 are both named `LABEL`, the name of 3 is empty",
        ),
        (4, json!({"num_labels": 2}), plain.clone(), "`num_labels` is 2 but the head has 4 outputs"),
        (
            1,
            json!({"id2label": {"0": "relevance"}}),
            plain.clone(),
            "config.json: the head has 1 output (`classifier.weight` of model.safetensors): it gives a score",
        ),
        (1, json!({"problem_type": "regression"}), plain.clone(), "and `problem_type` is `regression`"),
        (1, json!({}), chosen(&["no", "yes"]), "the head has 1 output"),
    ];
    for (outputs, keys, options, message) in cases {
        let directory = with_outputs(outputs);
        configure(directory.path(), &keys);
        let error = import(directory.path(), &options).unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }
}

#[test]
fn a_head_that_config_json_names_must_be_there() {
    if !has_runtime() {
        return;
    }
    let directory = copy("bert_classifier");
    rename(directory.path(), |tensor| tensor.replace("classifier.", "score."));
    let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
    let message = "config.json: `architectures` names BertForSequenceClassification, but model.safetensors has no tensor \
                   `classifier.weight` (beside the encoder are `score.bias`, `score.weight`)";
    assert!(error.contains(message), "{error}");
    // As the message advises.
    configure(directory.path(), &json!({"architectures": []}));
    let (_root, bundle) = import(directory.path(), &ImportOptions::default()).unwrap();
    assert!(!bundle.manifest().model.head_trained);
}

#[test]
fn weights_of_another_family_are_refused() {
    let directory = copy("roberta_classifier");
    configure(directory.path(), &json!({"model_type": "bert"}));
    let error = import(directory.path(), &ImportOptions::default()).unwrap_err().to_string();
    let message =
        "the encoder's tensors are named `roberta.…` but `model_type` in config.json asks for `bert.…`";
    assert!(error.contains(message), "{error}");
}

#[test]
fn lower_casing_is_that_of_tokenizer_config() {
    if !has_runtime() {
        return;
    }
    // The vocabulary has both `The` and `the`; the special tokens are around them.
    let tokens = |settings: &str| {
        let directory = copy("bert_classifier");
        std::fs::write(directory.path().join("tokenizer_config.json"), settings).unwrap();
        let (_root, bundle) = import(directory.path(), &ImportOptions::default()).unwrap();
        bundle.tokenizer().unwrap().encode("The the", 9).unwrap().ids
    };
    assert_eq!(tokens(r#"{"do_lower_case": true}"#), [2, 5, 5, 3]);
    assert_eq!(tokens(r#"{"do_lower_case": false}"#), [2, 6, 5, 3]);
}
