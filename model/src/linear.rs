//! The linear expert: n-grams of a text in, raw logits out.
//!
//! It is a support vector machine on naive Bayes ratios (Wang & Manning 2012), one versus the rest, trained by
//! `fenliu-training`. The logit of class c is
//!
//! ```text
//! z_c = Σ_g num[g, c] / √(Σ_g den[g, c]) + bias[c]        num = r·w,  den = r²
//! ```
//!
//! over the distinct known features g of the text, where r is the ratio and w the weight of a feature. The
//! division is the normalisation of the input x∘r to length 1, which is another one for each class.
//!
//! ```text
//! text ─▶ prepare (NFKC, punctuation) ─▶ characters, words (n-grams) ─▶ key ─▶ table (row of the key) ─▶ sums
//! ```
//!
//! Contract: logits depend on text and expert only, bit by bit, on any number of threads. The whole text is read,
//! in time linear in its length; memory is a few times its length. Any text has logits.
//!
//! Not here: training, temperatures, and the sum with other experts.

use std::path::Path;

use crate::error::{ModelError, Result};
use crate::labels::Labels;

mod characters;
mod features;
mod file;
mod key;
mod known;
mod letters;
mod matrix;
mod prepare;
mod table;
mod words;

pub use features::{CharacterScope, FeatureOptions, Features};
pub use matrix::Matrix;

pub use crate::tokenize::words::is_unspaced;

use known::KnownRows;
use table::Table;

/// Most features of an expert.
pub const MAX_FEATURES: usize = 1 << 20;

/// A trained linear classifier; cheap to share between threads by reference.
#[derive(Debug)]
pub struct LinearExpert {
    features: Features,
    labels: Labels,
    table: Table,
    matrix: Matrix,
}

impl LinearExpert {
    /// An expert with these features and values. `keys` has a key for each row of `matrix`.
    ///
    /// # Errors
    ///
    /// The keys are not strictly ascending or are more than [`MAX_FEATURES`]; or the matrix has other numbers of
    /// rows or classes, or an unusable value.
    pub fn try_new(features: Features, labels: Labels, keys: Vec<u64>, matrix: Matrix) -> Result<Self> {
        let weights = |problem| ModelError::Weights(format!("linear expert: {problem}"));
        table::check(&keys).map_err(weights)?;
        matrix.check(keys.len(), labels.len()).map_err(weights)?;
        Ok(Self { features, labels, table: Table::new(keys), matrix })
    }

    /// Reads an expert from a file of [`LinearExpert::save`]. `labels` are those that it must have, in this order.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is damaged, or has other labels. The message names file, tensor and value.
    pub fn open(path: &Path, labels: &Labels) -> Result<Self> {
        file::read(path, labels)
    }

    /// Writes the expert to a file, which the same expert always fills with the same bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        file::write(self, path)
    }

    /// The raw logit of each label, in the order of the labels; the biases if the text has no known feature.
    pub fn logits(&self, text: &str) -> Vec<f32> {
        let mut known = KnownRows::default();
        self.features.visit(text, |key| known.extend(self.table.row(key)));
        self.matrix.logits(&known.into_sorted())
    }

    /// The raw logits, and the share of the text's features that are known, each as often as the text has it: from 0 to
    /// 1, and 0 if it has none.
    pub fn logits_and_familiarity(&self, text: &str) -> (Vec<f32>, f64) {
        let mut known = KnownRows::default();
        let (mut all, mut familiar) = (0_u64, 0_u64);
        self.features.visit(text, |key| {
            let row = self.table.row(key);
            all += 1;
            familiar += u64::from(row.is_some());
            known.extend(row);
        });
        (self.matrix.logits(&known.into_sorted()), familiar as f64 / all.max(1) as f64)
    }

    /// The raw logits of a text with these distinct features, as [`Features::keys`] gives them.
    pub fn logits_of_keys(&self, keys: &[u64]) -> Vec<f32> {
        let rows: Vec<u32> = keys.iter().filter_map(|key| self.table.row(*key)).collect();
        self.matrix.logits(&rows)
    }

    /// What it reads of a text.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Its labels, in logit order.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The names of the features that it knows, ascending.
    pub fn keys(&self) -> &[u64] {
        self.table.keys()
    }

    /// Their values, a row for each key.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// Number of features that it knows.
    pub fn known_features(&self) -> usize {
        self.table.keys().len()
    }
}

#[cfg(test)]
mod tests;
