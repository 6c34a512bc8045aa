//! `fenliu run`

use clap::Args;

use super::{Common, output, shutdown_on_signals};
use crate::config::{Config, SourceConfig};
use crate::error::Result;
use crate::kafka::{EmbeddedBroker, is_embedded};
use crate::run::{RunOptions, run as run_pipeline};

/// Partitions of the embedded broker's topics.
const EMBEDDED_PARTITIONS: i32 = 4;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// End at the end of the input as it is now, instead of waiting for more (files always end)
    #[arg(long)]
    stop_at_end: bool,
}

pub(super) fn run(args: &RunArgs, common: &Common) -> Result<()> {
    let mut config: Config = (*common.validated()?).clone();
    let _broker = start_embedded(&mut config)?;
    let config = config.validate(&common.origin())?;
    let options = RunOptions { stop_at_end: args.stop_at_end, ..RunOptions::default() };
    let summary = run_pipeline(&config, options, &shutdown_on_signals())?;
    if common.json {
        output::json(&summary)
    } else {
        output::note(format!("done\n{summary}"));
        Ok(())
    }
}

/// Replaces `embedded` by the address of a broker that lives as long as the returned value.
fn start_embedded(config: &mut Config) -> Result<Option<EmbeddedBroker>> {
    let SourceConfig::Kafka(source) = &config.source else { return Ok(None) };
    if !is_embedded(&config.kafka.brokers) {
        return Ok(None);
    }
    let broker = EmbeddedBroker::start(&source.topics, EMBEDDED_PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    tracing::info!(
        brokers = config.kafka.brokers,
        "embedded broker started: `fenliu produce --brokers` reaches it"
    );
    Ok(Some(broker))
}
