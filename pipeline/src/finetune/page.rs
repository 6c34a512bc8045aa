//! A report for people: `report.html` and the model card.

use fenliu_model::report::{FineTunePage, ModelCard};

use super::evaluate::ChallengerReport;
use super::rows::Row;
use super::snapshot_summary::SnapshotSummary;
use super::split::TestRows;

/// The HTML page of a job; `test` are the rows that the models were evaluated on.
pub(super) fn html(report: &ChallengerReport, name: &str, test: &[Row]) -> String {
    let texts: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
    FineTunePage {
        title: &format!("Fine-tuning of {name}"),
        verdict: if report.passed() { "passed all gates" } else { "refused" },
        facts: &facts(report),
        gates: &report.gates,
        challenger: &report.challenger,
        roc: &report.roc,
        mistakes: &report.mistakes,
        champion: report.champion.as_ref().zip(report.comparison.as_ref()),
        slices: &report.slices,
        speed: report.speed,
        texts: &texts,
        training: &report.train,
        calibration: report.calibration.as_ref(),
        quality: Some(&report.quality),
    }
    .to_html()
}

/// The model card of the challenger.
pub(super) fn card(report: &ChallengerReport, name: &str) -> String {
    ModelCard {
        name,
        purpose: "Labels news documents; fine-tuned from its predecessor on corrected labels.",
        facts: &facts(report),
        tested_on: tested_on(report.split.test_rows),
        evaluation: Some(&report.challenger),
        calibration: report.calibration.as_ref(),
    }
    .to_markdown()
}

fn tested_on(rows: TestRows) -> &'static str {
    match rows {
        TestRows::Given => "documents named for testing",
        TestRows::Newest => "the newest documents",
        TestRows::Content => "a share of the documents, drawn by their content",
    }
}

fn facts(report: &ChallengerReport) -> Vec<(String, String)> {
    let SnapshotSummary { seen, feedback, data, test, skipped, sha256, ends, .. } = &report.snapshot;
    let skipped: Vec<String> = skipped.iter().map(|(reason, rows)| format!("{reason} {rows}")).collect();
    let offsets: Vec<String> =
        ends.iter().map(|(partition, (first, next))| format!("{partition}: {first} to {next}")).collect();
    let split = &report.split;
    let mut facts = vec![
        ("job", report.job.clone()),
        ("trained from version", report.base.clone()),
        ("corrections", format!("{seen} read, {feedback} used")),
        ("replayed documents", data.to_string()),
        ("documents named for testing", test.to_string()),
        (
            "rows",
            format!(
                "{} for training, {} for development, {} for testing, {} of another source",
                split.train, split.dev, split.test, split.far
            ),
        ),
        ("evaluated on", tested_on(split.test_rows).to_string()),
        ("data SHA-256", sha256.clone()),
    ];
    if !skipped.is_empty() {
        facts.push(("corrections not used", skipped.join(", ")));
    }
    if !offsets.is_empty() {
        facts.push(("feedback offsets by partition", offsets.join("; ")));
    }
    facts.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
