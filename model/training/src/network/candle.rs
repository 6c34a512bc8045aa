//! The network's passes as operations of candle, on one of its devices, with candle's automatic
//! differentiation.
//!
//! Contract: [`Passes::step`] and [`Passes::logits`] give the results of [`Network::step`] and
//! [`Network::logits`], dropout included. The two implementations share nothing but the parameters, and tests
//! compare them on candle's CPU device. Parameters stay in the network as `f32` and are copied to the device
//! with each batch; their gradients are copied back and added to the network's own, so that one optimiser
//! serves both. If `matmul` is a narrower type, matrices are multiplied in that type; everything else stays
//! `f32`.
//!
//! The device computes everything between the sums of table rows and the logits. The tables, the side path
//! and the loss are sparse or cheap, and stay on the CPU. Hidden states of frozen layers are not cached.
//!
//! Documents are padded to the longest of their batch. Only operations that candle can differentiate are
//! used: its fused softmax and layer normalisation silently have no backward pass.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Tensor, Var};
use fenliu_model::{ModelError, Result};

use super::dense::{Linear, Norm};
use super::layer::Layer;
use super::step::LossGradients;
use super::{Buffers, DropoutSource, Frozen, Network, Passes, Step, StepInput, TableGradient};
use crate::architecture::{Activation, Head, NormPlacement};
use crate::data::{Batch, Features};
use crate::ops::{Dropout, Loss, add, sum_rows};

type TensorResult = candle_core::Result<Tensor>;

/// Added to the attention scores of padding, whose probability then is exactly zero.
const MASKED: f32 = -1e9;

/// Where passes are computed, and in what precision.
pub(crate) struct Accelerator {
    device: candle_core::Device,
    /// The type in which matrices are multiplied.
    matmul: DType,
}

impl Accelerator {
    /// On the first CUDA device.
    #[cfg(feature = "cuda")]
    pub(super) fn on_cuda(mixed_precision: bool) -> candle_core::Result<Self> {
        let device = candle_core::Device::new_cuda(0)?;
        // `BF16` has the range of `F32`: no gradient overflows or vanishes, so the loss need not be scaled.
        let matmul = if mixed_precision { DType::BF16 } else { DType::F32 };
        Ok(Self { device, matmul })
    }

    /// On candle's CPU device.
    #[cfg(test)]
    pub(crate) fn for_tests(matmul: DType) -> Self {
        Self { device: candle_core::Device::Cpu, matmul }
    }

    fn run_step(
        &self,
        network: &mut Network,
        step_input: StepInput<'_>,
        dropout: DropoutSource,
        loss: &Loss,
        buffers: &mut Buffers,
    ) -> candle_core::Result<Step> {
        let StepInput { batch, inputs, targets, .. } = step_input;
        let pass = Pass::new(self, network, &batch.starts)?;
        let sums = pass.embedding_sums(&inputs.embedding)?;
        let on_device = pass.logits(&sums, dropout)?;
        let logits: Vec<f32> = on_device.flatten_all()?.to_vec1()?;
        let LossGradients { loss, gradient, ngrams } =
            network.loss_and_gradients(logits, &batch, &inputs, loss, &targets, buffers);
        // The gradient of this sum with respect to the logits is `gradient`, so differentiating it continues
        // the backward pass that the loss began on the CPU.
        let gradient = Tensor::from_vec(gradient, on_device.shape(), &self.device)?;
        let gradients = (on_device * gradient)?.sum_all()?.backward()?;
        let embedding = match (network.frozen, gradients.get(&sums)) {
            (Frozen::Nothing, Some(gradient)) => {
                let gradient = pass.padding.without(&gradient.flatten_all()?.to_vec1()?);
                Some(TableGradient::new(&network.embedding, &inputs.embedding, &gradient))
            }
            _ => None,
        };
        // Ends the borrow of the network by `pass`.
        let tensors = pass.tensors;
        network.add_gradients(&tensors, &gradients)?;
        Ok(Step { loss, embedding, ngrams })
    }

