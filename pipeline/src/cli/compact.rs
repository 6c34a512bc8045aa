//! `fenliu compact`

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{Common, output};
use crate::config::{DeadLetterConfig, Problems, SinkConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};
#[cfg(feature = "delta")]
use crate::sink::compact_table;
use crate::sink::{Compacted, compact_dead_letters, compact_files};

/// Rewrites small files as large ones; a pipeline may run meanwhile.
///
/// Delta tables change from one version to the next. In directories of files the manifests do: readers who go by
/// them see each row once, always. Those who go by names see no row twice, but for a moment they may miss the rows
/// of a file that takes the place of others, or be told that a file is gone: then the query has to be repeated.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// Only this sink: 0 is the first of the configuration; otherwise all, and dead letters in files
    #[arg(long, value_name = "NUMBER")]
    sink: Option<usize>,
    /// About how large files become; files in a bucket at most 4 GiB
    #[arg(long, value_name = "SIZE", default_value = "256 MiB")]
    target_size: ByteSize,
    /// Delta: also remove files that have not been part of the table for so many hours; readers of older versions
    /// fail. Files: remove what failed commits left so many hours ago, instead of 24
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
fn compact_all(args: &CompactArgs, config: &ValidatedConfig) -> Result<Vec<Compacted>> {
    let vacuum = args.vacuum.map(|hours| Duration::from_secs(u64::from(hours) * 3600));
    let mut all = vec![];
    for (number, sink) in config.sinks.iter().enumerate() {
        if args.sink.is_some_and(|only| only != number) {
            continue;
        }
        tracing::info!(sink = number, "compacting");
        match sink {
            SinkConfig::Files(files) => {
                all.push(compact_files(files, &config.name, args.target_size, vacuum)?);
            }
            #[cfg(feature = "delta")]
            SinkConfig::Delta(table) => all.push(compact_table(table, args.target_size, vacuum)?),
            _ if args.sink.is_some() => return Err(unfit(args.sink)),
            _ => {}
        }
    }
    if let (None, DeadLetterConfig::Files(files)) = (args.sink, &config.dead_letters) {
        tracing::info!("compacting dead letters");
        all.push(compact_dead_letters(files, &config.name, args.target_size, vacuum)?);
    }
    if all.is_empty() { Err(unfit(args.sink)) } else { Ok(all) }
}

fn unfit(sink: Option<usize>) -> PipelineError {
    let problem = match sink {
        Some(number) => {
            let message = format!("sink {number} is not of type files or delta");
            Problems::one("command line", "--sink", message)
        }
        None => Problems::one("config", "sinks", "none is of type files or delta"),
    };
    problem.into()
}
