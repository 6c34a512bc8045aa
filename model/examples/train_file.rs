//! Trains a classifier on JSON Lines (`text`, `label`), publishes the bundle, and scores it on other rows.
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::path::Path;
use std::time::Instant;

use fenliu_model::train::{EpochReport, Example, Observer, RunSize, TrainOptions, train};
use fenliu_model::{Classifier, ClassifierOptions, evaluate};

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "usage: train_file TRAIN.jsonl TEST.jsonl MODELS_DIR PRESET words|subword [option=JSON…]";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train_file, test_file, models, preset, tokenization, settings @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let tokenization = serde_json::from_value(tokenization.as_str().into())?;
    let options = with_settings(&TrainOptions::new(preset.parse()?, tokenization), settings)?;
    let rows = read(train_file)?;
    let trained =
        train("example", Path::new(models), rows, None, serde_json::Value::Null, &options, &mut Lines)?;
    let report = &trained.report;
    println!(
        "best epoch {}, parity {:.1e}, {:.1} s, {}",
        report.best_epoch,
        report.parity_max_abs_diff,
        report.seconds,
        trained.bundle.path().display()
    );

    let test = read(test_file)?;
    let mut classifier = Classifier::open(&trained.bundle, &ClassifierOptions::default())?;
    let texts: Vec<&str> = test.iter().map(|example| example.text.as_str()).collect();
    let start = Instant::now();
    let encodings = classifier.encoder().encode_batch(&texts)?;
    let probabilities = classifier.classify(&encodings)?;
    let seconds = start.elapsed().as_secs_f64();
    let gold: Vec<usize> =
        test.iter().filter_map(|example| classifier.labels().index_of(&example.label)).collect();
    let scores = evaluate(&classifier.labels().ids(), &gold, &probabilities)?;
    println!(
        "test: {} rows, accuracy {:.4}, macro-F1 {:.4}, ECE {:.3}, {:.0} documents/s",
        scores.rows,
        scores.accuracy,
        scores.macro_f1,
        scores.ece,
        scores.rows as f64 / seconds
    );
    Ok(())
}

struct Lines;

impl Observer for Lines {
    fn start(&mut self, run: &RunSize) {
        println!("{run:?}");
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        println!(
            "epoch {} loss {:.4} dev accuracy {:.4} macro-F1 {:.4} ({:.1} s)",
            epoch.epoch,
            epoch.train_loss,
            epoch.dev_accuracy.unwrap_or(f64::NAN),
            epoch.dev_macro_f1.unwrap_or(f64::NAN),
            epoch.seconds
        );
    }
}

/// Options with `path.to.option=JSON` applied.
fn with_settings(options: &TrainOptions, settings: &[String]) -> Result<TrainOptions, Failure> {
    let mut options = serde_json::to_value(options)?;
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or(USAGE)?;
        let slot = options.pointer_mut(&format!("/{}", key.replace('.', "/")));
        *slot.ok_or_else(|| format!("there is no option `{key}`"))? = serde_json::from_str(value)?;
    }
    Ok(serde_json::from_value(options)?)
}

fn read(path: &str) -> Result<Vec<Example>, Failure> {
    let row = |line: &str| -> Result<Example, Failure> {
        let value: serde_json::Value = serde_json::from_str(line)?;
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Ok(Example { text: field("text"), label: field("label"), group: None })
    };
    std::fs::read_to_string(path)?.lines().map(row).collect()
}
