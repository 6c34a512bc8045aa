//! The HTTP side of `fenliu run`: the page, its API, metrics and health.
//!
//! It has a thread and a runtime of its own, with a lower priority, reads snapshots, and never takes a lock that a stage holds
//! while it works. A file a resource; what every request must pass is in [`guard`].

mod ask;
mod corrections;
mod dead_letters;
mod documents;
mod events;
mod extract;
pub(crate) mod feed;
mod guard;
mod jobs;
mod models;
mod ops;
mod page;
mod problem;
mod review;
mod serve;
mod shingles;
mod status;
mod story;
mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use fenliu_model::Registry;
use fenliu_operators::Plan as CleaningPlan;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::finetune::JobCommand;
use crate::metrics::Counters;
use crate::plan::Plan;
use crate::serve::Live;
use crate::system;
use corrections::Corrections;
use feed::Feed;
use guard::Guard;
use jobs::Jobs;
use status::Sampler;

/// Largest body of a request.
const BODY_LIMIT: usize = 64 << 10;

/// How much lower the priority of the listener's threads is.
const NICENESS: i32 = 5;

/// What the handlers share.
pub(crate) struct App {
    name: String,
    counters: Counters,
    /// The model, once it is open; never set without one.
    live: OnceLock<Arc<Live>>,
    /// The compiled cleaning steps.
    clean: Arc<CleaningPlan>,
    /// `None`: no documents are kept.
    feed: Option<Arc<Feed>>,
    /// `None`: there is no place for corrections.
    corrections: Option<Corrections>,
    /// The directory of the model's versions; `None` for a fixed version, or without a model.
    registry: Option<Registry>,
    jobs: Option<Jobs>,
    guard: Guard,
    sampler: Sampler,
    asks: ask::Turn,
    streams: events::Streams,
    /// What the page cannot do, and the setting that changes that.
    dark: BTreeMap<&'static str, String>,
}

/// The listener, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
    app: Arc<App>,
    /// Where the page is; `None` if only metrics and health are served.
    pub(crate) page: Option<SocketAddr>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Listener {
    /// Starts to listen where `config.http` says; `None` if it says nothing.
    ///
    /// # Errors
    /// An address is in use, or no thread can be started.
    pub(crate) fn start(
        config: &Plan,
        counters: &Counters,
        job: Option<&JobCommand>,
    ) -> Result<Option<Self>> {
        let page = bind("http.listen", &config.http.listen)?;
        let ops = bind("http.ops", &config.http.ops)?;
        let address = page.as_ref().map(|(_, address)| *address);
        let Some(any) = address.or(ops.as_ref().map(|(_, address)| *address)) else { return Ok(None) };
        let app = Arc::new(App::new(config, counters, job, any)?);
        let stop = CancellationToken::new();
        let (serving, stopped) = (Arc::clone(&app), stop.clone());
        let body = move || {
            system::step_back(NICENESS);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(listen(page, ops, serving, stopped)),
                Err(error) => tracing::error!(event = "http_failed", %error, "the listener cannot run"),
            }
        };
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(body)
            .map_err(|error| Error::internal("cannot start the thread of the listener").with_source(error))?;
        if let Some(address) = address {
            tracing::info!(event = "http_listening", %address, "the page is at http://{address}/");
        }
        Ok(Some(Listener { stop, thread: Some(thread), app, page: address }))
    }

    /// From now on the page may ask the model.
    pub(crate) fn set_model(&self, live: &Arc<Live>) {
        // Set once a process.
        let _ = self.app.live.set(Arc::clone(live));
    }

    /// Where batches that were written are shown, if they are.
    pub(crate) fn feed(&self) -> Option<Arc<Feed>> {
        self.app.feed.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // An error is a panic, which the panic hook has reported.
            let _ = thread.join();
        }
    }
}

type Bound = Option<(std::net::TcpListener, SocketAddr)>;

/// Takes the address before anything else starts, so that a wrong one is noticed at once.
fn bind(key: &str, address: &str) -> Result<Bound> {
    if address.is_empty() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| {
        let remedy = format!("set `{key}` to another address, or to port 0 for any free one");
        Error::unavailable(format!("`{key}`: cannot listen at {address}: {error}")).permanent().remedy(remedy)
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, address)))
}

