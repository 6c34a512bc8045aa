//! `/events`: what happens, as Server-Sent Events: new stories, at most ten frames a second, and the status once a second.
//!
//! A client that reads too slowly is sent fewer stories, and each frame says how many were left out. The number of a frame is
//! that of its newest story, so that a browser resumes with `Last-Event-ID` where it was.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::http::app::App;
use crate::http::extract::Parameters;
use crate::http::feed::{Feed, Filter};
use crate::http::guard::Identity;
use crate::http::problem::Answer;

/// Shortest time between two frames with stories.
const FRAME: Duration = Duration::from_millis(100);
/// Most stories in one frame.
const STORIES: usize = 50;
/// After how long without anything a comment is sent, so that proxies keep the connection.
const ALIVE: u32 = 15;

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Parameters(filter): Parameters<Filter>,
    headers: HeaderMap,
) -> Answer<Response> {
    let permit = app.streams.open()?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let (sender, mut receiver) = channel::<Bytes>(2);
    tokio::spawn(async move {
        app.counters.metrics.http_streams.add(1.0);
        let metrics = Arc::clone(&app.counters.metrics);
        // Ends when the client has gone: then nothing can be sent.
        let _ = Stream { app, identity, filter, sender, last }.run().await;
        metrics.http_streams.add(-1.0);
        drop(permit);
    });
    let frames = stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|frame| frame.map(Ok::<_, Infallible>))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, axum::body::Body::from_stream(frames)).into_response())
}

/// One stream.
struct Stream {
    app: Arc<App>,
    identity: Identity,
    filter: Filter,
    sender: Sender<Bytes>,
    /// The newest story that the client has; `None`: it begins with what comes from now on.
    last: Option<u64>,
}

/// The client has gone.
struct Gone;

impl Stream {
    async fn run(mut self) -> Result<(), Gone> {
        let feed = self.app.feed.clone();
        let mut newest = feed.as_ref().map(|feed| feed.newest());
        let now = newest.as_ref().map_or(0, |newest| *newest.borrow());
        // A number that is not reached yet is one of an earlier process: then everything that is there is new.
        let mut last = self.last.map_or(now, |last| if last > now { 0 } else { last });
        let mut skipped = feed.as_ref().map_or(0, |feed| feed.skipped());
        let mut status = interval(Duration::from_secs(1));
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ticks, mut next_frame) = (0, Instant::now());
        loop {
            tokio::select! {
                _ = status.tick() => {
                    self.send(frame("status", None, &self.app.status(&self.identity))).await?;
                    ticks += 1;
                    if ticks % ALIVE == 0 {
                        self.send(Bytes::from_static(b": alive\n\n")).await?;
                    }
                }
                true = has_more(newest.as_mut(), last, next_frame) => {
                    next_frame = Instant::now() + FRAME;
                    if let Some(feed) = &feed {
                        (last, skipped) = self.stories(feed, last, skipped).await?;
                    }
                }
            }
        }
    }

    /// Sends the stories after number `last`; returns the numbers up to which the client is told.
    async fn stories(&mut self, feed: &Feed, last: u64, skipped: u64) -> Result<(u64, u64), Gone> {
        let new = feed.after(last);
        let (newest, all_skipped) = (new.last().map_or(last, |story| story.seq), feed.skipped());
        let corrected = self.app.corrected();
        let wanted: Vec<_> = new.iter().filter(|story| self.filter.wants(story, &corrected)).collect();
        let left_out = wanted.len().saturating_sub(STORIES);
        let shown: Vec<Value> = wanted.iter().skip(left_out).map(|story| self.app.shown(story)).collect();
        let missing = all_skipped - skipped + left_out as u64;
        if !shown.is_empty() || missing > 0 {
            let body = json!({ "documents": shown, "skipped": missing });
            self.send(frame("documents", Some(newest), &body)).await?;
        }
        Ok((newest, all_skipped))
    }

    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.sender.send(bytes).await.map_err(|_| Gone)
    }
}

/// Waits until there is a story after number `last` and a frame may be sent.
async fn has_more(newest: Option<&mut tokio::sync::watch::Receiver<u64>>, last: u64, at: Instant) -> bool {
    let Some(newest) = newest else { return std::future::pending().await };
    // An error means that the feed has ended, which is when the process does.
    let is_there = newest.wait_for(|newest| *newest > last).await.is_ok();
    sleep_until(at).await;
    is_there
}

fn frame(event: &str, id: Option<u64>, data: &Value) -> Bytes {
    let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
    Bytes::from(format!("{id}event: {event}\ndata: {data}\n\n"))
}
