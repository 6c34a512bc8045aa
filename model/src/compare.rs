//! Comparison of champion and challenger on the same rows.
//!
//! Models with different labels are compared over the union of their labels ([`union`], [`project`]), in
//! which the labels that a model does not know have probability 0.
//!
//! Not here: whether a difference is good enough ([`crate::gates`]).

pub mod chance;
mod speed;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::evaluate::Interval;
use crate::evaluate::counts::{ClassCounts, macro_f1, ratio};
use crate::evaluate::interval::{self, percentiles};
use crate::probabilities::Probabilities;

pub use speed::{Speed, measure_speed};

/// Resamples of [`paired_bootstrap`] that make its interval steady to about a tenth of its width.
pub const RESAMPLES: usize = interval::RESAMPLES;

/// A score of both models, and their difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Score of the champion.
    pub champion: f64,
    /// Score of the challenger.
    pub challenger: f64,
    /// `challenger - champion`.
    pub difference: f64,
    /// Lower end of the difference's 95 % interval.
    pub low: f64,
    /// Upper end of the difference's 95 % interval.
    pub high: f64,
}

/// A row that the models label differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Number of the row.
    pub row: usize,
    /// Id of the gold label.
    pub gold: String,
    /// Id of the champion's label.
    pub champion: String,
    /// Id of the challenger's label.
    pub challenger: String,
}

/// Two models on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows compared.
    pub rows: usize,
    /// Resamples that the intervals are taken from.
    pub resamples: usize,
    /// Shares of rows that are labelled correctly.
    pub accuracy: Difference,
    /// Macro-F1 of both.
    pub macro_f1: Difference,
    /// Rows that only the challenger labels correctly.
    pub gained: usize,
    /// Rows that only the champion labels correctly.
    pub lost: usize,
    /// All rows that the models label differently, in their order.
    pub disagreements: Vec<Disagreement>,
}

/// Scores of a subset of the rows, such as those in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// What defines the subset, such as `language=zh`.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Share of them that the champion labels correctly; `None` without a champion.
    pub champion: Option<f64>,
    /// Share of them that the challenger labels correctly.
    pub challenger: f64,
    /// Those that only the challenger labels correctly; 0 without a champion.
    #[serde(default)]
    pub gained: usize,
    /// Those that only the champion labels correctly; 0 without a champion.
    #[serde(default)]
    pub lost: usize,
}

impl Slice {
    /// The probability that a challenger as good as the champion loses so many of the rows on which they differ: the
    /// exact one-sided sign test (McNemar 1947).
    pub fn chance(&self) -> f64 {
        chance::at_least(self.lost, self.gained + self.lost, 0.5)
    }
}

/// The labels of `first`, followed by those that only `second` has.
pub fn union(first: &[String], second: &[String]) -> Vec<String> {
    // The order of `first` stays, so that indices into it are indices into the union, too.
    let new = second.iter().filter(|label| !first.contains(label));
    first.iter().chain(new).cloned().collect()
}

/// Rearranges probabilities over the labels `from` to the labels `to`. A label that is not in `from` gets 0;
/// the probability of a label that is not in `to` is dropped.
pub fn project(probabilities: &[Probabilities], from: &[String], to: &[String]) -> Vec<Probabilities> {
    let places: Vec<Option<usize>> =
        to.iter().map(|label| from.iter().position(|other| other == label)).collect();
    probabilities.iter().map(|row| row.rearranged(&places)).collect()
}

