//! Correctors whose corrections do not look like errors of the model.
//!
//! Where a model is wrong, the right label is seldom among those that it finds least probable. So the probabilities that
//! the champion gives to the labels of a corrector are compared with those that it gives to the right labels of its own
//! errors on held-out rows. A correction is *implausible* if its label is less probable than it is for three quarters of
//! these errors. A quarter of honest corrections is implausible, and a third on text of another source (2,000 Chinese
//! headlines); of labels that were drawn at random it is seven in eight.
//!
//! Not here: which share is accepted ([`crate::gates`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// With fewer errors their lower quartile is too uncertain, and nothing is said of anyone.
const LEAST_ERRORS: usize = 20;

/// The corrections of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrector {
    /// Who made them; `None` for all corrections without a name.
    pub by: Option<String>,
    /// Corrections to a label that the champion knows.
    pub corrections: usize,
    /// How many of them are implausible.
    pub implausible: usize,
}

/// What is known of all correctors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Correctors {
    /// Errors of the champion on held-out rows that corrections were compared with; 0 if they were too few.
    pub errors: usize,
    /// A correction to a label with a lower probability is implausible.
    pub plausible_from: f32,
    /// The correctors in the order of their names, first those without one.
    pub correctors: Vec<Corrector>,
}

impl Correctors {
    /// Counts corrections. `errors` are the champion's probabilities of the gold labels of held-out rows that it labels
    /// wrongly; `corrections` are the correctors, and the champion's probabilities of their labels.
    pub fn count<'a>(
        mut errors: Vec<f32>,
        corrections: impl Iterator<Item = (Option<&'a str>, f32)>,
    ) -> Self {
        if errors.len() < LEAST_ERRORS {
            return Self::default();
        }
        errors.sort_by(f32::total_cmp);
        let plausible_from = errors.get(errors.len() / 4).copied().unwrap_or(0.0);
        let mut counts = BTreeMap::<Option<&str>, (usize, usize)>::new();
        for (by, probability) in corrections {
            let (corrections, implausible) = counts.entry(by).or_default();
            *corrections += 1;
            *implausible += usize::from(probability < plausible_from);
        }
        let corrector = |(by, (corrections, implausible)): (Option<&str>, (usize, usize))| Corrector {
            by: by.map(ToOwned::to_owned),
            corrections,
            implausible,
        };
        Self { errors: errors.len(), plausible_from, correctors: counts.into_iter().map(corrector).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_errors_is_implausible() {
        let errors: Vec<f32> = (0..40).rev().map(|n| n as f32 / 100.0).collect();
        let corrections =
            [(Some("b"), 0.09), (None, 0.2), (Some("b"), 0.1), (Some("a"), 0.0), (Some("b"), 0.01)];
        let found = Correctors::count(errors, corrections.into_iter());
        let counts: Vec<_> =
            found.correctors.iter().map(|c| (c.by.as_deref(), c.corrections, c.implausible)).collect();
        assert_eq!((found.errors, found.plausible_from), (40, 0.1));
        assert_eq!(counts, [(None, 1, 0), (Some("a"), 1, 1), (Some("b"), 3, 2)]);
    }

    #[test]
    fn few_errors_say_nothing() {
        let count = |errors| Correctors::count(vec![0.5; errors], [(Some("a"), 0.0)].into_iter());
        assert_eq!(count(19), Correctors::default());
        assert_eq!(count(20).correctors.len(), 1);
    }
}
