//! `config.json` of a checkpoint: the architecture that it describes, or why that is not implemented here.

use std::path::{Path, PathBuf};

use fenliu_model::import::label_names::{LabelNames, Outputs};
use fenliu_model::tokenize::Tokenizer;
use fenliu_model::{Labels, ModelError, Result};
use serde::Deserialize;

use super::head::{self, TrainedHead};
use super::pooling::Pooling;
use super::tensors::StoredTensors;
use crate::architecture::{Activation, Architecture, Head, NormPlacement};
use crate::features::FeatureLayout;
use crate::shape::{EncoderShape, NetworkConfig};

const FILE: &str = "config.json";

/// The families of encoders that differ in the names of their tensors and in details of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    /// RoBERTa and models of the same architecture: XLM-R, CamemBERT.
    Roberta,
    DistilBert,
    Electra,
}

impl Family {
    fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "bert" => Some(Self::Bert),
            "roberta" | "xlm-roberta" | "camembert" => Some(Self::Roberta),
            "distilbert" => Some(Self::DistilBert),
            "electra" => Some(Self::Electra),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::DistilBert => "distilbert",
            Self::Electra => "electra",
        }
    }

    /// Prefix of the names of the encoder's tensors in a checkpoint that also has a head.
    fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta => "roberta.",
            Self::DistilBert => "distilbert.",
            Self::Electra => "electra.",
        }
    }

    /// The function between the dense layer over the first token and the classifier.
    fn head_activation(self) -> Activation {
        match self {
            Self::Bert | Self::Roberta => Activation::Tanh,
            Self::DistilBert => Activation::Relu,
            Self::Electra => Activation::Gelu,
        }
    }

    /// The names of the two layers of a trained head.
    pub(super) fn head_layers(self) -> (&'static str, &'static str) {
        match self {
            Self::Bert => ("bert.pooler.dense", "classifier"),
            Self::Roberta | Self::Electra => ("classifier.dense", "classifier.out_proj"),
            Self::DistilBert => ("pre_classifier", "classifier"),
        }
    }
}

/// The fields of the file that are used; the aliases are DistilBERT's names.
#[derive(Debug, Deserialize)]
struct File {
    model_type: String,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation", default = "gelu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(flatten)]
    labels: LabelNames,
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// The default of `transformers` for all four families.
fn epsilon() -> f32 {
    1e-12
}

/// A checkpoint whose configuration is supported.
#[derive(Debug)]
pub(super) struct Checkpoint {
    directory: PathBuf,
    file: File,
    pub(super) family: Family,
    /// Prefix of the names of the encoder's tensors.
    pub(super) prefix: &'static str,
    pub(super) encoder: EncoderShape,
    pub(super) architecture: Architecture,
    /// Rows of the token table.
    pub(super) tokens: usize,
    /// Width of the token table.
    pub(super) embedding_width: usize,
    /// Rows of the position table, including unused ones.
    pub(super) position_rows: usize,
    /// The row of the first position.
    pub(super) first_position: usize,
    /// The classification head that was trained with it.
    pub(super) trained_head: Option<TrainedHead>,
}