async fn listen(page: Bound, ops: Bound, app: Arc<App>, stop: CancellationToken) {
    let sampling = tokio::spawn(status::sample(Arc::clone(&app)));
    let mut servers = vec![];
    for (listener, router) in [(page, router(&app)), (ops, ops::router(&app))] {
        let Some(Ok(listener)) = listener.map(|(listener, _)| TcpListener::from_std(listener)) else {
            continue;
        };
        servers.push(tokio::spawn(serve::serve(listener, router, stop.clone())));
    }
    for server in servers {
        // An error is a panic, which the panic hook has reported.
        let _ = server.await;
    }
    sampling.abort();
}

/// The paths of the API below its prefix; `openapi.json` describes each of them.
fn routes() -> [(&'static str, MethodRouter<Arc<App>>); 18] {
    [
        ("/login", post(page::log_in)),
        ("/logout", post(page::log_out)),
        ("/status", get(status::status)),
        ("/events", get(events::events)),
        ("/documents", get(documents::list)),
        ("/documents/{topic}/{partition}/{offset}", get(documents::one)),
        ("/documents/{topic}/{partition}/{offset}/explain", post(ask::explain)),
        ("/review", get(review::review)),
        ("/corrections", get(corrections::list).post(corrections::add)),
        ("/corrections/{ulid}/withdraw", post(corrections::withdraw)),
        ("/predict", post(ask::predict)),
        ("/models", get(models::list)),
        ("/models/versions/{version}/report", get(models::report)),
        ("/models/promote", post(models::promote)),
        ("/models/rollback", post(models::roll_back)),
        ("/jobs", get(jobs::list).post(jobs::start)),
        ("/dead-letters", get(dead_letters::list)),
        ("/openapi.json", get(page::openapi)),
    ]
}

/// The page, its API, metrics and health.
fn router(app: &Arc<App>) -> Router {
    let mut api = Router::new();
    for (path, handler) in routes() {
        api = api.route(path, handler);
    }
    let guarded = Router::new()
        .nest("/api/v1", api)
        .fallback(page::asset)
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    guarded.with_state(Arc::clone(app)).merge(ops::router(app))
}

impl App {
    fn new(
        config: &Plan,
        counters: &Counters,
        job: Option<&JobCommand>,
        address: SocketAddr,
    ) -> Result<Self> {
        let mut dark = BTreeMap::new();
        let mut without = |ability: &'static str, why: &str| drop(dark.insert(ability, why.to_owned()));
        let has_feed = config.http.has_feed() && config.has_model();
        if !has_feed {
            without(
                "feed",
                "`http.feed.documents` is 0, or there is no model: no documents are kept for the page",
            );
        }
        if !config.has_model() {
            without("explain", "there is no model: `model.bundle` is not set");
        }
        let registry = Registry::find(&config.model.bundle).ok().map(|(registry, _)| registry);
        if registry.is_none() {
            without("models", "`model.bundle` names one version, and not a directory of versions");
        }
        let corrections = Corrections::open(config)?;
        if corrections.is_none() {
            without(
                "corrections",
                "there is no place for corrections: set `finetune.feedback.topic`, or name a file that ends with .jsonl in \
                 `finetune.feedback.paths`",
            );
        }
        let jobs = registry.as_ref().zip(job).map(|(registry, job)| Jobs::new(registry, job));
        if jobs.is_none() {
            without("jobs", "fine-tuning needs a directory of versions in `model.bundle`");
        }
        Ok(App {
            name: config.name.clone(),
            counters: counters.clone(),
            live: OnceLock::new(),
            clean: Arc::clone(&config.clean),
            feed: has_feed
                .then(|| Feed::start(&config.http.feed, &counters.metrics))
                .transpose()?
                .map(Arc::new),
            corrections,
            registry,
            jobs,
            guard: Guard::new(&config.http, address),
            sampler: Sampler::default(),
            asks: ask::Turn::default(),
            streams: events::Streams::default(),
            dark,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_the_paths_of_the_router() {
        let description: serde_json::Value = serde_json::from_str(page::OPENAPI).unwrap();
        let described: BTreeSet<&str> =
            description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, routes().iter().map(|(path, _)| *path).collect());
        // A request other than GET and POST is refused by the guard, so no operation may promise one.
        let methods = description["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().keys());
        assert!(methods.clone().all(|method| ["get", "post"].contains(&method.as_str())));
    }
}
