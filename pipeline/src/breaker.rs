//! The breaker: stops the pipeline when too many of the newest documents fail.
//!
//! Without it, a mistake in the configuration, a broken producer or a broken model would turn a whole topic into dead
//! letters before anyone notices. Only failures are counted. Documents that the configuration asks to reject (languages,
//! short texts, reject rules) are not failures, however many they are. Each run starts to count from zero. The batch that
//! trips the breaker is neither written nor committed.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::RecordBatch;
use fenliu_engine::batch::Batch;
use fenliu_schemas::{Lineage, Stage, text_at, text_column};

use crate::config::BreakerConfig;
use crate::error::{Error, Kind, Result};

/// The only reason of the stage `clean` that counts as a failure: an SQL expression failed on the document. For all other
/// reasons of that stage, a setting asked for the rejection.
const CLEAN_ERROR: &str = "clean_error";

/// Counts failures among the newest documents.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    /// The newest batches, oldest first: as few as are needed to contain the newest `rows` documents.
    batches: VecDeque<Tally>,
    documents: usize,
    failures: usize,
}

/// The counts of one batch.
#[derive(Debug, Default)]
struct Tally {
    documents: usize,
    /// Number of failures by stage and reason.
    failures: BTreeMap<(String, String), usize>,
    /// A description of the last failure, for the error message.
    latest: Option<String>,
}

impl Breaker {
    /// A breaker that has not counted any documents.
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Breaker { config, batches: VecDeque::new(), documents: 0, failures: 0 }
    }

    /// Counts a batch before it is written.
    ///
    /// # Errors
    /// [`Kind::Breaker`](crate::error::Kind::Breaker) if too many of the newest documents have failed.
    pub(crate) fn observe(&mut self, batch: &Batch) -> Result<()> {
        // 0 switches the breaker off.
        if self.config.rows == 0 {
            return Ok(());
        }
        let tally = Tally::of(batch)?;
        self.documents += tally.documents;
        self.failures += tally.failures();
        self.batches.push_back(tally);
        // Whole batches are removed, and only if the others still contain `rows` documents: a full window has at
        // least `rows` documents and at most one batch more.
        while self.batches.front().is_some_and(|oldest| self.documents - oldest.documents >= self.config.rows)
            && let Some(oldest) = self.batches.pop_front()
        {
            self.documents -= oldest.documents;
            self.failures -= oldest.failures();
        }
        // A window that is not full yet is compared with the bound of a full one: a few failures among the first
        // documents do not trip the breaker, but as many failures as are allowed in a full window do so at once.
        let allowed = self.config.share * self.documents.max(self.config.rows) as f64;
        if self.failures as f64 > allowed { Err(self.tripped()) } else { Ok(()) }
    }

    fn tripped(&self) -> Error {
        let mut reasons = BTreeMap::new();
        for (reason, count) in self.batches.iter().flat_map(|tally| &tally.failures) {
            *reasons.entry(reason).or_insert(0) += count;
        }
        let reasons: Vec<String> =
            reasons.iter().map(|((stage, reason), count)| format!("{stage} {reason} {count}")).collect();
        let latest = self.batches.iter().rev().find_map(|tally| tally.latest.clone());
        let Breaker { failures, documents, config: BreakerConfig { share, .. }, .. } = self;
        let (reasons, latest) = (reasons.join(", "), latest.unwrap_or_default());
        let message = format!(
            "{failures} of the last {documents} documents failed, more than `breaker.share` ({share}) allows: \
             {reasons}; the latest: {latest}"
        );
        let remedy =
            "fix the cause or raise `breaker.share`; uncommitted documents are read again at the next start";
        Error::new(Kind::Breaker, message).remedy(remedy)
    }
}

impl Tally {
    fn of(batch: &Batch) -> Result<Self> {
        let mut tally = Tally { documents: batch.documents(), ..Tally::default() };
        batch.dead_letters.iter().try_for_each(|letters| tally.count(letters))?;
        Ok(tally)
    }

    fn count(&mut self, letters: &RecordBatch) -> Result<()> {
        let (stages, reasons) = (text_column(letters, "stage")?, text_column(letters, "reason")?);
        for row in 0..letters.num_rows() {
            let (stage, reason) = (stages.value(row), reasons.value(row));
            if is_failure(stage, reason) {
                *self.failures.entry((stage.to_string(), reason.to_string())).or_default() += 1;
                self.latest = Some(describe(letters, row)?);
            }
        }
        Ok(())
    }

    fn failures(&self) -> usize {
        self.failures.values().sum()
    }
}

