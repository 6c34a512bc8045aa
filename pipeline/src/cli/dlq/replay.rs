//! `fenliu dlq replay`

use clap::Args;
use fenliu_config::Problems;
use fenliu_connectors::KafkaConfig;

use super::FilterArgs;
use crate::cli::common::Common;
use crate::cli::output;
use crate::dlq::Letters;
use crate::dlq::replay::{ReplayOptions, replay as replay_letters};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Another topic than the one that each message came from
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Brokers of the topics that messages go to, in place of kafka.brokers
    #[arg(long, value_name = "HOST:PORT,...")]
    brokers: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Send also what was replayed before, without looking for it
    #[arg(long)]
    again: bool,
}

pub(super) fn replay(
    letters: &Letters,
    mut kafka: KafkaConfig,
    args: &ReplayArgs,
    common: &Common,
) -> Result<()> {
    kafka.brokers = args.brokers.clone().unwrap_or(kafka.brokers);
    if kafka.is_embedded() {
        let message =
            "is `embedded`, a broker that ended with its pipeline: name a running one with --brokers";
        return Err(Problems::one(common.origin(), "kafka.brokers", message).into());
    }
    let options = ReplayOptions {
        filter: args.filter.filter(),
        to: args.to.clone(),
        limit: args.limit,
        dry_run: args.dry_run,
        again: args.again,
    };
    let done = replay_letters(letters, &kafka, &options)?;
    if common.json {
        return output::json(&done);
    }
    let verb = if done.dry_run { "would be sent" } else { "sent" };
    for (topic, messages) in &done.sent {
        output::note(format!("{messages} messages {verb} to topic {topic}"));
    }
    if done.sent.is_empty() {
        output::note(format!("nothing {verb}"));
    }
    if done.replayed_before > 0 {
        output::note(format!("{} left out: replayed before (--again sends them, too)", done.replayed_before));
    }
    if done.copies > 0 {
        output::note(format!("{} left out: copies of others", done.copies));
    }
    Ok(())
}
