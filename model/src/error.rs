//! The error type of this crate and of `fenliu-training`.
//!
//! A message names the file, key or shape at fault and the bound that was violated. A text that cannot be
//! classified is not an error but a [`Failure`](crate::Failure).

use std::path::{Path, PathBuf};

/// The result of fallible functions.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

/// Why a model could not be opened, run, trained or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation, as it completes "cannot …": `read`, `create`, `rename`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A JSON file does not have the expected content.
    #[error("invalid JSON in {}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's error with line and column.
        source: serde_json::Error,
    },
    /// A bundle is incomplete, was changed after it was written, or is not a bundle.
    #[error("invalid bundle {}: {problem}", path.display())]
    Bundle {
        /// The bundle's directory.
        path: PathBuf,
        /// What is wrong, naming the file.
        problem: String,
    },
    /// The versions and aliases of a model do not allow an operation.
    #[error("model {}: {problem}", path.display())]
    Registry {
        /// The model's directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A fine-tuning job of the model is running, and only one may run at a time.
    #[error("model {} already has a job: {holder}", path.display())]
    Leased {
        /// The model's directory.
        path: PathBuf,
        /// Purpose, process and start of that job, as it wrote them.
        holder: String,
    },
    /// A model from elsewhere that cannot be imported.
    #[error("cannot import {}: {problem}", path.display())]
    Import {
        /// Its directory or file.
        path: PathBuf,
        /// What is wrong, naming the file, setting or tensor.
        problem: String,
    },
    /// A file of thresholds that cannot be used.
    #[error("invalid thresholds {}: {problem}", path.display())]
    Thresholds {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the key.
        problem: String,
    },
    /// A checkpoint that cannot be fetched from a hub.
    #[error("cannot fetch {reference}: {problem}")]
    Hub {
        /// The reference, as it was given.
        reference: String,
        /// Whose fault it is.
        cause: HubCause,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A set of labels that no classifier can have.
    #[error("invalid labels: {0}")]
    Labels(String),
    /// A tokenizer's files or training texts are unusable.
    #[error("invalid tokenizer {}: {problem}", path.display())]
    Tokenizer {
        /// The file at fault, or the name of what was being trained.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A tokenizer failed on a text.
    #[error("cannot tokenise a text of {bytes} bytes: {problem}")]
    Tokenise {
        /// Length of the text.
        bytes: usize,
        /// The tokenizer's error.
        problem: String,
    },
    /// An option is out of its bounds.
    #[error("invalid option: `{option}` is {value} but {bound}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// The bound, as it completes "but …": `must be at least 1`.
        bound: String,
    },
    /// ONNX Runtime's shared library was not found or could not be loaded.
    #[error("cannot load ONNX Runtime: {problem}; {advice}{tried}")]
    Runtime {
        /// What went wrong.
        problem: String,
        /// Each place that was tried with its outcome, each after a line break.
        tried: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// An ONNX file could not be opened as a text classifier.
    #[error("cannot open ONNX model {}: {problem}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Inference failed on one batch.
    #[error("inference failed on a batch of {rows} rows x {tokens} tokens: {problem}")]
    Inference {
        /// Rows of the batch.
        rows: usize,
        /// Tokens of its longest row.
        tokens: usize,
        /// What is wrong.
        problem: String,
    },
    /// Gold labels and predictions that cannot be compared.
    #[error("cannot evaluate: {0}")]
    Evaluation(String),
    /// Tensors that do not fit a network.
    #[error("invalid weights: {0}")]
    Weights(String),
    /// A training run failed, or its result is unusable.
    #[error("training failed: {0}")]
    Training(String),
}

/// Whose fault it is that a checkpoint cannot be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubCause {
    /// The reference or an option is wrong.
    Usage,
    /// The hub does not answer, or cannot serve at present.
    Unavailable,
    /// The hub refuses the access token, or there is none.
    Denied,
    /// The repository, the revision or a file does not exist, or is not in the cache.
    Absent,
    /// What the hub or the cache gives cannot be used.
    Unusable,
}

impl ModelError {
    /// For `map_err` on file operations.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` on JSON read from or written to a file.
    pub fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Json { path, source }
    }

    /// A bundle in `path` that is invalid.
    pub fn bundle(path: &Path, problem: impl Into<String>) -> Self {
        Self::Bundle { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A model that cannot be imported from `path`.
    pub fn import(path: &Path, problem: impl Into<String>) -> Self {
        Self::Import { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A file of thresholds in `path` that cannot be used.
    pub fn thresholds(path: &Path, problem: impl Into<String>) -> Self {
        Self::Thresholds { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A model in `path` whose versions and aliases do not allow an operation.
    pub fn registry(path: &Path, problem: impl Into<String>) -> Self {
        Self::Registry { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A tokenizer in `path` that is unusable.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass temporary values")]
    pub fn tokenizer(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::Tokenizer { path: path.as_ref().to_path_buf(), problem: problem.to_string() }
    }

    /// An option whose value misses a bound; `bound` completes "but …".
    #[expect(clippy::needless_pass_by_value, reason = "callers pass temporary values")]
    pub fn option(option: &'static str, value: impl ToString, bound: impl Into<String>) -> Self {
        Self::Option { option, value: value.to_string(), bound: bound.into() }
    }
}
