//! Training over tiny encoders with random weights, which were written by `transformers` together with their states.

use std::path::{Path, PathBuf};

use fenliu_model::{Bundle, Classifier, Example, Label};
use serde_json::json;

use super::embed::Embedder;
use super::*;
use crate::observer::EmbeddingWork;
use crate::testing::has_runtime;

/// More than guessing one of two labels: the vectors of random weights tell little.
const CHANCE: f64 = 0.55;

/// An encoder without a head.
fn encoder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/references/bert_encoder")
}

/// Rows of two labels in words of the encoder's vocabulary. The word that determines the label makes up most of a text, so
/// that vectors of random weights tell it. A third of the texts has a word that no other has.
fn examples(rows: usize) -> Vec<Example> {
    let filler = ["the", "after", "fell", "rose"];
    let row = |number: usize| {
        let label = if number.is_multiple_of(2) { "bank" } else { "rate" };
        let mut words: Vec<&str> = (0..1 + number % 3).map(|k| filler[(number / 2 + k * k) % 4]).collect();
        words.extend([label; 6]);
        let unfamiliar = format!("z{number}");
        if (number / 2).is_multiple_of(3) {
            words.push(&unfamiliar);
        }
        Example { text: words.join(" "), label: label.to_owned(), group: None }
    };
    (0..rows).map(row).collect()
}

fn classes() -> Vec<ClassText> {
    let class = |id: &str| ClassText {
        label: Label { id: id.to_owned(), name: Default::default() },
        texts: vec![[id; 6].join(" "), format!("the {id} {id} {id}")],
    };
    ["bank", "rate"].map(class).to_vec()
}

/// Counts the texts that the encoder read.
#[derive(Default)]
struct Reader {
    read: usize,
    works: usize,
}

impl Observer for Reader {
    fn embedding(&mut self, work: &EmbeddingWork) {
        assert!(work.missing <= work.texts && work.tokens > 0 && work.memory_bytes > 0);
        self.read += work.missing;
        self.works += 1;
    }

    fn embedded(&mut self, done: usize, missing: usize) {
        assert!(done <= missing);
    }
}

fn request<'a>(root: &'a Path, encoder: &'a Path, options: &'a FrozenOptions) -> FrozenRequest<'a> {
    FrozenRequest {
        destination: Destination { root, name: "news" },
        encoder,
        origin: json!("test"),
        train: Vec::new(),
        dev: None,
        classes: Vec::new(),
        unlabelled: Vec::new(),
        preprocessing: json!({}),
        options,
    }
}

/// The share of rows whose label the published bundle says.
fn accuracy(bundle: &Bundle, rows: &[Example]) -> f64 {
    let bundle = Bundle::open(bundle.path()).unwrap();
    let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let encodings = classifier.encoder().encode_batch(&texts).unwrap();
    let probabilities = classifier.classify(&encodings).unwrap();
    let right = probabilities
        .iter()
        .zip(rows)
        .filter(|(probabilities, row)| bundle.labels().ids()[probabilities.top(1)[0].0] == row.label);
    right.count() as f64 / rows.len() as f64
}

#[test]
fn vectors_are_those_of_transformers() {
    if !has_runtime() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("encoder");
    std::fs::create_dir_all(directory.join("1_Pooling")).unwrap();
    for entry in std::fs::read_dir(encoder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
    }
    let modules =
        r#"[{"path": "", "type": "models.Transformer"}, {"path": "1_Pooling", "type": "models.Pooling"}]"#;
    std::fs::write(directory.join("modules.json"), modules).unwrap();
    let mean = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}"#;
    std::fs::write(directory.join("1_Pooling/config.json"), mean).unwrap();
    let expected: Value =
        serde_json::from_slice(&std::fs::read(encoder().join("expected.json")).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
    let means: Vec<Vec<f32>> = serde_json::from_value(expected["mean"].clone()).unwrap();
    let options = FrozenOptions::default();
    let graph = root.path().join("graph.onnx");
    let (mut embedder, tokenizer) =
        Embedder::open(&directory, &options, &graph, &root.path().join("cache")).unwrap();
    let vectors = embedder.embed(&embedder.encode(&tokenizer, &texts).unwrap(), &mut ()).unwrap();
    assert_eq!(vectors.len(), means.len());
    for (vector, mean) in vectors.rows().zip(&means) {
        crate::ops::assert_close(vector, mean, 1e-5);
    }
}

