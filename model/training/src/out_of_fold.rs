//! Probabilities for rows from a model that was trained on the other rows (k-fold cross-validation).
//!
//! The model is our network without encoder layers, that is bags of words and n-grams, which trains in seconds.

use fenliu_model::tokenize::{Tokenization, Tokenizer};
use fenliu_model::{Probabilities, Result};
use rand::{SeedableRng, rngs::SmallRng};

use crate::data::Dataset;
use crate::network::Network;
use crate::optimisation::Optimisation;
use crate::options::{Preset, TrainOptions};
use crate::shape::{EncoderShape, NetworkConfig};
use crate::threads::on_threads;
use crate::trainer::{Position, Trainer};

/// For each row the probabilities of a model that was trained on the rows of all other folds.
///
/// `gold[row]` is below `labels`, and `folds[row]` is the number of the row's fold. `threads`: 0 = one per
/// core.
///
/// # Errors
///
/// There are no rows, or training diverges.
pub(crate) fn out_of_fold<T: AsRef<str> + Sync>(
    texts: &[T],
    gold: &[usize],
    labels: usize,
    folds: &[usize],
    threads: usize,
) -> Result<Vec<Probabilities>> {
    let options = options();
    on_threads(threads, || {
        let texts: Vec<String> = texts.iter().map(|text| text.as_ref().to_owned()).collect();
        // One vocabulary for all folds: it is made without labels, so it does not give away those of the held rows.
        let tokenizer = Tokenizer::train_words(&texts, &options.vocabulary)?;
        let documents = tokenizer.encode_batch(&texts, options.max_tokens)?;
        let all = Dataset::new(documents, gold.to_vec());
        let config = options.network(tokenizer.vocab_size(), labels);
        let mut results = vec![Probabilities::from_logits(&[]); texts.len()];
        for fold in 0..folds.iter().max().map_or(0, |last| last + 1) {
            let (held, kept): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|row| folds[*row] == fold);
            let logits = fold_logits(config, &options, &all.rows(&kept), &all.rows(&held))?;
            for (row, logits) in held.into_iter().zip(logits) {
                results[row] = Probabilities::from_logits(&logits);
            }
        }
        Ok(results)
    })
}

/// Logits of the rows of `held` from a model that is trained on those of `kept`.
fn fold_logits(
    config: NetworkConfig,
    options: &TrainOptions,
    kept: &Dataset,
    held: &Dataset,
) -> Result<Vec<Vec<f32>>> {
    let hyperparameters = options.hyperparameters();
    let network = Network::new(config, &mut SmallRng::seed_from_u64(options.optimisation.seed))?;
    let mut trainer = Trainer::try_new(&hyperparameters, network)?;
    for epoch in 0..options.optimisation.epochs {
        let position = Position { epoch, ..Position::default() };
        trainer.epoch(kept, position, &mut (), &mut |_, _| Ok(()))?;
    }
    Ok(held.of_documents(trainer.logits(held)?))
}

fn options() -> TrainOptions {
    let options = TrainOptions::new(Preset::Tiny, Tokenization::Words);
    TrainOptions {
        encoder: EncoderShape { layers: 0, width: 32, heads: 1, feed_forward: 1 },
        max_tokens: 128,
        optimisation: Optimisation { epochs: 3, batch_rows: 32, ..options.optimisation },
        ..options
    }
}
