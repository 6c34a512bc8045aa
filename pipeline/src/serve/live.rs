//! The generation in use, and who takes over when it fails.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use fenliu_model::registry::{Alias, Registry};
use parking_lot::Mutex;

use super::bake::Bake;
use super::generation::{Classified, Generation};
use crate::config::{BakeConfig, Config};
use crate::error::{Converted, Result};
use crate::metrics::Counters;

/// Who moves the alias back, in the registry's history.
const ROLLED_BACK_BY: &str = "fenliu run";

/// What labels documents now. Shared by the stages that encode and label and by the watcher.
#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    bake: BakeConfig,
    followed: Option<(Registry, Alias)>,
    counters: Counters,
}

#[derive(Debug)]
struct State {
    current: Arc<Generation>,
    /// While `current` is on probation.
    bake: Option<Bake>,
}

impl Live {
    /// Opens the configured model; on probation, with the version before, if it became the champion so
    /// lately that its probation is not over. Without that, one that fails would end every restart.
    ///
    /// # Errors
    /// As [`Generation::open`].
    pub(crate) fn open(config: &Config, counters: Counters) -> Result<Self> {
        let current = Arc::new(Generation::open(config)?);
        let followed = followed(config);
        let bake = followed.as_ref().and_then(|(registry, _)| previous(registry, &current, config));
        Ok(Live {
            state: Mutex::new(State { current, bake: bake.map(Bake::new) }),
            bake: config.model.bake.clone(),
            followed,
            counters,
        })
    }

    /// The generation to encode and label the next batch with.
    pub(crate) fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.state.lock().current)
    }

    /// The registry and alias that say which version should be in use; none where the configuration
    /// names one version.
    pub(crate) fn followed(&self) -> Option<&(Registry, Alias)> {
        self.followed.as_ref()
    }

    /// Puts `next` in use from the next batch on. With `on_probation` the generation before stays loaded
    /// until the probation is over.
    pub(crate) fn swap(&self, next: Generation, on_probation: bool) {
        let next = Arc::new(next);
        let mut state = self.state.lock();
        tracing::info!(
            event = "model_swapped",
            from = state.current.title(),
            to = next.title(),
            "model swapped"
        );
        let previous = std::mem::replace(&mut state.current, next);
        let bake = (on_probation && self.bake.rows > 0).then(|| Bake::new(Arc::clone(&previous)));
        let before = std::mem::replace(&mut state.bake, bake);
        self.counters.count_swap();
        // Models are let go without the lock: freeing a large one takes a while.
        drop(state);
        drop((previous, before));
    }

    /// Puts the generation before in use again, if it is still loaded and is `version`.
    pub(crate) fn return_to(&self, version: &str) -> bool {
        let mut state = self.state.lock();
        let Some(bake) = state.bake.take_if(|bake| bake.previous.version() == version) else { return false };
        take_over(&mut state, bake);
        self.counters.count_swap();
        true
    }

    /// What [`Live::fall_back`] would give, without a change.
    pub(crate) fn other_than(&self, failed: &Arc<Generation>) -> Option<Arc<Generation>> {
        let state = self.state.lock();
        if Arc::ptr_eq(&state.current, failed) {
            return state.bake.as_ref().map(|bake| Arc::clone(&bake.previous));
        }
        Some(Arc::clone(&state.current))
    }

    /// The generation to label a batch with that `failed` could not label: the one before, to which the
    /// alias is moved back, if `failed` is on probation; the one in use, if it is another; `None` when there is
    /// no other generation.
    pub(crate) fn fall_back(&self, failed: &Arc<Generation>, reason: &str) -> Option<Arc<Generation>> {
        self.roll_back(failed, reason);
        let current = self.current();
        (!Arc::ptr_eq(&current, failed)).then_some(current)
    }

    /// Compares a generation on probation with the one before, on a sample of what it labels, and rolls
    /// it back if it is worse.
    pub(crate) fn examine(&self, generation: &Arc<Generation>, rows: &RecordBatch, new: &Classified) {
        self.end_probation();
        let Some(previous) = self.sampled(generation, rows.num_rows()) else { return };
        // Outside the lock: the watcher and the tokenize stage must not wait for an inference.
        let Ok(old) = previous.encode(rows).and_then(|encodings| previous.classify(&encodings)) else {
            return;
        };
        let complaint = self.state.lock().bake.as_mut().and_then(|bake| bake.compare(new, &old));
        if let Some(reason) = complaint {
            self.roll_back(generation, &reason);
        }
    }

    /// Counts a batch of a generation on probation; the generation to compare it with, if it is sampled.
    fn sampled(&self, generation: &Arc<Generation>, rows: usize) -> Option<Arc<Generation>> {
        let mut state = self.state.lock();
        let is_current = Arc::ptr_eq(&state.current, generation);
        let bake = state.bake.as_mut().filter(|_| is_current)?;
        bake.count(rows).then(|| Arc::clone(&bake.previous))
    }

    /// Lets the generation before go when the probation is over.
    pub(crate) fn end_probation(&self) {
        let mut state = self.state.lock();
        let over = state.bake.take_if(|bake| bake.is_over(&self.bake));
        if over.is_some() {
            tracing::info!(event = "canary_ended", model = state.current.title(), "probation is over");
        }
        // A model is let go without the lock: freeing a large one takes a while.
        drop(state);
        drop(over);
    }

    /// Exchanges `failed`, if it is on probation, for the generation before, here and in the registry.
    fn roll_back(&self, failed: &Arc<Generation>, reason: &str) {
        self.end_probation();
        {
            let mut state = self.state.lock();
            if !Arc::ptr_eq(&state.current, failed) {
                return;
            }
            let Some(bake) = state.bake.take() else { return };
            take_over(&mut state, bake);
        }
        tracing::warn!(event = "model_rolled_back", version = failed.version(), reason, "model rolled back");
        self.counters.count_rollback(format!("{}: {reason}", failed.version()));
        let Some((registry, Alias::Champion)) = &self.followed else { return };
        match registry.rollback_from(failed.version(), ROLLED_BACK_BY, reason) {
            Ok(Some(_)) => {}
            Ok(None) => tracing::info!(
                event = "rollback_superseded",
                version = failed.version(),
                "it is not the champion any more"
            ),
            Err(error) => {
                tracing::warn!(event = "rollback_unrecorded", %error, "the champion is still the version that was rolled back");
            }
        }
    }
}

