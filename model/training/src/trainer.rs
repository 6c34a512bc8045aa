//! The training loop: batches in, a trained network out.
//!
//! Each step has a random generator of its own, seeded by the run's seed and the number of the step. No
//! generator's state has to be saved, so a run can resume after any step.

use fenliu_model::{ModelError, Result};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::adaptation::Adaptation;
use crate::data::{Batch, Crops, Dataset};
use crate::hyperparameters::Hyperparameters;
use crate::network::{
    Buffers, DropoutSource, Frozen, Inputs, Network, Passes, Step, StepInput, TableGradient, open_device,
};
use crate::observer::Observer;
use crate::ops::{Loss, squares};
use crate::optimizer::{AdamW, DenseState, clip_scale};
use crate::parameter::Parameter;
use crate::schedule::{one_cycle, progress};
use crate::states::StateCache;
use crate::tensors::{Tensors, Vector};

/// Largest joint norm of a step's gradients.
const CLIP_NORM: f32 = 1.0;

/// The purpose of a generator; generators of different purposes give different sequences.
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

/// The place of a step in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// The epoch, from 0.
    pub(super) epoch: usize,
    /// Batches of the epoch that have been trained on.
    pub(super) batch: usize,
    /// The sum of their losses.
    pub(super) loss: f64,
}

/// Called after a step, for example to write a checkpoint.
pub(super) type AfterStep<'a> = dyn FnMut(&Trainer<'_>, Position) -> Result<()> + 'a;

/// A network that is being trained, with all state that a step changes.
pub(super) struct Trainer<'a> {
    options: &'a Hyperparameters,
    loss: Loss,
    network: Network,
    /// Computes the passes on a device, if the network does not.
    accelerator: Option<Box<dyn Passes>>,
    dense_state: DenseState,
    buffers: Buffers,
    train_states: StateCache,
    dev_states: StateCache,
    /// Number of batches processed so far.
    step: usize,
    /// Whether it was checked that all trained parameters get gradients.
    is_checked: bool,
}

/// Development documents may use one part in so many of the memory for states.
const DEV_SHARE: usize = 8;

