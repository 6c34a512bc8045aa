//! Reports for people: HTML pages and model cards.
//!
//! A page is one HTML file without scripts and external resources: style and charts are in the file. It
//! follows the reader's light or dark theme and can be printed. Every text is escaped. Not here: the
//! measurements themselves.

mod card;
mod chart;
mod comparison;
mod evaluation;
mod html;
mod mistakes;
mod page;
mod table;
mod training;

pub use card::ModelCard;
pub use mistakes::{Mistake, mistakes};
pub use page::{EvaluationPage, FineTunePage};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::calibration::Calibration;
    use crate::compare::{Speed, paired_bootstrap, slices};
    use crate::correctors::Correctors;
    use crate::evaluate::{evaluate, evaluate_slices, roc_curves};
    use crate::gates::{GateInputs, GateLimits, check};
    use crate::probabilities::Probabilities;
    use crate::quality::{Conflict, QualityReport, Suspect};
    use crate::training_report::{EpochReport, RunSize, TrainReport};

    /// A text that breaks the page if it is not escaped somewhere.
    const HOSTILE: &str = "<script>alert('x')</script>\"'&";

    fn labels() -> Vec<String> {
        vec![format!("a{HOSTILE}"), "b".to_owned(), "c".to_owned()]
    }

    /// Rows of which every fourth or so is wrong, the more the larger `step`.
    fn rows(step: usize) -> (Vec<usize>, Vec<Vec<f32>>) {
        let gold: Vec<usize> = (0..120).map(|row| row % 3).collect();
        let logits = gold.iter().enumerate().map(|(row, gold)| {
            let mut logits = vec![0.0; 3];
            logits[(gold + usize::from(row % step == 0)) % 3] = (row % 7) as f32 / 2.0;
            logits
        });
        let logits = logits.collect();
        (gold, logits)
    }

    fn probabilities(logits: &[Vec<f32>]) -> Vec<Probabilities> {
        logits.iter().map(|logits| Probabilities::from_logits(logits)).collect()
    }

    fn training() -> TrainReport {
        let epoch = |epoch| EpochReport {
            epoch,
            train_loss: 1.0 / epoch as f64,
            dev_accuracy: Some(0.8),
            dev_macro_f1: Some(0.7),
            seconds: 1.0,
        };
        TrainReport {
            size: RunSize {
                train_rows: 1200,
                dev_rows: 100,
                train_tokens: 9999,
                labels: 3,
                vocabulary: 500,
                parameters: 12,
                epochs: 2,
            },
            dataset_sha256: "abc".to_owned(),
            epochs: vec![epoch(1), epoch(2)],
            best_epoch: 2,
            dev: None,
            ngram_weight: None,
            experts: Vec::new(),
            baseline_accuracy: None,
            parity_max_abs_diff: 1e-6,
            seconds: 3.0,
        }
    }

    fn quality() -> QualityReport {
        QualityReport {
            rows: 3,
            class_rows: BTreeMap::from([(labels()[0].clone(), 3)]),
            leaked: vec![1],
            conflicts: vec![Conflict {
                text: HOSTILE.to_owned(),
                labels: BTreeMap::from([(labels()[0].clone(), 2)]),
                rows: vec![0, 1],
            }],
            suspects: vec![Suspect {
                row: 0,
                text: HOSTILE.to_owned(),
                label: labels()[0].clone(),
                likely: "b".to_owned(),
                probability: 0.1,
                likely_probability: 0.9,
            }],
        }
    }

    /// The pages are well-formed: tags are closed in the order in which they were opened.
    fn check_tags(page: &str) {
        let mut open: Vec<&str> = Vec::new();
        for part in page.split('<').skip(1) {
            let tag = part.split(['>', ' ', '\n']).next().unwrap();
            let is_void =
                ["!DOCTYPE", "meta"].contains(&tag) || part.split('>').next().unwrap().ends_with('/');
            match tag.strip_prefix('/') {
                Some(closed) => {
                    assert_eq!(open.pop(), Some(closed), "before: {}", &part[..part.len().min(80)])
                }
                None if !is_void => open.push(tag),
                None => {}
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
    }

    fn check_page(page: &str) {
        check_tags(page);
        assert!(!page.contains("<script") && !page.contains("alert('x')"), "hostile text is escaped");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "and shown");
        for outside in ["http://", "https://", "url(", "src=", "href="] {
            assert!(!page.contains(outside), "the page loads nothing, but has {outside}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf%"), "every number is finite");
    }

    #[test]
    fn pages_are_well_formed_escaped_and_self_contained() {
        let labels = labels();
        let ((gold, worse), (_, better)) = (rows(3), rows(7));
        let (champion, challenger) = (probabilities(&worse), probabilities(&better));
        let texts = vec![HOSTILE; gold.len()];
        let facts = [(HOSTILE.to_owned(), HOSTILE.to_owned())];
        let names = vec![vec![format!("lang={HOSTILE}")]; gold.len()];
        let slices = slices(&names, &gold, Some(&champion), &challenger);
        let evaluation = evaluate(&labels, &gold, &challenger).unwrap();
        let champion_evaluation = evaluate(&labels, &gold, &champion).unwrap();
        let roc = roc_curves(&labels, &gold, &challenger);
        let mistakes = mistakes(&labels, &gold, &challenger, &texts, 10);
        let calibration = Calibration::fit(&labels, &gold, &better).unwrap();
        let page = EvaluationPage {
            title: HOSTILE,
            facts: &facts,
            evaluation: &evaluation,
            roc: &roc,
            slices: &slices,
            mistakes: &mistakes,
            calibration: Some(&calibration),
        };
        check_page(&page.to_html());

        let trusted = vec![true; gold.len()];
        let detailed = evaluate_slices(&labels, &gold, &challenger, &names, Some(&trusted)).unwrap();
        let html = EvaluationPage { evaluation: &detailed, ..page }.to_html();
        check_page(&html);
        for shown in ["all documents", "95 % interval", "trustable at 85 %", "of these right"] {
            assert!(html.contains(shown), "{shown}");
        }

        let comparison = paired_bootstrap(&labels, &gold, &champion, &challenger, 50, 1).unwrap();
        let both = Some((&champion_evaluation, &comparison));
        let quality = quality();
        let speed = Some(Speed { champion: 10.0, challenger: 11.0 });
        let inputs = GateInputs {
            challenger: &evaluation,
            champion: both,
            slices: &slices,
            classes: &[],
            far: None,
            correctors: &Correctors::default(),
            class_rows: &quality.class_rows,
            parity: 1e-6,
            speed,
        };
        let page = FineTunePage {
            title: HOSTILE,
            verdict: HOSTILE,
            facts: &facts,
            gates: &check(&inputs, &GateLimits::default()),
            challenger: &evaluation,
            roc: &roc,
            mistakes: &mistakes,
            champion: both,
            slices: &slices,
            speed,
            texts: &texts,
            training: &training(),
            calibration: Some(&calibration),
            quality: Some(&quality),
        };
        let html = page.to_html();
        check_page(&html);
        for heading in ["Gates", "Champion and challenger", "Disagreements", "Training", "Suspected labels"] {
            assert!(html.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        }
        let first = FineTunePage { champion: None, speed: None, quality: None, calibration: None, ..page };
        let html = first.to_html();
        check_page(&html);
        assert!(!html.contains("Disagreements") && html.contains("no champion"));
    }
}
