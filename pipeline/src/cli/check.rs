//! `fenliu check` and `fenliu config`

use clap::Args;
use fenliu_connectors::outputs;

use super::common::Common;
use super::output;
use crate::config::Config;
use crate::error::Result;
use crate::run::{Preflight, preflight};

/// The commented default configuration. A test checks that it agrees with the defaults in the code.
const DEFAULT_CONFIG: &str = include_str!("../../../deploy/config/default.toml");

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Print the commented default configuration to start from
    #[arg(long)]
    default: bool,
}

pub(super) fn check(common: &Common) -> Result<()> {
    let config = common.validated()?;
    let Preflight { model, unknown } = preflight(&config)?;
    let source = config.source.describe(&config.decoder)?;
    outputs::check_topics(&config.outputs, &config.topics())?;
    for error in &unknown {
        tracing::warn!(
            event = "output_not_examined",
            %error,
            "an output does not answer, so it is not known whether it accepts the rows"
        );
    }
    if common.json {
        let unknown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        return output::json(
            &serde_json::json!({ "ok": true, "model": model, "unknown": unknown, "source": source }),
        );
    }
    let model = model.map_or("no model: rows have no labels".to_string(), |model| format!("model {model}"));
    output::line(format!("{}: ok, {model}", common.origin()))?;
    source.into_iter().try_for_each(|line| output::line(format!("  {line}")))
}

pub(super) fn config(args: &ConfigArgs, common: &Common) -> Result<()> {
    if args.default {
        return output::line(DEFAULT_CONFIG.trim_end());
    }
    let config: Config = common.load()?;
    if common.json {
        return output::json(&config.to_redacted_value());
    }
    output::line(config.to_redacted_toml().trim_end())
}
