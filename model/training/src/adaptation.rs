//! Which weights fine-tuning changes.

use std::fmt;
use std::str::FromStr;

use fenliu_model::{ModelError, Result};
use serde::{Deserialize, Serialize};

/// Which weights fine-tuning changes; written `head`, `top-2`, `lora`, `lora-16` or `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Adaptation {
    /// Only what follows the encoder: pooling layer, classifier, and the n-gram side path if there is one.
    Head,
    /// The head and the encoder's last layers.
    TopLayers {
        /// How many layers. A number above that of the encoder means all its layers, but not the embeddings.
        layers: usize,
    },
    /// The head, and for each matrix `W` of the encoder's layers a product of two thin ones: `W + alpha /
    /// rank * A B` (Hu et al., 2021). The sum is stored, so the result costs no more to run.
    Lora {
        /// Columns of `A` and rows of `B`.
        rank: usize,
        /// Scale of the product, before it is divided by the rank.
        alpha: usize,
    },
    /// Everything.
    Full,
}

impl Adaptation {
    /// The rank of `lora` without a number.
    const DEFAULT_RANK: usize = 8;

    /// A low-rank adaptation with the usual `alpha = 2 * rank`.
    pub fn lora(rank: usize) -> Self {
        Self::Lora { rank, alpha: 2 * rank }
    }
}

impl fmt::Display for Adaptation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => write!(formatter, "head"),
            Self::TopLayers { layers } => write!(formatter, "top-{layers}"),
            Self::Lora { rank, alpha } if *alpha == 2 * rank => write!(formatter, "lora-{rank}"),
            Self::Lora { rank, alpha } => write!(formatter, "lora-{rank}-{alpha}"),
            Self::Full => write!(formatter, "full"),
        }
    }
}

impl FromStr for Adaptation {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('-');
        let name = parts.next();
        let numbers: Option<Vec<usize>> = parts.map(|part| part.parse().ok().filter(|n| *n > 0)).collect();
        match (name, numbers.as_deref()) {
            (Some("head"), Some([])) => Ok(Self::Head),
            (Some("full"), Some([])) => Ok(Self::Full),
            (Some("top"), Some(&[layers])) => Ok(Self::TopLayers { layers }),
            (Some("lora"), Some([])) => Ok(Self::lora(Self::DEFAULT_RANK)),
            (Some("lora"), Some(&[rank])) => Ok(Self::lora(rank)),
            (Some("lora"), Some(&[rank, alpha])) => Ok(Self::Lora { rank, alpha }),
            _ => {
                let bound = "must be head, top-LAYERS, lora, lora-RANK, lora-RANK-ALPHA or full";
                Err(ModelError::option("adaptation", format!("`{text}`"), bound))
            }
        }
    }
}

impl TryFrom<String> for Adaptation {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Adaptation> for String {
    fn from(adaptation: Adaptation) -> Self {
        adaptation.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_adaptation_is_read_as_it_is_written() {
        for text in ["head", "full", "top-2", "lora-4", "lora-8-8"] {
            assert_eq!(text.parse::<Adaptation>().unwrap().to_string(), text);
        }
        assert_eq!("lora".parse::<Adaptation>().unwrap(), Adaptation::Lora { rank: 8, alpha: 16 });
        for text in ["", "top", "top-0", "top-x", "lora-", "lora-1-2-3", "full-1", "Head"] {
            let error = text.parse::<Adaptation>().unwrap_err().to_string();
            assert!(error.contains(&format!("`adaptation` is `{text}`")), "{error}");
        }
    }
}
