//! Which rows one output gets of a batch, and which columns.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_operators::Projection;

use crate::config::Problems;
use crate::error::{PipelineError, Result};
use crate::position::Moves;

/// What a batch has become: every document is in one of the two.
#[derive(Debug)]
pub struct Rows {
    /// Labelled rows.
    pub labelled: RecordBatch,
    /// Rejected documents.
    pub dead_letters: Vec<RecordBatch>,
}

/// The rows of one output: labelled ones through its columns and its predicate, or dead letters.
pub struct Selection {
    projection: Projection,
    of_dead_letters: bool,
}

impl Selection {
    /// Labelled rows of `schema`; `key` is the configuration's, for messages.
    ///
    /// # Errors
    /// Every column or predicate that does not compile.
    pub fn labelled(key: &str, schema: &SchemaRef, columns: &[String], filter: Option<&str>) -> Result<Self> {
        Ok(Selection { projection: compile(key, schema, columns, filter)?, of_dead_letters: false })
    }

    /// All dead letters.
    ///
    /// # Errors
    /// Every column that does not compile.
    pub fn dead_letters(schema: &SchemaRef, columns: &[String]) -> Result<Self> {
        Ok(Selection { projection: compile("dead_letters", schema, columns, None)?, of_dead_letters: true })
    }

    /// The schema of what [`select`](Self::select) returns.
    pub fn schema(&self) -> &SchemaRef {
        self.projection.schema()
    }

    /// Those of `rows` that belong to this output and that `moves` do not trim; no batch is empty.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub fn select(&self, rows: &Rows, moves: &Moves) -> Result<Vec<RecordBatch>> {
        let batches =
            if self.of_dead_letters { &rows.dead_letters[..] } else { std::slice::from_ref(&rows.labelled) };
        let selected = batches.iter().map(|batch| Ok(self.projection.apply(&moves.trim(batch)?)?));
        selected.filter(|batch| !batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0)).collect()
    }
}

/// The projection of one output, with all that is wrong with it.
pub(super) fn compile(
    key: &str,
    schema: &SchemaRef,
    columns: &[String],
    filter: Option<&str>,
) -> Result<Projection> {
    Projection::try_new(schema, columns, filter).map_err(|errors| {
        let mut problems = Problems::new("config");
        errors.iter().for_each(|error| problems.add(key, error.to_string()));
        PipelineError::Config(problems)
    })
}
