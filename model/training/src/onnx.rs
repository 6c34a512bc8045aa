//! Writing ONNX files: a small graph builder, the parts that encoders are made of, and the graph of our network.
//!
//! Contract: opset 17, 32-bit floats, standard operators only, so that any ONNX runtime can serve the file.
//! Inputs are `input_ids` and `attention_mask`, int64 `[batch, tokens]` with padding on the right; the output
//! is `logits`, float32 `[batch, labels]`, and for some models also `zero_shot`, of the same shape. The axes `batch` and
//! `tokens` are dynamic.

mod encoder;
mod features;
mod graph;
mod pieces;
mod sentence;

pub(crate) use encoder::{encoder_graph, encoder_model};
pub(crate) use features::{EncoderGraph, FeaturePooling, PooledTokens};
pub(crate) use graph::{Axis, GraphBuilder, Value, integer, integers};
pub(crate) use pieces::{COLUMNS, PADDING_SCORE, ROWS};
pub(crate) use sentence::{Heads, SentenceGraph};