impl Checkpoint {
    pub(super) fn read(
        directory: &Path,
        tensors: &mut StoredTensors,
        pooling: Option<Pooling>,
    ) -> Result<Self> {
        let path = directory.join(FILE);
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let file: File = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        let refuse = |problem: String| ModelError::import(directory, format!("{FILE}: {problem}"));
        let family = Family::of(&file.model_type).ok_or_else(|| {
            let known = "bert, roberta, xlm-roberta, camembert, distilbert, electra";
            refuse(format!("`model_type` is `{}` but must be one of {known}", file.model_type))
        })?;
        let activation = file.check().map_err(refuse)?;
        let encoder = file.encoder();
        tensors.unwrap(family.prefix())?;
        let tensors = &*tensors;
        // A bare encoder is saved without the prefix that it has inside a model with a head.
        let prefix = if tensors.has("embeddings.word_embeddings.weight") { "" } else { family.prefix() };
        let rows_and_width =
            |table: &str| tensors.rows_and_columns(&format!("{prefix}embeddings.{table}.weight"));
        let (tokens, embedding_width) = rows_and_width("word_embeddings")?;
        if embedding_width != encoder.width && family != Family::Electra {
            let width = encoder.width;
            return Err(refuse(format!(
                "`hidden_size` is {width} but the embeddings are {embedding_width} wide"
            )));
        }
        let (position_rows, _) = rows_and_width("position_embeddings")?;
        let architectures = file.architectures.as_deref().unwrap_or_default();
        let trained_head = head::find(architectures, tensors, family, prefix, refuse)?;
        let architecture = Architecture {
            norm: NormPlacement::Post,
            norm_epsilon: file.layer_norm_eps,
            embedding_norm: true,
            embedding_width: (embedding_width != encoder.width).then_some(embedding_width),
            activation,
            head: head_of(family, trained_head.is_some(), pooling),
        };
        let first_position = file.first_position(family);
        if first_position >= position_rows {
            return Err(refuse(format!("`pad_token_id` leaves none of the {position_rows} positions")));
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            file,
            family,
            prefix,
            encoder,
            architecture,
            tokens,
            embedding_width,
            position_rows,
            first_position,
            trained_head,
        })
    }

    /// Number of positions that tokens can have.
    pub(super) fn positions(&self) -> usize {
        self.position_rows - self.first_position
    }

    pub(super) fn network(&self, labels: usize) -> NetworkConfig {
        let embedding =
            FeatureLayout { tokens: self.tokens, bigrams: 0, trigrams: 0, positions: self.positions() };
        NetworkConfig {
            labels,
            encoder: self.encoder,
            embedding,
            ngrams: None,
            architecture: self.architecture,
        }
    }

    /// The labels of the head: the chosen ones; otherwise those of the file; otherwise placeholders.
    pub(super) fn labels(&self, chosen: Option<&Labels>) -> Result<Labels> {
        let head = self.trained_head.as_ref();
        let outputs = head.map(|head| Outputs { number: head.outputs, origin: &head.origin });
        self.file.labels.labels(outputs, chosen).map_err(|problem| self.refuse(&problem))
    }

    /// The value of `model_type`.
    pub(super) fn model_type(&self) -> &str {
        &self.file.model_type
    }

    pub(super) fn max_tokens(&self, chosen: Option<usize>) -> Result<usize> {
        match chosen {
            None => Ok(self.positions()),
            Some(tokens) if (1..=self.positions()).contains(&tokens) => Ok(tokens),
            Some(tokens) => {
                let bound = format!("must be between 1 and {}, the checkpoint's positions", self.positions());
                Err(ModelError::option("max_tokens", tokens, bound))
            }
        }
    }

    /// Checks that every token of the tokenizer has an embedding.
    pub(super) fn check_vocabulary(&self, tokenizer: &Tokenizer) -> Result<()> {
        let entries = tokenizer.vocab_size();
        if entries > self.tokens {
            let problem = format!(
                "the tokenizer has {entries} tokens but there are embeddings of {}: they do not belong together",
                self.tokens
            );
            return Err(ModelError::import(&self.directory, problem));
        }
        Ok(())
    }

    fn refuse(&self, problem: &str) -> ModelError {
        ModelError::import(&self.directory, format!("{FILE}: {problem}"))
    }
}

/// What the head reads: a trained head reads what its family's heads do, a new one what `pooling` says.
fn head_of(family: Family, has_head: bool, pooling: Option<Pooling>) -> Head {
    match (has_head, pooling) {
        (false, None | Some(Pooling::Mean)) => Head::Mean,
        _ => Head::FirstToken(family.head_activation()),
    }
}

impl File {
    fn encoder(&self) -> EncoderShape {
        EncoderShape {
            layers: self.num_hidden_layers,
            width: self.hidden_size,
            heads: self.num_attention_heads,
            feed_forward: self.intermediate_size,
        }
    }

    /// The row of the first position. RoBERTa's is the padding token's id plus one.
    fn first_position(&self, family: Family) -> usize {
        match family {
            Family::Roberta => self.pad_token_id.unwrap_or(1).saturating_add(1),
            Family::Bert | Family::DistilBert | Family::Electra => 0,
        }
    }

    /// Checks that all settings are implemented here; returns the activation of the feed-forward part.
    fn check(&self) -> Result<Activation, String> {
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
        match self.hidden_act.as_str() {
            "gelu" | "gelu_python" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => Err(format!(
                "`hidden_act` is `{other}` but must be one of gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, relu"
            )),
        }
    }
}
