//! Delta Lake tables as outputs.

mod config;
mod kind;

#[cfg(feature = "delta")]
mod columns;
#[cfg(feature = "delta")]
mod compact;
#[cfg(feature = "delta")]
mod features;
#[cfg(feature = "delta")]
mod lake;
#[cfg(feature = "delta")]
mod location;
#[cfg(feature = "delta")]
mod reader;
#[cfg(feature = "delta")]
mod rules;
#[cfg(feature = "delta")]
mod sink;
#[cfg(feature = "delta")]
mod topic;

pub(crate) use config::DeltaSinkConfig;