impl<'a> Trainer<'a> {
    /// A trainer of a network with its initial weights.
    ///
    /// # Errors
    ///
    /// The device that `options` name is not available.
    pub(super) fn try_new(options: &'a Hyperparameters, network: Network) -> Result<Self> {
        let accelerator = open_device(options.optimisation.device, options.optimisation.mixed_precision)?;
        let dense_state = DenseState::new(&network.dense());
        let loss = Loss {
            smoothing: options.optimisation.label_smoothing,
            class_weights: None,
            soft_share: options.soft_share,
            temperature: options.temperature,
            consistency: options.optimisation.consistency,
            separate: options.transfer.ngrams_apart,
        };
        let dev_bytes = options.transfer.cache_bytes / DEV_SHARE;
        Ok(Self {
            options,
            loss,
            network,
            accelerator,
            dense_state,
            buffers: Buffers::default(),
            train_states: StateCache::new(options.transfer.cache_bytes - dev_bytes),
            dev_states: StateCache::new(dev_bytes),
            step: 0,
            is_checked: false,
        })
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn into_network(self) -> Network {
        self.network
    }

    /// Restores what [`Trainer::weights`] returned, and removes it from `tensors`.
    ///
    /// # Errors
    ///
    /// A part is missing or has another size; the trainer must be dropped then.
    pub(super) fn restore_weights(&mut self, tensors: &mut Tensors) -> Result<()> {
        self.network.restore(tensors)
    }

    /// A copy of all weights that are trained.
    pub(super) fn weights(&self) -> Tensors {
        self.network.trained()
    }

    /// All state that steps change.
    pub(super) fn state(&self) -> Tensors {
        let mut tensors = self.network.trained();
        self.dense_state.save(&self.network.dense(), &mut tensors);
        self.network.embedding.save_state("embedding", &mut tensors);
        if let Some(table) = &self.network.ngrams {
            table.save_state("ngrams", &mut tensors);
        }
        tensors.insert("step", Vector::Integers(vec![self.step as u32]));
        tensors
    }

    /// Restores what [`Trainer::state`] returned, and removes it from `tensors`. Other entries stay there.
    ///
    /// # Errors
    ///
    /// A part is missing or has another size; the trainer must be dropped then.
    pub(super) fn restore(&mut self, tensors: &mut Tensors) -> Result<()> {
        self.network.restore(tensors)?;
        self.dense_state.restore(&self.network.dense(), tensors)?;
        self.network.embedding.restore_state("embedding", tensors)?;
        if let Some(table) = &mut self.network.ngrams {
            table.restore_state("ngrams", tensors)?;
        }
        self.step = tensors.integers("step")?.first().map_or(0, |step| *step as usize);
        Ok(())
    }

    /// Trains for the rest of the epoch that `position` is in, and returns the mean loss of the epoch. Calls
    /// `after_step` after every step of the optimiser.
    pub(super) fn epoch(
        &mut self,
        data: &Dataset,
        mut position: Position,
        observer: &mut dyn Observer,
        after_step: &mut AfterStep<'_>,
    ) -> Result<f64> {
        let options = self.options;
        // From the labels of this data set and not in `try_new`, because a trainer is made before it sees its data.
        if options.transfer.class_weights {
            self.loss.class_weights = Some(class_weights(&data.labels, self.network.config.labels));
        }
        // Passes on a device start from the embeddings and do not use cached states.
        if self.accelerator.is_none() {
            self.train_states.fill(&self.network, data, options, &mut self.buffers);
        }
        // The order of the batches depends on seed and epoch alone, so a resumed epoch has the same plan and can
        // skip the batches that were trained on before.
        let mut generator = generator(options.optimisation.seed, Purpose::Plan, position.epoch);
        let plan = data.plan(
            options.optimisation.batch_tokens,
            options.optimisation.batch_rows,
            Some(&mut generator),
        );
        let groups = plan
            .chunks(options.transfer.accumulate)
            .skip(position.batch.div_ceil(options.transfer.accumulate));
        for group in groups {
            // Taken before the batches of the step are counted: all of them are trained with one learning rate.
            let progress = progress(position.epoch, options.optimisation.epochs, position.batch, plan.len());
            let mut tables = TableGradients::default();
            for rows in group {
                let loss = self.learn(data, rows, &mut tables)?;
                position.loss += f64::from(loss);
                position.batch += 1;
                observer.step(position.batch, plan.len(), loss);
            }
            let rate_factor = one_cycle(progress, options.optimisation.warmup_share);
            // The gradients of all passes were summed; their mean keeps the learning rate independent of the number
            // of passes.
            let passes = group.len() * if options.transfer.adversarial > 0.0 { 2 } else { 1 };
            self.update(tables, 1.0 / passes as f32, rate_factor);
            after_step(self, position)?;
        }
        Ok(position.loss / plan.len().max(1) as f64)
    }

    /// Adds the gradients of one batch to those of the step; returns the batch's loss.
    fn learn(&mut self, data: &Dataset, rows: &[usize], tables: &mut TableGradients) -> Result<f32> {
        let mut generator = generator(self.options.optimisation.seed, Purpose::Step, self.step);
        // R-Drop: both passes over a document are rows of one batch. Dropout depends on the position of a value in the
        // batch, so the two rows get different masks. `Loss` expects the repetitions in the second half.
        let twice = [rows, rows].concat();
        let rows = if self.loss.consistency > 0.0 { &twice } else { rows };
        let step = self.pass(data, rows, &mut generator)?;
        // The gradient of the left matrix of a low-rank product is multiplied by the right matrix, which is zero until
        // the first update. A zero gradient is therefore no sign of a mistake before that.
        let first_checked = u32::from(matches!(self.options.adaptation, Adaptation::Lora { .. }));
        if !self.is_checked && self.dense_state.updates() >= first_checked {
            self.check_gradients(&step)?;
            self.is_checked = true;
        }
        if self.options.transfer.adversarial > 0.0
            && let Some(embedding) = &step.embedding
        {
            // Dense gradients of this pass are added by the parameters themselves; those of the tables are
            // returned.
            tables.add(self.adversarial_pass(data, rows, embedding, &mut generator)?);
        }
        self.step += 1;
        let loss = step.loss;
        tables.add(step);
        Ok(loss)
    }

    /// A pass over `rows` with the embeddings of their tokens moved along `gradient`, which increases the loss (the
    /// fast gradient method). The embeddings are put back afterwards, whatever the outcome of the pass.
    ///
    /// Rows of the table are moved, not single occurrences: a token that occurs twice in the batch has one move.
    fn adversarial_pass(
        &mut self,
        data: &Dataset,
        rows: &[usize],
        gradient: &TableGradient,
        generator: &mut SmallRng,
    ) -> Result<Step> {
        // The table holds the rows of the tokens first. The rows behind them (positions) are left where they are.
        let TableGradient { rows: moved, values: mut moves } =
            gradient.below(self.network.config.embedding.tokens as u32);
        // `r = epsilon * g / |g|` (Miyato, Dai and Goodfellow, 2017), with one norm over all rows of the batch.
        let length = squares(&moves).sqrt() as f32;
        let scale = if length > 0.0 { self.options.transfer.adversarial / length } else { 0.0 };
        moves.iter_mut().for_each(|value| *value *= scale);
        let before = self.network.embedding.shift(&moved, &moves);
        let step = self.pass(data, rows, generator);
        self.network.embedding.put_back(&moved, &before);
        step
    }

    /// Forward and backward pass over `rows`. Gradients of dense parameters are added to those that the
    /// parameters hold.
    fn pass(&mut self, data: &Dataset, rows: &[usize], generator: &mut SmallRng) -> Result<Step> {
        let share = self.options.optimisation.crop_share;
        let batch = if share > 0.0 && self.network.frozen() == Frozen::Nothing {
            data.cropped(rows, Crops { share }, generator)
        } else {
            // The states of frozen layers are cached for whole documents.
            data.batch(rows)
        };
        let inputs = self.inputs(&batch, generator);
        let dropout = DropoutSource { rate: self.options.optimisation.dropout, seed: generator.random() };
        let targets = data.targets(rows);
        let (network, buffers) = (&mut self.network, &mut self.buffers);
        let step = match &self.accelerator {
            Some(accelerator) => {
                let step_input = StepInput { batch, inputs, states: None, targets };
                accelerator.step(network, step_input, dropout, &self.loss, buffers)?
            }
            None => {
                let states = self.train_states.states(network, rows, &batch, &inputs, buffers);
                network.step(StepInput { batch, inputs, states, targets }, dropout, &self.loss, buffers)
            }
        };
        // Checked before the optimiser sees the gradients: a NaN would stay in its moments for good.
        if !step.loss.is_finite() {
            return Err(ModelError::Training(format!(
                "the loss is {} at step {}; lower `learning_rate`",
                step.loss, self.step
            )));
        }
        Ok(step)
    }

    /// Logits of all development rows, in their order, without dropout.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(super) fn logits(&mut self, data: &Dataset) -> Result<Vec<Vec<f32>>> {
        let options = self.options;
        let (network, buffers) = (&self.network, &mut self.buffers);
        if self.accelerator.is_none() {
            self.dev_states.fill(network, data, options, buffers);
        }
        // Batches are planned by length; each result is put back to the number of its row.
        let mut all = vec![Vec::new(); data.len()];
        for rows in data.plan(options.optimisation.batch_tokens, options.optimisation.batch_rows, None) {
            let batch = data.batch(&rows);
            let logits = match &self.accelerator {
                Some(accelerator) => accelerator.logits(network, &batch, buffers)?,
                None => {
                    let inputs = network.inputs(&batch);
                    match self.dev_states.states(network, &rows, &batch, &inputs, buffers) {
                        Some(states) => network.logits_from(states, &batch, inputs.ngrams.as_ref(), buffers),
                        // Nothing is frozen, so there are no states to start from.
                        None => network.logits(&batch, buffers),
                    }
                }
            };
            for (row, values) in rows.iter().zip(logits.chunks_exact(network.config.labels)) {
                all[*row] = values.to_vec();
            }
        }
        Ok(all)
    }