    fn run_logits(
        &self,
        network: &Network,
        batch: &Batch<'_>,
        buffers: &mut Buffers,
    ) -> candle_core::Result<Vec<f32>> {
        let inputs = network.inputs(batch);
        let pass = Pass::new(self, network, &batch.starts)?;
        let sums = pass.embedding_sums(&inputs.embedding)?;
        let mut logits = pass.logits(&sums, DropoutSource::none())?.flatten_all()?.to_vec1()?;
        network.add_side_path(batch, inputs.ngrams.as_ref(), &mut logits, buffers);
        Ok(logits)
    }
}

impl Passes for Accelerator {
    fn step(
        &self,
        network: &mut Network,
        step_input: StepInput<'_>,
        dropout: DropoutSource,
        loss: &Loss,
        buffers: &mut Buffers,
    ) -> Result<Step> {
        self.run_step(network, step_input, dropout, loss, buffers).map_err(failed)
    }

    fn logits(&self, network: &Network, batch: &Batch<'_>, buffers: &mut Buffers) -> Result<Vec<f32>> {
        self.run_logits(network, batch, buffers).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: candle_core::Error) -> ModelError {
    ModelError::Training(error.to_string())
}

impl Network {
    /// Adds the gradients of the trained parameters to theirs; `tensors` are the parameters on the device.
    fn add_gradients(
        &mut self,
        tensors: &HashMap<String, Tensor>,
        gradients: &GradStore,
    ) -> candle_core::Result<()> {
        for parameter in self.dense_mut().into_iter().filter(|parameter| parameter.is_trained()) {
            if let Some(gradient) = tensors.get(&parameter.name).and_then(|tensor| gradients.get(tensor)) {
                add(&mut parameter.gradient, &gradient.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(())
    }
}

/// Pads documents to the length of the longest with rows of zeros.
struct Padding<'a> {
    starts: &'a [usize],
    /// Tokens of the longest document.
    length: usize,
}

impl<'a> Padding<'a> {
    fn new(starts: &'a [usize]) -> Self {
        let lengths = starts.windows(2).map(|bounds| bounds[1] - bounds[0]);
        Self { starts, length: lengths.max().unwrap_or(0) }
    }

    fn documents(&self) -> usize {
        self.starts.len() - 1
    }

    fn rows(&self) -> usize {
        self.documents() * self.length
    }

    /// One row of `width` values for each token, padded.
    fn with(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let mut padded = vec![0.0; self.rows() * width];
        for (out, bounds) in padded.chunks_exact_mut(self.length * width).zip(self.starts.windows(2)) {
            let rows = &rows[bounds[0] * width..bounds[1] * width];
            out[..rows.len()].copy_from_slice(rows);
        }
        padded
    }

    /// The inverse of [`Padding::with`].
    fn without(&self, padded: &[f32]) -> Vec<f32> {
        let width = padded.len() / self.rows();
        let documents = padded.chunks_exact(self.length * width).zip(self.starts.windows(2));
        documents.flat_map(|(rows, bounds)| &rows[..(bounds[1] - bounds[0]) * width]).copied().collect()
    }

    /// A value for each position of each document: `token(length of the document)` at a token, `padding`
    /// after the last.
    fn mask(&self, token: impl Fn(usize) -> f32, padding: f32) -> Vec<f32> {
        let document = |bounds: &[usize]| {
            let tokens = bounds[1] - bounds[0];
            let value = token(tokens);
            (0..self.length).map(move |position| if position < tokens { value } else { padding })
        };
        self.starts.windows(2).flat_map(document).collect()
    }
}

/// One batch on the device, with a copy of the parameters.
struct Pass<'a> {
    network: &'a Network,
    device: &'a candle_core::Device,
    matmul: DType,
    padding: Padding<'a>,
    tensors: HashMap<String, Tensor>,
    /// Added to the scores of each key: `[documents, 1, 1, length]`.
    key_mask: Tensor,
    /// The weight of each position in the mean of its document: `[documents, 1, length]`.
    shares: Tensor,
}

impl<'a> Pass<'a> {
    fn new(
        accelerator: &'a Accelerator,
        network: &'a Network,
        starts: &'a [usize],
    ) -> candle_core::Result<Self> {
        let Accelerator { device, matmul } = accelerator;
        let mut tensors = HashMap::new();
        for parameter in network.dense() {
            // Only a `Var` is tracked: candle computes no gradients for other tensors, so frozen parameters cost
            // nothing backwards.
            let mut tensor = Tensor::from_slice(&parameter.values, parameter.shape.as_slice(), device)?;
            if parameter.is_trained() {
                tensor = Var::from_tensor(&tensor)?.into_inner();
            }
            tensors.insert(parameter.name.clone(), tensor);
        }
        let padding = Padding::new(starts);
        let (documents, length) = (padding.documents(), padding.length);
        let key_mask = Tensor::from_vec(padding.mask(|_| 0.0, MASKED), (documents, 1, 1, length), device)?;
        let shares = padding.mask(|tokens| 1.0 / tokens as f32, 0.0);
        let shares = Tensor::from_vec(shares, (documents, 1, length), device)?;
        Ok(Self { network, device, matmul: *matmul, padding, tensors, key_mask, shares })
    }

