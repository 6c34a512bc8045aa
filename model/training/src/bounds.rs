//! Checks of options against their bounds.

use fenliu_model::{ModelError, Result};

/// Refuses zero.
pub(crate) fn check_at_least_one(values: &[(&'static str, usize)]) -> Result<()> {
    match values.iter().find(|(_, value)| *value == 0) {
        Some((name, value)) => Err(ModelError::option(name, value, "must be at least 1")),
        None => Ok(()),
    }
}

/// Refuses values outside [0, 1).
pub(crate) fn check_shares(values: &[(&'static str, f32)]) -> Result<()> {
    match values.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
        Some((name, value)) => Err(ModelError::option(name, value, "must be at least 0 and below 1")),
        None => Ok(()),
    }
}

/// Refuses negative numbers, infinities and NaN.
pub(crate) fn check_not_negative(values: &[(&'static str, f32)]) -> Result<()> {
    match values.iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
        Some((name, value)) => Err(ModelError::option(name, value, "must be a number of at least 0")),
        None => Ok(()),
    }
}
