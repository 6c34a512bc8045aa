//! `fenliu model`: the versions of a model and which of them is in use.
//!
//! A model is named by its directory below `--models`. A version is named by the model, `@` and a selector:
//! `news@champion`, `news@challenger`, `news@previous`, or `news@` and the beginning of a ULID. A path, such as
//! `elsewhere/news@champion`, is not looked up below `--models`.

mod change;
mod import;
mod list;
mod recheck;
mod show;
mod verify;

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fenliu_model::Registry;

use super::common::Common;
use super::output;
use crate::error::{Converted, Result};

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Directory of models
    #[arg(long, value_name = "DIR", default_value = "models", global = true)]
    models: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the versions of one model, or of all
    List {
        /// Model
        name: Option<String>,
    },
    /// Make a version of a model that was trained elsewhere: a directory, a file, or hf:OWNER/NAME on a hub
    Import(import::ImportArgs),
    /// Describe a version, the one in use unless another is named, and the model's latest changes
    Show {
        /// Model and version
        #[arg(value_name = "NAME[@VERSION]")]
        name: String,
    },
    /// Compare every file with its digest, of one version or of all
    Verify {
        /// Model and version
        #[arg(value_name = "NAME[@VERSION]")]
        name: String,
    },
    /// Compare the labels that an earlier release gave with those under the cleaning of this release
    Recheck(recheck::RecheckArgs),
    /// Make a version the champion, which `models/NAME` stands for
    Promote {
        /// Model and version; the challenger unless another is named
        #[arg(value_name = "NAME[@VERSION]")]
        name: String,
        /// Make it the challenger instead, which shadow mode runs beside the champion
        #[arg(long)]
        challenger: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Return to the champion before this one
    Rollback {
        /// Model
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Remove a version that is neither champion, challenger nor previous
    Remove {
        /// Model and version
        #[arg(value_name = "NAME@VERSION")]
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Remove old versions that are neither champion, challenger nor previous
    Prune {
        /// Model
        name: String,
        /// How many of the newest such versions stay
        #[arg(long, value_name = "N", default_value_t = 5)]
        keep: usize,
        #[command(flatten)]
        why: Why,
    },
}

/// The reason of a change, which the history records together with the name of the user.
#[derive(Debug, Args)]
struct Why {
    /// Reason of the change, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(super) fn model(args: &ModelArgs, common: &Common) -> Result<ExitCode> {
    let (models, json) = (&args.models, common.json);
    let open = |name: &str| Registry::find(&path(models, name)).converted();
    match &args.command {
        Command::List { name } => list::list(models, name.as_deref(), json)?,
        Command::Import(args) => import::import(args, models, common)?,
        Command::Show { name } => show::show(&open(name)?, json)?,
        Command::Verify { name } => return verify::verify(&open(name)?, json),
        Command::Recheck(args) => return recheck::recheck(args, &open(&args.name)?, common),
        Command::Promote { name, challenger: true, why } => {
            change::challenge(&open(name)?, &why.reason, json)?
        }
        Command::Promote { name, why, .. } => change::promote(&open(name)?, &why.reason, json)?,
        Command::Rollback { name, why } => change::rollback(&open(name)?, &why.reason, json)?,
        Command::Remove { name, why } => change::remove(&open(name)?, &why.reason, json)?,
        Command::Prune { name, keep, why } => change::prune(&open(name)?, *keep, &why.reason, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory of the model `name`.
fn path(models: &Path, name: &str) -> PathBuf {
    if name.contains(MAIN_SEPARATOR) { PathBuf::from(name) } else { models.join(name) }
}

/// The name of a model: the last part of its path.
fn name(registry: &Registry) -> String {
    registry.path().file_name().unwrap_or(registry.path().as_os_str()).to_string_lossy().into_owned()
}
