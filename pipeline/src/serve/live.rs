//! The generation in use, and which one takes over when it fails.
//!
//! [`Live`] holds the [`Phase`] behind a lock and adds what surrounds its transitions: the alias in the registry, the
//! counters and the log.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use fenliu_model::registry::{Alias, Registry};
use parking_lot::Mutex;

use super::generation::{Classified, Generation};
use super::phase::Phase;
use crate::config::{CanaryConfig, Config};
use crate::error::{Converted, Result};
use crate::metrics::Counters;

/// Named in the registry's history as the one who moved the alias back.
const ROLLED_BACK_BY: &str = "fenliu run";

/// The model in service. Shared by the stages that encode and label, and by the watcher.
#[derive(Debug)]
pub(crate) struct Live {
    phase: Mutex<Phase<Generation>>,
    canary: CanaryConfig,
    followed: Option<(Registry, Alias)>,
    counters: Counters,
}

impl Live {
    /// Opens the configured model. If it became the champion so recently that its canary period is not over, the
    /// previous version is loaded too and the period begins again.
    ///
    /// Without this, a version that fails would fail again after each restart of the process, with no other version to
    /// take over.
    ///
    /// # Errors
    /// As [`Generation::open`].
    pub(crate) fn open(config: &Config, counters: Counters) -> Result<Self> {
        let current = Arc::new(Generation::open(config)?);
        let followed = followed(config);
        let previous = followed.as_ref().and_then(|(registry, _)| previous(registry, &current, config));
        let phase = Phase::new(current, previous);
        show(&phase, &counters);
        let phase = Mutex::new(phase);
        Ok(Live { phase, canary: config.model.canary.clone(), followed, counters })
    }

    /// The generation that the next batch is to be encoded and labelled with.
    pub(crate) fn current(&self) -> Arc<Generation> {
        Arc::clone(self.phase.lock().current())
    }

    /// The registry and the alias that say which version should be in use; `None` if the configuration names a fixed
    /// version.
    pub(crate) fn followed(&self) -> Option<&(Registry, Alias)> {
        self.followed.as_ref()
    }

    /// Puts `next` in use from the next batch on. With `as_canary`, the generation that was in use stays loaded until the
    /// canary period is over.
    pub(crate) fn swap(&self, next: Generation, as_canary: bool) {
        let next = Arc::new(next);
        let mut phase = self.phase.lock();
        tracing::info!(
            event = "model_swapped",
            from = phase.current().title(),
            to = next.title(),
            "model swapped"
        );
        // A canary period that was running ends unjudged: its generation becomes the previous one of the new
        // period.
        let ended = phase.swap(next, as_canary && self.canary.rows > 0);
        self.counters.count_swap();
        show(&phase, &self.counters);
        drop(phase);
        // Dropped after the lock is released: freeing a large model takes a while.
        drop(ended);
    }

    /// Puts the previous generation in use again, if it is still loaded and is of this `version`. Returns whether it was.
    pub(crate) fn return_to(&self, version: &str) -> bool {
        let is_reverted = self.revert_if(|phase| phase.previous().is_some_and(|g| g.version() == version));
        if is_reverted {
            self.counters.count_swap();
        }
        is_reverted
    }

    /// The generation that [`Live::fall_back`] would return; nothing is changed.
    pub(crate) fn other_than(&self, failed: &Arc<Generation>) -> Option<Arc<Generation>> {
        let phase = self.phase.lock();
        let other = if phase.is_current(failed) { phase.previous() } else { Some(phase.current()) };
        other.map(Arc::clone)
    }

    /// The generation that is to label a batch that `failed` could not label.
    ///
    /// If `failed` is in its canary period, it is rolled back, and the previous generation is returned. If another
    /// generation has been put in use meanwhile, that one is returned. `None` means that there is no other generation.
    pub(crate) fn fall_back(&self, failed: &Arc<Generation>, reason: &str) -> Option<Arc<Generation>> {
        self.roll_back(failed, reason);
        let current = self.current();
        (!Arc::ptr_eq(&current, failed)).then_some(current)
    }

    /// During a canary period, labels a sample of the batches with the previous generation too, and rolls `generation`
    /// back if it does worse. `new` is what `generation` made of `rows`.
    pub(crate) fn compare_with_previous(
        &self,
        generation: &Arc<Generation>,
        rows: &RecordBatch,
        new: &Classified,
    ) {
        self.end_canary();
        let Some(previous) = self.previous_if_sampled(generation, rows.num_rows()) else { return };
        // Outside the lock, because the watcher and the tokenize stage must not wait for an inference. An error of the
        // previous generation is ignored: it says nothing about the new one.
        let Ok(old) = previous.encode(rows).and_then(|encodings| previous.classify(&encodings)) else {
            return;
        };
        let mut phase = self.phase.lock();
        // The phase may have changed during the inference: `canary_of` returns nothing if the generation is not in
        // a canary period any more.
        let complaint = phase.canary_of(generation).and_then(|(_, period)| period.compare(new, &old));
        // `roll_back` takes the lock itself.
        drop(phase);
        if let Some(reason) = complaint {
            self.roll_back(generation, &reason);
        }
    }

