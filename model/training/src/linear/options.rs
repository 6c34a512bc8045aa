//! What can be chosen about a linear expert.

use fenliu_model::linear::{FeatureOptions, MAX_FEATURES};
use fenliu_model::{ModelError, Result};
use serde::{Deserialize, Serialize};

use crate::bounds::check_at_least_one;

/// Everything that can be chosen about a linear expert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearOptions {
    /// What is read of a text.
    pub features: FeatureOptions,
    /// A feature must be in this many documents. Default: 2; features of a single document made the expert worse
    /// on headlines near and far, and are most of all.
    pub min_documents: usize,
    /// Most features that are kept, those of most documents first; at most 2^20, which is the default.
    pub max_features: usize,
    /// What the features of a text are multiplied by. Default: naive Bayes ratios.
    pub scale: Scale,
    /// Cost of an error of weight 1 against the squared length of the weights, as C of LIBLINEAR. Default: 0.3.
    pub cost: f64,
}

/// What the features of a text are multiplied by, before its vector is brought to length 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Naive Bayes ratios, of each class its own (Wang & Manning 2012).
    NaiveBayes,
    /// Inverse document frequencies, as in a search engine: ln((1 + N) / (1 + n)) + 1.
    InverseFrequency,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self {
            features: FeatureOptions::default(),
            min_documents: 2,
            max_features: MAX_FEATURES,
            scale: Scale::NaiveBayes,
            cost: 0.3,
        }
    }
}

impl LinearOptions {
    /// # Errors
    ///
    /// An option is out of its bounds.
    pub(super) fn check(&self) -> Result<()> {
        check_at_least_one(&[("min_documents", self.min_documents), ("max_features", self.max_features)])?;
        if self.max_features > MAX_FEATURES {
            let bound = format!("must be at most {MAX_FEATURES}");
            return Err(ModelError::option("max_features", self.max_features, bound));
        }
        if !(self.cost.is_finite() && self.cost > 0.0) {
            return Err(ModelError::option("cost", self.cost, "must be a number above 0"));
        }
        Ok(())
    }
}
