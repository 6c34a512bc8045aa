//! The one error type of this crate.

use arrow::error::ArrowError;

/// Why a batch could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A batch lacks a column that rows at its stage always have, or the column is of another type.
    #[error("column `{column}` is missing or not of type {expected}")]
    Column {
        /// The column's name.
        column: &'static str,
        /// The Arrow type it must have.
        expected: &'static str,
    },
    /// Two inputs that must describe the same rows differ in length.
    #[error("{what}: got {got} values for {rows} rows")]
    Length {
        /// What was counted.
        what: &'static str,
        /// How many values there are.
        got: usize,
        /// How many rows the batch has.
        rows: usize,
    },
    /// Arrow could not build or combine arrays.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
