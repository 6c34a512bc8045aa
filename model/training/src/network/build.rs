//! Building networks with random weights, with given weights, or from a bundle.

use fenliu_model::bundle::Bundle;
use fenliu_model::{ModelError, Result};
use rand::{Rng, rngs::SmallRng};

use super::dense::{Linear, Norm};
use super::layer::Layer;
use super::{Frozen, Network};
use crate::architecture::{Architecture, Head, NormPlacement};
use crate::parameter::Parameter;
use crate::shape::{EncoderShape, NetworkConfig};
use crate::table::SparseTable;
use crate::weights::{WEIGHTS_FILE, Weights};

/// Where the configuration lies in a bundle.
pub(crate) const CONFIG_FILE: &str = "config.json";

impl Network {
    /// A network with random weights; the side path starts at zero.
    pub(crate) fn new(config: NetworkConfig, generator: &mut SmallRng) -> Result<Self> {
        Self::build(config, Origin::Random(generator))
    }

    /// A network with the given weights. Those that it uses are removed from `weights`.
    ///
    /// # Errors
    ///
    /// A tensor is missing or does not have the shape that `config` requires.
    pub(crate) fn from_weights(config: NetworkConfig, weights: &mut Weights) -> Result<Self> {
        Self::build(config, Origin::Stored(weights))
    }

    fn build(config: NetworkConfig, origin: Origin<'_>) -> Result<Self> {
        let (shape, architecture) = (config.encoder, config.architecture);
        let width = config.embedding_width();
        let epsilon = architecture.norm_epsilon;
        let mut builder = Builder { origin };
        // A variance of 1 / width: the embedding of a token has a norm of about 1.
        let range = Start::Uniform((3.0 / width as f32).sqrt());
        let embedding = builder.table("embedding", config.embedding.rows(), width, range)?;
        let ngrams = config
            .ngrams
            .map(|layout| builder.table("ngrams", layout.rows(), config.labels, Start::Constant(0.0)))
            .transpose()?;
        let embedding_norm = architecture
            .embedding_norm
            .then(|| builder.norm("embedding_norm", width, epsilon))
            .transpose()?;
        let embedding_projection = architecture
            .embedding_width
            .map(|width| builder.linear("embedding_projection", width, shape.width, 1.0))
            .transpose()?;
        let layers = (0..shape.layers)
            .map(|number| builder.layer(number, shape, &architecture))
            .collect::<Result<_>>()?;
        let final_norm = (architecture.norm == NormPlacement::Pre)
            .then(|| builder.norm("final_norm", shape.width, epsilon))
            .transpose()?;
        let pooler = matches!(architecture.head, Head::FirstToken(_))
            .then(|| builder.linear("pooler", shape.width, shape.width, 1.0))
            .transpose()?;
        let head = builder.linear("head", config.head_inputs(), config.labels, 1.0)?;
        let mut network = Self {
            config,
            embedding,
            ngrams,
            embedding_norm,
            embedding_projection,
            layers,
            final_norm,
            pooler,
            head,
            frozen: Frozen::Nothing,
        };
        // Parameters are made frozen; this allocates their gradients.
        network.freeze(Frozen::Nothing);
        Ok(network)
    }

    /// The network of a bundle: `config.json` and `weights/model.safetensors`.
    ///
    /// # Errors
    ///
    /// A file is missing or invalid; or a tensor is missing, superfluous, or has another shape than
    /// `config.json` requires.
    pub(crate) fn load(bundle: &Bundle) -> Result<Self> {
        let path = bundle.path().join(CONFIG_FILE);
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let config = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        let path = bundle.path().join(WEIGHTS_FILE);
        let mut weights = Weights::read(&path)?;
        let network = Self::from_weights(config, &mut weights).and_then(|network| {
            weights.check_empty()?;
            Ok(network)
        });
        network.map_err(|error| ModelError::bundle(bundle.path(), format!("{WEIGHTS_FILE}: {error}")))
    }
}

/// Where the values of a network under construction come from.
enum Origin<'a> {
    /// Random, or constant for parameters whose training starts from a constant.
    Random(&'a mut SmallRng),
    /// From the given weights, from which they are removed.
    Stored(&'a mut Weights),
}

/// Starting values of a parameter that is not stored.
#[derive(Clone, Copy)]
enum Start {
    Constant(f32),
    /// Uniform in `[-range, range)`.
    Uniform(f32),
}

/// Makes named parameters.
struct Builder<'a> {
    origin: Origin<'a>,
}

impl Builder<'_> {
    fn values(&mut self, name: &str, shape: &[usize], start: Start) -> Result<Vec<f32>> {
        let count = shape.iter().product();
        match (&mut self.origin, start) {
            (Origin::Stored(weights), _) => weights.take(name, shape),
            (Origin::Random(_), Start::Constant(value)) => Ok(vec![value; count]),
            (Origin::Random(generator), Start::Uniform(range)) => {
                Ok((0..count).map(|_| generator.random_range(-range..range)).collect())
            }
        }
    }

    fn parameter(&mut self, name: String, shape: &[usize], start: Start) -> Result<Parameter> {
        let values = self.values(&name, shape, start)?;
        Ok(Parameter::new(name, shape.to_vec(), values))
    }

    fn table(&mut self, name: &str, rows: usize, width: usize, start: Start) -> Result<SparseTable> {
        Ok(SparseTable::new(width, self.values(name, &[rows, width], start)?))
    }

    /// Uniform Glorot weights (Glorot and Bengio, 2010) times `gain`, zero biases.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, gain: f32) -> Result<Linear> {
        let range = gain * (6.0 / (inputs + outputs) as f32).sqrt();
        Ok(Linear {
            weight: self.parameter(format!("{name}.weight"), &[inputs, outputs], Start::Uniform(range))?,
            bias: self.parameter(format!("{name}.bias"), &[outputs], Start::Constant(0.0))?,
            low_rank: None,
        })
    }

    fn norm(&mut self, name: &str, width: usize, epsilon: f32) -> Result<Norm> {
        Ok(Norm {
            weight: self.parameter(format!("{name}.weight"), &[width], Start::Constant(1.0))?,
            bias: self.parameter(format!("{name}.bias"), &[width], Start::Constant(0.0))?,
            epsilon,
        })
    }

    fn layer(&mut self, number: usize, shape: EncoderShape, architecture: &Architecture) -> Result<Layer> {
        let EncoderShape { layers, width, feed_forward, heads } = shape;
        let epsilon = architecture.norm_epsilon;
        // The branches of all layers are summed; smaller weights keep the variance of the sum near that of
        // the input (GPT-2).
        let residual = 1.0 / (2.0 * layers as f32).sqrt();
        let name = |part: &str| format!("layer.{number}.{part}");
        Ok(Layer {
            attention_norm: self.norm(&name("attention_norm"), width, epsilon)?,
            projection: self.linear(&name("projection"), width, 3 * width, 1.0)?,
            attention_output: self.linear(&name("attention_output"), width, width, residual)?,
            feed_forward_norm: self.norm(&name("feed_forward_norm"), width, epsilon)?,
            expand: self.linear(&name("expand"), width, feed_forward, 1.0)?,
            contract: self.linear(&name("contract"), feed_forward, width, residual)?,
            heads,
            placement: architecture.norm,
            activation: architecture.activation,
        })
    }
}
