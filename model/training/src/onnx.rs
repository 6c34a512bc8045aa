//! Writing ONNX files: the messages, a small graph builder, and the graph of our network.
//!
//! Contract: opset 17, 32-bit floats, standard operators only, so that any ONNX runtime can serve the
//! file; inputs `input_ids` and `attention_mask`, int64 `[batch, tokens]` with right padding, output
//! `logits`, float32 `[batch, labels]`; both axes dynamic. Reading ONNX files is ONNX Runtime's business.

mod encoder;
mod graph;

pub(crate) use encoder::encoder_model;
