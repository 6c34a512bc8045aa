//! Runs the epochs of a training run and chooses the one whose weights are kept.

use std::time::{Duration, Instant};

use fenliu_model::evaluate::{Evaluation, evaluate};
use fenliu_model::training_report::EpochReport;
use fenliu_model::{Probabilities, Result};

use crate::checkpoint::{Checkpoints, Progress};
use crate::corpus::Corpus;
use crate::hyperparameters::Hyperparameters;
use crate::network::Network;
use crate::observer::Observer;
use crate::stack::side_weight;
use crate::tensors::Tensors;
use crate::trainer::{Position, Trainer};

/// The network with the weights of the chosen epoch, and the record of the run.
pub(super) struct Fitted {
    pub(super) network: Network,
    pub(super) epochs: Vec<EpochReport>,
    pub(super) best_epoch: usize,
    pub(super) dev: Option<Evaluation>,
    /// The factor of the side path's weights, if it was trained separately.
    pub(super) ngram_weight: Option<f32>,
}

/// A macro-F1 that is lower than the best by at most this counts as equal: one standard error of the accuracy
/// on the development rows (Breiman et al., 1984). The latest of equal epochs is kept: where the score does
/// not decide, the later epoch is likely to be better because its learning rate was lower.
fn tolerance(dev: &Evaluation) -> f64 {
    (dev.accuracy * (1.0 - dev.accuracy) / dev.rows.max(1) as f64).sqrt()
}

/// Trains `network` until all epochs have run or the development score has stopped rising.
///
/// With `checkpoints` the run continues from the last one, if there is one, and writes new ones.
pub(super) fn fit(
    network: Network,
    corpus: &Corpus,
    options: &Hyperparameters,
    checkpoints: Option<&Checkpoints>,
    observer: &mut dyn Observer,
) -> Result<Fitted> {
    let mut trainer = Trainer::try_new(options, network)?;
    observer.start(&corpus.size(trainer.network().parameters(), options.optimisation.epochs));
    let mut run = Run { progress: Progress::default(), kept: None };
    if let Some((progress, mut tensors)) = checkpoints.map_or(Ok(None), Checkpoints::load)? {
        tracing::info!(
            epoch = progress.epoch + 1,
            batch = progress.batch,
            "training resumes from a checkpoint"
        );
        run = Run::resume(progress, &mut tensors, &mut trainer)?;
        // The observer of a resumed run learns of the epochs that an earlier process trained.
        run.progress.epochs.iter().for_each(|report| observer.epoch(report));
    }
    // Early stopping sets `epoch` to the number of epochs, so that a checkpoint records the end of the run, too.
    while run.progress.epoch < options.optimisation.epochs {
        run.epoch(&mut trainer, corpus, options, checkpoints, observer)?;
        if let Some(checkpoints) = checkpoints {
            run.save(&trainer, checkpoints)?;
        }
    }
    run.finish(trainer, corpus)
}

/// A run in progress.
struct Run {
    progress: Progress,
    /// The weights of the kept evaluation.
    kept: Option<Tensors>,
}

impl Run {
    fn resume(progress: Progress, tensors: &mut Tensors, trainer: &mut Trainer<'_>) -> Result<Self> {
        // First the trainer takes its own tensors out; the kept weights have a prefix and stay.
        trainer.restore(tensors)?;
        let kept = progress.kept.is_some().then(|| tensors.split_off(KEPT));
        Ok(Self { progress, kept })
    }

