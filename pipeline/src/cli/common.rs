//! What all commands share: options, the configuration that they name, the signals that stop them.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use fenliu_config::Problems;
use fenliu_connectors::Shutdown;

use crate::config::Config;
use crate::error::Result;
use crate::plan::Plan;
use crate::signals::listen_for_signals;

/// The options that every command accepts.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Configuration file (TOML)
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Set one configuration key, such as model.top_k=5; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    pub(super) overrides: Vec<String>,
    /// Log more: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    /// Log only warnings and errors
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub(super) quiet: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Common {
    /// The configuration as it was read; it has not been checked.
    pub(super) fn load(&self) -> Result<Config> {
        Ok(Config::load(self.config.as_deref(), &self.overrides)?)
    }

    /// How messages name the configuration.
    pub(super) fn origin(&self) -> String {
        self.config.as_ref().map_or("command line".to_string(), |path| path.display().to_string())
    }

    /// The configuration, which must have been given; it has not been checked.
    ///
    /// # Errors
    /// It cannot be read, or neither a file nor an override was given.
    pub(super) fn configured(&self) -> Result<Config> {
        if self.config.is_none() && self.overrides.is_empty() {
            let message =
                "no configuration: give a file with -c (`fenliu config --default` prints one to start from)";
            return Err(Problems::one("command line", "", message).into());
        }
        self.load()
    }

    /// The configuration, checked and compiled.
    pub(super) fn validated(&self) -> Result<Plan> {
        Ok(self.configured()?.validate(&self.origin())?)
    }
}

/// A shutdown that SIGINT and SIGTERM request.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn shutdown_on_signals() -> Result<Shutdown> {
    let shutdown = Shutdown::default();
    listen_for_signals(shutdown.clone())?;
    Ok(shutdown)
}
