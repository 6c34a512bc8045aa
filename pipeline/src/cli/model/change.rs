//! `fenliu model promote`, `rollback`, `remove` and `prune`

use fenliu_model::{AliasRecord, Registry};
use serde_json::json;

use super::name;
use crate::cli::output;
use crate::error::{Converted, Error, Result};

/// A model and, if one was named, a version of it.
type Target = (Registry, Option<String>);

pub(super) fn promote((registry, selector): &Target, reason: &str, json: bool) -> Result<()> {
    let selector = selector.as_deref().unwrap_or("challenger");
    report(registry, &registry.promote(selector, &user(), reason).converted()?, json)
}

pub(super) fn challenge((registry, selector): &Target, reason: &str, json: bool) -> Result<()> {
    let Some(selector) = selector else {
        return Err(usage(registry, "name the version that is to challenge the champion, as NAME@VERSION"));
    };
    let challenger = registry.set_challenger(selector, &user(), reason).converted()?;
    if json {
        return output::json(&challenger);
    }
    output::line(format!("{}: challenger {}", name(registry), challenger.version))
}

pub(super) fn rollback((registry, selector): &Target, reason: &str, json: bool) -> Result<()> {
    if let Some(selector) = selector {
        return Err(usage(registry, &format!("rollback takes no version, but `{selector}` was given")));
    }
    report(registry, &registry.rollback(&user(), reason).converted()?, json)
}

pub(super) fn remove((registry, selector): &Target, reason: &str, json: bool) -> Result<()> {
    let Some(selector) = selector else {
        return Err(usage(registry, "name the version to remove, as NAME@VERSION"));
    };
    let version = registry.remove(selector, &user(), reason).converted()?;
    removed(registry, &[version], json)
}

pub(super) fn prune((registry, selector): &Target, keep: usize, reason: &str, json: bool) -> Result<()> {
    if let Some(selector) = selector {
        return Err(usage(registry, &format!("prune takes no version, but `{selector}` was given")));
    }
    removed(registry, &registry.prune(keep, &user(), reason).converted()?, json)
}

/// Who makes a change, for the history.
fn user() -> String {
    let names = ["USER", "LOGNAME", "USERNAME"];
    let name = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn report(registry: &Registry, champion: &AliasRecord, json: bool) -> Result<()> {
    if json {
        return output::json(champion);
    }
    let previous = champion.previous.as_deref().unwrap_or("none");
    output::line(format!("{}: champion {}, previous {previous}", name(registry), champion.version))
}

fn removed(registry: &Registry, versions: &[String], json: bool) -> Result<()> {
    if json {
        return output::json(&json!({ "removed": versions }));
    }
    match versions {
        [] => output::line(format!("{}: nothing to remove", name(registry))),
        versions => output::line(format!("{}: removed {}", name(registry), versions.join(", "))),
    }
}

fn usage(registry: &Registry, problem: &str) -> Error {
    fenliu_config::Problems::one("command line", &name(registry), problem).into()
}
