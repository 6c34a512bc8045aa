//! `fenliu thresholds`: thresholds per source in files.

mod fit;
mod show;

use clap::{Args, Subcommand};

use super::common::Common;
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct ThresholdsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a file with the thresholds of a sample, for `thresholds.file`
    Fit(fit::FitArgs),
    /// Print the thresholds in a file
    Show(show::ShowArgs),
}

pub(super) fn thresholds(args: &ThresholdsArgs, common: &Common) -> Result<()> {
    match &args.command {
        Command::Fit(args) => fit::fit(args, common),
        Command::Show(args) => show::show(args, common),
    }
}
