//! Which variant of a transformer encoder a network computes; its sizes are in `shape`.
//!
//! The defaults are our own encoder's; the other values are those of the BERT family: BERT (Devlin et
//! al., 2019), RoBERTa (Liu et al., 2019), DistilBERT (Sanh et al., 2019), ELECTRA (Clark et al., 2020).

use serde::{Deserialize, Serialize};

/// Which of the family's variants a network computes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Architecture {
    /// Where the layers normalise.
    pub(crate) norm: NormPlacement,
    /// Added to the variance by every normalisation.
    pub(crate) norm_epsilon: f32,
    /// Whether the sum of the embeddings is normalised.
    pub(crate) embedding_norm: bool,
    /// Width of the embeddings if it differs from the encoder's: a linear layer then projects them. `None` =
    /// the encoder's width, without a projection.
    pub(crate) embedding_width: Option<usize>,
    /// The function between the two matrices of the feed-forward part.
    pub(crate) activation: Activation,
    /// How logits are computed from the encoder's output.
    pub(crate) head: Head,
}

impl Default for Architecture {
    fn default() -> Self {
        Self {
            norm: NormPlacement::Pre,
            norm_epsilon: 1e-5,
            embedding_norm: false,
            embedding_width: None,
            activation: Activation::Gelu,
            head: Head::Means,
        }
    }
}

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NormPlacement {
    /// Before each part, and once after the last layer (Xiong et al., 2020).
    Pre,
    /// After each sum of a part and its input (Vaswani et al., 2017).
    Post,
}

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    /// The exact GELU.
    Gelu,
    /// The GELU by its `tanh` approximation (Hendrycks and Gimpel, 2016).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// What the final linear layer reads to compute the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Head {
    /// The mean of the encoder's output over the tokens, concatenated with the mean of the embeddings.
    Means,
    /// The mean of the encoder's output over the tokens.
    Mean,
    /// The encoder's output at the first token, after a dense layer of its width (the "pooler") and this
    /// function.
    FirstToken(Activation),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_an_architecture_means_the_default() {
        assert_eq!(serde_json::from_str::<Architecture>("{}").unwrap(), Architecture::default());
        let json = serde_json::to_string(&Head::FirstToken(Activation::Tanh)).unwrap();
        assert_eq!(json, r#"{"first_token":"tanh"}"#);
    }
}
