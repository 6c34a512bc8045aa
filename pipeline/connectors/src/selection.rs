//! Which rows of a batch an output gets, with which columns, and what its messages need in addition.

use arrow::array::{ArrayRef, RecordBatch};
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

/// What an output needs of each row beside its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A column, which need not be among those that are written.
    Column(&'static str),
    /// Text or bytes by a SQL expression over the row.
    Sql {
        /// The setting, below the output's own key.
        key: &'static str,
        /// The expression.
        sql: String,
    },
}

/// Rows of an output.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The rows with the columns that are written.
    pub rows: RecordBatch,
    /// What the output needs [`Beside`], in that order; each has a value a row.
    pub beside: Vec<ArrayRef>,
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

    /// The same selection, whose rows come with `beside` where they are selected.
    ///
    /// # Errors
    /// What does not compile, at `key`.
    pub fn with_beside(self, key: &str, beside: Vec<Beside>) -> Result<Self, Problems> {
        let Selection { projection, role } = self;
        let added = beside.into_iter().try_fold(projection, |projection, beside| match beside {
            Beside::Column(name) => projection.with_column_beside(name),
            Beside::Sql { key, sql } => projection.with_bytes_beside(key, &sql),
        });
        let projection = added.map_err(|error| Problems::one("config", key, error.to_string()))?;
        Ok(Selection { projection, role })
    }

    /// Whether the output depends on the column `name` of the rows.
    pub fn uses(&self, name: &str) -> bool {
        self.projection.uses(name)
    }

    /// The schema of what [`select`](Self::select) returns.
    pub fn schema(&self) -> &SchemaRef {
        self.projection.schema()
    }

    /// What rows these are.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The rows of `rows` that belong to this output and that `moves` do not trim; no batch is empty.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub fn select(&self, rows: &Rows, moves: &Moves) -> Result<Vec<RecordBatch>> {
        // Trimmed before the projection, which may leave out the columns that say where a row came from.
        let selected = self.batches(rows).iter().map(|batch| self.apply(&moves.trim(batch)?));
        selected.filter(|batch| !batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0)).collect()
    }

    /// As [`select`](Self::select), with what the output needs beside.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub fn select_beside(&self, rows: &Rows, moves: &Moves) -> Result<Vec<Selected>> {
        let selected = self.batches(rows).iter().map(|batch| {
            let applied = self.projection.apply_beside(&moves.trim(batch)?);
            applied.map(|(rows, beside)| Selected { rows, beside }).map_err(|error| failed(&error))
        });
        selected.filter(|batch| !batch.as_ref().is_ok_and(|batch| batch.rows.num_rows() == 0)).collect()
    }

    /// The batches of `rows` that this output selects from.
    fn batches<'a>(&self, rows: &'a Rows) -> &'a [RecordBatch] {
        match self.role {
            Role::Labelled => std::slice::from_ref(&rows.labelled),
            Role::DeadLetters => &rows.dead_letters[..],
        }
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
