//! Which rows one output gets of a batch, and which columns.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_config::Problems;
use fenliu_engine::position::Moves;
use fenliu_engine::{Error, Kind, Result, Rows};
use fenliu_operators::{OperatorError, Projection};

/// What rows an output gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Labelled rows, those for which its predicate is true.
    Labelled,
    /// All dead letters.
    DeadLetters,
}

/// The rows of one output: labelled ones through its columns and its predicate, or dead letters.
#[derive(Clone, Debug)]
pub struct Selection {
    projection: Projection,
    role: Role,
}

impl Selection {
    /// `columns` of rows of `schema` for which `filter` is true; all columns where none is named.
    ///
    /// # Errors
    /// Every column or predicate that does not compile, at `key`.
    pub fn compile(
        key: &str,
        role: Role,
        schema: &SchemaRef,
        columns: &[String],
        filter: Option<&str>,
    ) -> Result<Self, Problems> {
        let projection = Projection::try_new(schema, columns, filter).map_err(|errors| {
            let mut problems = Problems::new("config");
            errors.iter().for_each(|error| problems.add(key, error.to_string()));
            problems
        })?;
        Ok(Selection { projection, role })
    }

    /// The schema of what [`select`](Self::select) returns.
    pub fn schema(&self) -> &SchemaRef {
        self.projection.schema()
    }

    /// What rows these are.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Those of `rows` that belong to this output and that `moves` do not trim; no batch is empty.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub fn select(&self, rows: &Rows, moves: &Moves) -> Result<Vec<RecordBatch>> {
        let batches = match self.role {
            Role::Labelled => std::slice::from_ref(&rows.labelled),
            Role::DeadLetters => &rows.dead_letters[..],
        };
        let selected = batches.iter().map(|batch| self.apply(&moves.trim(batch)?));
        selected.filter(|batch| !batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0)).collect()
    }

    /// All of `rows` that belong to this output.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        self.projection.apply(rows).map_err(|error| failed(&error))
    }
}

/// An expression that fails on a row fails on it each time.
fn failed(error: &OperatorError) -> Error {
    Error::new(Kind::Refused, error.to_string())
}
