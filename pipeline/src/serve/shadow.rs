//! Shadow mode: the challenger labels a sample of the documents beside the champion.
//!
//! Contract: the champion never waits for it. The thread has lower priority and one core, its queue is
//! short, and a sample that does not fit is dropped and counted. Nothing that happens here ends the
//! pipeline: a challenger that cannot be loaded, or fails, is left alone until the alias names another.
//! Disagreements are files that appear when complete; a crash loses those of the last moments, since no
//! offset waits for them.

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
use fenliu_schemas::{SchemaError, Texts, Verdict, disagreement_schema, disagreements};

use super::generation::{Classified, Generation};
use super::sample::sampled;
use crate::background::Background;
use crate::config::{Config, ShadowConfig};
use crate::error::{Converted, Result};
use crate::metrics::Counters;
use crate::system::step_back;

/// Samples that may wait for the challenger.
const QUEUED_SAMPLES: usize = 4;
/// How far the thread steps back for others, 0 to 19.
const NICENESS: i32 = 10;

/// The champion's side of the comparison; the challenger's thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Shadow {
    share: f64,
    /// Dropped before the thread, which ends when no sample can come any more.
    samples: SyncSender<Sample>,
    _thread: Background,
    /// Whether there is a challenger to give samples to.
    listening: Arc<AtomicBool>,
    counters: Counters,
}

/// Documents that the champion has labelled.
struct Sample {
    texts: Vec<String>,
    labelled: RecordBatch,
    margins: Vec<f32>,
}

impl Shadow {
    /// Starts the challenger's thread; `None` where no share is configured or the model is no registry's.
    ///
    /// # Errors
    /// The directory cannot be made, or the system gives no thread.
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
        // The champion has the cores; the challenger has time.
        challenger.config.model.threads = 1;
        let (samples, received) = sync_channel(QUEUED_SAMPLES);
        let thread = Background::spawn("shadow", move |_| challenger.run(&received))?;
        Ok(Some(Shadow { share, samples, _thread: thread, listening, counters }))
    }

    /// Offers a labelled batch; `cleaned` are its rows as they were encoded.
    ///
    /// # Errors
    /// [`SchemaError::Column`] when the rows lack a column, which no document can cause.
    pub(crate) fn offer(
        &self,
        cleaned: &RecordBatch,
        labelled: &RecordBatch,
        classified: &Classified,
    ) -> Result<()> {
        if !self.listening.load(Ordering::Relaxed) {
            return Ok(());
        }
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

/// How far the best label is above the next.
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
    /// The version that the alias named when it was last looked at.
    version: Option<String>,
    generation: Option<Generation>,
}

impl Challenger {
    fn run(mut self, samples: &Receiver<Sample>) {
        step_back(NICENESS);
        self.refresh();
        let (mut looked, mut flushed) = (Instant::now(), Instant::now());
        // Without a watch the challenger stays the one of the start.
        let watched = !self.config.model.watch.is_zero();
        let every = if watched { self.config.model.watch } else { self.config.epoch.max_age };
        loop {
            match samples.recv_timeout(every) {
                Ok(sample) => self.compare(&sample),
                Err(RecvTimeoutError::Timeout) => {}
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

    /// Loads the challenger, if the alias names another than before.
    fn refresh(&mut self) {
        let version = match self.registry.alias(Alias::Challenger) {
            Ok(record) => record.map(|record| record.version),
            Err(error) => {
                return tracing::warn!(event = "challenger_unreadable", %error, "the challenger's alias cannot be read");
            }
        };
        if version == self.version {
            return;
        }
        self.generation = version.as_deref().and_then(|version| self.load(version));
        self.listening.store(self.generation.is_some(), Ordering::Relaxed);
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
                tracing::warn!(event = "challenger_refused", version, %error, "the challenger cannot be used");
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
            tracing::warn!(event = "shadow_ended", version = generation.version(), %error, "shadowing ends with this challenger");
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

/// The sampled documents to which the challenger gives another label.
fn disagreeing(challenger: &Generation, sample: &Sample) -> Result<RecordBatch> {
    let encodings: Vec<Encoding> = challenger.encode_texts(&sample.texts)?;
    let probabilities = challenger.classify(&encodings)?.probabilities;
    let verdict = |row: &Probabilities| {
        let (index, score) = row.top(1).first().copied().unwrap_or((0, 0.0));
        (challenger.label(index), score)
    };
    let verdicts: Vec<Verdict<'_>> = probabilities
        .iter()
        .map(|row| {
            let (label, score) = verdict(row);
            Verdict { label, score, margin: margin(row) }
        })
        .collect();
    let now = Utc::now().timestamp_millis();
    Ok(disagreements(&sample.labelled, &sample.margins, &verdicts, challenger.version(), now)?)
}
