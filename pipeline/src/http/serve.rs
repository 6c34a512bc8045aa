//! The listener: one thread with a runtime of its own, so that requests never wait for the connectors' work nor it for them.
//!
//! `axum::serve` sets no timer, which leaves hyper's limit for slow headers without effect, so connections are served by
//! hyper directly.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send the head of a request.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// Most connections at once; further ones are closed.
const CONNECTIONS: usize = 256;

/// How long open requests may take after a stop was requested.
const GRACE: Duration = Duration::from_secs(5);

/// The address of the client, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves `router` until `stop` is requested, and lets open requests end.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        // An error here is that of one connection, or a lack of file descriptors, which may pass.
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // A connection too many is closed, which the client notices at once.
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            connection(stream, peer, router, stop).await;
            drop(permit);
        });
    }
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    // What does not end in time is dropped with the runtime.
    let _ = tokio::time::timeout(GRACE, connections.acquire_many(all)).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(server);
    // Errors are those of the client: it went away, or did not speak HTTP.
    tokio::select! {
        _ = &mut server => return,
        () = stop.cancelled() => server.as_mut().graceful_shutdown(),
    }
    let _ = server.await;
}