/// Whether a dead letter says that something failed, and not that a setting asked for it or that a document was deleted.
fn is_failure(stage: &str, reason: &str) -> bool {
    match reason {
        "tombstone" | "deletion" => stage != Stage::Decode.as_str(),
        CLEAN_ERROR => true,
        _ => stage != Stage::Clean.as_str(),
    }
}

/// Describes a dead letter: its position in the source, the reason and the detail.
fn describe(letters: &RecordBatch, row: usize) -> Result<String> {
    let (topic, partition, offset) = Lineage::of(letters)?.row(row);
    let reason = text_column(letters, "reason")?.value(row);
    let detail =
        text_at(text_column(letters, "detail")?, row).map_or(String::new(), |text| format!(": {text}"));
    Ok(format!("topic {topic}, partition {partition}, offset {offset}, {reason}{detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use fenliu_schemas::{Document, Offsets, Origin, RawBuilder, Reject, dead_letters, split_rejected};

    use fenliu_engine::batch::Budget;

    const INVALID: (Stage, &str) = (Stage::Decode, "invalid_json");
    const LANGUAGE: (Stage, &str) = (Stage::Clean, "language");

    /// A batch of `good` documents and `bad` ones that were rejected for `reason`.
    fn batch(good: usize, bad: usize, (stage, reason): (Stage, &'static str)) -> Batch {
        let mut builder = RawBuilder::default();
        for row in 0..good + bad {
            let origin = Origin { topic: "news", partition: 3, offset: row as i64, timestamp_ms: None };
            let reject = || Reject::new(stage, reason, Some("why".into()));
            builder.append(origin, b"{", &if row < good { Ok(Document::default()) } else { Err(reject()) });
        }
        let (records, rejected) = split_rejected(&builder.finish().unwrap()).unwrap();
        Batch {
            bytes: 0,
            deletions: 0,
            records,
            dead_letters: vec![dead_letters(&rejected, 0).unwrap()],
            offsets: Offsets::default(),
            received_at: Instant::now(),
            closes_epoch: false,
            permit: Budget::new(1).try_acquire(1).unwrap(),
        }
    }

    /// The number of the batch, from 1, at which a breaker with the default bounds trips; 0: at none.
    fn trips_at(batches: &[(usize, usize, (Stage, &'static str))]) -> usize {
        let mut breaker = Breaker::new(BreakerConfig::default());
        let trips = |&(good, bad, reason): &_| breaker.observe(&batch(good, bad, reason)).is_err();
        batches.iter().position(trips).map_or(0, |index| index + 1)
    }

    #[test]
    fn it_trips_when_more_than_the_share_of_the_newest_documents_failed() {
        let table: &[(&str, Vec<_>, usize)] = &[
            ("5 %", vec![(950, 50, INVALID); 4], 0),
            ("more", vec![(949, 51, INVALID)], 1),
            ("no need to wait for the window to fill", vec![(0, 30, INVALID), (0, 21, INVALID)], 2),
            ("few documents are not enough", vec![(10, 40, INVALID)], 0),
            ("old failures are forgotten", vec![(50, 50, INVALID), (950, 0, INVALID), (0, 50, INVALID)], 0),
            (
                "those within the window are not",
                vec![(50, 50, INVALID), (900, 0, INVALID), (0, 50, INVALID)],
                3,
            ),
            ("a large batch is its own window", vec![(9_500, 500, INVALID)], 0),
            ("rejections that a setting asks for", vec![(0, 1000, LANGUAGE); 3], 0),
            ("an SQL expression that fails", vec![(900, 100, (Stage::Clean, CLEAN_ERROR))], 1),
            ("failures of the model", vec![(900, 100, (Stage::Infer, "not_finite"))], 1),
        ];
        for (name, batches, expected) in table {
            assert_eq!(trips_at(batches), *expected, "{name}");
        }
    }

    #[test]
    fn a_window_of_0_rows_turns_the_breaker_off() {
        let mut breaker = Breaker::new(BreakerConfig { rows: 0, ..BreakerConfig::default() });
        breaker.observe(&batch(0, 2000, INVALID)).unwrap();
    }

    #[test]
    fn the_message_names_bound_reasons_and_the_latest_failure() {
        let mut breaker = Breaker::new(BreakerConfig::default());
        breaker.observe(&batch(500, 20, (Stage::Infer, "not_finite"))).unwrap();
        let message = breaker.observe(&batch(0, 40, INVALID)).unwrap_err().to_string();
        for part in [
            "60 of the last 560 documents",
            "`breaker.share` (0.05)",
            "decode invalid_json 40, infer not_finite 20",
            "topic news, partition 3, offset 39, invalid_json: why",
        ] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}
