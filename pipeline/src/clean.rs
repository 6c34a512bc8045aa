//! The clean stage: runs the compiled plan on each batch and sets rejected rows aside.

use arrow::datatypes::SchemaRef;
use chrono::Utc;
use fenliu_config::Problems;
use fenliu_engine::batch::Batch;
use fenliu_operators::{CleanConfig, Plan};
use fenliu_schemas::{dead_letters, raw, split_rejected, unlabelled_rows};

use crate::error::{Converted, Result};

/// Compiles the cleaning steps.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn compile(clean: &CleanConfig) -> Result<Plan> {
    Plan::try_new(clean, &raw::schema()).map_err(|errors| {
        let mut problems = Problems::new("cleaning steps");
        errors.iter().for_each(|error| problems.add("clean", error.to_string()));
        problems.into()
    })
}

/// Cleans the rows of `batch`. Rows that the source or a cleaning step rejected become dead letters of
/// the same batch.
///
/// # Errors
/// When the plan cannot run at all; a row that it cannot handle is rejected instead.
pub(crate) fn clean(plan: &Plan, mut batch: Batch) -> Result<Batch> {
    let cleaned = plan.run(&batch.records).converted()?;
    let (kept, rejected) = split_rejected(&cleaned)?;
    if rejected.num_rows() > 0 {
        batch.dead_letters.push(dead_letters(&rejected, Utc::now().timestamp_millis())?);
    }
    batch.records = kept;
    Ok(batch)
}

/// Makes of cleaned rows what is written where there is no model: rows of `schema`.
///
/// # Errors
/// When `schema` is not that of unlabelled rows of this plan.
pub(crate) fn pass(schema: &SchemaRef, mut batch: Batch) -> Result<Batch> {
    batch.records = unlabelled_rows(&batch.records, schema, Utc::now().timestamp_millis())?;
    Ok(batch)
}
