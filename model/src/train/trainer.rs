//! The training loop: batches in, a trained network out.
//!
//! Everything random in a step is drawn from a generator of its own, seeded by the run's seed and the
//! number of the step: nothing random outlives a step, so a run can go on from any of them.

use candle_core::Var;
use candle_core::backprop::GradStore;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::data::{Batch, Dataset};
use super::hyperparameters::Hyperparameters;
use super::network::{DropoutSource, Inputs, Network, TableRows};
use super::ops::CrossEntropy;
use super::optimizer::{AdamW, DenseState, clip_scale};
use super::report::Observer;
use super::schedule::{one_cycle, progress};
use crate::error::{ModelError, Result};

/// Largest joint norm of a step's gradients.
const CLIP_NORM: f32 = 1.0;

/// What a generator is for: no two draws of a run come from one sequence.
#[derive(Clone, Copy)]
enum Purpose {
    Plan,
    Step,
}

/// The generator of the `number`-th plan or step of a run.
fn generator(seed: u64, purpose: Purpose, number: usize) -> SmallRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    key[16] = 1 + purpose as u8;
    SmallRng::from_seed(key)
}

/// A network being trained, with everything that a step changes.
pub(super) struct Trainer<'a> {
    options: &'a Hyperparameters,
    network: Network,
    dense_state: DenseState,
    step: usize,
}

impl<'a> Trainer<'a> {
    /// A trainer of a network that has its first weights.
    pub(super) fn new(options: &'a Hyperparameters, network: Network) -> Self {
        let dense_state = DenseState::new(network.dense());
        Self { options, network, dense_state, step: 0 }
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn into_network(self) -> Network {
        self.network
    }

    /// One pass over `data`, the `epoch`-th (from 0) of the options' epochs; returns the mean training loss.
    pub(super) fn epoch(&mut self, data: &Dataset, epoch: usize, observer: &mut dyn Observer) -> Result<f64> {
        let options = self.options;
        let mut generator = generator(options.seed, Purpose::Plan, epoch);
        let plan = data.plan(options.batch_tokens, options.batch_rows, Some(&mut generator));
        let mut total = 0.0;
        for (batch, rows) in plan.iter().enumerate() {
            let progress = progress(epoch, options.epochs, batch, plan.len());
            let rate_factor = one_cycle(progress, options.warmup_share);
            let loss = self.train_step(&data.batch(rows), data.gold(rows), rate_factor)?;
            total += f64::from(loss);
            self.step += 1;
            observer.step(batch + 1, plan.len(), loss);
        }
        Ok(total / plan.len().max(1) as f64)
    }

    fn train_step(&mut self, batch: &Batch<'_>, gold: Vec<usize>, rate_factor: f32) -> Result<f32> {
        let mut generator = generator(self.options.seed, Purpose::Step, self.step);
        let inputs = self.inputs(batch, &mut generator)?;
        let dropout = DropoutSource { rate: self.options.dropout, seed: generator.random() };
        let logits = self.network.forward(batch, &inputs, Some(dropout))?;
        let loss = logits.apply_op1(CrossEntropy { gold, smoothing: self.options.label_smoothing })?;
        let loss_value = loss.to_scalar::<f32>()?;
        if !loss_value.is_finite() {
            let step = self.step;
            return Err(ModelError::Training(format!(
                "the loss is {loss_value} at step {step}; lower `learning_rate`"
            )));
        }
        let gradients = loss.backward()?;
        if self.step == 0 {
            self.check_gradients(&gradients, &inputs)?;
        }
        self.update(&gradients, &inputs, rate_factor)?;
        Ok(loss_value)
    }

    fn inputs(&self, batch: &Batch<'_>, generator: &mut SmallRng) -> Result<Inputs> {
        let (options, network) = (self.options, &self.network);
        let features = batch.features(&network.config.embedding, Some((options.token_dropout, generator)));
        let embedding = TableRows::new(&network.embedding, features)?;
        let ngrams = match (&network.ngrams, &network.config.ngrams) {
            (Some(table), Some(layout)) => {
                let features = batch.features(layout, Some((options.ngram_dropout, generator)));
                Some(TableRows::new(table, features)?)
            }
            _ => None,
        };
        Ok(Inputs { embedding, ngrams })
    }

    /// Every parameter must get a gradient: an operation without a backward pass would freeze what lies
    /// below it without a word. A table of which dropout left no row to the batch is not checked.
    fn check_gradients(&self, gradients: &GradStore, inputs: &Inputs) -> Result<()> {
        let tables = [Some(("embedding", &inputs.embedding)), inputs.ngrams.as_ref().map(|t| ("ngrams", t))];
        let used = tables.into_iter().flatten().filter(|(_, table)| !table.rows.is_empty());
        let tables = used.map(|(name, table)| (name, &table.values));
        let dense = self.network.dense().iter().map(|(name, var)| (name.as_str(), var));
        for (name, var) in dense.chain(tables) {
            let values = gradient_of(gradients, var)?;
            let is_live = values.iter().any(|v| *v != 0.0) && values.iter().all(|v| v.is_finite());
            if !is_live {
                return Err(ModelError::Training(format!(
                    "`{name}` got no usable gradient in the first step: zero or not finite"
                )));
            }
        }
        Ok(())
    }

    fn update(&mut self, gradients: &GradStore, inputs: &Inputs, rate_factor: f32) -> Result<()> {
        let options = self.options;
        let dense: Vec<Vec<f32>> = self
            .network
            .dense()
            .iter()
            .map(|(_, var)| gradient_of(gradients, var))
            .collect::<candle_core::Result<_>>()?;
        let embedding = gradient_of(gradients, &inputs.embedding.values)?;
        let encoder = dense.iter().map(Vec::as_slice).chain([embedding.as_slice()]);
        let scale = clip_scale(encoder, CLIP_NORM);

        let optimizer = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: options.weight_decay };
        let rate = options.learning_rate * rate_factor;
        self.dense_state.update(self.network.dense(), &dense, scale, &optimizer, rate)?;
        self.network.embedding.update(&inputs.embedding.rows, &embedding, scale, &optimizer, rate);
        if let (Some(table), Some(touched)) = (&mut self.network.ngrams, &inputs.ngrams) {
            let optimizer = AdamW { weight_decay: options.ngram_weight_decay, ..optimizer };
            let rate = options.ngram_learning_rate * rate_factor;
            table.update(&touched.rows, &gradient_of(gradients, &touched.values)?, 1.0, &optimizer, rate);
        }
        Ok(())
    }
}

