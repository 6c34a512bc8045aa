//! Models that were made elsewhere, as bundles of ours.
//!
//! Contract: an import changes no computation: the bundle's logits are those of the program that made the
//! model, up to rounding. What cannot be carried over exactly is refused by name, and nothing is published
//! then. Cleaning is not known of an imported model: its manifest says nothing of it.

mod huggingface;

pub use huggingface::{ImportOptions, Pooling, huggingface};
