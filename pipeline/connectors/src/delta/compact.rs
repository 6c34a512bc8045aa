//! Few large files instead of many small ones.
//!
//! Compaction is a commit of its own that replaces files by others with the same rows. It touches no position,
//! and a pipeline may write meanwhile: each commits its own version.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use deltalake::DeltaTable;
use deltalake::operations::optimize::{MetricDetails, OptimizeType};
use deltalake::operations::vacuum::VacuumMode;
use fenliu_engine::{Error, Kind, Result};

use super::config::DeltaSinkConfig;
use super::features::Use;
use super::lake::{Lake, properties, session};
use crate::kind::Compacted;

/// Minimum age at which `vacuum` removes files that no version names: a younger one may belong to a commit in progress.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Compacts the table of `config` to files of about `target` bytes, and with `vacuum` removes files that have
/// not been part of it for so long: readers of versions older than that fail.
///
/// # Errors
/// A table that does not exist, or that has a feature which forbids it; a store that does not answer; rows that another
/// process changed meanwhile.
pub(super) fn compact(
    config: &DeltaSinkConfig,
    target: ByteSize,
    vacuum: Option<Duration>,
) -> Result<Compacted> {
    let absent = || Error::new(Kind::NotFound, format!("{}: there is no Delta table", config.path));
    let lake = Lake::existing(config)?.ok_or_else(absent)?;
    let uses = if vacuum.is_some() { &[Use::Compact, Use::Vacuum][..] } else { &[Use::Compact] };
    let table = lake.open_with_files(uses)?.ok_or_else(absent)?;
    let target = NonZeroU64::new(target.as_u64()).unwrap_or(NonZeroU64::MIN);
    let optimize = table
        .optimize()
        .with_type(OptimizeType::Compact)
        .with_session_state(Arc::new(session().state()))
        .with_target_size(target)
        .with_writer_properties(properties());
    let (table, metrics) = lake.block_on(optimize.into_future()).map_err(lake.failed("compact"))?;
    let removed = vacuum.map_or(Ok(0), |age| remove(&lake, table, age))?;
    Ok(Compacted {
        place: config.path.clone(),
        replaced: metrics.num_files_removed,
        bytes_replaced: size(&metrics.files_removed),
        added: metrics.num_files_added,
        bytes_added: size(&metrics.files_added),
        removed,
    })
}

fn size(files: &MetricDetails) -> u64 {
    u64::try_from(files.total_size).unwrap_or(0)
}

fn remove(lake: &Lake, table: DeltaTable, age: Duration) -> Result<u64> {
    // `Full` also removes files that no version names, by their age alone, so it would take the files of a running
    // commit. `Lite` removes only files that a version has removed from the table.
    let mode = if age < ORPHAN_AGE { VacuumMode::Lite } else { VacuumMode::Full };
    let vacuum = table
        .vacuum()
        .with_retention_period(chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX))
        // The library refuses ages below the retention of the table (a week by default). Here the user has named the
        // age.
        .with_enforce_retention_duration(false)
        .with_mode(mode);
    let (_, metrics) = lake.block_on(vacuum.into_future()).map_err(lake.failed("vacuum"))?;
    Ok(metrics.files_deleted.len() as u64)
}
