//! The columns of a table beside those of the rows.

use arrow::datatypes::{Schema, SchemaRef};
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType, normalize_for_delta};

/// The property after whose time a table forgets application transactions. The positions are such transactions, and
/// must not expire.
const RETENTION: &str = "delta.setTransactionRetentionDuration";

/// The columns of a new table for rows of `schema`: with Delta's types, such as microseconds for milliseconds.
///
/// # Errors
/// A type that Delta does not have.
pub(super) fn of(schema: &SchemaRef) -> Result<Vec<StructField>, String> {
    Ok(kernel(&normalize_for_delta(schema))?.fields().cloned().collect())
}

/// Checks that rows of `schema` can be added to `table` as it is. It may have further columns, which become null.
///
/// # Errors
/// The first obstacle, and what to do.
pub(super) fn check(table: &DeltaTable, schema: &SchemaRef, partition_by: &[String]) -> Result<(), String> {
    let state = table.snapshot().map_err(|error| error.to_string())?;
    let metadata = state.metadata();
    if let Some(value) = metadata.configuration().get(RETENTION) {
        return Err(format!(
            "the table's property `{RETENTION}` is {value}: the sink's positions would expire; unset it"
        ));
    }
    let partitioned_by = metadata.partition_columns();
    // The library partitions by what the table says, so a configuration that says otherwise would have no effect.
    if partitioned_by != partition_by {
        return Err(format!(
            "the table is partitioned by {partitioned_by:?}, but `partition_by` is {partition_by:?}"
        ));
    }
    let there = state.schema();
    let ours = of(schema)?;
    for field in &ours {
        match there.field(field.name()) {
            None => {
                return Err(format!(
                    "the table has no column `{}` ({}): add it, or name the wanted ones in `columns`",
                    field.name(),
                    field.data_type()
                ));
            }
            Some(found) if found.data_type() != field.data_type() => {
                return Err(format!(
                    "column `{}` is {} in the table, but the rows have {}",
                    field.name(),
                    found.data_type(),
                    field.data_type()
                ));
            }
            Some(_) => {}
        }
    }
    let is_missing =
        |field: &&StructField| !field.is_nullable() && ours.iter().all(|own| own.name() != field.name());
    match there.fields().find(is_missing) {
        Some(field) => {
            Err(format!("the table's column `{}` needs a value, and rows have none", field.name()))
        }
        None => Ok(()),
    }
}

fn kernel(schema: &Schema) -> Result<StructType, String> {
    schema.try_into_kernel().map_err(|error| format!("the rows cannot be a Delta table: {error}"))
}
