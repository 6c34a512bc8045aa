//! The two pages: the evaluation of one model, and the comparison of a challenger with its champion.

use super::html::{Html, count, document, optional_score, score, section, signed, tiles};
use super::mistakes::Mistake;
use super::{comparison, evaluation, table, training};
use crate::calibration::Calibration;
use crate::compare::{Comparison, Slice, Speed};
use crate::evaluate::{Evaluation, RocCurve};
use crate::gates::{Gate, passed};
use crate::quality::QualityReport;
use crate::training_report::TrainReport;

/// The page of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationPage<'a> {
    /// Heading of the page.
    pub title: &'a str,
    /// Names and values that identify the measurement: model, version, data.
    pub facts: &'a [(String, String)],
    /// The scores.
    pub evaluation: &'a Evaluation,
    /// Curves of [`crate::evaluate::roc_curves`].
    pub roc: &'a [RocCurve],
    /// Accuracy on parts of the documents; may be empty. Not shown if the evaluation has scores of slices itself.
    pub slices: &'a [Slice],
    /// Examples of [`super::mistakes`].
    pub mistakes: &'a [Mistake],
    /// How the model's confidences were calibrated, if they were.
    pub calibration: Option<&'a Calibration>,
}

impl EvaluationPage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let e = self.evaluation;
        let body: Html = [
            tiles(&[
                ("accuracy", score(e.accuracy), format!("{} documents", count(e.rows))),
                ("macro-F1", score(e.macro_f1), "mean over the labels".to_owned()),
                ("ROC-AUC", optional_score(e.macro_roc_auc), "mean over the labels".to_owned()),
                ("calibration error", score(e.ece), "over 15 bins".to_owned()),
                ("log loss", score(e.log_loss), format!("Brier score {}", score(e.brier))),
            ]),
            evaluation::per_class(e, None),
            evaluation::confusions(e),
            evaluation::mistakes(self.mistakes),
            evaluation::confidence(e),
            evaluation::roc(self.roc),
            self.slices(),
            self.calibration.map(training::calibration).unwrap_or_default(),
            provenance(self.facts),
        ]
        .into_iter()
        .collect();
        document(self.title, &body)
    }

    fn slices(&self) -> Html {
        let detailed = &self.evaluation.slices;
        if detailed.is_empty() { comparison::slices(self.slices) } else { evaluation::slices(detailed) }
    }
}

/// The page of a fine-tuning job: its data, its result, and the gates.
#[derive(Clone, Copy, Debug)]
pub struct FineTunePage<'a> {
    /// Heading of the page.
    pub title: &'a str,
    /// The outcome for the challenger, such as `promoted`.
    pub verdict: &'a str,
    /// Names and values that describe the origin of model and data.
    pub facts: &'a [(String, String)],
    /// The gates and their results.
    pub gates: &'a [Gate],
    /// The challenger on the test documents.
    pub challenger: &'a Evaluation,
    /// Curves of the challenger.
    pub roc: &'a [RocCurve],
    /// Examples of documents that the challenger labels wrongly.
    pub mistakes: &'a [Mistake],
    /// The champion on the same documents, and the comparison; `None` without a champion.
    pub champion: Option<(&'a Evaluation, &'a Comparison)>,
    /// Accuracy on parts of the documents.
    pub slices: &'a [Slice],
    /// Documents per second of both; `None` without a champion.
    pub speed: Option<Speed>,
    /// The test documents in row order, for the examples of disagreements.
    pub texts: &'a [&'a str],
    /// The report of the training.
    pub training: &'a TrainReport,
    /// How the challenger's confidences were calibrated, if they were.
    pub calibration: Option<&'a Calibration>,
    /// The results of the checks of the data, if it was checked.
    pub quality: Option<&'a QualityReport>,
}

impl FineTunePage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let champion = self.champion.map(|(champion, _)| champion);
        let body: Html = [
            self.tiles(),
            comparison::gates(self.gates),
            self.champion.map(|(_, both)| comparison::comparison(both)).unwrap_or_default(),
            evaluation::per_class(self.challenger, champion),
            evaluation::confusions(self.challenger),
            comparison::slices(self.slices),
            self.champion.map(|(_, both)| comparison::disagreements(both, self.texts)).unwrap_or_default(),
            evaluation::mistakes(self.mistakes),
            evaluation::confidence(self.challenger),
            evaluation::roc(self.roc),
            training::training(self.training),
            self.calibration.map(training::calibration).unwrap_or_default(),
            self.quality.map(training::quality).unwrap_or_default(),
            provenance(self.facts),
        ]
        .into_iter()
        .collect();
        document(self.title, &body)
    }

    fn tiles(&self) -> Html {
        let Self { challenger, gates, .. } = self;
        let against = |value: fn(&Evaluation) -> f64| {
            let change = |(champion, _): (&Evaluation, _)| signed(value(challenger) - value(champion));
            self.champion
                .map(change)
                .map_or_else(|| "no champion".to_owned(), |c| format!("{c} to the champion"))
        };
        let passed_gates = gates.iter().filter(|gate| gate.passed).count();
        let gates_remark = if passed(gates) { "all passed" } else { "refused" };
        tiles(&[
            ("challenger", self.verdict.to_owned(), training::held_out(self.training)),
            ("gates", format!("{passed_gates} of {}", gates.len()), gates_remark.to_owned()),
            ("accuracy", score(challenger.accuracy), against(|e| e.accuracy)),
            ("macro-F1", score(challenger.macro_f1), against(|e| e.macro_f1)),
            ("calibration error", score(challenger.ece), against(|e| e.ece)),
            (
                "documents a second",
                self.speed.map_or_else(|| "–".to_owned(), |speed| format!("{:.0}", speed.challenger)),
                self.speed.map_or_else(String::new, |speed| format!("champion {:.0}", speed.champion)),
            ),
        ])
    }
}

fn provenance(facts: &[(String, String)]) -> Html {
    section("Provenance", "Where the model and the documents come from.", &table::facts(facts))
}
