//! The layer around all routes of the page and its API: the guard, the count of answers, and the headers that protect them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::serve::Peer;

/// How long a request may take, but for the stream of events.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri \
    'none'; form-action 'self'; frame-ancestors 'none'";

/// The layer around all routes of the page and its API.
pub(super) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |peer| peer.0);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // Paths are chosen by clients, routes are not.
    let route = request.extensions().get::<MatchedPath>().map_or("page", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let is_stream = path == "/api/v1/events";
    let admitted = app.guard.admit(&method, request.uri(), request.headers(), peer);
    let mut response = match admitted {
        Err(problem) => problem.into_response(),
        Ok(identity) => {
            if method == Method::POST {
                let (by, role) = (&identity.name, identity.role);
                tracing::info!(event = "http_write", %path, by, ?role, from = %peer.ip(), "a change was asked for");
            }
            request.extensions_mut().insert(identity);
            answer(request, next, is_stream).await
        }
    };
    let method = known_method(&method);
    count(&app, &route, &method, response.status(), (!is_stream).then_some(began));
    protect(&mut response);
    response
}

/// A method that is a label of a metric: clients may invent others.
fn known_method(method: &Method) -> Method {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    known.into_iter().find(|known| known == method).unwrap_or(Method::TRACE)
}

/// Counts an answer. `began` is `None` for streams, which last as long as the client listens.
fn count(app: &App, route: &str, method: &Method, status: StatusCode, began: Option<Instant>) {
    let metrics = &app.counters.metrics;
    metrics.http_requests.with(&[route, method.as_str(), status.as_str()]).add(1);
    if let Some(began) = began {
        metrics.http_duration.with(&[route]).record(began.elapsed().as_secs_f64(), 1);
    }
}

async fn answer(request: Request, next: Next, is_stream: bool) -> Response {
    if is_stream {
        return next.run(request).await;
    }
    let answered = tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await;
    answered.unwrap_or_else(|_| Problem::busy("this took longer than 10 s", 10).into_response())
}

/// The headers that keep a browser from doing more with an answer than this page needs.
fn protect(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        // A report of a model has a policy of its own.
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