    /// Trains for the rest of the current epoch and evaluates the result.
    fn epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        corpus: &Corpus,
        options: &Hyperparameters,
        checkpoints: Option<&Checkpoints>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let start = Instant::now();
        let mut saved = Instant::now();
        let interval = Duration::from_secs(options.transfer.checkpoint_seconds);
        let Progress { epoch, batch, loss_bits, .. } = self.progress;
        let position = Position { epoch, batch, loss: f64::from_bits(loss_bits) };
        let train_loss = trainer.epoch(&corpus.train, position, observer, &mut |trainer, position| {
            self.progress.batch = position.batch;
            self.progress.loss_bits = position.loss.to_bits();
            match checkpoints {
                Some(checkpoints) if saved.elapsed() >= interval => {
                    self.save(trainer, checkpoints)?;
                    saved = Instant::now();
                    Ok(())
                }
                _ => Ok(()),
            }
        })?;
        let dev = evaluation(trainer, corpus)?;
        let report = EpochReport {
            epoch: epoch + 1,
            train_loss,
            dev_accuracy: dev.as_ref().map(|dev| dev.accuracy),
            dev_macro_f1: dev.as_ref().map(|dev| dev.macro_f1),
            seconds: start.elapsed().as_secs_f64(),
        };
        observer.epoch(&report);
        self.progress.epochs.push(report);
        self.progress =
            Progress { epoch: epoch + 1, batch: 0, loss_bits: 0, ..std::mem::take(&mut self.progress) };
        if let Some(dev) = dev {
            self.keep_or_stop(dev, trainer, options);
        }
        Ok(())
    }

    /// Keeps the weights if they are the best so far. Otherwise ends the run once the best epoch is
    /// `patience` epochs ago.
    fn keep_or_stop(&mut self, dev: Evaluation, trainer: &Trainer<'_>, options: &Hyperparameters) {
        let epoch = self.progress.epoch;
        // The best score of all epochs, not that of the kept one: within the tolerance a later epoch replaces a
        // better one, and scores must not slide down step by step.
        let best = self.progress.best_bits.map_or(f64::NEG_INFINITY, f64::from_bits).max(dev.macro_f1);
        self.progress.best_bits = Some(best.to_bits());
        let kept_epoch = self.progress.kept.as_ref().map_or(0, |(epoch, _)| *epoch);
        if dev.macro_f1 >= best - tolerance(&dev) {
            self.progress.kept = Some((epoch, dev));
            self.kept = Some(trainer.weights());
        } else if options.optimisation.patience > 0 && epoch - kept_epoch >= options.optimisation.patience {
            self.progress.epoch = options.optimisation.epochs;
        }
    }

    fn save(&self, trainer: &Trainer<'_>, checkpoints: &Checkpoints) -> Result<()> {
        let mut tensors = trainer.state();
        if let Some(kept) = &self.kept {
            tensors.insert_all(KEPT, kept);
        }
        checkpoints.save(&self.progress, &tensors)
    }

    fn finish(self, mut trainer: Trainer<'_>, corpus: &Corpus) -> Result<Fitted> {
        let Progress { epochs, kept, .. } = self.progress;
        let (best_epoch, dev) = match (kept, self.kept) {
            (Some((epoch, dev)), Some(mut weights)) => {
                trainer.restore_weights(&mut weights)?;
                (epoch, Some(dev))
            }
            _ => (epochs.len(), None),
        };
        // Fitted again with the weights that are kept; the weight of the last epoch belongs to other weights.
        let ngram_weight = mixed(&mut trainer, corpus)?.map(|mixed| mixed.ngram_weight);
        let mut network = trainer.into_network();
        if let (Some(weight), Some(table)) = (ngram_weight, &mut network.ngrams) {
            tracing::info!(weight, "fitted the weight of the n-gram side path");
            // The exported graph adds the side path with weight 1, so the fitted weight goes into its table.
            table.scale(weight);
        }
        // Last: the kept weights are those of the factors, and a merged network has no factors to restore.
        network.merge();
        Ok(Fitted { network, epochs, best_epoch, dev, ngram_weight })
    }
}

/// Prefix of the names of kept weights in a checkpoint.
const KEPT: &str = "kept/";

/// The evaluation on the development rows; `None` if there are none.
fn evaluation(trainer: &mut Trainer<'_>, corpus: &Corpus) -> Result<Option<Evaluation>> {
    if corpus.dev.len() == 0 {
        return Ok(None);
    }
    let logits = match mixed(trainer, corpus)? {
        Some(Mixed { logits, .. }) => logits,
        None => corpus.dev.of_documents(trainer.logits(&corpus.dev)?),
    };
    let probabilities: Vec<Probabilities> =
        logits.iter().map(|logits| Probabilities::from_logits(logits)).collect();
    evaluate(&corpus.labels.ids(), &corpus.dev.labels, &probabilities).map(Some)
}

/// The combined logits of the development rows, where encoder and side path were trained separately.
struct Mixed {
    logits: Vec<Vec<f32>>,
    /// The weight of the side path's logits in them.
    ngram_weight: f32,
}

/// `None` if encoder and side path are trained together, or if there is no side path.
fn mixed(trainer: &mut Trainer<'_>, corpus: &Corpus) -> Result<Option<Mixed>> {
    let dev = &corpus.dev;
    let Some(side) = trainer.side_path_logits(dev) else { return Ok(None) };
    let side = dev.of_documents(side);
    // `logits` contain the side path with weight 1; without it, those of the encoder are left.
    let encoder = added(&dev.of_documents(trainer.logits(dev)?), &side, -1.0);
    let ngram_weight = side_weight(&encoder, &side, &dev.labels);
    Ok(Some(Mixed { logits: added(&encoder, &side, ngram_weight), ngram_weight }))
}

/// `rows + weight * others`.
fn added(rows: &[Vec<f32>], others: &[Vec<f32>], weight: f32) -> Vec<Vec<f32>> {
    let row =
        |(row, other): (&Vec<f32>, &Vec<f32>)| row.iter().zip(other).map(|(a, b)| a + weight * b).collect();
    rows.iter().zip(others).map(row).collect()
}
