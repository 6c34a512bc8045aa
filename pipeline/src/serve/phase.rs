//! Which generations are loaded for serving, as a state machine with its legal transitions.
//!
//! ```text
//! Stable ── swap ──▶ Canary ── finish ──▶ Stable: the new generation stays in use
//!                       └───── revert ──▶ Stable: the previous generation is in use again
//! ```
//!
//! A swap during a canary period starts another period, in which the generation in use becomes the previous one.
//!
//! Contract: a transition returns what it takes out of use instead of dropping it. The caller drops it after it has
//! released its lock, because freeing a large model takes a while.

use std::sync::Arc;

use super::canary::CanaryPeriod;

/// The generations that are loaded; `G` is a generation.
#[derive(Debug)]
pub(super) enum Phase<G> {
    /// One generation is in use, and no other one can take over from it.
    Stable(Arc<G>),
    /// A new generation is in use, and the previous one is still loaded, to take over if the new one fails.
    Canary { current: Arc<G>, previous: Arc<G>, period: CanaryPeriod },
}

impl<G> Phase<G> {
    /// `current` in use; a canary period begins if there is a `previous` generation.
    pub(super) fn new(current: Arc<G>, previous: Option<Arc<G>>) -> Self {
        match previous {
            Some(previous) => Phase::Canary { current, previous, period: CanaryPeriod::start() },
            None => Phase::Stable(current),
        }
    }

    /// The generation in use.
    pub(super) fn current(&self) -> &Arc<G> {
        let (Phase::Stable(current) | Phase::Canary { current, .. }) = self;
        current
    }

    /// The generation that can take over; `None` outside a canary period.
    pub(super) fn previous(&self) -> Option<&Arc<G>> {
        match self {
            Phase::Stable(_) => None,
            Phase::Canary { previous, .. } => Some(previous),
        }
    }

    /// Whether `generation` is the one in use.
    pub(super) fn is_current(&self, generation: &Arc<G>) -> bool {
        Arc::ptr_eq(self.current(), generation)
    }

    /// The previous generation and the canary period of `generation`; `None` if it is not in its canary period.
    pub(super) fn canary_of(&mut self, generation: &Arc<G>) -> Option<(&Arc<G>, &mut CanaryPeriod)> {
        match self {
            Phase::Canary { current, previous, period } if Arc::ptr_eq(current, generation) => {
                Some((previous, period))
            }
            _ => None,
        }
    }

    /// Puts `next` in use, with a canary period or without one. Returns the phase that has ended.
    pub(super) fn swap(&mut self, next: Arc<G>, with_canary: bool) -> Self {
        // The generation in use, also if it is itself in its canary period: it labelled the latest batches.
        let previous = with_canary.then(|| Arc::clone(self.current()));
        std::mem::replace(self, Phase::new(next, previous))
    }

    /// Ends the canary period: the new generation stays. Returns the phase that has ended; `None` if there was no
    /// canary period.
    pub(super) fn finish(&mut self) -> Option<Self> {
        let Phase::Canary { current, .. } = self else { return None };
        let stable = Phase::Stable(Arc::clone(current));
        Some(std::mem::replace(self, stable))
    }

    /// Ends the canary period: the previous generation is in use again. Returns the generation that was taken out of
    /// use; `None` if there was no canary period.
    pub(super) fn revert(&mut self) -> Option<Arc<G>> {
        let Phase::Canary { current, previous, .. } = self else { return None };
        let (withdrawn, previous) = (Arc::clone(current), Arc::clone(previous));
        *self = Phase::Stable(previous);
        Some(withdrawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(phase: &Phase<&'a str>) -> (&'a str, Option<&'a str>) {
        (**phase.current(), phase.previous().map(|previous| **previous))
    }

    #[test]
    fn a_canary_period_ends_with_the_new_generation_or_with_the_previous_one() {
        let mut phase = Phase::new(Arc::new("old"), None);
        assert!(phase.finish().is_none() && phase.revert().is_none(), "there is no canary period");
        phase.swap(Arc::new("new"), true);
        assert_eq!(names(&phase), ("new", Some("old")));
        assert_eq!(phase.revert().as_deref(), Some(&"new"));
        assert_eq!(names(&phase), ("old", None));

        phase.swap(Arc::new("newer"), true);
        assert!(phase.finish().is_some());
        assert_eq!(names(&phase), ("newer", None));
        assert!(phase.revert().is_none(), "the previous generation is not loaded any more");
    }

    #[test]
    fn a_swap_during_a_canary_period_makes_the_generation_in_use_the_previous_one() {
        let mut phase = Phase::new(Arc::new("first"), None);
        phase.swap(Arc::new("second"), true);
        let ended = phase.swap(Arc::new("third"), true);
        assert_eq!(names(&ended), ("second", Some("first")));
        assert_eq!(names(&phase), ("third", Some("second")));
        phase.swap(Arc::new("fourth"), false);
        assert_eq!(names(&phase), ("fourth", None));
    }

    #[test]
    fn only_the_generation_in_use_has_a_canary_period() {
        let (old, new) = (Arc::new("old"), Arc::new("new"));
        let mut phase = Phase::new(Arc::clone(&new), Some(Arc::clone(&old)));
        assert!(phase.is_current(&new) && !phase.is_current(&old));
        assert!(phase.canary_of(&new).is_some_and(|(previous, _)| Arc::ptr_eq(previous, &old)));
        assert!(phase.canary_of(&old).is_none());
        phase.finish();
        assert!(phase.canary_of(&new).is_none());
    }
}