    /// Counts a batch of `generation` during its canary period. Returns the previous generation if this batch belongs to
    /// the sample that both label.
    fn previous_if_sampled(&self, generation: &Arc<Generation>, rows: usize) -> Option<Arc<Generation>> {
        let mut phase = self.phase.lock();
        let (previous, period) = phase.canary_of(generation)?;
        period.count(rows).then(|| Arc::clone(previous))
    }

    /// Unloads the previous generation if the canary period is over.
    pub(crate) fn end_canary(&self) {
        let mut phase = self.phase.lock();
        let is_over = matches!(&*phase, Phase::Canary { period, .. } if period.is_over(&self.canary));
        let ended = if is_over { phase.finish() } else { None };
        if ended.is_some() {
            let model = phase.current().title();
            tracing::info!(
                event = "canary_ended",
                model,
                "the canary period is over, the model stays in use"
            );
        }
        show(&phase, &self.counters);
        drop(phase);
        // Dropped after the lock is released: freeing a large model takes a while.
        drop(ended);
    }

    /// If `failed` is in its canary period, puts the previous generation in use again, here and in the registry.
    fn roll_back(&self, failed: &Arc<Generation>, reason: &str) {
        self.end_canary();
        if !self.revert_if(|phase| phase.is_current(failed)) {
            return;
        }
        tracing::warn!(event = "model_rolled_back", version = failed.version(), reason, "model rolled back");
        self.counters.count_rollback(format!("{}: {reason}", failed.version()));
        // Only a champion has a predecessor in the registry that the alias can be moved back to.
        let Some((registry, Alias::Champion)) = &self.followed else { return };
        // Without the lock on the phase: this waits for the file lock of the registry, which another process may
        // hold.
        match registry.rollback_from(failed.version(), ROLLED_BACK_BY, reason) {
            Ok(Some(_)) => {}
            Ok(None) => tracing::info!(
                event = "rollback_superseded",
                version = failed.version(),
                "the registry stays as it is: the version is not the champion any more"
            ),
            Err(error) => tracing::warn!(
                event = "rollback_unrecorded",
                %error,
                "the version was rolled back here, but it is still the champion in the registry"
            ),
        }
    }

    /// Puts the previous generation in use again, if there is one and the phase fulfils `condition`. Returns whether it
    /// did.
    ///
    /// Batches that were encoded with the generation taken out of use are encoded again before they are labelled.
    fn revert_if(&self, condition: impl FnOnce(&Phase<Generation>) -> bool) -> bool {
        let mut phase = self.phase.lock();
        if !condition(&phase) {
            return false;
        }
        let Some(withdrawn) = phase.revert() else { return false };
        // Under the lock: a thread that sees the previous generation in use again must also see that this one is
        // withdrawn.
        withdrawn.withdraw();
        tracing::info!(
            event = "model_swapped",
            from = withdrawn.title(),
            to = phase.current().title(),
            "the previous model is in use again"
        );
        show(&phase, &self.counters);
        drop(phase);
        // Dropped after the lock is released: freeing a large model takes a while.
        drop(withdrawn);
        true
    }
}

/// The version that a rollback returns to, loaded, if `current` is the champion and was promoted less than
/// `model.canary.max_age` ago.
fn previous(registry: &Registry, current: &Generation, config: &Config) -> Option<Arc<Generation>> {
    // Errors here only mean that no version can take over, which is no reason not to start.
    let champion = registry.alias(Alias::Champion).ok()??;
    let promoted_at = DateTime::parse_from_rfc3339(&champion.at).ok()?;
    let age = (Utc::now() - promoted_at.to_utc()).to_std().unwrap_or_default();
    let canary = &config.model.canary;
    if champion.version != current.version() || canary.rows == 0 || age >= canary.max_age {
        return None;
    }
    let version = champion.previous?;
    let load = || Generation::load(&registry.bundle(&version).converted()?, config);
    match load() {
        Ok(generation) => Some(Arc::new(generation)),
        Err(error) => {
            tracing::warn!(
                event = "no_fallback",
                version,
                %error,
                "the previous version cannot be loaded, so nothing can take over if the champion fails"
            );
            None
        }
    }
}

/// Names the generation in use for whoever watches.
fn show(phase: &Phase<Generation>, counters: &Counters) {
    let current = phase.current();
    let device = current.device().to_string();
    counters.set_model([current.name(), current.version(), &device], phase.previous().is_some());
}

/// The registry and the alias that `model.bundle` follows: the champion for `models/NAME`, or the alias that it names;
/// `None` for a fixed version.
fn followed(config: &Config) -> Option<(Registry, Alias)> {
    // A bundle outside a registry is the directory of one version, which never changes.
    let (registry, selector) = Registry::find(&config.model.bundle).ok()?;
    let alias = match selector.as_deref() {
        None | Some("champion") => Alias::Champion,
        Some("challenger") => Alias::Challenger,
        Some(_) => return None,
    };
    Some((registry, alias))
}
