//! The error type of this crate.

use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use fenliu_text::InvalidLines;

/// Why a cleaning configuration does not compile, or a batch could not be cleaned.
///
/// An invalid document is not an error, but a row with a `reject_reason`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A step names an operator that does not exist.
    #[error("`{key}` is `{name}`, which is not an operator; the operators are {known}")]
    UnknownOperator {
        /// The setting, such as `steps[2]`.
        key: String,
        /// Its value.
        name: String,
        /// The names of all operators.
        known: String,
    },
    /// A setting has an invalid value.
    #[error("`{key}` is `{value}`, but {problem}")]
    Setting {
        /// The setting, such as `steps[2].column`.
        key: String,
        /// Its value.
        value: String,
        /// Why the value is invalid.
        problem: String,
    },
    /// SQL does not compile, or needs more than one row.
    #[error("`{key}` has the SQL `{sql}`: {problem}")]
    Sql {
        /// The setting, such as `steps[2].sql`.
        key: String,
        /// The expression as written.
        sql: String,
        /// The message of DataFusion's planner, or what is not allowed.
        problem: String,
    },
    /// A user dictionary cannot be read.
    #[error("cannot read the user dictionary {}: {source}", path.display())]
    DictionaryFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Lines of a user dictionary are invalid.
    #[error("the user dictionary {}: {lines}", path.display())]
    DictionaryLines {
        /// The file.
        path: PathBuf,
        /// The lines, and why they are invalid.
        lines: InvalidLines,
    },
    /// The input lacks a column that cleaning needs, or the column has another type.
    #[error("the input needs a column `{column}` of type {expected}, but {found}")]
    Column {
        /// The column's name.
        column: &'static str,
        /// The Arrow type it must have.
        expected: &'static str,
        /// What the input has instead.
        found: String,
    },
    /// A batch has other columns than the plan was compiled for.
    #[error("the batch has the columns [{found}], but the plan was compiled for [{expected}]")]
    BatchSchema {
        /// The columns that the plan was compiled for.
        expected: String,
        /// The columns of the batch.
        found: String,
    },
    /// An expression of a [`Projection`](crate::Projection) failed on a batch.
    #[error("the SQL `{sql}` failed: {source}")]
    Evaluate {
        /// The expression as written.
        sql: String,
        /// The error of DataFusion.
        source: DataFusionError,
    },
    /// Arrow could not build or combine arrays.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