#[test]
fn many_rows_give_a_product_whose_names_count_where_text_is_unfamiliar() {
    if !has_runtime() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (encoder, options) = (encoder(), FrozenOptions { prefix: Some("the ".into()), ..Default::default() });
    let request = FrozenRequest {
        train: examples(1200),
        classes: classes(),
        ..request(root.path(), &encoder, &options)
    };
    let trained = train_frozen(request, &mut ()).unwrap();
    let names: Vec<&str> = trained.report.experts.iter().map(|expert| expert.name.as_str()).collect();
    assert_eq!(names, ["linear stripped", "linear plain", "pretrained encoder", "class names"]);
    assert!(
        trained.report.dev.as_ref().is_some_and(|dev| dev.accuracy > 0.95),
        "{:?}",
        trained.report.experts
    );
    let manifest = trained.bundle.manifest();
    assert_eq!((manifest.format, manifest.model.prefix.as_str()), (3, "the "));
    assert!(!manifest.model.trainable && manifest.model.parity_max_abs_diff < 1e-3);
    let part = manifest.model.zero_shot.clone().expect("names apart");
    let mut classifier = Classifier::open(&trained.bundle, &ClassifierOptions::default()).unwrap();
    let encodings =
        classifier.encoder().encode_batch(&["the bank bank bank bank bank bank", "zzz qqq"]).unwrap();
    let factors = [&encodings[0], &encodings[1]].map(|encoding| encoding.zero_shot);
    assert!(factors[0] < factors[1] && factors[1] <= part.most as f32, "{factors:?} {part:?}");
    // What the part says about a text is in its logits.
    let mut without = encodings.clone();
    without.iter_mut().for_each(|encoding| encoding.zero_shot = 0.0);
    assert_ne!(classifier.logits(&without).unwrap()[1], classifier.logits(&encodings).unwrap()[1]);
    assert!(Calibration::load(trained.bundle.path()).unwrap().is_some());
    let accuracy = accuracy(&trained.bundle, &examples(60));
    assert!(accuracy > 0.95, "{accuracy}");
}

#[test]
fn a_handful_of_rows_is_learnt_without_linear_experts() {
    if !has_runtime() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (encoder, options) = (encoder(), FrozenOptions { cost: Some(10.0), ..Default::default() });
    for classes in [Vec::new(), classes()] {
        let request =
            FrozenRequest { train: examples(16), classes, ..request(root.path(), &encoder, &options) };
        let bundle = train_frozen(request, &mut ()).unwrap().bundle;
        let model = &bundle.manifest().model;
        assert!(model.linear.is_empty() && model.zero_shot.is_none());
        assert!(Calibration::load(bundle.path()).unwrap().is_none());
        let accuracy = accuracy(&bundle, &examples(40));
        assert!(accuracy > CHANCE, "{accuracy}");
    }
}

#[test]
fn names_alone_classify_and_a_second_run_reads_nothing_again() {
    if !has_runtime() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (encoder, options) = (encoder(), FrozenOptions { rounds: 2, ..Default::default() });
    let unlabelled: Vec<String> = examples(60).into_iter().map(|row| row.text).collect();
    let mut read = Vec::new();
    for _ in 0..2 {
        let (classes, unlabelled) = (classes(), unlabelled.clone());
        let request = FrozenRequest { classes, unlabelled, ..request(root.path(), &encoder, &options) };
        let mut reader = Reader::default();
        let bundle = train_frozen(request, &mut reader).unwrap().bundle;
        read.push((reader.read > 0, reader.works));
        assert_eq!(bundle.labels().ids(), ["bank", "rate"]);
        let accuracy = accuracy(&bundle, &examples(40));
        assert!(accuracy > CHANCE, "{accuracy}");
    }
    assert_eq!(read, [(true, 1), (false, 0)]);
    assert!(embed::cache_directory(root.path()).is_dir());
}

#[test]
fn rows_and_classes_that_do_not_fit_are_named() {
    let root = tempfile::tempdir().unwrap();
    let (encoder, options) = (encoder(), FrozenOptions::default());
    let empty = || request(root.path(), &encoder, &options);
    let one_class = || classes().into_iter().take(1).collect::<Vec<_>>();
    let other = vec![Example { text: "x".into(), label: "stock".into(), group: None }];
    let only_bank: Vec<Example> = examples(8).into_iter().filter(|row| row.label == "bank").collect();
    for (request, message) in [
        (empty(), "0 given but at least 2 are needed"),
        (FrozenRequest { classes: classes(), ..empty() }, "need `unlabelled` documents"),
        (FrozenRequest { classes: one_class(), ..empty() }, "1 given but at least 2"),
        (
            FrozenRequest { classes: classes(), train: other, ..empty() },
            "`stock` has training rows but no text",
        ),
        (
            FrozenRequest { classes: classes(), train: only_bank, ..empty() },
            "`rate` has a text but no training row",
        ),
    ] {
        let error = train_frozen(request, &mut ()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let options = FrozenOptions { cost: Some(0.0), ..FrozenOptions::default() };
    let error = train_frozen(request(root.path(), &encoder, &options), &mut ()).unwrap_err().to_string();
    assert!(error.contains("`cost` is 0 but must be a number above 0"), "{error}");
    assert!(!root.path().join("news").exists());
}
