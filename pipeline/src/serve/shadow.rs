//! Shadow mode: the challenger labels a sample of the documents beside the champion.
//!
//! Contract: the champion never waits for the challenger. The challenger's thread has lower priority and one core. Its
//! queue is short, and a sample that does not fit is dropped and counted. No failure here ends the pipeline: a challenger
//! that cannot be loaded, or fails, is not used any more until the alias names another version. Files with disagreements
//! appear when they are complete. A crash loses the newest disagreements, because offsets are committed without waiting
//! for them.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use chrono::Utc;
use fenliu_connectors::files::FileAppender;
use fenliu_model::registry::{Alias, Registry};
use fenliu_model::{Encoding, Probabilities};
use fenliu_schemas::{SchemaError, ScoredLabel, Texts, disagreement_schema, disagreements};

use super::generation::{Classified, Generation};
use super::sample::sampled;
use crate::background::Background;
use crate::config::{Config, ShadowConfig};
use crate::error::{Converted, Result};
use crate::metrics::Counters;
use crate::system::step_back;

/// Most samples that wait for the challenger.
const QUEUED_SAMPLES: usize = 4;
/// Niceness of the challenger's thread, 0 to 19.
const NICENESS: i32 = 10;

/// The champion's side of the comparison; the challenger's thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Shadow {
    share: f64,
    /// Must be declared before the thread, so that it is dropped first: the thread ends when the queue is closed.
    samples: SyncSender<Sample>,
    _thread: Background,
    /// Whether a challenger is loaded and takes samples.
    listening: Arc<AtomicBool>,
    counters: Counters,
}

/// A sample of the documents of one batch, as the champion labelled them.
struct Sample {
    texts: Vec<String>,
    labelled: RecordBatch,
    margins: Vec<f32>,
}

impl Shadow {
    /// Starts the challenger's thread; `None` if no share is configured, or if the model is not in a registry.
    ///
    /// # Errors
    /// The directory cannot be created, or the system cannot start a thread.
    pub(crate) fn start(config: &Config, counters: Counters) -> Result<Option<Self>> {
        let share = config.shadow.share;
        let Ok((registry, _)) = Registry::find(&config.model.bundle) else { return Ok(None) };
        if share <= 0.0 {
            return Ok(None);
        }
        let ShadowConfig { path, format, .. } = config.shadow.clone();
        let listening = Arc::new(AtomicBool::new(false));
        let mut challenger = Challenger {
            config: config.clone(),
            registry,
            sink: FileAppender::try_new(&path, format, "shadow", &disagreement_schema())?,
            listening: Arc::clone(&listening),
            counters: counters.clone(),
            version: None,
            generation: None,
        };
        // One thread: the cores are for the champion, and the challenger need not be fast.
        challenger.config.model.threads = 1;
        let (samples, received) = sync_channel(QUEUED_SAMPLES);
        let thread = Background::spawn("shadow", move |_| challenger.run(&received))?;
        Ok(Some(Shadow { share, samples, _thread: thread, listening, counters }))
    }

