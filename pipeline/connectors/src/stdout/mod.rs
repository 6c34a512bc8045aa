//! JSON Lines on standard output.

mod config;
mod kind;
mod sink;

pub(crate) use config::StdoutSinkConfig;
