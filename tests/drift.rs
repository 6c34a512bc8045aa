//! Drift as a user sees it: documents like those of the training are at rest, others are told.

use std::path::Path;

use fenliu_tests::data;
use serde_json::{Value, json as value};

use crate::fixtures::{json, rows, run};

/// Labels the first 1,000 documents of a file; the summary.
fn label(model: &Path, documents: &Path) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(documents).unwrap();
    let input = directory.path().join("in.jsonl");
    std::fs::write(&input, text.lines().take(1000).collect::<Vec<_>>().join("\n")).unwrap();
    let set = [
        format!("source={{type=\"files\", paths=[\"{}\"]}}", input.display()),
        format!("model.bundle=\"{}\"", model.display()),
        format!("sinks=[{{type=\"files\", path=\"{}\"}}]", directory.path().join("out").display()),
        format!("dead_letters.path=\"{}\"", directory.path().join("dead").display()),
        "drift.min_rows=500".to_string(),
    ];
    let args = set.iter().flat_map(|set| ["--set", set.as_str()]);
    json(&run(&["run", "--json"].into_iter().chain(args).collect::<Vec<_>>()))
}

/// Reuters articles that the model has not seen, but none of the two labels that most of them have.
fn without_the_common_labels() -> String {
    let text = std::fs::read_to_string(data::reuters().unwrap().join("train.jsonl")).unwrap();
    let is_rare = |line: &&str| !["earn", "acq"].contains(&json(line)["label"].as_str().unwrap());
    text.lines().skip(1200).filter(is_rare).collect::<Vec<_>>().join("\n")
}

#[test]
fn other_documents_than_those_of_the_training_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let data = rows(directory.path(), "train", 1200);
    let models = directory.path().join("models");
    let args = ["train", "--name", "r8", "--preset", "tiny", "--epochs", "2", "--option", "dev_share=0.4"];
    run(&[&args[..], &["--data", data.to_str().unwrap(), "--out", models.to_str().unwrap()]].concat());
    let model = models.join("r8");
    let drifting = |summary: &Value| -> Vec<String> {
        let signals = summary["drift"]["signals"].as_array().unwrap();
        let drifting = signals.iter().filter(|signal| signal["drifting"] == value!(true));
        drifting.map(|signal| signal["signal"].as_str().unwrap().to_string()).collect()
    };

    let usual = label(&model, &rows(directory.path(), "test", 1000));
    assert_eq!(usual["drift"]["rows"], 1000);
    assert!(drifting(&usual).is_empty(), "{}", usual["drift"]);

    let other = directory.path().join("other.jsonl");
    std::fs::write(&other, without_the_common_labels()).unwrap();
    let other = label(&model, &other);
    println!("as in training: {}; without earn and acq: {}", usual["drift"], other["drift"]);
    assert!(drifting(&other).contains(&"label".to_string()), "{}", other["drift"]);
}
