//! The model in service: what labels documents at this moment.
//!
//! A [`Generation`] is one version of a model, loaded. The tokenize stage takes one for each batch and
//! the batch carries it, so that all its rows are encoded and labelled by the same version.

mod generation;

pub use generation::{Classified, Generation};
