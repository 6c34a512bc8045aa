#![doc = include_str!("../README.md")]
//!
//! # The code
//!
//! Start reading at `run`, which connects the stages in data-flow order. Then read one file per stage: `clean`, `classify`,
//! `write`, `deliver`. `serve` holds the model and replaces it while documents flow. Sources and sinks are in the crate
//! `fenliu-connectors`, and the protocol between them is in `fenliu-engine`. `plan` compiles a configuration, and `cli` has
//! the commands of the binary.

mod background;
mod breaker;
mod classify;
mod clean;
mod cli;
mod config;
mod corpus;
mod deliver;
mod dlq;
mod embedded;
mod error;
mod finetune;
mod http;
mod metrics;
mod options;
mod plan;
mod progress;
mod run;
mod serve;
mod signals;
mod stage;
mod summary;
mod system;
mod telemetry;
mod texts;
mod verify;
mod write;

pub use cli::main;
