//! A checkpoint: its family, its encoder and its head.

use std::path::{Path, PathBuf};

use fenliu_model::tokenize::Tokenizer;
use fenliu_model::{Labels, ModelError, Result};

use super::config::{Config, EncoderSettings};
use super::families::network::{FirstPosition, Layout, LayoutKeys, Projection};
use super::families::{Family, Kind};
use super::head::{self, TrainedHead};
use super::pooling::Pooling;
use super::served::Encoder;
use super::tensors::StoredTensors;
use crate::architecture::{Architecture, Head, NormPlacement};
use crate::features::FeatureLayout;
use crate::shape::{EncoderShape, NetworkConfig};

/// A checkpoint whose settings are all implemented here.
pub(super) struct Checkpoint {
    directory: PathBuf,
    config: Config,
    pub(super) family: &'static Family,
    /// Prefix of the names of the encoder's tensors.
    pub(super) prefix: &'static str,
    /// Rows of the token table.
    tokens: usize,
    /// The classification head that was trained with it.
    pub(super) trained_head: Option<TrainedHead>,
    pub(super) encoder: Computed,
}

/// What computes the encoder.
pub(super) enum Computed {
    Network(NetworkEncoder),
    Graph(Box<dyn Encoder>),
}

/// An encoder that our network computes.
pub(super) struct NetworkEncoder {
    pub(super) layout: &'static Layout,
    pub(super) keys: LayoutKeys,
    pub(super) shape: EncoderShape,
    pub(super) architecture: Architecture,
    /// Rows of the token table.
    pub(super) tokens: usize,
    /// Width of the token table.
    pub(super) embedding_width: usize,
    /// Rows of the position table, including unused ones.
    pub(super) position_rows: usize,
    /// The row of the first position.
    pub(super) first_position: usize,
}

impl Checkpoint {
    /// Reads everything but the weights. The names of `tensors` become those of `transformers`.
    pub(super) fn read(directory: &Path, tensors: &mut StoredTensors) -> Result<Self> {
        let config = Config::read(directory)?;
        let family = Family::of(&config)?;
        tensors.unwrap(family.prefix, family.tokens)?;
        let tensors = &*tensors;
        // A bare encoder is saved without the prefix that it has inside a model with a head.
        let prefix = if tensors.has(family.tokens) { "" } else { family.prefix };
        let (tokens, width) = tensors.rows_and_columns(&format!("{prefix}{}", family.tokens))?;
        let encoder = match &family.kind {
            Kind::Network(layout) => Computed::Network(NetworkEncoder::read(
                &config,
                layout,
                (tokens, width),
                tensors.rows_and_columns(&format!("{prefix}embeddings.position_embeddings.weight"))?.0,
            )?),
            Kind::Graph(read) => Computed::Graph(read(&config, tokens)?),
        };
        let refuse = |problem: &str| config.refuse(problem);
        let trained_head = head::find(&config.architectures, tensors, family.head, prefix, refuse)?;
        let directory = directory.to_path_buf();
        Ok(Self { directory, config, family, prefix, tokens, trained_head, encoder })
    }

    /// Number of positions that tokens can have.
    pub(super) fn positions(&self) -> usize {
        match &self.encoder {
            Computed::Network(network) => network.positions(),
            Computed::Graph(encoder) => encoder.positions(),
        }
    }

    /// The labels of the head: the chosen ones; otherwise those of the file; otherwise placeholders.
    pub(super) fn labels(&self, chosen: Option<&Labels>) -> Result<Labels> {
        self.config.labels(self.trained_head.as_ref(), chosen)
    }

    pub(super) fn max_tokens(&self, chosen: Option<usize>) -> Result<usize> {
        let positions = self.positions();
        match chosen {
            None => Ok(positions),
            Some(tokens) if (1..=positions).contains(&tokens) => Ok(tokens),
            Some(tokens) => {
                let bound = format!("must be between 1 and {positions}, the checkpoint's positions");
                Err(ModelError::option("max_tokens", tokens, bound))
            }
        }
    }

    /// Checks that every token of the tokenizer has an embedding.
    pub(super) fn check_vocabulary(&self, tokenizer: &Tokenizer) -> Result<()> {
        let entries = tokenizer.vocab_size();
        if entries > self.tokens {
            return Err(self.problem(format!(
                "the tokenizer has {entries} tokens but there are embeddings of {}: they do not belong together",
                self.tokens
            )));
        }
        Ok(())
    }

    /// An error about the checkpoint as a whole.
    pub(super) fn problem(&self, problem: String) -> ModelError {
        ModelError::import(&self.directory, problem)
    }
}

impl NetworkEncoder {
    /// `table` has the rows and the width of the table of tokens, `position_rows` the rows of that of positions.
    fn read(
        config: &Config,
        layout: &'static Layout,
        table: (usize, usize),
        position_rows: usize,
    ) -> Result<Self> {
        let EncoderSettings { mut shape, activation, epsilon } =
            EncoderSettings::read(config, layout.defaults)?;
        let keys: LayoutKeys = config.keys()?;
        if keys.num_hidden_groups == 0 || keys.inner_group_num == 0 {
            return Err(config.refuse("`num_hidden_groups` and `inner_group_num` must be at least 1"));
        }
        shape.layers = shape.layers.saturating_mul(keys.inner_group_num);
        let (tokens, embedding_width) = table;
        let is_projected = match layout.projection {
            Projection::Always(_) => true,
            Projection::IfWidthsDiffer(_) => embedding_width != shape.width,
            Projection::None => false,
        };
        if embedding_width != shape.width && !is_projected {
            let width = shape.width;
            return Err(config
                .refuse(&format!("`hidden_size` is {width} but the embeddings are {embedding_width} wide")));
        }
        let first_position = layout.first_position.row(&keys);
        if first_position >= position_rows {
            return Err(
                config.refuse(&format!("`pad_token_id` leaves none of the {position_rows} positions"))
            );
        }
        let is_pre = layout.final_norm.is_some();
        let architecture = Architecture {
            norm: if is_pre { NormPlacement::Pre } else { NormPlacement::Post },
            norm_epsilon: epsilon,
            embedding_norm: layout.embedding_norm.is_some(),
            embedding_width: is_projected.then_some(embedding_width),
            activation,
            head: Head::Mean,
        };
        Ok(Self { layout, keys, shape, architecture, tokens, embedding_width, position_rows, first_position })
    }

    /// Chooses what the head reads: a trained head reads what its family's heads do, a new one what `pooling` says.
    pub(super) fn choose_head(&mut self, has_head: bool, pooling: Option<Pooling>) {
        self.architecture.head = match (has_head, pooling) {
            (false, None | Some(Pooling::Mean)) => Head::Mean,
            _ => Head::FirstToken(self.layout.head_activation),
        };
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
            encoder: self.shape,
            embedding,
            ngrams: None,
            architecture: self.architecture,
        }
    }
}

impl FirstPosition {
    fn row(self, keys: &LayoutKeys) -> usize {
        match self {
            Self::Zero => 0,
            // The default of `transformers`.
            Self::AfterPadding => keys.pad_token_id.unwrap_or(1).saturating_add(1),
        }
    }
}