    /// The sum of the table rows of each token, padded: `[rows, width]`.
    fn embedding_sums(&self, features: &Features) -> TensorResult {
        let width = self.network.config.embedding_width();
        let mut sums = vec![0.0; (features.starts.len() - 1) * width];
        sum_rows(self.network.embedding.values(), width, &features.starts, &features.rows, &mut sums);
        let sums = self.padding.with(&sums, width);
        let sums = Tensor::from_vec(sums, (self.padding.rows(), width), self.device)?;
        match self.network.frozen {
            // Tracked as an input: its gradient is that of the embedding table, which stays on the CPU.
            Frozen::Nothing => Ok(Var::from_tensor(&sums)?.into_inner()),
            _ => Ok(sums),
        }
    }

    /// Logits, `[documents, labels]`, without the side path.
    fn logits(&self, sums: &Tensor, mut dropout: DropoutSource) -> TensorResult {
        let network = self.network;
        let mut hidden = match &network.embedding_norm {
            Some(norm) => self.norm(norm, sums)?,
            None => sums.clone(),
        };
        // Before dropout, as on the CPU.
        let means = (network.config.architecture.head == Head::Means).then(|| self.means(&hidden));
        let lowest_trained = match network.frozen {
            Frozen::Nothing => {
                // Draws from `dropout` must come in the order of the passes on the CPU, which skip those of the
                // frozen part.
                hidden = self.dropped(&hidden, dropout.next())?;
                0
            }
            Frozen::Layers(layers) => layers,
            Frozen::BelowHead => usize::MAX,
        };
        if let Some(projection) = &network.embedding_projection {
            hidden = self.linear(projection, &hidden)?;
        }
        for (number, layer) in network.layers.iter().enumerate() {
            let dropouts = match number >= lowest_trained {
                true => [dropout.next(), dropout.next()],
                false => [Dropout::NONE; 2],
            };
            hidden = self.layer(layer, &hidden, dropouts)?;
        }
        if let Some(norm) = &network.final_norm {
            hidden = self.norm(norm, &hidden)?;
        }
        let mut pooled = match (network.config.architecture.head, &network.pooler) {
            (Head::FirstToken(function), Some(pooler)) => {
                activated(function, &self.linear(pooler, &self.first(&hidden)?)?)?
            }
            _ => self.means(&hidden)?,
        };
        if let Some(means) = means {
            pooled = Tensor::cat(&[pooled, means?], 1)?;
        }
        if let Some(mask) = dropout_mask(dropout.next(), pooled.elem_count()) {
            pooled = (&pooled * Tensor::from_vec(mask, pooled.shape(), self.device)?)?;
        }
        self.linear(&network.head, &pooled)
    }