/// Batches that the withdrawn generation has encoded are encoded again when they are labelled.
fn take_over(state: &mut State, bake: Bake) {
    let withdrawn = std::mem::replace(&mut state.current, bake.previous);
    withdrawn.withdraw();
    tracing::info!(
        event = "model_swapped_back",
        from = withdrawn.title(),
        to = state.current.title(),
        "model swapped back"
    );
}

/// The version that a rollback returns to, if the champion is `current` and was promoted within
/// `model.bake.max_age`.
fn previous(registry: &Registry, current: &Generation, config: &Config) -> Option<Arc<Generation>> {
    let champion = registry.alias(Alias::Champion).ok()??;
    let promoted_at = DateTime::parse_from_rfc3339(&champion.at).ok()?;
    let age = (Utc::now() - promoted_at.to_utc()).to_std().unwrap_or_default();
    let bake = &config.model.bake;
    if champion.version != current.version() || bake.rows == 0 || age >= bake.max_age {
        return None;
    }
    let version = champion.previous?;
    let load = || Generation::load(&registry.bundle(&version).converted()?, config);
    match load() {
        Ok(generation) => Some(Arc::new(generation)),
        Err(error) => {
            tracing::warn!(event = "no_fallback", version, %error, "nothing can take over if the champion fails");
            None
        }
    }
}

/// What `model.bundle` follows: the champion of `models/NAME`, or the alias it names.
fn followed(config: &Config) -> Option<(Registry, Alias)> {
    // What is not in a registry is one version's directory, which cannot change.
    let (registry, selector) = Registry::find(&config.model.bundle).ok()?;
    let alias = match selector.as_deref() {
        None | Some("champion") => Alias::Champion,
        Some("challenger") => Alias::Challenger,
        Some(_) => return None,
    };
    Some((registry, alias))
}
