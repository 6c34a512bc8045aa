//! `fenliu thresholds show`: the thresholds in a file.

use std::path::PathBuf;

use clap::Args;
use fenliu_model::thresholds::{Snapshot, SourceThreshold};
use serde_json::json;

use crate::cli::common::Common;
use crate::cli::output;
use crate::error::{Converted, Result};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The file: of `fenliu thresholds fit`, or one in `thresholds.path`
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn show(args: &ShowArgs, common: &Common) -> Result<()> {
    print(&Snapshot::load(&args.file).converted()?, common)
}

/// Prints the thresholds of all sources.
pub(super) fn print(snapshot: &Snapshot, common: &Common) -> Result<()> {
    let Snapshot { number, identity, rule, sources, shared, .. } = snapshot;
    if common.json {
        return output::json(&json!({
            "number": number, "identity": identity, "rule": rule, "sources": sources, "shared": shared,
        }));
    }
    let row = |(source, at): (&String, &SourceThreshold)| {
        let name = if source.is_empty() { "(no source)" } else { source.as_str() };
        [name.to_string(), at.documents.to_string(), format!("{:.3}", at.threshold)]
    };
    output::line(format!(
        "{} {}: mean score of trusted documents {:.3}, default threshold {:.3}, at least {} documents\n",
        identity.model, identity.version, rule.goal, rule.default_threshold, rule.window
    ))?;
    output::table(&["source", "documents", "threshold"], sources.iter().map(row))
}
