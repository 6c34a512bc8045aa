//! `fenliu compact`

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use fenliu_config::Problems;
use fenliu_connectors::kind::{Compacted, Upkeep};

use super::common::Common;
use super::output;
use crate::error::{Error, Result};
use crate::plan::Plan;

/// Rewrites small files of Delta tables as large ones; a pipeline may run meanwhile.
///
/// Each table changes from one version to the next. Sinks of type files need no compaction: they keep their own
/// listings, and remove what failed commits left behind.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// Only this sink: 0 is the first of the configuration; otherwise all
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
    let all = compact_all(args, &config)?;
    if common.json {
        return output::json(&all);
    }
    let rows = all.iter().map(|done| {
        [
            done.place.clone(),
            format!("{} ({})", done.replaced, ByteSize(done.bytes_replaced)),
            format!("{} ({})", done.added, ByteSize(done.bytes_added)),
            done.removed.to_string(),
        ]
    });
    output::table(&["sink", "files replaced", "by files", "others removed"], rows)
}

/// Compacts the sinks of `config` that can be, or the one with the number asked for.
fn compact_all(args: &CompactArgs, config: &Plan) -> Result<Vec<Compacted>> {
    let vacuum = args.vacuum.map(|hours| Duration::from_secs(u64::from(hours) * 3600));
    let upkeep = Upkeep { target: args.target_size, vacuum };
    let mut all = vec![];
    for (number, sink) in config.sinks.iter().enumerate() {
        if args.sink.is_none_or(|only| only == number) {
            tracing::info!(event = "compacting", sink = number, "compacting");
            all.extend(sink.compact(&upkeep)?);
        }
    }
    if all.is_empty() { Err(unfit(args.sink)) } else { Ok(all) }
}

fn unfit(sink: Option<usize>) -> Error {
    let why = "only Delta tables are compacted (directories of files look after themselves)";
    match sink {
        Some(number) => {
            Problems::one("command line", "--sink", format!("{number} is not of type delta: {why}")).into()
        }
        None => Problems::one("config", "sinks", format!("none is of type delta: {why}")).into(),
    }
}
