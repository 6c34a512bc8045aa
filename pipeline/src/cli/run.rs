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
    /// End at the end of the input as it is now, instead of waiting for more (files always end)
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

/// `fenliu` again, with this configuration; an embedded broker by its address.
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