    fn layer(&self, layer: &Layer, x: &Tensor, dropouts: [Dropout; 2]) -> TensorResult {
        let attend = |x: &Tensor| {
            let mixed = self.attention(&self.linear(&layer.projection, x)?, layer.heads)?;
            self.dropped(&self.linear(&layer.attention_output, &mixed)?, dropouts[0])
        };
        let feed_forward = |x: &Tensor| {
            let inner = activated(layer.activation, &self.linear(&layer.expand, x)?)?;
            self.dropped(&self.linear(&layer.contract, &inner)?, dropouts[1])
        };
        match layer.placement {
            NormPlacement::Pre => {
                let x = (x + attend(&self.norm(&layer.attention_norm, x)?)?)?;
                &x + feed_forward(&self.norm(&layer.feed_forward_norm, &x)?)?
            }
            NormPlacement::Post => {
                let x = self.norm(&layer.attention_norm, &(x + attend(x)?)?)?;
                self.norm(&layer.feed_forward_norm, &(&x + feed_forward(&x)?)?)
            }
        }
    }

    /// Attention of every document; `packed` has queries, keys and values side by side.
    fn attention(&self, packed: &Tensor, heads: usize) -> TensorResult {
        let (documents, length) = (self.padding.documents(), self.padding.length);
        let width = packed.dim(1)? / 3;
        let part = |number: usize| {
            let part = packed.narrow(1, number * width, width)?;
            part.reshape((documents, length, heads, width / heads))?.transpose(1, 2)?.contiguous()
        };
        let scores = self.product(&part(0)?, &part(1)?.t()?)?;
        let scores = (scores * (1.0 / ((width / heads) as f64).sqrt()))?.broadcast_add(&self.key_mask)?;
        let mixed = self.product(&softmax(&scores)?, &part(2)?)?;
        mixed.transpose(1, 2)?.reshape((self.padding.rows(), width))
    }

    fn linear(&self, linear: &Linear, x: &Tensor) -> TensorResult {
        let mut weight = self.tensor(&linear.weight.name)?.clone();
        // From the factors and not from the sum that the CPU uses, so that candle derives the gradients of both
        // factors.
        if let Some(low_rank) = &linear.low_rank {
            let (left, right) = (self.tensor(&low_rank.left.name)?, self.tensor(&low_rank.right.name)?);
            weight = (weight + (left.matmul(right)? * f64::from(low_rank.scale))?)?;
        }
        self.product(x, &weight)?.broadcast_add(self.tensor(&linear.bias.name)?)
    }

    fn norm(&self, norm: &Norm, x: &Tensor) -> TensorResult {
        // Spelt out: `candle_nn`'s fused layer normalisation has no backward pass.
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(norm.epsilon))?.sqrt()?)?;
        let scaled = normed.broadcast_mul(self.tensor(&norm.weight.name)?)?;
        scaled.broadcast_add(self.tensor(&norm.bias.name)?)
    }

    /// A matrix product, computed in the type `matmul`.
    fn product(&self, left: &Tensor, right: &Tensor) -> TensorResult {
        left.to_dtype(self.matmul)?.matmul(&right.to_dtype(self.matmul)?)?.to_dtype(DType::F32)
    }

    /// The mean over the tokens of each document.
    fn means(&self, rows: &Tensor) -> TensorResult {
        let rows = rows.reshape((self.padding.documents(), self.padding.length, ()))?;
        self.shares.matmul(&rows)?.squeeze(1)
    }

    /// The first token of each document.
    fn first(&self, rows: &Tensor) -> TensorResult {
        let rows = rows.reshape((self.padding.documents(), self.padding.length, ()))?;
        rows.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
    }

    /// Applies dropout to rows of tokens; it drops the same values as the passes on the CPU.
    fn dropped(&self, rows: &Tensor, dropout: Dropout) -> TensorResult {
        let width = rows.dim(1)?;
        let tokens = self.padding.starts.last().copied().unwrap_or(0);
        match dropout_mask(dropout, tokens * width) {
            Some(mask) => {
                let mask = self.padding.with(&mask, width);
                rows * Tensor::from_vec(mask, rows.shape(), self.device)?
            }
            None => Ok(rows.clone()),
        }
    }

