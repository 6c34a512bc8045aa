//! A judgement for people: `report.html` and the model card.

use fenliu_model::report::{FineTunePage, ModelCard};

use super::judge::Judgement;
use super::rows::Row;
use super::snapshot_summary::SnapshotSummary;
use super::split::TestRows;

/// The page of a job; `test` are the rows that were judged on.
pub(super) fn html(judgement: &Judgement, name: &str, test: &[Row]) -> String {
    let texts: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
    FineTunePage {
        title: &format!("Fine-tuning of {name}"),
        verdict: if judgement.passed() { "passed all gates" } else { "refused" },
        facts: &facts(judgement),
        gates: &judgement.gates,
        challenger: &judgement.challenger,
        roc: &judgement.roc,
        mistakes: &judgement.mistakes,
        champion: judgement.champion.as_ref().zip(judgement.comparison.as_ref()),
        slices: &judgement.slices,
        speed: judgement.speed,
        texts: &texts,
        training: &judgement.train,
        calibration: judgement.calibration.as_ref(),
        quality: Some(&judgement.quality),
    }
    .to_html()
}

/// The card of the challenger.
pub(super) fn card(judgement: &Judgement, name: &str) -> String {
    ModelCard {
        name,
        purpose: "Labels news documents; fine-tuned from its predecessor on corrected labels.",
        facts: &facts(judgement),
        tested_on: tested_on(judgement.split.test_rows),
        evaluation: Some(&judgement.challenger),
        calibration: judgement.calibration.as_ref(),
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

fn facts(judgement: &Judgement) -> Vec<(String, String)> {
    let SnapshotSummary { seen, feedback, data, test, skipped, sha256, ends, .. } = &judgement.snapshot;
    let skipped: Vec<String> = skipped.iter().map(|(reason, rows)| format!("{reason} {rows}")).collect();
    let offsets: Vec<String> =
        ends.iter().map(|(partition, (first, next))| format!("{partition}: {first} to {next}")).collect();
    let split = &judgement.split;
    let mut facts = vec![
        ("job", judgement.job.clone()),
        ("trained from version", judgement.base.clone()),
        ("corrections", format!("{seen} read, {feedback} used")),
        ("replayed documents", data.to_string()),
        ("documents named for testing", test.to_string()),
        ("rows", format!("{} to learn, {} to stop by, {} to judge on", split.train, split.dev, split.test)),
        ("judged on", tested_on(split.test_rows).to_string()),
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
