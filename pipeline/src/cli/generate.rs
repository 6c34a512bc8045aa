//! `fenliu completions` and `fenliu man`: shell completions and manual pages, generated from the definition of the
//! commands.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory, in place of printing the first
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the completions of `command` for a shell.
pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut command, "fenliu", &mut script);
    output::line(String::from_utf8_lossy(&script))
}

/// Prints or writes the pages of `command` for `man`.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<()> {
    if let Some(directory) = &args.out {
        std::fs::create_dir_all(directory).map_err(Error::file("create directory", directory))?;
        return clap_mangen::generate_to(command, directory)
            .map_err(Error::file("write pages to", directory));
    }
    let mut page = vec![];
    // As `generate_to` does: `fenliu help` has no page of its own.
    clap_mangen::Man::new(command.disable_help_subcommand(true))
        .render(&mut page)
        .map_err(Error::file("write", "the page"))?;
    output::line(String::from_utf8_lossy(&page))
}
