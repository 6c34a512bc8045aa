//! The HTTP side of `fenliu run`: the page, its API, metrics and health.
//!
//! It has a thread and a runtime of its own, with a lower priority, reads snapshots, and never takes a lock that a stage holds
//! while it works. [`routes`] has a file for each resource; what every request must pass is in [`guard`].

mod app;
mod corrections;
mod dead_letters;
mod extract;
pub(crate) mod feed;
mod guard;
mod jobs;
mod limits;
mod problem;
mod routes;
mod sampler;
mod serve;
mod shingles;
mod story;
mod time;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::finetune::JobCommand;
use crate::metrics::Counters;
use crate::plan::Plan;
use crate::serve::Live;
use crate::system;
use app::App;
use feed::Feed;
use limits::NICENESS;

/// The listener, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
    app: Arc<App>,
    /// Where the page is; `None` if only metrics and health are served.
    pub(crate) page: Option<SocketAddr>,
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
    let sampling = tokio::spawn(routes::sample(Arc::clone(&app)));
    let mut servers = vec![];
    for (listener, router) in [(page, routes::router(&app)), (ops, routes::ops(&app))] {
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
