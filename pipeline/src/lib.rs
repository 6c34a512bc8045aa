#![doc = include_str!("../README.md")]
//!
//! # The code
//!
//! Start reading at `run`, which wires the stages in data-flow order, then one file per stage: `clean`, `classify`,
//! `write`, `deliver`; `serve` changes the model meanwhile. Sources and sinks are the crate `fenliu-connectors`, the protocol
//! between them is `fenliu-engine`. What runs is compiled in `plan`. The binary's commands are in `cli`.

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
mod texts;
mod verify;
mod write;

pub use cli::main;
