//! `fenliu compact`

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{Common, output};
use crate::config::{DeltaSinkConfig, Problems, SinkConfig, ValidatedConfig};
use crate::error::Result;
use crate::sink::compact as compact_table;

/// Rewrites small files as large ones; a pipeline may run meanwhile.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// Only this sink: 0 is the first of the configuration
    #[arg(long, value_name = "NUMBER")]
    sink: Option<usize>,
    /// About how large files become
    #[arg(long, value_name = "SIZE", default_value = "256 MiB")]
    target_size: ByteSize,
    /// Also remove files that have not been part of the table for so many hours; readers of older versions fail
    #[arg(long, value_name = "HOURS")]
    vacuum: Option<u32>,
}

pub(super) fn compact(args: &CompactArgs, common: &Common) -> Result<()> {
    let config = common.validated()?;
    let vacuum = args.vacuum.map(|hours| Duration::from_secs(u64::from(hours) * 3600));
    let mut all = vec![];
    for table in tables(&config, args.sink)? {
        tracing::info!(table = table.path, "compacting");
        all.push(compact_table(table, args.target_size, vacuum)?);
    }
    if common.json {
        return output::json(&all);
    }
    let rows = all.iter().map(|done| {
        [done.table.clone(), done.replaced.to_string(), done.added.to_string(), done.removed.to_string()]
    });
    output::table(&["table", "files replaced", "files added", "files removed"], rows)
}

/// The Delta sinks of `config`, or the one with that number.
fn tables(config: &ValidatedConfig, number: Option<usize>) -> Result<Vec<&DeltaSinkConfig>> {
    let wanted = |index: &usize| number.is_none_or(|number| number == *index);
    let sinks = config.sinks.iter().enumerate().filter(|(index, _)| wanted(index));
    let tables: Vec<_> = sinks
        .filter_map(|(_, sink)| match sink {
            SinkConfig::Delta(delta) => Some(delta),
            _ => None,
        })
        .collect();
    match number {
        _ if !tables.is_empty() => Ok(tables),
        Some(number) => {
            let message = format!("sink {number} is not of type delta");
            Err(Problems::one("command line", "--sink", message).into())
        }
        None => Err(Problems::one("config", "sinks", "none is of type delta").into()),
    }
}
