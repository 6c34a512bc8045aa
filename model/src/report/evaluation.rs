//! Parts of a page that show how good one model is.

use super::chart::{Axis, Chart, Ink, figures};
use super::html::{Html, optional_score, score, section};
use super::mistakes::Mistake;
use super::table::{Cell, confusion, table};
use crate::evaluate::{Evaluation, Interval, ReliabilityBin, RocCurve, SliceScores, Trusted};

/// Scores by label; with a champion also its F1 and the difference.
pub(super) fn per_class(evaluation: &Evaluation, champion: Option<&Evaluation>) -> Html {
    let row = |class: &crate::evaluate::ClassScores| {
        let mut cells = vec![
            Cell::Text(class.label.clone()),
            Cell::count(class.support),
            Cell::Share(class.precision),
            Cell::Share(class.recall),
            Cell::Share(class.f1),
            Cell::Number(optional_score(class.roc_auc)),
        ];
        if let Some(champion) = champion {
            let f1 = champion.per_class.iter().find(|other| other.label == class.label).map(|c| c.f1);
            let f1 = f1.unwrap_or(0.0);
            cells.extend([Cell::Share(f1), Cell::Change(class.f1 - f1)]);
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = evaluation.per_class.iter().map(row).collect();
    let headings = ["label", "documents", "precision", "recall", "F1", "ROC-AUC", "champion F1", "change"];
    let intro = "Precision: share of the documents given the label that have it. Recall: share of the documents \
                 that have the label and got it. F1: their harmonic mean.";
    section("Labels", intro, &table(&headings, &rows))
}

/// Scores of parts of the documents, near and far side by side.
pub(super) fn slices(slices: &[SliceScores]) -> Html {
    let has_rule = slices.iter().any(|slice| slice.trusted.is_some());
    let rows: Vec<Vec<Cell>> = slices.iter().map(|slice| slice_row(slice, has_rule)).collect();
    let headings = [
        "slice",
        "documents",
        "accuracy",
        "95 % interval",
        "macro-F1",
        "95 % interval",
        "calibration error",
        "trustable at 85 %",
        "at 90 %",
        "at 95 %",
        "trusted",
        "of these right",
    ];
    let intro = "Intervals hold the true value with 95 % probability (bootstrap, 1,000 resamples). Trustable: the \
                 largest share of the documents that is right so often, if the threshold is chosen on these very \
                 documents. Trusted: by the threshold of each source, which is chosen without labels.";
    section("Slices", intro, &table(&headings, &rows))
}

fn slice_row(slice: &SliceScores, has_rule: bool) -> Vec<Cell> {
    let interval = |ends: Interval| Cell::Number(format!("{} to {}", score(ends.low), score(ends.high)));
    let mut cells = vec![
        Cell::Text(slice.name.clone()),
        Cell::count(slice.rows),
        Cell::Share(slice.accuracy),
        interval(slice.intervals.accuracy),
        Cell::Share(slice.macro_f1),
        interval(slice.intervals.macro_f1),
        Cell::Number(score(slice.ece)),
    ];
    cells.extend(slice.trustable.iter().map(|at| Cell::Share(at.share)));
    if has_rule {
        let trusted = slice.trusted.unwrap_or(Trusted { share: 0.0, precision: 0.0 });
        cells.extend([Cell::Share(trusted.share), Cell::Share(trusted.precision)]);
    }
    cells
}

/// The confusion matrix and the pairs that are confused most.
pub(super) fn confusions(evaluation: &Evaluation) -> Html {
    let labels: Vec<&str> = evaluation.per_class.iter().map(|class| class.label.as_str()).collect();
    let matrix = confusion(&labels, &evaluation.confusion);
    let intro = "Each line holds the documents of one label, each column what they were labelled; the shade is the \
                 share of the line.";
    section("Confusion matrix", intro, &matrix)
}

/// Texts that were labelled wrongly.
pub(super) fn mistakes(mistakes: &[Mistake]) -> Html {
    let row = |mistake: &Mistake| {
        vec![
            Cell::Text(mistake.gold.clone()),
            Cell::Text(mistake.predicted.clone()),
            Cell::Number(format!("{:.3}", mistake.confidence)),
            Cell::Long(mistake.text.clone()),
        ]
    };
    let rows: Vec<Vec<Cell>> = mistakes.iter().map(row).collect();
    let intro = "Documents of the pairs of labels that are confused most often, those first that the model was \
                 surest of. Some are errors of the gold label.";
    section("Mistakes", intro, &table(&["label", "labelled as", "confidence", "text"], &rows))
}

/// Reliability diagram, histogram of confidences and coverage curve.
pub(super) fn confidence(evaluation: &Evaluation) -> Html {
    let intro = "Reliability: how often labels of a confidence are right; bars on the dashed line mean what they say, \
                 each dot is the mean confidence of its bar. Coverage: accuracy when only the surest documents are \
                 labelled.";
    let charts = vec![reliability(evaluation), histogram(evaluation), coverage(evaluation)];
    section("Confidence", intro, &figures(charts, false))
}

/// The bounds of a bin of confidences, with the bin.
fn bins(evaluation: &Evaluation) -> impl Iterator<Item = ((f64, f64), &ReliabilityBin)> + Clone {
    let width = 1.0 / evaluation.reliability.len().max(1) as f64;
    evaluation.reliability.iter().map(move |bin| ((bin.upper - width, bin.upper), bin))
}

fn reliability(evaluation: &Evaluation) -> Chart {
    let mut chart = Chart::new("Reliability", Axis::share("confidence"), Axis::share("accuracy"));
    let filled = bins(evaluation).filter(|(_, bin)| bin.rows > 0);
    for (interval, bin) in filled.clone() {
        chart = chart.bar(interval, bin.accuracy);
    }
    chart = chart.line("", Ink::Guide, &[(0.0, 0.0), (1.0, 1.0)]);
    for (_, bin) in filled {
        chart = chart.dot((bin.confidence, bin.accuracy));
    }
    chart
}

fn histogram(evaluation: &Evaluation) -> Chart {
    let share = |bin: &ReliabilityBin| bin.rows as f64 / evaluation.rows.max(1) as f64;
    let shares = bins(evaluation).map(|(_, bin)| share(bin)).chain([0.0]);
    let axis = Axis::over("share of documents", shares, 2);
    let chart = Chart::new("Confidences", Axis::share("confidence"), axis);
    bins(evaluation).fold(chart, |chart, (interval, bin)| chart.bar(interval, share(bin)))
}

fn coverage(evaluation: &Evaluation) -> Chart {
    let points: Vec<(f64, f64)> =
        evaluation.coverage.iter().map(|point| (point.coverage, point.accuracy)).collect();
    let accuracies = points.iter().map(|(_, accuracy)| *accuracy).chain([1.0]);
    let axis = Axis::over("accuracy", accuracies, 3);
    Chart::new("Coverage", Axis::share("share of documents labelled"), axis).line("", Ink::One, &points)
}

/// One small ROC curve for each label.
pub(super) fn roc(curves: &[RocCurve]) -> Html {
    let chart = |curve: &RocCurve| {
        Chart::small(
            &format!("{} {:.4}", curve.label, curve.auc),
            Axis::share("false positive rate"),
            Axis::share("true positive rate"),
        )
        .line("", Ink::Guide, &[(0.0, 0.0), (1.0, 1.0)])
        .line("", Ink::One, &curve.points)
    };
    let intro = "Each label against all others, with the area under the curve. Across: share of other documents above \
                 a threshold; up: share of the label's documents above it.";
    section("ROC curves", intro, &figures(curves.iter().map(chart).collect(), true))
}
