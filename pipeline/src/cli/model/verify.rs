//! `fenliu model verify`

use std::process::ExitCode;

use fenliu_model::Registry;
use serde::Serialize;

use super::output;
use crate::error::{Converted, Result};

/// A version and whether its files are unchanged.
#[derive(Debug, Serialize)]
struct Verified {
    version: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Verifies one version or all of them. The exit code is 1 if a file of any version has changed since it was published.
pub(super) fn verify((registry, selector): &(Registry, Option<String>), json: bool) -> Result<ExitCode> {
    let versions = match selector {
        Some(selector) => vec![registry.resolve(selector).converted()?],
        None => registry.versions().converted()?.into_iter().map(|entry| entry.version).collect(),
    };
    let mut verified = Vec::with_capacity(versions.len());
    for version in versions {
        let problem = registry.bundle(&version).err().map(|error| error.to_string());
        let line = Verified { ok: problem.is_none(), problem, version };
        if !json {
            let Verified { ok, problem, version } = &line;
            let mark = if *ok { "ok  " } else { "FAIL" };
            output::line(format!("{mark} {version} {}", problem.as_deref().unwrap_or_default()).trim_end())?;
        }
        verified.push(line);
    }
    if json {
        output::json(&verified)?;
    }
    Ok(if verified.iter().all(|line| line.ok) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