    /// The side path's logits of all documents, in their order; `None` if it is not trained separately.
    pub(super) fn side_path_logits(&mut self, data: &Dataset) -> Option<Vec<Vec<f32>>> {
        if !self.loss.separate {
            return None;
        }
        let mut all = vec![Vec::new(); data.len()];
        for rows in
            data.plan(self.options.optimisation.batch_tokens, self.options.optimisation.batch_rows, None)
        {
            let logits = self.network.side_logits(&data.batch(&rows), &mut self.buffers)?;
            for (row, values) in rows.iter().zip(logits.chunks_exact(self.network.config.labels)) {
                all[*row] = values.to_vec();
            }
        }
        self.network.ngrams.is_some().then_some(all)
    }

    fn inputs(&self, batch: &Batch<'_>, generator: &mut SmallRng) -> Inputs {
        let (options, config) = (self.options, &self.network.config);
        let token_dropout = match self.network.frozen() {
            Frozen::Nothing => options.optimisation.token_dropout,
            // The states of frozen layers must be the same in every epoch to be cached.
            _ => 0.0,
        };
        Inputs {
            embedding: batch.features(&config.embedding, Some((token_dropout, generator))),
            ngrams: config
                .ngrams
                .as_ref()
                .map(|layout| batch.features(layout, Some((options.optimisation.ngram_dropout, generator)))),
        }
    }

