//! Errors of the crates that know nothing of the pipeline, as errors of the pipeline: the one place that says which kind
//! each of them is.

use fenliu_model::ModelError;
use fenliu_operators::OperatorError;

pub(crate) use fenliu_engine::{Error, Kind, Result};

/// Turns the error of another crate into one of the pipeline.
pub(crate) trait Converted<T> {
    /// The value, or the error with its kind.
    ///
    /// # Errors
    /// The same error, as the pipeline has it.
    fn converted(self) -> Result<T>;
}

impl<T> Converted<T> for Result<T, ModelError> {
    fn converted(self) -> Result<T> {
        self.map_err(of_model)
    }
}

impl<T> Converted<T> for Result<T, OperatorError> {
    fn converted(self) -> Result<T> {
        self.map_err(|error| Error::input(error.to_string()))
    }
}

/// An error of the model stage, of training or of a registry of models.
pub(crate) fn of_model(error: ModelError) -> Error {
    match error {
        ModelError::Io { action, path, source } => Error::file(action, path)(source),
        ModelError::Option { .. } => Error::usage(error.to_string()),
        ModelError::Leased { .. } => Error::new(Kind::Conflict, error.to_string()),
        ModelError::Runtime { .. } => Error::new(Kind::NotFound, error.to_string()),
        other => Error::input(other.to_string()),
    }
}
