//! From hidden states to one vector of features for each text, as sentence encoders are used.

use super::graph::{GraphBuilder, Value, integer, integers};

/// Far below every hidden state: the score of padding where the largest value counts (as in sentence-transformers).
const NEVER_LARGEST: f32 = -1e9;
/// The smallest length that vectors are divided by, as in PyTorch's `normalize`.
const SMALLEST_LENGTH: f32 = 1e-12;

/// How the hidden states of a text become its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeaturePooling {
    /// Which hidden states count.
    pub(crate) tokens: PooledTokens,
    /// Whether the features are scaled to a length of 1.
    pub(crate) normalise: bool,
}

/// Which hidden states of a text become its features, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PooledTokens {
    /// That of the first token.
    Cls,
    /// The mean over the tokens.
    Mean,
    /// The largest value of each component over the tokens.
    Max,
}

/// The graph of an encoder from token ids to hidden states, to be continued. Copies share the weights.
#[derive(Clone)]
pub(crate) struct EncoderGraph {
    pub(crate) builder: GraphBuilder,
    /// The last layer's output, `[batch, tokens, width]`.
    pub(crate) hidden: Value,
    /// 1.0 at tokens, 0.0 at padding: `[batch, tokens]`.
    pub(crate) mask: Value,
    pub(crate) width: usize,
}

impl EncoderGraph {
    /// Adds pooling; returns the features, `[batch, width]`.
    pub(crate) fn pooled(&mut self, pooling: FeaturePooling) -> Value {
        let Self { builder, hidden, mask, .. } = self;
        let features = match pooling.tokens {
            PooledTokens::Cls => builder.first_token(hidden),
            PooledTokens::Mean => {
                let lengths = builder.lengths(mask);
                builder.mean(hidden, mask, &lengths)
            }
            PooledTokens::Max => builder.largest(hidden, mask),
        };
        if pooling.normalise { builder.unit_length(&features) } else { features }
    }
}

impl GraphBuilder {
    /// The largest value of each component over the tokens.
    fn largest(&mut self, hidden: &Value, mask: &Value) -> Value {
        let one = self.scalar(1.0);
        let absent = self.node("Sub", &[&one, mask], vec![]);
        let penalty = self.scale(&absent, NEVER_LARGEST);
        let penalty = self.unsqueeze(&penalty, &[2]);
        let kept = self.add(hidden, &penalty);
        self.node("ReduceMax", &[&kept], vec![integers("axes", &[1]), integer("keepdims", 0)])
    }

    /// The rows of `x`, each divided by its length.
    pub(crate) fn unit_length(&mut self, x: &Value) -> Value {
        let length = self.node("ReduceL2", &[x], vec![integers("axes", &[1]), integer("keepdims", 1)]);
        let smallest = self.scalar(SMALLEST_LENGTH);
        let length = self.node("Max", &[&length, &smallest], vec![]);
        self.node("Div", &[x, &length], vec![])
    }
}
