//! `config.json` of a checkpoint: what all families have in it, and how a mistake in it is reported.

use std::path::{Path, PathBuf};

use fenliu_model::import::label_names::{LabelNames, Outputs};
use fenliu_model::{Labels, ModelError, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::head::TrainedHead;
use crate::architecture::Activation;
use crate::shape::EncoderShape;

const FILE: &str = "config.json";
/// Most positions of a checkpoint; those that are known have up to 8192.
const MOST_POSITIONS: usize = 1 << 20;

/// The file of a checkpoint.
#[derive(Debug)]
pub(super) struct Config {
    directory: PathBuf,
    value: Value,
    /// The kind of model.
    pub(super) model_type: String,
    /// The classes of `transformers` that the checkpoint was saved from.
    pub(super) architectures: Vec<String>,
    labels: LabelNames,
}

/// The keys that every checkpoint has.
#[derive(Debug, Deserialize)]
struct Common {
    model_type: String,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(flatten)]
    labels: LabelNames,
}

impl Config {
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        let Common { model_type, architectures, labels } =
            Common::deserialize(&value).map_err(ModelError::json(&path))?;
        let architectures = architectures.unwrap_or_default();
        Ok(Self { directory: directory.to_path_buf(), value, model_type, architectures, labels })
    }

    /// The keys that a family uses.
    pub(super) fn keys<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.value).map_err(ModelError::json(&self.directory.join(FILE)))
    }

    /// The labels of the head: the chosen ones; otherwise those of the file; otherwise placeholders.
    pub(super) fn labels(&self, head: Option<&TrainedHead>, chosen: Option<&Labels>) -> Result<Labels> {
        let outputs = head.map(|head| Outputs { number: head.outputs, origin: &head.origin });
        self.labels.labels(outputs, chosen).map_err(|problem| self.refuse(&problem))
    }

    pub(super) fn refuse(&self, problem: &str) -> ModelError {
        ModelError::import(&self.directory, format!("{FILE}: {problem}"))
    }
}

/// The keys of encoders in the line of BERT; the aliases are DistilBERT's names.
#[derive(Debug, Deserialize)]
pub(super) struct EncoderKeys {
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation", default)]
    hidden_act: Option<String>,
    #[serde(default)]
    layer_norm_eps: Option<f32>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

/// Values of keys that a file leaves out: the defaults of the family's class in `transformers`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) activation: &'static str,
    pub(super) epsilon: f32,
}

/// The sizes of an encoder and what its layers compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncoderSettings {
    pub(super) shape: EncoderShape,
    /// The activation of the feed-forward part.
    pub(super) activation: Activation,
    /// Added to the variance by every normalisation.
    pub(super) epsilon: f32,
}

impl EncoderSettings {
    /// The settings in `config`, all of which are implemented here.
    pub(super) fn read(config: &Config, defaults: Defaults) -> Result<Self> {
        let keys: EncoderKeys = config.keys()?;
        keys.settings(defaults).map_err(|problem| config.refuse(&problem))
    }

    /// Width of an attention head.
    pub(super) fn head_width(&self) -> usize {
        self.shape.width / self.shape.heads
    }
}

impl EncoderKeys {
    fn settings(&self, defaults: Defaults) -> Result<EncoderSettings, String> {
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Err(format!("`position_embedding_type` is `{kind}` but must be `absolute`"));
        }
        if self.is_decoder {
            return Err("`is_decoder` is true but must be false".to_owned());
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if width == 0 || heads == 0 || !width.is_multiple_of(heads) || self.intermediate_size == 0 {
            return Err(format!("a width of {width} cannot be shared by {heads} attention heads"));
        }
        let shape = EncoderShape {
            layers: self.num_hidden_layers,
            width,
            heads,
            feed_forward: self.intermediate_size,
        };
        Ok(EncoderSettings {
            shape,
            activation: activation("hidden_act", self.hidden_act.as_deref().unwrap_or(defaults.activation))?,
            epsilon: self.layer_norm_eps.unwrap_or(defaults.epsilon),
        })
    }
}

/// The activation that the value of `key` names.
pub(super) fn activation(key: &str, name: &str) -> Result<Activation, String> {
    match name {
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "tanh" => Ok(Activation::Tanh),
        other => Err(format!(
            "`{key}` is `{other}` but must be one of gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, tanh"
        )),
    }
}

/// Checks the number of positions, so that a senseless one does not take all memory.
pub(super) fn check_positions(key: &str, positions: usize) -> Result<usize, String> {
    if (1..=MOST_POSITIONS).contains(&positions) {
        return Ok(positions);
    }
    Err(format!("`{key}` is {positions} but must be between 1 and {MOST_POSITIONS}"))
}