    /// Offers a sample of a labelled batch to the challenger. `cleaned` are the same rows before they were labelled.
    ///
    /// # Errors
    /// [`SchemaError::Column`] if the rows lack a column, which no document can cause.
    pub(crate) fn offer(
        &self,
        cleaned: &RecordBatch,
        labelled: &RecordBatch,
        classified: &Classified,
    ) -> Result<()> {
        // Without a challenger nothing is copied. `Relaxed` suffices: a sample too many or too few does no harm.
        if !self.listening.load(Ordering::Relaxed) {
            return Ok(());
        }
        // By document and not by batch, so that the sample does not depend on how the stream was cut into batches.
        let rows = sampled(labelled, self.share)?;
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len() as u64;
        let indices = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
        let take = |batch| take_record_batch(batch, &indices).map_err(SchemaError::from);
        let margins = rows.iter().map(|row| margin(&classified.probabilities[*row])).collect();
        let sample = Sample {
            texts: Texts::of(&take(cleaned)?)?.iter().map(Cow::into_owned).collect(),
            labelled: take(labelled)?,
            margins,
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.samples.try_send(sample) {
            self.counters.count_unshadowed(count);
        }
        Ok(())
    }
}

/// The difference between the probabilities of the best and the second label; 1 if there is only one label.
fn margin(probabilities: &Probabilities) -> f32 {
    match probabilities.top(2).as_slice() {
        [(_, best), (_, next)] => best - next,
        _ => 1.0,
    }
}

/// The challenger's thread.
struct Challenger {
    config: Config,
    registry: Registry,
    sink: FileAppender,
    listening: Arc<AtomicBool>,
    counters: Counters,
    /// The version that the alias named when it was last read.
    version: Option<String>,
    generation: Option<Generation>,
}

impl Challenger {
    fn run(mut self, samples: &Receiver<Sample>) {
        step_back(NICENESS);
        self.refresh();
        let (mut looked, mut flushed) = (Instant::now(), Instant::now());
        // With `model.watch = "0s"` the alias is read only once, at the start.
        let watched = !self.config.model.watch.is_zero();
        let every = if watched { self.config.model.watch } else { self.config.epoch.max_age };
        loop {
            match samples.recv_timeout(every) {
                Ok(sample) => self.compare(&sample),
                Err(RecvTimeoutError::Timeout) => {}
                // Dropping the sender ends the thread; `Background` is dropped after it and joins.
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            if watched && looked.elapsed() >= every {
                self.refresh();
                looked = Instant::now();
            }
            if flushed.elapsed() >= self.config.epoch.max_age {
                self.flush();
                flushed = Instant::now();
            }
        }
    }

    /// Loads the challenger if the alias names another version than before.
    fn refresh(&mut self) {
        let version = match self.registry.alias(Alias::Challenger) {
            Ok(record) => record.map(|record| record.version),
            Err(error) => {
                return tracing::warn!(
                    event = "challenger_unreadable",
                    %error,
                    "the challenger's alias cannot be read"
                );
            }
        };
        if version == self.version {
            return;
        }
        self.generation = version.as_deref().and_then(|version| self.load(version));
        self.listening.store(self.generation.is_some(), Ordering::Relaxed);
        // Also if it could not be loaded, so that it is not tried again before the alias moves.
        self.version = version;
    }

    fn load(&self, version: &str) -> Option<Generation> {
        let load = |version| Generation::load(&self.registry.bundle(version).converted()?, &self.config);
        match load(version) {
            Ok(generation) => {
                tracing::info!(
                    event = "shadow_began",
                    version,
                    share = self.config.shadow.share,
                    "shadowing with the challenger"
                );
                Some(generation)
            }
            Err(error) => {
                tracing::warn!(
                    event = "challenger_refused",
                    version,
                    %error,
                    "the challenger cannot be used"
                );
                None
            }
        }
    }

    fn compare(&mut self, sample: &Sample) {
        let Some(generation) = &self.generation else { return };
        let rows = sample.labelled.num_rows();
        let outcome = disagreeing(generation, sample).and_then(|differing| {
            self.counters.count_shadowed(rows as u64, differing.num_rows() as u64);
            if differing.num_rows() == 0 { Ok(()) } else { self.sink.write(&differing) }
        });
        if let Err(error) = outcome {
            tracing::warn!(
                event = "shadow_ended",
                version = generation.version(),
                %error,
                "shadowing ends with this challenger"
            );
            self.listening.store(false, Ordering::Relaxed);
            self.generation = None;
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.sink.flush() {
            tracing::warn!(event = "disagreements_lost", %error, "disagreements of the shadow were lost");
        }
    }
}

/// The sampled documents to which the challenger gives another label than the champion.
fn disagreeing(challenger: &Generation, sample: &Sample) -> Result<RecordBatch> {
    let encodings: Vec<Encoding> = challenger.encode_texts(&sample.texts)?;
    let probabilities = challenger.classify(&encodings)?.probabilities;
    let labels: Vec<ScoredLabel<'_>> = probabilities
        .iter()
        .map(|row| {
            let (index, score) = row.top(1).first().copied().unwrap_or((0, 0.0));
            ScoredLabel { label: challenger.label(index), score, margin: margin(row) }
        })
        .collect();
    let now = Utc::now().timestamp_millis();
    Ok(disagreements(&sample.labelled, &sample.margins, &labels, challenger.version(), now)?)
}
