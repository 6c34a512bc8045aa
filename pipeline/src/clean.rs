//! The clean stage: runs the compiled plan on each batch and sets rejected rows aside.

use chrono::Utc;
use fenliu_operators::Plan;
use fenliu_schemas::{dead_letters, split_rejected};

use crate::batch::Batch;
use crate::error::Result;

/// Cleans the rows of `batch`. Rows that the source or a cleaning step rejected become dead letters of
/// the same batch.
///
/// # Errors
/// When the plan cannot run at all; a row that it cannot handle is rejected instead.
pub fn clean(plan: &Plan, mut batch: Batch) -> Result<Batch> {
    let cleaned = plan.run(&batch.records)?;
    let (kept, rejected) = split_rejected(&cleaned)?;
    if rejected.num_rows() > 0 {
        batch.dead_letters.push(dead_letters(&rejected, Utc::now().timestamp_millis())?);
    }
    batch.records = kept;
    Ok(batch)
}
