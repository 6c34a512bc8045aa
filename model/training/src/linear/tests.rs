use fenliu_model::linear::FeatureOptions;
use fenliu_model::{Labels, LinearExpert};

use super::*;
use crate::testing::examples;
use crate::threads::on_threads;

fn labels() -> Labels {
    Labels::from_ids(["finance", "sports"]).unwrap()
}

/// Options with which each character is one feature and everything is kept.
fn characters(max_characters: usize) -> LinearOptions {
    let features = FeatureOptions { max_characters, max_words: 0, ..FeatureOptions::default() };
    LinearOptions { features, min_documents: 1, ..LinearOptions::default() }
}

fn fit_rows(texts: &[&str], labels_of: &[usize], options: &LinearOptions) -> LinearExpert {
    fit(&LinearRows::new(texts, labels_of), &labels(), options, None, 7).unwrap()
}

/// Of scikit-learn 1.9: `LinearSVC(C=0.3)` on rows x∘r of length 1, made with NumPy.
#[test]
fn logits_are_those_of_scikit_learn() {
    let texts = ["甲乙", "甲", "乙丙", "丙", "甲丙"];
    let expert = fit_rows(&texts, &[0, 0, 1, 1, 1], &characters(1));
    assert_eq!(expert.known_features(), 3);
    for (text, expected) in texts.iter().zip([0.418565, 0.421753, -0.677254, -0.720748, -0.367483]) {
        let logits = expert.logits(text);
        assert!((logits[0] - expected).abs() < 2e-3, "{text}: {logits:?} but {expected}");
        // With two classes, one is the other with all signs changed.
        assert!((logits[1] + expected).abs() < 2e-3, "{text}: {logits:?} but {expected}");
    }
    assert!((expert.logits("丁")[0] + 0.0449).abs() < 2e-3, "the bias");
}

/// Rows of two labels, of which a word determines the label.
fn animals(rows: usize) -> (Vec<String>, Vec<usize>) {
    examples(rows).into_iter().map(|example| (example.text, usize::from(example.label == "sea"))).unzip()
}

#[test]
fn a_fitted_expert_knows_unseen_texts_and_survives_its_file() {
    let (texts, labels_of) = animals(200);
    let rows = LinearRows::new(&texts[..150], &labels_of[..150]);
    let expert = fit(&rows, &labels(), &LinearOptions::default(), None, 7).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("linear.safetensors");
    expert.save(&path).unwrap();
    let opened = LinearExpert::open(&path, &labels()).unwrap();
    for (text, label) in texts[150..].iter().zip(&labels_of[150..]) {
        let logits = opened.logits(text);
        assert_eq!(logits, expert.logits(text));
        assert!(logits[*label] > logits[1 - *label], "{text}: {logits:?}");
    }
    let dev = LinearRows::new(&texts[150..], &labels_of[150..]);
    let scores = baseline(&rows, &[dev], &labels()).unwrap();
    assert_eq!(scores, [BaselineScores { accuracy: 1.0, macro_f1: 1.0 }]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (texts, labels_of) = animals(120);
    let directory = tempfile::tempdir().unwrap();
    let bytes = [1, 2, 5].map(|threads| {
        let rows = LinearRows::new(&texts, &labels_of);
        let fit = || fit(&rows, &labels(), &LinearOptions::default(), None, 7);
        let path = directory.path().join(threads.to_string());
        on_threads(threads, fit).unwrap().save(&path).unwrap();
        std::fs::read(path).unwrap()
    });
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
}

#[test]
fn a_row_of_weight_2_counts_as_two_rows() {
    let weights = [1.0, 1.0, 2.0];
    let rows =
        LinearRows { texts: &["甲乙", "乙丙", "丙"], labels: &[0, 1, 1], weights: Some(&weights) };
    let weighted = fit(&rows, &labels(), &characters(2), None, 7).unwrap();
    let repeated = fit_rows(&["甲乙", "乙丙", "丙", "丙"], &[0, 1, 1, 1], &characters(2));
    for text in ["甲乙", "丙", "乙丙甲"] {
        for (left, right) in weighted.logits(text).iter().zip(repeated.logits(text)) {
            assert!((left - right).abs() < 2e-3, "{text}: {left} but {right}");
        }
    }
}

#[test]
fn no_more_features_are_kept_than_asked_for() {
    let options = LinearOptions { max_features: 2, ..characters(1) };
    let expert = fit_rows(&["甲乙", "甲乙丙", "丁"], &[0, 0, 1], &options);
    assert_eq!(expert.known_features(), 2);
    assert_eq!(expert.logits("丁丙"), expert.logits(""), "the rare ones are unknown");
}

#[test]
fn unusable_options_and_texts_are_refused() {
    let with = |options: LinearOptions| {
        let rows = LinearRows::new(&["甲", "乙"], &[0, 1]);
        fit(&rows, &labels(), &options, None, 7).unwrap_err().to_string()
    };
    let default = LinearOptions::default;
    for (options, message) in [
        (
            LinearOptions { cost: 0.0, ..default() },
            "invalid option: `cost` is 0 but must be a number above 0",
        ),
        (
            LinearOptions { min_documents: 0, ..default() },
            "invalid option: `min_documents` is 0 but must be at",
        ),
        (
            LinearOptions { max_features: 1 << 21, ..default() },
            "`max_features` is 2097152 but must be at most",
        ),
        (default(), "training failed: no feature is in 2 of 2 texts"),
    ] {
        let error = with(options);
        assert!(error.contains(message), "{error}");
    }
}

/// Rows that are all on the right side of the margins teach nothing, and those that are not move the expert.
#[test]
fn training_further_changes_what_the_rows_ask_for() {
    let (texts, labels_of) = animals(200);
    let base =
        fit(&LinearRows::new(&texts, &labels_of), &labels(), &LinearOptions::default(), None, 7).unwrap();
    let further = |texts: &[&str], labels_of: &[usize], classes: &Labels| {
        fit_further(&base, &LinearRows::new(texts, labels_of), classes, 0.3, 7).unwrap()
    };
    let heavy = ["whale whale alpha"; 1];
    let same = further(&heavy, &[1], &labels());
    let near =
        |left: &[f32], right: &[f32]| left.iter().zip(right).all(|(left, right)| (left - right).abs() < 0.1);
    assert!(near(&same.logits("beta camel gamma"), &base.logits("beta camel gamma")));

    let corrected = further(&["whale alpha"; 6], &[0; 6], &labels());
    assert!(corrected.logits("whale alpha")[0] > base.logits("whale alpha")[0] + 0.5);

    let three = Labels::from_ids(["finance", "sports", "air"]).unwrap();
    let grown = further(&["alpha falcon"; 9], &[2; 9], &three);
    let logits = grown.logits("falcon beta");
    assert!(logits[2] > logits[0] && logits[2] > logits[1], "{logits:?}");
    for (text, label) in texts.iter().zip(&labels_of) {
        let logits = grown.logits(text);
        assert!(
            logits.iter().enumerate().all(|(other, logit)| other == *label || *logit < logits[*label]),
            "{text}"
        );
    }
}
