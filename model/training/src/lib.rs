//! Labelled texts in, a bundle out: training a classifier from scratch, from a teacher, or further from
//! another bundle; and importing the checkpoints of others so that they can be trained further.
//!
//! [`stage`] holds development rows out, draws a vocabulary, trains a small transformer encoder with a linear
//! n-gram side path (see [`TrainOptions`]), keeps the weights of the epoch with the best development macro-F1
//! (the latest of nearly equal ones), exports them to ONNX, and checks that the graph gives the same logits.
//! [`stage_finetuned`] does the same from the weights, tokenizer and labels of a bundle
//! ([`FineTuneOptions`]). Either gives a [`Staged`] bundle, to which its owner may add files before it is
//! published; [`train`] stages and publishes. The same rows, options and seed give the same weights.
//!
//! Serving is `fenliu-model`, which does not depend on this crate. Not here: cleaning texts, choosing which
//! version is in use, comparing a model with another.

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
mod features;
mod finetune;
mod fit;
mod grow;
mod hyperparameters;
mod import;
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
mod schedule;
mod scratch;
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
pub use import::{ImportOptions, Pooling, huggingface};
pub use observer::Observer;
pub use optimisation::{Optimisation, Transfer};
pub use options::{Preset, TrainOptions};
pub use scratch::{TrainRequest, Trained, stage, train};
pub use shape::{EncoderShape, NgramShape};
pub use staged::{Destination, Staged};
pub use suspects::{inspect, suspects};
