#![doc = include_str!("../README.md")]

mod agreement;
mod array;
mod config;
mod dictionary;
mod error;
mod function;
mod functions;
mod plan;
mod projection;
#[cfg(test)]
mod reference;
mod registry;
mod rejections;
mod sql;

pub use agreement::{Agreement, agreement};
pub use config::{CleanConfig, Step};
pub use error::OperatorError;
pub use plan::Plan;
pub use projection::Projection;
pub use registry::{functions, register_all};
