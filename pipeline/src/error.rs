//! Converts the errors of the model and operator crates into errors of the pipeline. This is the one place that decides
//! which kind, and so which exit code, each of them has.

use fenliu_model::{HubCause, ModelError};
use fenliu_operators::OperatorError;

pub(crate) use fenliu_engine::{Error, Kind, Result};

/// Converts the error of another crate into an error of the pipeline.
pub(crate) trait Converted<T> {
    /// Returns the value.
    ///
    /// # Errors
    /// The same error, with its kind.
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

/// Converts an error of inference, of training or of the model registry.
pub(crate) fn of_model(error: ModelError) -> Error {
    match error {
        ModelError::Io { action, path, source } => Error::file(action, path)(source),
        ModelError::Option { .. } => Error::usage(error.to_string()),
        ModelError::Hub { cause, .. } => Error::new(of_hub(cause), error.to_string()),
        ModelError::Leased { .. } => Error::new(Kind::Conflict, error.to_string()),
        ModelError::Runtime { .. } => Error::new(Kind::NotFound, error.to_string()),
        other => Error::input(other.to_string()),
    }
}

/// The kind of an error of a model hub.
fn of_hub(cause: HubCause) -> Kind {
    match cause {
        HubCause::Usage => Kind::Usage,
        HubCause::Unavailable => Kind::Unavailable,
        HubCause::Denied => Kind::Denied,
        HubCause::Absent => Kind::NotFound,
        HubCause::Unusable => Kind::Input,
    }
}
