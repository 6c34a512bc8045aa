//! `fenliu dlq`: what became of documents that could not be labelled, and their way back.

mod list;
mod replay;
mod show;

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use fenliu_config::Problems;

use super::common::Common;
use crate::config::Config;
use crate::dlq::{Filter, Letters};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct DlqArgs {
    /// Dead letters in files: a file or a directory; without it, those of the configuration's [dead_letters]
    #[arg(long, value_name = "PATH", global = true)]
    from: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count dead letters by topic, stage and reason
    List(FilterArgs),
    /// Print dead letters with what is in them
    Show(show::ShowArgs),
    /// Send the original messages back to where they came from
    Replay(replay::ReplayArgs),
}

/// Which letters.
#[derive(Clone, Debug, Args)]
struct FilterArgs {
    /// Only this reason, such as invalid_json
    #[arg(long)]
    reason: Option<String>,
    /// Only this stage: decode, clean, tokenize or infer
    #[arg(long)]
    stage: Option<String>,
    /// Only messages of this topic (or file)
    #[arg(long)]
    topic: Option<String>,
    /// Only messages of this partition
    #[arg(long)]
    partition: Option<i32>,
    /// Only messages with this offset
    #[arg(long)]
    offset: Option<i64>,
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        let FilterArgs { reason, stage, topic, partition, offset } = self.clone();
        Filter { reason, stage, topic, partition, offset }
    }
}

pub(super) fn dlq(args: &DlqArgs, common: &Common) -> Result<()> {
    let config = common.load()?;
    let letters = letters(args, &config, common)?;
    match &args.command {
        Command::List(filter) => list::list(&letters, &filter.filter(), common.json),
        Command::Show(show) => show::show(&letters, show, common.json),
        Command::Replay(replay) => replay::replay(&letters, config.kafka, replay, common),
    }
}

fn letters(args: &DlqArgs, config: &Config, common: &Common) -> Result<Letters> {
    match &args.from {
        Some(path) => Ok(Letters::at(path.clone())),
        None if common.config.is_none() && common.overrides.is_empty() => {
            let message = "no dead letters named: a configuration with -c, or files with --from";
            Err(Problems::one("command line", "", message).into())
        }
        None => Ok(Letters::of(&config.dead_letters, &config.kafka)),
    }
}

/// A time in milliseconds since the Unix epoch, for people and programs.
fn rfc_3339(millis: i64) -> Option<String> {
    DateTime::from_timestamp_millis(millis).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
