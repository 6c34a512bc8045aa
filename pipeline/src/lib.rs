//! fenliu (分流, "to divide a stream"): Kafka news in, labelled Arrow records out.
//!
//! Start reading at [`run`](run::run), which wires the stages in data-flow order, then one file per
//! stage: [`source`], [`clean`], [`classify`], [`mod@write`], [`deliver`] with the protocol in [`position`], [`sink`]; [`serve`] changes the model meanwhile. The binary's commands are in
//! [`cli`].

pub mod batch;
pub mod breaker;
pub mod classify;
pub mod clean;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod deliver;
pub mod dlq;
pub mod error;
pub mod fault;
pub mod finetune;
pub mod kafka;
pub mod ledger;
pub mod metrics;
mod options;
pub mod position;
pub mod progress;
pub mod run;
pub mod serve;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod stage;
pub mod summary;
mod system;
pub mod texts;
pub mod verify;
pub mod write;

pub use error::{PipelineError, Result};
