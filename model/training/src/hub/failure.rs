//! Why something was not fetched, and whether asking again can help.

use std::time::Duration;

use fenliu_model::{HubCause, ModelError};

use super::reference::Reference;

/// Why a step of a fetch failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same request may succeed later.
    Passing {
        /// What happened.
        problem: String,
        /// How long the hub asks to wait.
        wait: Option<Duration>,
    },
    /// The same request will fail again.
    Lasting {
        /// Whose fault it is.
        cause: HubCause,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file of this machine is at fault.
    Local(ModelError),
}

impl Failure {
    /// A failure that may pass.
    pub(super) fn passing(problem: impl Into<String>) -> Self {
        Self::Passing { problem: problem.into(), wait: None }
    }

    /// Something is not there.
    pub(super) fn absent(problem: impl Into<String>) -> Self {
        Self::Lasting { cause: HubCause::Absent, problem: problem.into() }
    }

    /// What is there cannot be used.
    pub(super) fn unusable(problem: impl Into<String>) -> Self {
        Self::Lasting { cause: HubCause::Unusable, problem: problem.into() }
    }

    /// Adds to what is wrong.
    pub(super) fn with(mut self, addition: &str) -> Self {
        if let Self::Passing { problem, .. } | Self::Lasting { problem, .. } = &mut self {
            problem.push_str(addition);
        }
        self
    }

    /// The error that the caller of a fetch sees.
    pub(super) fn about(self, reference: &Reference) -> ModelError {
        let (cause, problem) = match self {
            Self::Passing { problem, .. } => (HubCause::Unavailable, problem),
            Self::Lasting { cause, problem } => (cause, problem),
            Self::Local(error) => return error,
        };
        ModelError::Hub { reference: reference.to_string(), cause, problem }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::Local(error)
    }
}
