//! Pooling of an encoder without a classification head.

use std::str::FromStr;

use fenliu_model::{ModelError, Result};

/// What a new classification head reads of the encoder's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over the tokens, as sentence encoders are used (Reimers and Gurevych, 2019).
    Mean,
    /// The first token through a dense layer, as in the classifiers of the checkpoint's family.
    FirstToken,
}

impl FromStr for Pooling {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "first-token" => Ok(Self::FirstToken),
            _ => Err(ModelError::option("pooling", name, "must be one of mean, first-token")),
        }
    }
}