/// The gradient of a variable; zeros when the loss does not depend on it.
fn gradient_of(gradients: &GradStore, var: &Var) -> candle_core::Result<Vec<f32>> {
    match gradients.get(var.as_tensor()) {
        Some(gradient) => gradient.flatten_all()?.to_vec1(),
        None => Ok(vec![0.0; var.elem_count()]),
    }
}

/// Logits of every document of `data`, in its order.
pub(super) fn logits(network: &Network, data: &Dataset, options: &Hyperparameters) -> Result<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); data.len()];
    for rows in data.plan(options.batch_tokens, options.batch_rows, None) {
        let batch = data.batch(&rows);
        let logits = network.logits(&batch)?;
        for (row, values) in rows.iter().zip(logits.to_vec2::<f32>()?) {
            all[*row] = values;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::{Encoding, Tokenization};
    use crate::train::config::NetworkConfig;
    use crate::train::{EncoderShape, Preset, TrainOptions};

    fn options(ngram_dropout: f32) -> TrainOptions {
        let mut options = TrainOptions::new(Preset::Tiny, Tokenization::Words);
        options.encoder = EncoderShape { layers: 0, width: 4, heads: 1, feed_forward: 4 };
        options.ngrams.bigram_buckets = 0;
        options.ngrams.trigram_buckets = 0;
        TrainOptions { ngram_dropout, dropout: 0.0, token_dropout: 0.0, ..options }
    }

    fn data() -> Dataset {
        let document = |ids: [u32; 3]| Encoding { ids: ids.to_vec(), truncated: false };
        Dataset { documents: vec![document([2, 3, 4]), document([5, 6, 7])], labels: vec![0, 1] }
    }

    fn network(options: &TrainOptions) -> Network {
        Network::new(NetworkConfig::new(options, 8, 2), &mut SmallRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn a_first_batch_without_any_ngram_feature_is_trained() {
        let options = options(0.999_999);
        let hyperparameters = options.hyperparameters();
        let mut trainer = Trainer::new(&hyperparameters, network(&options));
        let mut generator = generator(1, Purpose::Step, 0);
        let inputs = trainer.inputs(&data().batch(&[0, 1]), &mut generator).unwrap();
        assert!(inputs.ngrams.is_some_and(|ngrams| ngrams.rows.is_empty()));
        assert!(trainer.epoch(&data(), 0, &mut ()).unwrap().is_finite());
    }
}
