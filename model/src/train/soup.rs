//! A model soup: several runs from the same weights, and the mean of the weights that they end with.
//!
//! Runs from one pretrained network end in one basin of the loss, so the mean of their weights is a network
//! that works, and mostly a better one than each of them (Wortsman et al., 2022): what an ensemble gains, at the
//! cost of one model when it serves. Runs differ by their seed. Each has checkpoints of its own; a run that is
//! over is not made again.

use super::NetworkConfig;
use super::checkpoint::Checkpoints;
use super::corpus::Corpus;
use super::fit::{Fitted, evaluation, fit, tolerance};
use super::hyperparameters::Hyperparameters;
use super::network::Network;
use super::report::{EpochReport, Observer};
use super::trainer::Trainer;
use super::weights::Weights;
use crate::error::Result;
use crate::evaluate::Evaluation;

/// Trains `network` in the runs that `options` want; the mean of several is scored on the development rows anew.
///
/// # Errors
///
/// As [`fit`].
pub(super) fn fit_mean(
    network: Network,
    corpus: &Corpus,
    options: &Hyperparameters,
    checkpoints: Option<&Checkpoints>,
    observer: &mut dyn Observer,
) -> Result<Fitted> {
    observer.start(&corpus.size(&network, options.epochs * options.runs));
    if options.runs == 1 {
        return fit(network, corpus, options, checkpoints, observer);
    }
    let mut soup = Soup::default();
    for run in 0..options.runs {
        let seed = options.seed.wrapping_add(run as u64);
        let options = Hyperparameters { seed, ..options.clone() };
        let checkpoints = checkpoints.map(|checkpoints| checkpoints.of_run(run));
        let mut observer = Continued { observer: &mut *observer, before: soup.epochs.len() };
        soup.add(&fit(network.clone(), corpus, &options, checkpoints.as_ref(), &mut observer)?);
    }
    soup.fitted(network.config, corpus, options)
}

/// The mean of the runs so far.
#[derive(Default)]
struct Soup {
    runs: usize,
    weights: Weights,
    epochs: Vec<EpochReport>,
    best_epoch: usize,
    ngram_weight: Option<f32>,
    /// The best of the runs on the development rows.
    best: Option<Evaluation>,
}

impl Soup {
    fn add(&mut self, run: &Fitted) {
        let before = self.epochs.len();
        self.epochs.extend(run.epochs.iter().map(|report| after(before, report)));
        self.best_epoch = before + run.best_epoch;
        self.runs += 1;
        let share = 1.0 / self.runs as f32;
        let weights = run.network.weights();
        match self.runs {
            1 => self.weights = weights,
            _ => self.weights.move_towards(&weights, share),
        }
        // The tables are multiplied already: this is their mean weight.
        let mean = self.ngram_weight.unwrap_or_default();
        self.ngram_weight = run.ngram_weight.map(|weight| mean + share * (weight - mean));
        if let Some(dev) =
            run.dev.as_ref().filter(|dev| self.best.as_ref().is_none_or(|b| dev.macro_f1 > b.macro_f1))
        {
            self.best = Some(dev.clone());
        }
    }

    fn fitted(mut self, config: NetworkConfig, corpus: &Corpus, options: &Hyperparameters) -> Result<Fitted> {
        let network = Network::from_weights(config, &mut self.weights)?;
        // One network answers now.
        let options = Hyperparameters { ngrams_apart: false, ..options.clone() };
        let mut trainer = Trainer::try_new(&options, network)?;
        let dev = evaluation(&mut trainer, corpus)?;
        if let (Some(mean), Some(best)) = (&dev, &self.best) {
            let (runs, accuracy, macro_f1) = (self.runs, mean.accuracy, mean.macro_f1);
            tracing::info!(runs, accuracy, macro_f1, "the mean of the runs, on held-out documents");
            if macro_f1 < best.macro_f1 - tolerance(best) {
                let best = best.macro_f1;
                tracing::warn!(macro_f1, best, "one run alone is better: they end too far apart for a mean");
            }
        }
        Ok(Fitted {
            network: trainer.into_network(),
            epochs: self.epochs,
            best_epoch: self.best_epoch,
            dev,
            ngram_weight: self.ngram_weight,
        })
    }
}

/// Counts the epochs of a run on from those of the runs before.
struct Continued<'a> {
    observer: &'a mut dyn Observer,
    before: usize,
}

impl Observer for Continued<'_> {
    fn step(&mut self, step: usize, steps: usize, loss: f32) {
        self.observer.step(step, steps, loss);
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        self.observer.epoch(&after(self.before, epoch));
    }
}

/// `report` of a run that follows on `before` epochs.
fn after(before: usize, report: &EpochReport) -> EpochReport {
    EpochReport { epoch: before + report.epoch, ..*report }
}
