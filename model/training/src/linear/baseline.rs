//! The reference classifier: a linear support vector machine on tf-idf of n-grams.
//!
//! It is what an afternoon with scikit-learn gives, so a model that is not better has no reason to exist:
//! lower case, sublinear tf-idf, vectors of length 1, squared hinge, C = 1, one versus the rest. Text without spaces
//! between words is read as n-grams of 1–3 characters that at least two documents have, other text as n-grams of
//! 1–2 words.

use fenliu_model::linear::{CharacterScope, FeatureOptions, Features};
use fenliu_model::{Labels, Probabilities, Result, evaluate};
use rayon::prelude::*;

use super::rows::LinearRows;
use super::solver::{Design, Plane, solve};
use super::tf_idf::{Counted, TfIdf, inverse_frequencies};
use super::vocabulary::frequent_keys;

const COST: f64 = 1.0;
const MIN_DOCUMENTS: usize = 2;
const SEED: u64 = 0;

/// How well the reference classifier does on development rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselineScores {
    /// Share of the rows whose label was right.
    pub accuracy: f64,
    /// Mean F1 of the labels.
    pub macro_f1: f64,
}

/// Trains the reference classifier on `train` and scores it on each of `dev`.
///
/// # Errors
///
/// Rows are unusable.
pub fn baseline<S: AsRef<str> + Sync>(
    train: &LinearRows<'_, S>,
    dev: &[LinearRows<'_, S>],
    classes: &Labels,
) -> Result<Vec<BaselineScores>> {
    train.check(classes.len())?;
    let reference = Reference::train(train, classes.len())?;
    let score = |rows: &LinearRows<'_, S>| {
        rows.check(classes.len())?;
        let probabilities: Vec<Probabilities> = reference.decide(rows.texts);
        let evaluation = evaluate(&classes.ids(), rows.labels, &probabilities)?;
        Ok(BaselineScores { accuracy: evaluation.accuracy, macro_f1: evaluation.macro_f1 })
    };
    dev.iter().map(score).collect()
}

/// The trained reference classifier.
struct Reference {
    features: Features,
    vocabulary: Vec<u64>,
    inverse_frequencies: Vec<f64>,
    planes: Vec<Plane>,
}

impl Reference {
    fn train<S: AsRef<str> + Sync>(rows: &LinearRows<'_, S>, classes: usize) -> Result<Self> {
        let is_unspaced = are_unspaced(rows.texts);
        let features = Features::try_new(options(is_unspaced), None)?;
        let documents = counted(&features, rows.texts);
        let lists = documents.iter().map(|document| document.keys.as_slice());
        let min_documents = if is_unspaced { MIN_DOCUMENTS } else { 1 };
        let vocabulary = frequent_keys(lists, min_documents, usize::MAX);
        let inverse_frequencies = inverse_frequencies(&documents, &vocabulary);
        let design = TfIdf::new(&documents, &vocabulary, &inverse_frequencies);
        let costs: Vec<f64> = rows.weights().iter().map(|weight| weight * COST).collect();
        let plane = |class: usize| {
            let is_positive: Vec<bool> = rows.labels.iter().map(|label| *label == class).collect();
            solve(&design, &is_positive, &costs, SEED + class as u64)
        };
        let planes = (0..classes).into_par_iter().map(plane).collect();
        Ok(Self { features, vocabulary, inverse_frequencies, planes })
    }

    /// Softmax of the decision values of each text; only their order means anything.
    fn decide<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Vec<Probabilities> {
        let documents = counted(&self.features, texts);
        let design = TfIdf::new(&documents, &self.vocabulary, &self.inverse_frequencies);
        let decide = |row| {
            let value = |plane: &Plane| (design.dot(row, &plane.weights) + plane.bias) as f32;
            Probabilities::from_logits(&self.planes.iter().map(value).collect::<Vec<f32>>())
        };
        (0..documents.len()).map(decide).collect()
    }
}

fn options(is_unspaced: bool) -> FeatureOptions {
    FeatureOptions {
        nfkc: false,
        strip_punctuation: !is_unspaced,
        max_characters: if is_unspaced { 3 } else { 0 },
        character_scope: CharacterScope::All,
        max_letters: 0,
        max_words: if is_unspaced { 0 } else { 2 },
        segment: true,
    }
}

fn counted<S: AsRef<str> + Sync>(features: &Features, texts: &[S]) -> Vec<Counted> {
    let count = |text: &S| {
        let mut keys = Vec::new();
        features.visit(text.as_ref(), |key| keys.push(key));
        Counted::new(keys)
    };
    texts.par_iter().map(count).collect()
}

/// Whether more than half of the letters and digits are of scripts without spaces between words.
pub(crate) fn are_unspaced<S: AsRef<str>>(texts: &[S]) -> bool {
    let characters = texts.iter().flat_map(|text| text.as_ref().chars()).filter(|c| c.is_alphanumeric());
    let (mut all, mut unspaced) = (0_usize, 0_usize);
    for character in characters {
        all += 1;
        unspaced += usize::from(fenliu_model::linear::is_unspaced(character));
    }
    2 * unspaced > all
}
