//! `fenliu run`

use clap::Args;

use super::common::{Common, shutdown_on_signals};
use super::output;
use crate::config::Config;
use crate::embedded;
use crate::error::{Error, Result};
use crate::finetune::JobCommand;
use crate::run::{RunOptions, run as run_pipeline};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Stop at the present end of the input instead of waiting for more (a source of files always does)
    #[arg(long)]
    stop_at_end: bool,
}

pub(super) fn run(args: &RunArgs, common: &Common) -> Result<()> {
    let mut config = common.configured()?;
    let _broker = embedded::resolve(&mut config)?;
    let config = config.validate(&common.origin())?;
    let options = RunOptions {
        stop_at_end: args.stop_at_end,
        job: Some(job_command(common, &config)?),
        ..RunOptions::default()
    };
    let summary = run_pipeline(&config, options, &shutdown_on_signals()?)?;
    if common.json {
        output::json(&summary)
    } else {
        output::note(format!("done\n{summary}"));
        Ok(())
    }
}

/// The command line for a fine-tuning job in a process of its own: `fenliu` with the same configuration. An embedded
/// broker is passed by its address, because the other process cannot start the same one.
fn job_command(common: &Common, config: &Config) -> Result<JobCommand> {
    let program = std::env::current_exe().map_err(Error::file("find", "fenliu itself"))?;
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
