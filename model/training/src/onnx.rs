//! Writing ONNX files: a small graph builder, and the graph of our network.
//!
//! Contract: opset 17, 32-bit floats, standard operators only, so that any ONNX runtime can serve the file.
//! Inputs are `input_ids` and `attention_mask`, int64 `[batch, tokens]` with padding on the right; the output
//! is `logits`, float32 `[batch, labels]`, and for some models also `zero_shot`, of the same shape. The axes `batch` and `tokens` are dynamic.

mod encoder;
mod graph;
mod sentence;

pub(crate) use encoder::encoder_model;
pub(crate) use sentence::{Heads, Sentence, SentenceGraph, TokenPooling};