    fn tensor(&self, name: &str) -> candle_core::Result<&Tensor> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("the network has no parameter `{name}`"),
        }
    }
}

/// The factors by which dropout multiplies `count` values; `None` if it changes nothing.
fn dropout_mask(dropout: Dropout, count: usize) -> Option<Vec<f32>> {
    (!dropout.is_none()).then(|| {
        let mut mask = vec![0.0; count];
        dropout.apply(&vec![1.0; count], &mut mask);
        mask
    })
}

fn activated(function: Activation, x: &Tensor) -> TensorResult {
    match function {
        // candle's `gelu` is the tanh approximation; the exact function is `gelu_erf`.
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Tanh => x.tanh(),
    }
}

/// Softmax over the last dimension.
fn softmax(scores: &Tensor) -> TensorResult {
    // Detached: the maximum cancels out, so its gradient is zero, and candle need not compute it.
    let exponentials = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::architecture::Architecture;
    use crate::features::FeatureLayout;
    use crate::ops::Target;
    use crate::shape::{EncoderShape, NetworkConfig};

    const DOCUMENTS: [&[u32]; 4] = [&[1, 2, 3, 7], &[4], &[2, 2], &[9, 8, 5, 6, 3, 1]];

    /// Every combination of what an architecture can be.
    fn architectures() -> Vec<Architecture> {
        let mut all = vec![Architecture::default()];
        let mut vary = |variants: &[&dyn Fn(Architecture) -> Architecture]| {
            all = all.iter().flat_map(|one| variants.iter().map(|variant| variant(*one))).collect();
        };
        vary(&[&|one| one, &|one| Architecture { norm: NormPlacement::Post, norm_epsilon: 1e-3, ..one }]);
        vary(&[&|one| one, &|one| Architecture { embedding_norm: true, ..one }]);
        vary(&[&|one| one, &|one| Architecture { embedding_width: Some(6), ..one }]);
        vary(&[&|one| one, &|one| Architecture { activation: Activation::GeluTanh, ..one }, &|one| {
            Architecture { activation: Activation::Relu, ..one }
        }]);
        vary(&[
            &|one| one,
            &|one| Architecture { head: Head::Mean, ..one },
            &|one| Architecture { head: Head::FirstToken(Activation::Tanh), ..one },
            &|one| Architecture { head: Head::FirstToken(Activation::Gelu), ..one },
            &|one| Architecture { head: Head::FirstToken(Activation::Relu), ..one },
        ]);
        all
    }

    /// A network with random values in all parameters: the usual ones and zeros of norms and biases would
    /// hide mistakes.
    fn network(architecture: Architecture) -> Network {
        let layout = FeatureLayout { tokens: 10, bigrams: 0, trigrams: 0, positions: 5 };
        let config = NetworkConfig {
            labels: 3,
            encoder: EncoderShape { layers: 2, width: 8, heads: 2, feed_forward: 12 },
            embedding: layout,
            ngrams: (architecture.head == Head::Means).then_some(FeatureLayout { bigrams: 7, ..layout }),
            architecture,
        };
        let mut generator = SmallRng::seed_from_u64(3);
        let mut network = Network::new(config, &mut generator).unwrap();
        shake(&mut network, &mut generator);
        network
    }

    fn shake(network: &mut Network, generator: &mut SmallRng) {
        for parameter in network.dense_mut() {
            parameter.values.iter_mut().for_each(|value| *value += generator.random_range(-0.3..0.3));
        }
        network.refresh();
    }

    /// The loss, and the gradients of everything trained by name.
    type StepResult = (f32, Vec<(String, Vec<f32>)>);

    /// One step by `accelerator`, or by the network's own passes.
    fn step(network: &mut Network, accelerator: Option<&Accelerator>) -> StepResult {
        let batch = Batch::new(DOCUMENTS.to_vec());
        let (inputs, mut buffers) = (network.inputs(&batch), Buffers::default());
        let states = network.frozen_states(&batch, &inputs.embedding, &mut buffers);
        let gold = |label| Target { gold: Some(label), soft: None };
        let targets = vec![gold(0), gold(2), gold(1), gold(1)];
        let step_input = StepInput { batch, inputs, states, targets };
        let dropout = DropoutSource { rate: 0.2, seed: 5 };
        let step = match accelerator {
            Some(accelerator) => {
                accelerator.step(network, step_input, dropout, &Loss::SMOOTHED, &mut buffers).unwrap()
            }
            None => network.step(step_input, dropout, &Loss::SMOOTHED, &mut buffers),
        };
        let mut gradients = Vec::new();
        for parameter in network.dense_mut().into_iter().filter(|parameter| parameter.is_trained()) {
            gradients.push((parameter.name.clone(), parameter.gradient.clone()));
            parameter.gradient.fill(0.0);
        }
        let tables = [("embedding", step.embedding), ("ngrams", step.ngrams)];
        gradients
            .extend(tables.into_iter().filter_map(|(name, table)| Some((name.to_owned(), table?.values))));
        (step.loss, gradients)
    }

    /// Asserts that all values agree to `tolerance` of the largest expected one.
    fn assert_near(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(got.len(), expected.len(), "{what}");
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (position, (got, expected)) in got.iter().zip(expected).enumerate() {
            let is_near = (got - expected).abs() <= tolerance * largest;
            assert!(is_near, "{what}, value {position}: {got} and {expected} (largest: {largest})");
        }
    }

    fn assert_agreement(network: &mut Network, matmul: DType, tolerance: f32) {
        let accelerator = Accelerator::for_tests(matmul);
        let batch = Batch::new(DOCUMENTS.to_vec());
        let mut buffers = Buffers::default();
        let what = format!("{:?}, {:?}", network.config.architecture, network.frozen);
        let logits = accelerator.logits(network, &batch, &mut buffers).unwrap();
        assert_near(&format!("logits, {what}"), &logits, &network.logits(&batch, &mut buffers), tolerance);

        let (loss, expected) = step(network, None);
        let (candle_loss, got) = step(network, Some(&accelerator));
        assert_near(&format!("loss, {what}"), &[candle_loss], &[loss], tolerance);
        assert_eq!(got.len(), expected.len(), "{what}");
        for ((name, got), (expected_name, expected)) in got.iter().zip(&expected) {
            assert_eq!(name, expected_name);
            assert!(expected.iter().any(|value| *value != 0.0), "{name}, {what}");
            assert_near(&format!("{name}, {what}"), got, expected, tolerance);
        }
    }

    #[test]
    fn candle_agrees_with_the_own_passes_for_every_architecture() {
        for architecture in architectures() {
            assert_agreement(&mut network(architecture), DType::F32, 1e-4);
        }
    }

    #[test]
    fn candle_agrees_with_frozen_layers_and_low_rank_products() {
        for norm in [NormPlacement::Pre, NormPlacement::Post] {
            let mut network = network(Architecture { norm, ..Architecture::default() });
            for frozen in [Frozen::Layers(0), Frozen::Layers(1), Frozen::BelowHead] {
                network.freeze(frozen);
                assert_agreement(&mut network, DType::F32, 1e-4);
            }
            let mut generator = SmallRng::seed_from_u64(7);
            network.add_low_rank(3, 2.0, &mut generator);
            shake(&mut network, &mut generator);
            assert_agreement(&mut network, DType::F32, 1e-4);
        }
    }

    #[test]
    fn products_in_a_narrower_type_stay_close() {
        // candle's CPU device does not multiply in `BF16`; `F16` takes the same path.
        let mut network = network(Architecture::default());
        assert_agreement(&mut network, DType::F16, 2e-2);
    }
}
