//! The one error type of this crate.

use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Why a cleaning configuration does not compile, or a batch could not be run.
///
/// A bad document is none of these: it is a row with a `reject_reason`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A step names an operator that does not exist.
    #[error("`{key}` is `{name}`, which is no operator; operators are {known}")]
    UnknownOperator {
        /// The setting, such as `steps[2]`.
        key: String,
        /// What it holds.
        name: String,
        /// The names that would do.
        known: String,
    },
    /// A setting has a value that cannot work.
    #[error("`{key}` is `{value}`, but {problem}")]
    Setting {
        /// The setting, such as `steps[2].column`.
        key: String,
        /// What it holds.
        value: String,
        /// What is wrong with it, or the bound.
        problem: String,
    },
    /// SQL that does not compile, or is no plain row-by-row expression.
    #[error("`{key}` has the SQL `{sql}`: {problem}")]
    Sql {
        /// The setting, such as `steps[2].sql`.
        key: String,
        /// The expression as written.
        sql: String,
        /// The planner's words, or what is not allowed.
        problem: String,
    },
    /// A user dictionary that cannot be read.
    #[error("cannot read the user dictionary {}: {source}", path.display())]
    DictionaryFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of a user dictionary that is not `word [frequency] [tag]`.
    #[error("{}:{line}: {problem}", path.display())]
    DictionaryLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The input lacks a column that cleaning needs, or has it with another type.
    #[error("the input needs a column `{column}` of type {expected}, but {found}")]
    Column {
        /// The column's name.
        column: &'static str,
        /// The Arrow type it must have.
        expected: &'static str,
        /// What is there instead.
        found: String,
    },
    /// A batch came with other columns than the plan was compiled for.
    #[error("the batch has the columns [{found}], but the plan was compiled for [{expected}]")]
    BatchSchema {
        /// The columns that the plan knows.
        expected: String,
        /// The columns that came.
        found: String,
    },
    /// An expression of a sink failed on a batch.
    #[error("the SQL `{sql}` failed: {source}")]
    Evaluate {
        /// The expression as written.
        sql: String,
        /// Why.
        source: DataFusionError,
    },
    /// Arrow refused to build or combine arrays.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
