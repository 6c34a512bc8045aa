//! Makes classifiers that `fenliu-model` serves: training from scratch, distillation, fine-tuning, and import
//! of pretrained checkpoints. `model/README.md` describes how to use them on the command line.
//!
//! [`train`] and [`distill`] train a small transformer encoder with a linear n-gram side path
//! ([`TrainOptions`]) and publish it. [`stage_finetuned`] trains the network of a bundle further
//! ([`FineTuneOptions`]). [`train_frozen`] fits classifiers over the vectors of a pretrained encoder. [`huggingface`]
//! imports a checkpoint of one of many families of encoders.
//!
//! A run has these steps, one module each:
//!
//! ```text
//! rows ─▶ split ─▶ corpus (tokenizer, labels, token ids) ─▶ fit ─▶ publish (weights, ONNX graph, parity) ─▶ Staged
//!                                                            │
//!                                  trainer (batches, gradients, optimizer) ─▶ network ─▶ ops
//! ```
//!
//! Contract: the weights of the epoch with the best development macro-F1 are kept (the latest of nearly equal
//! ones). The exported graph gives the network's logits to 1e-4, or nothing is published. The same rows,
//! options and seed give the same weights, on any number of threads, and also after a run was killed and
//! resumed.
//!
//! Not here: cleaning texts, choosing the version in use, comparing a model with another.

mod adapt;
mod adaptation;
mod architecture;
mod bench;
mod bounds;
mod calibrate;
mod checkpoint;
mod corpus;
mod data;
mod distill;
mod experts;
mod features;
mod finetune;
mod fit;
mod from_scratch;
mod frozen;
mod grow;
pub mod hub;
mod hyperparameters;
mod import;
pub mod linear;
mod network;
mod observer;
mod onnx;
mod ops;
mod optimisation;
mod optimizer;
mod options;
mod out_of_fold;
mod parameter;
mod publish;
mod reads;
mod schedule;
mod shape;
mod split;
mod stack;
mod staged;
mod states;
mod suspects;
mod table;
mod tensors;
#[cfg(test)]
mod testing;
mod threads;
mod trainer;
mod weights;

pub use adaptation::Adaptation;
#[doc(hidden)]
pub use bench::StepBench;
pub use distill::{DistillOptions, Teaching, distill};
pub use finetune::{FineTuneOptions, FineTuneRequest, stage_finetuned};
pub use from_scratch::{TrainRequest, Trained, stage, train};
pub use frozen::{ClassText, FrozenOptions, FrozenRequest, train_frozen};
pub use import::{ImportOptions, Pooling, huggingface};
pub use observer::{EmbeddingWork, Observer};
pub use optimisation::{Optimisation, Transfer};
pub use options::{Preset, TrainOptions};
pub use shape::{EncoderShape, NgramShape};
pub use staged::{Destination, Staged};
pub use suspects::{inspect, suspects};