    /// Checks that every trained parameter gets a gradient: a mistake in a backward pass would silently
    /// freeze it. A table is not checked if dropout removed all its rows from the batch.
    fn check_gradients(&self, step: &Step) -> Result<()> {
        let dense = self.network.dense().into_iter().filter(|parameter| parameter.is_trained());
        let dense = dense.map(|parameter| (parameter.name.as_str(), parameter.gradient.as_slice()));
        let tables = [("embedding", &step.embedding), ("ngrams", &step.ngrams)];
        let tables = tables.into_iter().filter_map(|(name, table)| Some((name, table.as_ref()?)));
        let tables = tables.filter(|(_, table)| !table.rows.is_empty());
        for (name, values) in dense.chain(tables.map(|(name, table)| (name, table.values.as_slice()))) {
            // All zeros count as a mistake, too: candle's fused softmax and layer normalisation fail in this way,
            // without an error (candle issues 2977 and 3011).
            let is_live = values.iter().any(|v| *v != 0.0) && values.iter().all(|v| v.is_finite());
            if !is_live {
                return Err(ModelError::Training(format!(
                    "`{name}` got no usable gradient in the first step: zero or not finite"
                )));
            }
        }
        Ok(())
    }

    /// One step of the optimiser with the sum of the gradients times `share`.
    fn update(&mut self, tables: TableGradients, share: f32, rate_factor: f32) {
        let options = self.options;
        let dense =
            self.network.dense().into_iter().map(|parameter: &Parameter| squares(&parameter.gradient));
        let embedding = tables.embedding.as_ref().map_or(0.0, |table| squares(&table.values));
        // The n-gram table is not part of the joint norm, and its gradient is not clipped below.
        let norm = (dense.sum::<f64>() + embedding).sqrt() as f32 * share;
        let scale = clip_scale(norm, CLIP_NORM) * share;

        let optimizer = AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: options.optimisation.weight_decay,
        };
        let layers = self.network.config.encoder.layers;
        let rate = |name: &str| options.rate(name, layers) * rate_factor;
        self.dense_state.update(self.network.dense_mut(), scale, &optimizer, rate);
        // The update changed the factors of low-rank products; passes read their sums with the matrices.
        self.network.refresh();
        if let Some(table) = tables.embedding {
            let rate = rate("embedding");
            self.network.embedding.update(&table.rows, &table.values, scale, &optimizer, rate);
        }
        if let (Some(table), Some(gradient)) = (&mut self.network.ngrams, tables.ngrams) {
            let optimizer = AdamW { weight_decay: options.optimisation.ngram_weight_decay, ..optimizer };
            let rate = options.optimisation.ngram_learning_rate * rate_factor;
            table.update(&gradient.rows, &gradient.values, share, &optimizer, rate);
        }
    }
}

/// The sums of the gradients of the tables over the batches of one step.
#[derive(Default)]
struct TableGradients {
    embedding: Option<TableGradient>,
    ngrams: Option<TableGradient>,
}

impl TableGradients {
    fn add(&mut self, step: Step) {
        for (sum, new) in [(&mut self.embedding, step.embedding), (&mut self.ngrams, step.ngrams)] {
            match (sum, new) {
                (Some(sum), Some(new)) => sum.merge(&new),
                (sum, new) => *sum = new,
            }
        }
    }
}

