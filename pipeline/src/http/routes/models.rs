//! `/models`: the versions of the model, and moving the champion.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fenliu_model::Registry;
use fenliu_model::registry::{Alias, AliasRecord, HistoryEntry, VersionEntry};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Converted;
use crate::http::app::App;
use crate::http::app::in_background;
use crate::http::extract::{Body, Named};
use crate::http::guard::Identity;
use crate::http::problem::{Answer, Problem};

/// Reports have their styles and a script within the page.
const REPORT_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox allow-scripts";

pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    in_background(app, |app| {
        let registry = app.registry()?;
        let champion = registry.alias(Alias::Champion).converted()?;
        let challenger = registry.alias(Alias::Challenger).converted()?;
        let versions = registry.versions().converted()?;
        let history = registry.history().converted()?;
        let name = registry.path().file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Json(json!({
            "name": name,
            "champion": champion.as_ref().map(|record| &record.version),
            "challenger": challenger.as_ref().map(|record| &record.version),
            "previous": champion.as_ref().and_then(|record| record.previous.as_ref()),
            "versions": versions.iter().rev().map(version).collect::<Vec<_>>(),
            "history": history.entries.iter().rev().map(change).collect::<Vec<_>>(),
        })))
    })
    .await
}

fn version(entry: &VersionEntry) -> Value {
    let manifest = entry.manifest.as_ref().and_then(|manifest| serde_json::to_value(manifest).ok());
    let evaluation = manifest.as_ref().map(|manifest| &manifest["evaluation"]);
    let number = |name: &str| evaluation.map(|evaluation| evaluation[name].clone()).unwrap_or_default();
    json!({
        "version": entry.version,
        "created_at": entry.created_at,
        "aliases": entry.roles,
        "in_use": entry.in_use,
        "accuracy": number("accuracy"),
        "macro_f1": number("macro_f1"),
        "test_rows": number("rows"),
        "origin": manifest.as_ref().map(|manifest| manifest["origin"].clone()).unwrap_or_default(),
        "bytes": entry.bytes,
        "problem": entry.problem,
        "has_report": entry.problem.is_none(),
    })
}

fn change(entry: &HistoryEntry) -> Value {
    match entry {
        HistoryEntry::Alias { alias, record } => json!({
            "at": record.at, "alias": alias.name(), "from": record.previous, "to": record.version,
            "by": record.by, "reason": record.reason,
        }),
        HistoryEntry::Remove { version, by, at, reason } => json!({
            "at": at, "alias": "removed", "from": version, "to": null, "by": by, "reason": reason,
        }),
    }
}

/// The report of a version, a page of its own.
pub(super) async fn report(State(app): State<Arc<App>>, Named(version): Named<String>) -> Answer<Response> {
    in_background(app, move |app| {
        let registry = app.registry()?;
        // Only the name of a version that the listing has: nothing from a request becomes part of a path.
        let entry = registry.version(&version).converted()?;
        let path = registry.path().join("versions").join(entry.version).join("report.html");
        let page = std::fs::read(path).map_err(|_| Problem::not_found("this version has no report"))?;
        let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
        let policy = HeaderValue::from_static(REPORT_CSP);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promotion {
    version: String,
    #[serde(default)]
    reason: String,
    /// The champion that the user saw; null if there was none.
    expected_champion: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    #[serde(default)]
    reason: String,
    expected_champion: String,
}

pub(super) async fn promote(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Body(wish): Body<Promotion>,
) -> Answer<Json<Value>> {
    in_background(app, move |app| {
        let registry = app.registry()?;
        let version = registry.version(&wish.version).converted()?.version;
        let expected = wish.expected_champion.as_deref();
        let moved = registry.promote_from(expected, &version, &identity.name, &wish.reason).converted()?;
        moved_or_conflict(registry, moved)
    })
    .await
}

pub(super) async fn roll_back(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Body(wish): Body<Rollback>,
) -> Answer<Json<Value>> {
    in_background(app, move |app| {
        let registry = app.registry()?;
        let moved =
            registry.rollback_from(&wish.expected_champion, &identity.name, &wish.reason).converted()?;
        moved_or_conflict(registry, moved)
    })
    .await
}

fn moved_or_conflict(registry: &Registry, moved: Option<AliasRecord>) -> Answer<Json<Value>> {
    if let Some(record) = moved {
        return Ok(Json(json!({ "champion": record.version })));
    }
    let champion = registry.alias(Alias::Champion).converted()?.map(|record| record.version);
    let champion = champion.unwrap_or_else(|| "none".into());
    Err(Problem::conflict(format!("the champion has changed meanwhile and is {champion}: look again")))
}
