//! The page itself: files that are part of the binary, as they are in `pipeline/web`. Also logging in and out.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, File, include_dir};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::http::app::App;
use crate::http::extract::Body;
use crate::http::problem::{Answer, Problem};

static WEB: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");

/// The description of the API.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The digest of all files, which changes with each release that changes any of them.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    add(&WEB, &mut digest);
    format!("\"{}\"", hex::encode(&digest.finalize()[..12]))
});

fn add(directory: &Dir<'_>, digest: &mut Sha256) {
    directory.files().for_each(|file| digest.update(file.contents()));
    directory.dirs().for_each(|below| add(below, digest));
}

/// A file of the page. Paths of screens, which have no ending, get the page itself.
pub(super) async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let file = if path.contains('.') { WEB.get_file(path) } else { WEB.get_file("index.html") };
    if path.starts_with("api/") {
        return Problem::not_found(format!("there is no {}", uri.path())).into_response();
    }
    let Some(file) = file else {
        return Problem::not_found(format!("there is no {}", uri.path())).into_response();
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == TAG.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut response = ([(header::CONTENT_TYPE, kind(file))], file.contents()).into_response();
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    // Asked again each time, which costs an answer without a body.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn kind(file: &File<'_>) -> &'static str {
    match file.path().extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    token: String,
}

pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Answer<Response> {
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let refused = || Problem::new(StatusCode::UNAUTHORIZED, "this is not a token of `http.auth.tokens`");
    let cookie = app.guard.log_in(&login.token, is_tls).ok_or_else(refused)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

pub(super) async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> StatusCode {
    app.guard.log_out(&headers);
    StatusCode::NO_CONTENT
}
