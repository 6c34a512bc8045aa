//! Training a linear expert further, with rows of which it has seen none and without those that it has seen.
//!
//! Each class starts at the expert's plane and moves no further than the new rows ask for ([`solve_near`]), so that what
//! was learnt of other rows stays. Its bias stays as it is: corrections are a selection, whose shares of labels are not
//! those of documents. So do the ratios of the expert's features. Features that it does not know are added, and count
//! like the mean of those that it knows: they can learn the new rows without a change for other texts. In a
//! prototype with scikit-learn, 97 % of 300 corrections of errors on headlines were learnt at a loss of 0.1 points on
//! others, where a free bias and known features alone lost 0.8 for 93 %.
//!
//! A class that the expert does not know starts at a plane that is sure of no text; its bias is free, and its ratios are
//! those of the new rows. Features that only one of its rows has are not added, so that the row teaches what it has in
//! common with others.

use fenliu_model::linear::{LinearExpert, MAX_FEATURES};
use fenliu_model::{Labels, Result};
use rayon::prelude::*;

use super::documents::Documents;
use super::naive_bayes::{ClassPlane, Scaled, matrix};
use super::ratios::Counts;
use super::rows::LinearRows;
use super::solver::{Plane, Start, solve_near};
use super::vocabulary::frequent_keys;

/// The bias of a class without rows: its decision is on the margin for every text, so no row of another class moves it.
const NO_TEXT: f64 = -1.0;

/// Trains `base` further with `rows`. The labels of `base` come first in `classes`, in their order.
///
/// `cost` is that of an error of weight 1 against the squared distance from the plane of `base`.
///
/// # Errors
///
/// The rows are unusable.
pub fn fit_further<S: AsRef<str> + Sync>(
    base: &LinearExpert,
    rows: &LinearRows<'_, S>,
    classes: &Labels,
    cost: f64,
    seed: u64,
) -> Result<LinearExpert> {
    rows.check(classes.len())?;
    let features = base.features().clone();
    let keys: Vec<Vec<u64>> = rows.texts.par_iter().map(|text| features.keys(text.as_ref())).collect();
    let known = Known::new(base, &new_keys(base, &keys, rows.labels));
    let documents = Documents::new(keys.iter().map(Vec::as_slice), &known.keys);
    let weights = rows.weights();
    let counts = Counts::new(&documents, rows.labels, &weights, (classes.len(), known.keys.len()));
    let costs: Vec<f64> = weights.iter().map(|weight| weight * cost).collect();
    let fit_class = |class: usize| {
        let (start, squared_ratios) = known.class(class, &counts.ratios(class));
        let design = Scaled::new(&documents, squared_ratios);
        let is_positive: Vec<bool> = rows.labels.iter().map(|label| *label == class).collect();
        let plane = solve_near(start, &design, &is_positive, &costs, seed.wrapping_add(class as u64));
        ClassPlane { plane, squared_ratios: design.squared_ratios }
    };
    let planes: Vec<ClassPlane> = (0..classes.len()).into_par_iter().map(fit_class).collect();
    LinearExpert::try_new(features, classes.clone(), known.keys, matrix(&planes))
}

/// The features of the rows that `base` does not know and has room for: all of rows of its own labels, and those that
/// several rows of new labels have.
fn new_keys(base: &LinearExpert, keys: &[Vec<u64>], labels: &[usize]) -> Vec<u64> {
    let is_new = |key: &&u64| base.keys().binary_search(key).is_err();
    let new: Vec<Vec<u64>> = keys.iter().map(|keys| keys.iter().filter(is_new).copied().collect()).collect();
    let room = MAX_FEATURES - base.known_features();
    let of = |is_old: bool, min_documents: usize, room: usize| {
        let rows = new.iter().zip(labels).filter(|(_, label)| (**label < base.labels().len()) == is_old);
        frequent_keys(rows.map(|(keys, _)| keys.as_slice()), min_documents, room)
    };
    let mut found = of(true, 1, room);
    found.extend(of(false, 2, room - found.len()));
    found.sort_unstable();
    found.dedup();
    found
}

/// What the expert knows, among the features of the expert that it becomes.
struct Known {
    /// Old and new keys, ascending.
    keys: Vec<u64>,
    /// The row of each key in the expert; `None` for a new one.
    rows: Vec<Option<usize>>,
    classes: usize,
    numerators: Vec<f32>,
    denominators: Vec<f32>,
    bias: Vec<f32>,
}

impl Known {
    fn new(base: &LinearExpert, new: &[u64]) -> Self {
        let mut keys = [base.keys(), new].concat();
        keys.sort_unstable();
        let rows = keys.iter().map(|key| base.keys().binary_search(key).ok()).collect();
        let matrix = base.matrix();
        Self {
            keys,
            rows,
            classes: matrix.bias().len(),
            numerators: matrix.numerators().collect(),
            denominators: matrix.denominators().collect(),
            bias: matrix.bias().to_vec(),
        }
    }

    /// Where a class starts, and its r²; `ratios` are those of all features in the new rows.
    fn class(&self, class: usize, ratios: &[f64]) -> (Start, Vec<f64>) {
        let Some(bias) = self.bias.get(class) else {
            let plane = Plane { weights: vec![0.0; self.keys.len()], bias: NO_TEXT };
            return (
                Start { plane, is_bias_fixed: false },
                ratios.iter().map(|ratio| ratio * ratio).collect(),
            );
        };
        let value = |values: &[f32], row: usize| f64::from(values[row * self.classes + class]);
        let known = self.rows.iter().flatten().count();
        let sum: f64 = (0..known).map(|row| value(&self.denominators, row)).sum();
        let mean = sum / known.max(1) as f64;
        let weight = |row: &Option<usize>| row.map_or(0.0, |row| value(&self.numerators, row));
        let square = |row: &Option<usize>| row.map_or(mean, |row| value(&self.denominators, row));
        let plane = Plane { weights: self.rows.iter().map(weight).collect(), bias: f64::from(*bias) };
        (Start { plane, is_bias_fixed: true }, self.rows.iter().map(square).collect())
    }
}
