//! Epochs of training, and which of them is kept.

use std::time::Instant;

use super::corpus::Corpus;
use super::hyperparameters::Hyperparameters;
use super::network::{Network, Snapshot};
use super::report::{EpochReport, Observer};
use super::trainer::Trainer;
use crate::classifier::Probabilities;
use crate::error::Result;
use crate::evaluate::{Evaluation, evaluate};

/// The weights that were kept, and how the run went.
pub(super) struct Fitted {
    pub(super) network: Network,
    pub(super) epochs: Vec<EpochReport>,
    pub(super) best_epoch: usize,
    pub(super) dev: Option<Evaluation>,
}

/// Epochs whose macro-F1 is this near to the best count as equal; the latest of them is kept, because
/// the falling learning rate makes a later epoch the better one where the score cannot tell.
const EQUAL_MACRO_F1: f64 = 0.005;

/// Trains `network` until the epochs are over or the development score has stopped rising.
pub(super) fn fit(
    network: Network,
    corpus: &Corpus,
    options: &Hyperparameters,
    observer: &mut dyn Observer,
) -> Result<Fitted> {
    let mut trainer = Trainer::new(options, network);
    observer.start(&corpus.size(trainer.network(), options.epochs));
    let mut epochs: Vec<EpochReport> = Vec::new();
    let mut kept: Option<(usize, Evaluation, Snapshot)> = None;
    let mut best = f64::NEG_INFINITY;
    for epoch in 1..=options.epochs {
        let start = Instant::now();
        let train_loss = trainer.epoch(&corpus.train, epoch - 1, observer)?;
        let dev = evaluation(&mut trainer, corpus)?;
        let report = EpochReport {
            epoch,
            train_loss,
            dev_accuracy: dev.as_ref().map(|dev| dev.accuracy),
            dev_macro_f1: dev.as_ref().map(|dev| dev.macro_f1),
            seconds: start.elapsed().as_secs_f64(),
        };
        observer.epoch(&report);
        epochs.push(report);
        let Some(dev) = dev else { continue };
        best = best.max(dev.macro_f1);
        let kept_epoch = kept.as_ref().map_or(0, |(epoch, ..)| *epoch);
        if dev.macro_f1 >= best - EQUAL_MACRO_F1 {
            kept = Some((epoch, dev, trainer.network().snapshot()));
        } else if options.patience > 0 && epoch - kept_epoch >= options.patience {
            break;
        }
    }
    let mut network = trainer.into_network();
    let Some((best_epoch, dev, weights)) = kept else {
        return Ok(Fitted { network, best_epoch: epochs.len(), epochs, dev: None });
    };
    network.restore(weights);
    Ok(Fitted { network, epochs, best_epoch, dev: Some(dev) })
}

/// Scores on the development rows; none when there are no such rows.
fn evaluation(trainer: &mut Trainer<'_>, corpus: &Corpus) -> Result<Option<Evaluation>> {
    if corpus.dev.len() == 0 {
        return Ok(None);
    }
    let logits = trainer.logits(&corpus.dev);
    let probabilities: Vec<Probabilities> =
        logits.iter().map(|logits| Probabilities::from_logits(logits)).collect();
    evaluate(&corpus.labels.ids(), &corpus.dev.labels, &probabilities).map(Some)
}
