#![doc = include_str!("../README.md")]
//!
//! # The library
//!
//! A [`Bundle`] is an immutable directory that holds a classifier. A [`Classifier`] runs it: an [`Encoder`]
//! turns texts into token ids, the [`batcher`] groups them, a [`session`] computes logits, and softmax gives
//! [`Probabilities`]. [`evaluate()`] compares predictions with gold labels. This crate opens no sockets and
//! knows neither Kafka nor SQL.
//!
//! ```no_run
//! use fenliu_model::{Bundle, Classifier, ClassifierOptions};
//!
//! # fn main() -> fenliu_model::Result<()> {
//! let bundle = Bundle::open("models/news".as_ref())?;
//! let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default())?;
//! let encodings = classifier.encoder().encode_batch(&["Shares rose after the bank cut its rate"])?;
//! for probabilities in classifier.classify(&encodings)? {
//!     for (label, probability) in probabilities.top(3) {
//!         eprintln!("{} {probability:.3}", bundle.labels().ids()[label]);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod batcher;
pub mod bundle;
mod calibration;
mod classifier;
pub mod compare;
pub mod correctors;
mod device;
mod drift;
pub mod durable;
mod error;
pub mod evaluate;
mod example;
pub mod gates;
pub mod import;
mod labels;
pub mod linear;
mod lock;
pub mod onnx;
mod probabilities;
pub mod quality;
pub mod registry;
pub mod report;
pub mod runtime;
pub mod session;
pub mod thresholds;
mod time;
pub mod tokenize;
pub mod training_report;
mod zero_shot;

pub use batcher::BatchOptions;
pub use bundle::{Bundle, BundleWriter, LinearPart, Manifest, ModelDescription, ProblemType};
pub use calibration::{Calibration, ClassThreshold, ConfidenceError, best_temperature};
pub use classifier::{Classifier, ClassifierOptions, Encoder, Failure, FailureKind, Outcome, TokenCount};
pub use compare::{Comparison, Slice, Speed};
pub use device::Device;
pub use drift::{
    DriftMonitor, DriftOptions, DriftReference, DriftStatus, MIN_REFERENCE_ROWS, Signal, SignalDrift,
};
pub use error::{HubCause, ModelError, Result};
pub use evaluate::{
    ClassScores, Confusion, CoveragePoint, Evaluation, ReliabilityBin, SliceScores, evaluate, evaluate_slices,
};
pub use example::Example;
pub use gates::{Gate, GateInputs, GateLimits};
pub use labels::{Label, Labels};
pub use linear::{FeatureOptions, Features, LinearExpert};
pub use lock::Lease;
pub use probabilities::Probabilities;
pub use quality::QualityReport;
pub use registry::{
    Alias, AliasRecord, REQUIRED_AGREEMENT, REQUIRED_DOCUMENTS, Recheck, Registry, VersionEntry,
};
pub use runtime::Runtime;
pub use tokenize::{Encoding, PAD_ID, Tokenization, Tokenizer, UNK_ID, VocabularyOptions};
pub use zero_shot::ZeroShotPart;