/// Accuracy and macro-F1 of both models, with 95 % percentile intervals of the differences from a paired
/// bootstrap: both models are scored on the same rows, drawn with replacement (Efron & Tibshirani 1993,
/// chapter 13).
///
/// `gold[row]` is an index into `labels`; the probabilities of both models are over `labels`. The same seed
/// gives the same intervals.
///
/// # Errors
///
/// There are no rows or no resamples; the numbers of predictions and of gold labels differ; or an index or a
/// row does not fit `labels`.
pub fn paired_bootstrap(
    labels: &[String],
    gold: &[usize],
    champion: &[Probabilities],
    challenger: &[Probabilities],
    resamples: usize,
    seed: u64,
) -> Result<Comparison> {
    crate::evaluate::check(labels, gold, champion)?;
    crate::evaluate::check(labels, gold, challenger)?;
    if resamples == 0 {
        return Err(ModelError::option("resamples", resamples, "must be at least 1"));
    }
    let pairs = pairs(gold, champion, challenger);
    let all = scores(pairs.iter(), labels.len());
    let mut generator = SmallRng::seed_from_u64(seed);
    let resampled: Vec<Scores> = (0..resamples)
        .map(|_| {
            // Pairs are drawn, not the rows of each model: the models are right or wrong on the same documents, and
            // an unpaired interval would be far too wide.
            let drawn = (0..pairs.len()).filter_map(|_| pairs.get(generator.random_range(0..pairs.len())));
            scores(drawn, labels.len())
        })
        .collect();
    let count = |is_counted: fn(&Pair) -> bool| pairs.iter().filter(|pair| is_counted(pair)).count();
    Ok(Comparison {
        rows: pairs.len(),
        resamples,
        accuracy: difference(&all, &resampled, |scores| scores.accuracy),
        macro_f1: difference(&all, &resampled, |scores| scores.macro_f1),
        gained: count(|pair| pair.challenger == pair.gold && pair.champion != pair.gold),
        lost: count(|pair| pair.champion == pair.gold && pair.challenger != pair.gold),
        disagreements: disagreements(labels, &pairs),
    })
}

/// The slices that a document is in: its length, and its language and source where they are known.
pub fn slice_names(text: &str, language: Option<&str>, source: Option<&str>) -> Vec<String> {
    let length = match text.chars().count() {
        ..100 => "length=below 100 characters",
        100..1000 => "length=100 to 999 characters",
        _ => "length=1000 characters or more",
    };
    let mut names = vec![length.to_owned()];
    names.extend(language.map(|language| format!("language={language}")));
    names.extend(source.map(|source| format!("source={source}")));
    names
}

/// Accuracy of both models in each slice, in order of the slices' names. `names[row]` are the slices that a
/// row is in.
pub fn slices(
    names: &[Vec<String>],
    gold: &[usize],
    champion: Option<&[Probabilities]>,
    challenger: &[Probabilities],
) -> Vec<Slice> {
    let mut rows_of = std::collections::BTreeMap::<&str, Vec<usize>>::new();
    for (row, names) in names.iter().enumerate() {
        for name in names {
            rows_of.entry(name).or_default().push(row);
        }
    }
    rows_of.into_iter().map(|(name, rows)| slice(name, &rows, gold, champion, challenger)).collect()
}

/// Accuracy of both models on the given rows.
fn slice(
    name: &str,
    rows: &[usize],
    gold: &[usize],
    champion: Option<&[Probabilities]>,
    challenger: &[Probabilities],
) -> Slice {
    let is_right = |row: usize, probabilities: &[Probabilities]| {
        gold.get(row).is_some_and(|gold| probabilities.get(row).and_then(top) == Some(*gold))
    };
    let of_champion = |row: usize| champion.map(|champion| is_right(row, champion));
    let count = |is_counted: &dyn Fn(Option<bool>, bool) -> bool| {
        rows.iter().filter(|row| is_counted(of_champion(**row), is_right(**row, challenger))).count()
    };
    let share = |count: usize| ratio(count, rows.len());
    Slice {
        name: name.to_owned(),
        rows: rows.len(),
        champion: champion.map(|_| share(count(&|champion, _| champion == Some(true)))),
        challenger: share(count(&|_, challenger| challenger)),
        gained: count(&|champion, challenger| champion == Some(false) && challenger),
        lost: count(&|champion, challenger| champion == Some(true) && !challenger),
    }
}

/// A row's gold label and the predictions of both models.
struct Pair {
    gold: usize,
    champion: usize,
    challenger: usize,
}

fn top(probabilities: &Probabilities) -> Option<usize> {
    probabilities.top(1).first().map(|(class, _)| *class)
}

