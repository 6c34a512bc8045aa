//! Apache Iceberg tables as outputs.

mod config;
mod kind;

#[cfg(feature = "iceberg")]
mod catalog;
#[cfg(feature = "iceberg")]
mod disk;
#[cfg(feature = "iceberg")]
mod error;
#[cfg(feature = "iceberg")]
mod fence;
#[cfg(feature = "iceberg")]
mod position;
#[cfg(feature = "iceberg")]
mod reader;
#[cfg(feature = "iceberg")]
mod sink;
#[cfg(feature = "iceberg")]
mod table;
#[cfg(feature = "iceberg")]
mod write;

pub(crate) use config::IcebergSinkConfig;
