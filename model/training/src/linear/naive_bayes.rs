//! Support vector machines on binary features, each multiplied by its scale: naive Bayes ratios (NB-SVM) or inverse document
//! frequencies.

use fenliu_model::linear::{Features, LinearExpert, Matrix};
use fenliu_model::{Labels, ModelError, Result};
use rayon::prelude::*;

use super::documents::Documents;
use super::options::LinearOptions;
use super::ratios::Counts;
use super::rows::LinearRows;
use super::solver::{Design, Plane, solve};
use super::vocabulary::frequent_keys;

/// Trains a linear expert (Wang & Manning 2012, without their interpolation of weights), one class versus the rest.
///
/// The input of class c is x∘r_c, divided by its length, where x is 1 for each feature that the text has and 0 for
/// others, and r_c are the scales that `options` name. `user_dict` is the content of a user dictionary for the segmenter.
///
/// While it runs, 8 bytes are held for each distinct n-gram of each document, and 16 for each feature and class.
///
/// # Errors
///
/// The rows, an option or the dictionary is unusable, or no feature is in `min_documents` documents.
pub fn fit<S: AsRef<str> + Sync>(
    rows: &LinearRows<'_, S>,
    classes: &Labels,
    options: &LinearOptions,
    user_dict: Option<String>,
    seed: u64,
) -> Result<LinearExpert> {
    options.check()?;
    rows.check(classes.len())?;
    let features = Features::try_new(options.features.clone(), user_dict)?;
    let keys: Vec<Vec<u64>> = rows.texts.par_iter().map(|text| features.keys(text.as_ref())).collect();
    let lists = || keys.iter().map(Vec::as_slice);
    let vocabulary = frequent_keys(lists(), options.min_documents, options.max_features);
    if vocabulary.is_empty() {
        let problem = format!("no feature is in {} of {} texts", options.min_documents, keys.len());
        return Err(ModelError::Training(problem));
    }
    let documents = Documents::new(lists(), &vocabulary);
    drop(keys);
    let planes = planes(&documents, vocabulary.len(), rows, classes.len(), options, seed);
    LinearExpert::try_new(features, classes.clone(), vocabulary, matrix(&planes))
}

/// What is learnt of one class: r·w and bias, and r².
pub(super) struct ClassPlane {
    pub(super) plane: Plane,
    pub(super) squared_ratios: Vec<f64>,
}

/// The planes of all classes.
fn planes<S: Sync>(
    documents: &Documents,
    features: usize,
    rows: &LinearRows<'_, S>,
    classes: usize,
    options: &LinearOptions,
    seed: u64,
) -> Vec<ClassPlane> {
    let (labels, weights) = (rows.labels, rows.weights());
    let counts = Counts::new(documents, labels, &weights, (classes, features));
    let costs: Vec<f64> = weights.iter().map(|weight| weight * options.cost).collect();
    let fit_class = |class: usize| {
        let squared_ratios =
            counts.scales(options.scale, class).into_iter().map(|ratio| ratio * ratio).collect();
        let design = Scaled::new(documents, squared_ratios);
        let is_positive: Vec<bool> = labels.iter().map(|label| *label == class).collect();
        let plane = solve(&design, &is_positive, &costs, seed.wrapping_add(class as u64));
        ClassPlane { plane, squared_ratios: design.squared_ratios }
    };
    (0..classes).into_par_iter().map(fit_class).collect()
}

/// Rows x∘r, divided by their lengths.
///
/// The weights are kept as v = r·w, which the expert stores, so that only r² is needed: x_i·w = s_i Σ_g v_g and
/// w += t·x_i is v_g += t·s_i·r_g², with s_i = 1 / √Σ_g r_g².
pub(super) struct Scaled<'a> {
    documents: &'a Documents,
    pub(super) squared_ratios: Vec<f64>,
    /// s_i
    scales: Vec<f64>,
}

impl<'a> Scaled<'a> {
    pub(super) fn new(documents: &'a Documents, squared_ratios: Vec<f64>) -> Self {
        let scale = |row| {
            let squares = documents.columns(row).iter().map(|column| squared_ratios[*column as usize]);
            let length = squares.sum::<f64>().sqrt();
            if length > 0.0 { 1.0 / length } else { 0.0 }
        };
        let scales = (0..documents.len()).map(scale).collect();
        Self { documents, squared_ratios, scales }
    }
}

impl Design for Scaled<'_> {
    fn rows(&self) -> usize {
        self.documents.len()
    }

    fn features(&self) -> usize {
        self.squared_ratios.len()
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        let weights = self.documents.columns(row).iter().map(|column| weights[*column as usize]);
        self.scales[row] * weights.sum::<f64>()
    }

    fn add(&self, row: usize, step: f64, weights: &mut [f64]) {
        let step = step * self.scales[row];
        for column in self.documents.columns(row) {
            weights[*column as usize] += step * self.squared_ratios[*column as usize];
        }
    }

    fn squared_norm(&self, row: usize) -> f64 {
        if self.scales[row] > 0.0 { 1.0 } else { 0.0 }
    }
}

/// The values of all classes, those of a feature side by side.
pub(super) fn matrix(classes: &[ClassPlane]) -> Matrix {
    let features = classes.first().map_or(0, |class| class.squared_ratios.len());
    let table = |value: &dyn Fn(&ClassPlane, usize) -> f64| -> Vec<f32> {
        (0..features).flat_map(|row| classes.iter().map(move |class| value(class, row) as f32)).collect()
    };
    let numerators = table(&|class, row| class.plane.weights[row]);
    let denominators = table(&|class, row| class.squared_ratios[row]);
    Matrix::new(&numerators, &denominators, classes.iter().map(|class| class.plane.bias as f32).collect())
}
