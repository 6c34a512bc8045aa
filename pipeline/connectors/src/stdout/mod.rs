//! JSON Lines on standard output.

mod config;
mod kind;
mod sink;

pub use config::StdoutSinkConfig;
