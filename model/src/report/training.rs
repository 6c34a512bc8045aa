//! Parts of a page that show the training data and the course of the training.

use super::chart::{Axis, Chart, Ink, figures};
use super::html::{Html, count, optional_score, score, section};
use super::table::{Cell, table};
use crate::calibration::Calibration;
use crate::quality::{QualityReport, Suspect};
use crate::thresholds::{Goal, SourceGoals};
use crate::training_report::TrainReport;

/// Most suspects that a page shows.
const SHOWN: usize = 30;

/// Loss and development scores by epoch.
pub(super) fn training(report: &TrainReport) -> Html {
    let epochs = || Axis::numbers("epoch", report.epochs.len());
    let points = |value: fn(&crate::training_report::EpochReport) -> Option<f64>| -> Vec<(f64, f64)> {
        report.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect()
    };
    let losses = points(|epoch| Some(epoch.train_loss));
    let axis = Axis::over("loss", losses.iter().map(|(_, loss)| *loss), 2);
    let mut charts = vec![Chart::new("Training loss", epochs(), axis).line("", Ink::One, &losses)];
    let (accuracy, macro_f1) = (points(|epoch| epoch.dev_accuracy), points(|epoch| epoch.dev_macro_f1));
    if !accuracy.is_empty() {
        let scores = accuracy.iter().chain(&macro_f1).map(|(_, score)| *score);
        let chart = Chart::new("Held-out documents", epochs(), Axis::over("score", scores, 3));
        charts.push(chart.line("macro-F1", Ink::One, &macro_f1).line("accuracy", Ink::Two, &accuracy));
    }
    let intro = format!(
        "{} training documents, {} held-out documents. The weights of epoch {} were kept. Duration: {:.0} s.",
        count(report.size.train_rows),
        count(report.size.dev_rows),
        report.best_epoch,
        report.seconds
    );
    section("Training", &intro, &figures(charts, false))
}

/// Temperature and thresholds.
pub(super) fn calibration(calibration: &Calibration) -> Html {
    let row = |class: &crate::calibration::ClassThreshold| {
        vec![
            Cell::Text(class.label.clone()),
            Cell::count(class.rows),
            Cell::Number(format!("{:.3}", class.threshold)),
        ]
    };
    let rows: Vec<Vec<Cell>> = calibration.thresholds.iter().map(row).collect();
    let intro = format!(
        "Temperature {:.3}, chosen on {} held-out documents: the calibration error went from {} to {}. A label is \
         trusted from the confidence on at which {:.0} % of them were right.",
        calibration.temperature,
        count(calibration.rows),
        score(calibration.before.ece),
        score(calibration.after.ece),
        calibration.target_precision * 100.0
    );
    let labels =
        section("Calibration", &intro, &table(&["label", "held-out documents", "trusted from"], &rows));
    [labels, calibration.per_source.as_ref().map(goals).unwrap_or_default()].into_iter().collect()
}

/// The goals of thresholds per source.
fn goals(goals: &SourceGoals) -> Html {
    let row = |goal: &Goal| {
        vec![
            Cell::Share(goal.precision),
            Cell::Number(format!("{:.3}", goal.mean_confidence)),
            Cell::Share(goal.trusted),
            Cell::Number(format!("{:.3}", goal.default_threshold)),
        ]
    };
    let rows: Vec<Vec<Cell>> = goals.goals.iter().map(row).collect();
    let intro = format!(
        "With a threshold for each source, its trusted documents have at least this mean confidence. The precision \
         is that of the held-out documents; {:.0} % is used unless another is asked for. A source with too few \
         documents has the default threshold.",
        goals.target_precision * 100.0
    );
    let headings = ["precision", "mean confidence", "held-out documents trusted", "default threshold"];
    section("Goals for sources", &intro, &table(&headings, &rows))
}

/// Leaks, conflicts and probable label errors.
pub(super) fn quality(report: &QualityReport) -> Html {
    let conflict = |conflict: &crate::quality::Conflict| {
        let labels: Vec<String> =
            conflict.labels.iter().map(|(label, rows)| format!("{label} ({rows})")).collect();
        vec![Cell::Text(labels.join(", ")), Cell::Long(conflict.text.clone())]
    };
    let conflicts: Vec<Vec<Cell>> = report.conflicts.iter().take(SHOWN).map(conflict).collect();
    let intro = format!(
        "{} training documents. {} of them are also test documents. {} texts have several labels.",
        count(report.rows),
        count(report.leaked.len()),
        count(report.conflicts.len())
    );
    let rows =
        report.class_rows.iter().map(|(label, rows)| vec![Cell::Text(label.clone()), Cell::count(*rows)]);
    let rows: Vec<Vec<Cell>> = rows.collect();
    [
        section("Data", &intro, &table(&["label", "documents"], &rows)),
        section(
            "Conflicting labels",
            "One text under several labels.",
            &table(&["labels", "text"], &conflicts),
        ),
        suspects(&report.suspects),
    ]
    .into_iter()
    .collect()
}

fn suspects(suspects: &[Suspect]) -> Html {
    let row = |suspect: &Suspect| {
        vec![
            Cell::Text(suspect.label.clone()),
            Cell::Text(suspect.likely.clone()),
            Cell::Number(format!("{:.3}", suspect.probability)),
            Cell::Number(format!("{:.3}", suspect.likely_probability)),
            Cell::Long(suspect.text.clone()),
        ]
    };
    let rows: Vec<Vec<Cell>> = suspects.iter().take(SHOWN).map(row).collect();
    let intro = format!(
        "{} of {} training documents whose label differs from the one that a model trained on other documents predicts \
         (confident learning, Northcutt et al. 2021); the most probable errors come first.",
        rows.len(),
        count(suspects.len())
    );
    let headings = ["label", "likely", "probability", "of likely", "text"];
    section("Suspected labels", &intro, &table(&headings, &rows))
}

/// Accuracy and macro-F1 on held-out rows, for the page's head.
pub(super) fn held_out(report: &TrainReport) -> String {
    let scores = report.dev.as_ref();
    format!(
        "held-out accuracy {}, macro-F1 {}",
        optional_score(scores.map(|dev| dev.accuracy)),
        optional_score(scores.map(|dev| dev.macro_f1))
    )
}
