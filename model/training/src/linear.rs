//! Trains linear classifiers on n-grams.
//!
//! [`fit`] trains the linear expert of `fenliu-model`: NB-SVM (Wang & Manning 2012), one versus the rest.
//! [`fit_further`] trains one with new rows, without those that it was fitted to.
//! [`baseline`] trains and scores the reference classifier, a linear SVM on tf-idf, beside whose score that of any
//! model should stand. Both share the solver.
//!
//! ```text
//! texts ─▶ keys ─▶ vocabulary ─▶ documents (columns of features) ─▶ ratios | tf-idf ─▶ solver, a run for each class
//! ```
//!
//! Contract: the same rows, options and seed give the same bits on any number of threads. The classes are fitted on
//! rayon's current thread pool.
//!
//! Not here: which rows are trained on, and temperatures
//! ([`best_temperature`](fenliu_model::best_temperature)).

mod baseline;
mod continued;
mod documents;
mod naive_bayes;
mod options;
mod ratios;
mod rows;
mod solver;
#[cfg(test)]
mod tests;
mod tf_idf;
mod vocabulary;

pub(crate) use baseline::are_unspaced;
pub use baseline::{BaselineScores, baseline};
pub use continued::fit_further;
pub use naive_bayes::fit;
pub use options::{LinearOptions, Scale};
pub use rows::LinearRows;
