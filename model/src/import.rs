//! Models that were made elsewhere, as bundles of ours.
//!
//! Contract: an import changes no computation: the bundle's logits are those of the program that made the
//! model, up to rounding. What cannot be carried over exactly is refused by name, and nothing is published
//! then. Cleaning is not known of an imported model: its manifest says nothing of it.

use std::path::{Path, PathBuf};

use crate::error::ModelError;

mod huggingface;
mod onnx;

pub use huggingface::{ImportOptions, Pooling, huggingface};
pub use onnx::{OnnxOptions, onnx};

/// The name of what was imported; the rest of its path is nobody else's business.
fn origin(path: &Path) -> String {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    full.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A problem with what is to be imported.
fn refused(path: &Path, problem: impl Into<String>) -> ModelError {
    ModelError::Import { path: path.to_path_buf(), problem: problem.into() }
}