/// The weight of the rows of each label: proportional to the root of the label's rarity, and 1 on average
/// over the rows.
fn class_weights(gold: &[usize], labels: usize) -> Vec<f32> {
    let mut rows = vec![0_usize; labels];
    gold.iter().for_each(|label| rows[*label] += 1);
    let rarity = |rows: &usize| 1.0 / (*rows.max(&1) as f64).sqrt();
    let total: f64 = rows.iter().map(|count| *count as f64 * rarity(count)).sum();
    rows.iter().map(|count| (rarity(count) * gold.len() as f64 / total) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Accelerator;
    use crate::ops::assert_close;
    use crate::{EncoderShape, Preset, TrainOptions};
    use fenliu_model::tokenize::{Encoding, Tokenization};

    fn options(ngram_dropout: f32) -> TrainOptions {
        let mut options = TrainOptions::new(Preset::Tiny, Tokenization::Words);
        options.encoder = EncoderShape { layers: 0, width: 4, heads: 1, feed_forward: 4 };
        options.ngrams.bigram_buckets = 0;
        options.ngrams.trigram_buckets = 0;
        options.optimisation.ngram_dropout = ngram_dropout;
        options.optimisation.dropout = 0.0;
        options.optimisation.token_dropout = 0.0;
        options
    }

    fn data() -> Dataset {
        let document = |ids: [u32; 3]| Encoding::new(ids.to_vec(), false);
        Dataset::new(vec![document([2, 3, 4]), document([5, 6, 7])], vec![0, 1])
    }

    fn network(options: &TrainOptions) -> Network {
        Network::new(options.network(8, 2), &mut SmallRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn rare_labels_have_larger_weights_and_the_average_is_one() {
        let gold = [0, 0, 0, 0, 1];
        let weights = class_weights(&gold, 3);
        assert!((weights[1] / weights[0] - 2.0).abs() < 1e-6, "{weights:?}");
        let sum: f32 = gold.iter().map(|label| weights[*label]).sum();
        assert!((sum - 5.0).abs() < 1e-5 && weights[2].is_finite(), "{weights:?}");
    }

    #[test]
    fn a_run_on_a_device_learns_the_same() {
        let mut options = options(0.3);
        options.encoder = EncoderShape { layers: 1, ..options.encoder };
        options.optimisation.dropout = 0.2;
        options.optimisation.consistency = 0.5;
        let mut hyperparameters = options.hyperparameters();
        hyperparameters.transfer.adversarial = 0.5;
        let run = |accelerator: Option<Box<dyn Passes>>| {
            let mut trainer = Trainer::try_new(&hyperparameters, network(&options)).unwrap();
            trainer.accelerator = accelerator;
            for epoch in 0..3 {
                let position = Position { epoch, ..Position::default() };
                trainer.epoch(&data(), position, &mut (), &mut |_, _| Ok(())).unwrap();
            }
            trainer.logits(&data()).unwrap().concat()
        };
        let accelerator = Accelerator::for_tests(candle_core::DType::F32);
        assert_close(&run(Some(Box::new(accelerator))), &run(None), 1e-3);
    }

    #[test]
    fn an_adversarial_pass_has_a_larger_loss_and_restores_the_embeddings() {
        let options = options(0.0);
        let mut hyperparameters = options.hyperparameters();
        hyperparameters.transfer.adversarial = 0.5;
        let mut trainer = Trainer::try_new(&hyperparameters, network(&options)).unwrap();
        trainer.train_states.fill(&trainer.network, &data(), &hyperparameters, &mut trainer.buffers);
        let before = trainer.network.embedding.values().to_vec();
        let mut generator = generator(1, Purpose::Step, 0);
        let plain = trainer.pass(&data(), &[0, 1], &mut generator).unwrap();
        let gradient = plain.embedding.unwrap();
        let moved = trainer.adversarial_pass(&data(), &[0, 1], &gradient, &mut generator).unwrap();
        assert!(moved.loss > plain.loss + 1e-3, "{} after {}", moved.loss, plain.loss);
        assert_eq!(trainer.network.embedding.values(), before);
    }

    #[test]
    fn a_first_batch_without_any_ngram_feature_is_trained() {
        let options = options(0.999_999);
        let hyperparameters = options.hyperparameters();
        let mut trainer = Trainer::try_new(&hyperparameters, network(&options)).unwrap();
        let inputs = trainer.inputs(&data().batch(&[0, 1]), &mut generator(1, Purpose::Step, 0));
        assert!(inputs.ngrams.is_some_and(|ngrams| ngrams.rows.is_empty()));
        let loss = trainer.epoch(&data(), Position::default(), &mut (), &mut |_, _| Ok(()));
        assert!(loss.unwrap().is_finite());
    }
}