fn pairs(gold: &[usize], champion: &[Probabilities], challenger: &[Probabilities]) -> Vec<Pair> {
    let predictions = champion.iter().zip(challenger);
    let pair = |(gold, (champion, challenger)): (&usize, (&Probabilities, &Probabilities))| {
        Some(Pair { gold: *gold, champion: top(champion)?, challenger: top(challenger)? })
    };
    gold.iter().zip(predictions).filter_map(pair).collect()
}

#[derive(Clone, Copy)]
struct ModelScores {
    accuracy: f64,
    macro_f1: f64,
}

/// Scores of both models on one resample of the rows.
struct Scores {
    champion: ModelScores,
    challenger: ModelScores,
}

fn scores<'a>(pairs: impl Iterator<Item = &'a Pair>, labels: usize) -> Scores {
    let mut champion = vec![ClassCounts::default(); labels];
    let mut challenger = champion.clone();
    for pair in pairs {
        count(&mut champion, pair.gold, pair.champion);
        count(&mut challenger, pair.gold, pair.challenger);
    }
    Scores { champion: model_scores(&champion), challenger: model_scores(&challenger) }
}

fn count(counts: &mut [ClassCounts], gold: usize, predicted: usize) {
    counts[gold].support += 1;
    counts[predicted].predicted += 1;
    counts[gold].correct += usize::from(gold == predicted);
}

fn model_scores(counts: &[ClassCounts]) -> ModelScores {
    let correct = counts.iter().map(|class| class.correct).sum();
    let rows = counts.iter().map(|class| class.support).sum();
    ModelScores { accuracy: ratio(correct, rows), macro_f1: macro_f1(counts) }
}

fn difference(all: &Scores, resampled: &[Scores], score: fn(&ModelScores) -> f64) -> Difference {
    let of = |scores: &Scores| score(&scores.challenger) - score(&scores.champion);
    let Interval { low, high } = percentiles(resampled.iter().map(of).collect());
    Difference {
        champion: score(&all.champion),
        challenger: score(&all.challenger),
        difference: of(all),
        low,
        high,
    }
}

