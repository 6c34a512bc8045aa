//! `fenliu run`

use clap::Args;
use ulid::Ulid;

use super::{Common, output, shutdown_on_signals};
use crate::config::{Config, Delivery, SourceConfig};
use crate::error::{PipelineError, Result};
use crate::finetune::JobCommand;
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
    let options = RunOptions {
        stop_at_end: args.stop_at_end,
        job: Some(job_command(common, &config)?),
        ..RunOptions::default()
    };
    let summary = run_pipeline(&config, options, &shutdown_on_signals())?;
    if common.json {
        output::json(&summary)
    } else {
        output::note(format!("done\n{summary}"));
        Ok(())
    }
}

/// `fenliu` again, with this configuration; an embedded broker by its address.
fn job_command(common: &Common, config: &Config) -> Result<JobCommand> {
    let program = std::env::current_exe().map_err(PipelineError::file("find", "fenliu itself"))?;
    let mut arguments = vec![];
    if let Some(file) = &common.config {
        arguments.extend(["--config".to_string(), file.display().to_string()]);
    }
    let brokers = format!("kafka.brokers={}", config.kafka.brokers);
    for set in common.overrides.iter().chain([&brokers]) {
        arguments.extend(["--set".to_string(), set.clone()]);
    }
    Ok(JobCommand { program, arguments })
}

/// Replaces `embedded` by the address of a broker that lives as long as the returned value.
fn start_embedded(config: &mut Config) -> Result<Option<EmbeddedBroker>> {
    let SourceConfig::Kafka(source) = &config.source else { return Ok(None) };
    if !is_embedded(&config.kafka.brokers) {
        return Ok(None);
    }
    let feedback = Some(&config.finetune.feedback.topic).filter(|topic| !topic.is_empty());
    let topics: Vec<String> = source.topics.iter().chain(feedback).cloned().collect();
    let broker = EmbeddedBroker::start(&topics, EMBEDDED_PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    // It accepts transactions and does not keep them.
    config.epoch.delivery = Delivery::AtLeastOnce;
    // Its topics begin from scratch, so positions that sinks have of an earlier one mean nothing.
    config.name = format!("{}-{}", config.name, Ulid::generate());
    tracing::info!(
        brokers = config.kafka.brokers,
        "embedded broker started: `fenliu produce --brokers` reaches it"
    );
    Ok(Some(broker))
}
