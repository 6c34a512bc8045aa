//! Quality and speed of the linear classifiers on real news: the reference classifier and variants of the linear
//! expert.
//!
//! The data are those of `FENLIU_SHARED`, or of `shared/data` beside the repository. Near is the validation part of
//! the THUCNews headlines, far the rows of the Toutiao headlines in classes that THUCNews has; nothing of Toutiao is
//! trained on. A variant should be chosen by the far rows of the split `train` alone. Arguments select data sets by
//! name: `headlines`, `sogouc`, `cnews`, `bbc`.

use std::path::PathBuf;
use std::time::Instant;

use fenliu_model::linear::{CharacterScope, FeatureOptions, LinearExpert};
use fenliu_model::{Labels, Probabilities, Result, evaluate};
use fenliu_skip::{Part, found};
use fenliu_training::linear::{BaselineScores, LinearOptions, LinearRows, baseline, fit};
use rayon::prelude::*;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 7;

fn main() -> Result<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for (name, load) in [
        ("headlines", headlines as fn() -> Option<Task>),
        ("sogouc", || articles("articles_zh_sogouc.jsonl")),
        ("cnews", || articles("articles_zh_cnews.jsonl")),
        ("bbc", || articles("articles_en_bbc.jsonl")),
    ] {
        if let Some(task) = is_wanted(name).then(load).flatten() {
            measure(name, &task)?;
        }
    }
    Ok(())
}

/// Labelled texts.
#[derive(Default)]
struct Rows {
    texts: Vec<String>,
    labels: Vec<usize>,
}

impl Rows {
    fn borrowed(&self) -> LinearRows<'_, String> {
        LinearRows::new(&self.texts, &self.labels)
    }
}

/// A data set to train on and others to score.
struct Task {
    classes: Labels,
    train: Rows,
    dev: Vec<(&'static str, Rows)>,
}

/// The rows of a file, or `None`, said aloud, where it is missing.
fn read(name: &str) -> Option<Vec<Value>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = std::env::var_os("FENLIU_SHARED").map_or_else(beside, PathBuf::from).join(name);
    let lines = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    let lines = found(Part::Data, lines)?;
    Some(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// The text of a row; headline and body where the source keeps them apart.
fn text(row: &Value) -> String {
    if row["text"].is_string() {
        field(row, "text").to_owned()
    } else {
        format!("{}\n{}", field(row, "title"), field(row, "body"))
    }
}

/// The labels of the rows, in alphabetical order.
fn classes(rows: &[Value]) -> Option<Labels> {
    let mut ids: Vec<&str> = rows.iter().map(|row| field(row, "label")).collect();
    ids.sort_unstable();
    ids.dedup();
    Labels::from_ids(ids).ok()
}

/// The rows of a split, or of all, whose label is among `classes`.
fn select(rows: &[Value], split: Option<&str>, classes: &Labels) -> Rows {
    let mut selected = Rows::default();
    for row in rows.iter().filter(|row| split.is_none_or(|split| field(row, "split") == split)) {
        if let Some(label) = classes.index_of(field(row, "label")) {
            selected.texts.push(text(row));
            selected.labels.push(label);
        }
    }
    selected
}

fn headlines() -> Option<Task> {
    let (near, far) = (read("headlines_zh_thucnews.jsonl")?, read("headlines_zh_toutiao.jsonl")?);
    let classes = classes(&near)?;
    let dev = vec![
        ("near", select(&near, Some("valid"), &classes)),
        ("far, train", select(&far, Some("train"), &classes)),
        ("far", select(&far, None, &classes)),
    ];
    Some(Task { train: select(&near, Some("train"), &classes), dev, classes })
}

fn articles(name: &str) -> Option<Task> {
    let rows = read(name)?;
    let classes = classes(&rows)?;
    let dev = vec![("valid", select(&rows, Some("valid"), &classes))];
    Some(Task { train: select(&rows, Some("train"), &classes), dev, classes })
}

/// Variants of the features, the default first.
fn variants() -> Vec<(&'static str, FeatureOptions)> {
    let stripped = FeatureOptions::default();
    let kept = FeatureOptions { strip_punctuation: false, ..stripped.clone() };
    let with = |options: &FeatureOptions, segment, character_scope| FeatureOptions {
        segment,
        character_scope,
        ..options.clone()
    };
    use CharacterScope::{Unspaced, UnspacedTexts};
    vec![
        ("default", stripped.clone()),
        ("stripped, words too", with(&stripped, true, UnspacedTexts)),
        ("stripped, unspaced", with(&stripped, true, Unspaced)),
        ("stripped, words alone", FeatureOptions { max_characters: 0, segment: true, ..stripped.clone() }),
        ("kept", kept.clone()),
        ("kept, words too", with(&kept, true, UnspacedTexts)),
    ]
}

fn measure(name: &str, task: &Task) -> Result<()> {
    say(&format!("\n{name}: {} rows", task.train.texts.len()));
    let started = Instant::now();
    let dev: Vec<LinearRows<'_, String>> = task.dev.iter().map(|(_, rows)| rows.borrowed()).collect();
    let scores = baseline(&task.train.borrowed(), &dev, &task.classes)?;
    report(task, "reference", &scores, &format!("{:.1} s", started.elapsed().as_secs_f64()));
    for (variant, features) in variants() {
        // A text with spaces has no features in a variant without words.
        if let Err(error) = measure_variant(task, variant, features) {
            say(&format!("{variant:<26} {error}"));
        }
    }
    Ok(())
}

fn measure_variant(task: &Task, name: &str, features: FeatureOptions) -> Result<()> {
    let options = LinearOptions { features, ..LinearOptions::default() };
    let started = Instant::now();
    let expert = fit(&task.train.borrowed(), &task.classes, &options, None, SEED)?;
    let fitted = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let scores: Result<Vec<BaselineScores>> = task.dev.iter().map(|(_, rows)| score(&expert, rows)).collect();
    let documents: usize = task.dev.iter().map(|(_, rows)| rows.texts.len()).sum();
    let rate = documents as f64 / started.elapsed().as_secs_f64();
    let known = expert.known_features();
    report(task, name, &scores?, &format!("{fitted:.1} s, {known} features, {rate:.0} documents/s"));
    Ok(())
}

fn score(expert: &LinearExpert, rows: &Rows) -> Result<BaselineScores> {
    let decide = |text: &String| Probabilities::from_logits(&expert.logits(text));
    let probabilities: Vec<Probabilities> = rows.texts.par_iter().map(decide).collect();
    let evaluation = evaluate(&expert.labels().ids(), &rows.labels, &probabilities)?;
    Ok(BaselineScores { accuracy: evaluation.accuracy, macro_f1: evaluation.macro_f1 })
}

fn report(task: &Task, name: &str, scores: &[BaselineScores], cost: &str) {
    let columns = task.dev.iter().zip(scores).map(|((part, rows), scores)| {
        format!("{part} ({}) {:.4} F1 {:.4}", rows.texts.len(), scores.accuracy, scores.macro_f1)
    });
    say(&format!("{name:<26} {}  {cost}", columns.collect::<Vec<_>>().join("  ")));
}

#[expect(clippy::print_stdout, reason = "the figures are what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