fn disagreements(labels: &[String], pairs: &[Pair]) -> Vec<Disagreement> {
    let differing = pairs.iter().enumerate().filter(|(_, pair)| pair.champion != pair.challenger);
    let disagreement = |(row, pair): (usize, &Pair)| Disagreement {
        row,
        gold: labels[pair.gold].clone(),
        champion: labels[pair.champion].clone(),
        challenger: labels[pair.challenger].clone(),
    };
    differing.map(disagreement).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng as _;

    use super::*;

    fn labels(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn sure(class: usize, labels: usize) -> Probabilities {
        Probabilities::from_logits(
            &(0..labels).map(|label| f32::from(u8::from(label == class)) * 5.0).collect::<Vec<_>>(),
        )
    }

    fn all_sure(classes: &[usize], labels: usize) -> Vec<Probabilities> {
        classes.iter().map(|class| sure(*class, labels)).collect()
    }

    #[test]
    fn both_models_are_scored_on_the_same_resample() {
        let gold = [0, 0, 1, 1];
        let champion = all_sure(&[0, 1, 1, 0], 2);
        let challenger = all_sure(&[0, 0, 1, 0], 2);
        let labels = labels(&["a", "b"]);
        let comparison = paired_bootstrap(&labels, &gold, &champion, &challenger, 200, 1).unwrap();
        assert_eq!((comparison.rows, comparison.gained, comparison.lost), (4, 1, 0));
        assert_eq!(comparison.accuracy.difference, 0.25);
        assert!((comparison.macro_f1.challenger - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // The champion is not better on any resample.
        assert_eq!(comparison.accuracy.low, 0.0);
        assert!(comparison.accuracy.high > 0.25);
        let row = Disagreement { row: 1, gold: "a".into(), champion: "b".into(), challenger: "a".into() };
        assert_eq!(comparison.disagreements, [row]);
        assert_eq!(paired_bootstrap(&labels, &gold, &champion, &challenger, 200, 1).unwrap(), comparison);
    }

    #[test]
    fn the_interval_covers_the_true_difference_about_as_often_as_stated() {
        // Right with probability 0.7 and 0.8, independently: a true difference of 0.1.
        let mut generator = SmallRng::seed_from_u64(3);
        let labels = labels(&["a", "b"]);
        let mut covered = 0;
        for trial in 0..100 {
            let mut draw = |share: f64| -> Vec<usize> {
                (0..150).map(|_| usize::from(generator.random::<f64>() >= share)).collect()
            };
            let (champion, challenger) = (all_sure(&draw(0.7), 2), all_sure(&draw(0.8), 2));
            let accuracy =
                paired_bootstrap(&labels, &[0; 150], &champion, &challenger, 300, trial).unwrap().accuracy;
            covered += usize::from((accuracy.low..=accuracy.high).contains(&0.1));
        }
        assert!((88..=100).contains(&covered), "{covered} of 100");
    }

    #[test]
    fn models_with_different_labels_are_compared_over_the_union() {
        let (old, new) = (labels(&["b", "a"]), labels(&["a", "b", "c"]));
        let both = union(&old, &new);
        assert_eq!(both, labels(&["b", "a", "c"]));
        let [b, a] = [0.0, 1.0];
        let row = Probabilities::from_logits(&[b, a]);
        let projected = project(std::slice::from_ref(&row), &old, &both);
        assert_eq!(projected[0].as_slice(), [row.as_slice()[0], row.as_slice()[1], 0.0]);
        let row = Probabilities::from_logits(&[0.0, 1.0, 2.0]);
        let projected = project(std::slice::from_ref(&row), &new, &both);
        let expected = [row.as_slice()[1], row.as_slice()[0], row.as_slice()[2]];
        assert_eq!(projected[0].as_slice(), expected);
        assert_eq!(project(&projected, &both, &old)[0].as_slice(), &expected[..2]);
    }

    #[test]
    fn a_slice_is_scored_on_its_own_rows() {
        let names = [
            vec!["lang=zh".to_owned(), "long".to_owned()],
            vec!["lang=en".to_owned()],
            vec![],
            vec!["lang=zh".to_owned()],
        ];
        let (champion, challenger) = (all_sure(&[0, 0, 0, 1], 2), all_sure(&[0, 1, 0, 0], 2));
        let slices = slices(&names, &[0, 0, 0, 0], Some(&champion), &challenger);
        let found: Vec<_> = slices
            .iter()
            .map(|s| (s.name.as_str(), s.rows, s.champion, s.challenger, s.gained, s.lost))
            .collect();
        let expected = [
            ("lang=en", 1, Some(1.0), 0.0, 0, 1),
            ("lang=zh", 2, Some(0.5), 1.0, 1, 0),
            ("long", 1, Some(1.0), 1.0, 0, 0),
        ];
        assert_eq!(found, expected);
        assert_eq!(slices[0].chance(), 0.5);
    }

    #[test]
    fn a_document_is_in_a_slice_of_each_kind() {
        let short = "length=below 100 characters";
        assert_eq!(slice_names("股市", Some("zh"), None), [short, "language=zh"]);
        assert_eq!(slice_names(&"字".repeat(99), None, Some("bbc")), [short, "source=bbc"]);
        assert_eq!(slice_names(&"字".repeat(100), None, None), ["length=100 to 999 characters"]);
    }

    proptest! {
        #[test]
        fn a_model_against_itself_differs_in_nothing(
            rows in prop::collection::vec((0_usize..3, 0_usize..3), 1..40),
            seed: u64,
        ) {
            let (gold, predicted): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            let probabilities = all_sure(&predicted, 3);
            let comparison = paired_bootstrap(
                &labels(&["a", "b", "c"]), &gold, &probabilities, &probabilities, 20, seed,
            ).unwrap();
            for difference in [comparison.accuracy, comparison.macro_f1] {
                prop_assert_eq!((difference.difference, difference.low, difference.high), (0.0, 0.0, 0.0));
            }
            prop_assert!(comparison.disagreements.is_empty());
            prop_assert_eq!((comparison.gained, comparison.lost), (0, 0));
        }
    }
}
