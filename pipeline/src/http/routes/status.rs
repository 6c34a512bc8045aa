//! `/status`: what the pipeline does at this moment, for the page and for people with `curl`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::guard::Identity;
use crate::http::sampler::Point;
use crate::http::time;
use crate::telemetry::{is_sink, queues};

/// How often the counters are read.
const EVERY: Duration = Duration::from_secs(1);

/// Reads the counters once a second.
pub(in crate::http) async fn sample(app: Arc<App>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        app.sampler.add(app.point());
    }
}

#[derive(Serialize)]
struct Stage {
    name: String,
    busy: f64,
    blocked: f64,
    idle: f64,
    queue: Option<u64>,
    documents: u64,
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
) -> Json<Value> {
    Json(app.status(&identity))
}

impl App {
    fn point(&self) -> Point {
        let metrics = &self.counters.metrics;
        let of_stage = |stage: &crate::telemetry::Stage| {
            let label = [stage.name.as_str()];
            let busy = metrics.stage_busy.with(&label).get().as_secs_f64();
            let blocked = metrics.stage_blocked.with(&label).get().as_secs_f64();
            (stage.name.clone(), (busy, blocked, metrics.stage_documents.with(&label).get()))
        };
        let documents = metrics.labelled_documents.sum() + metrics.dead_letters.sum();
        Point {
            at: Instant::now(),
            documents,
            stages: self.counters.telemetry.stages().iter().map(of_stage).collect(),
        }
    }

    /// The whole status, as `identity` may see it.
    pub(super) fn status(&self, identity: &Identity) -> Value {
        let telemetry = &self.counters.telemetry;
        telemetry.sample();
        let counts = self.counters.snapshot();
        let now = self.point();
        let before = self.sampler.oldest().unwrap_or_else(|| now.clone());
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        json!({
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": time::text(telemetry.started_at),
            "now": time::text(Utc::now()),
            "identity": { "name": identity.name, "role": identity.role, "mode": self.guard.mode() },
            "model": self.model(),
            "labels": self.labels(),
            "documents": {
                "received": self.counters.metrics.received_documents.sum(),
                "labelled": counts.labelled,
                "abstained": counts.abstained,
                "dead_letters": counts.rejected(),
                "deletions": self.counters.metrics.deletions.get(),
            },
            "docs_per_s": (now.documents - before.documents.min(now.documents)) as f64 / seconds,
            "latency_ms": { "p50": counts.latency_p50_ms, "p99": counts.latency_p99_ms },
            "stages": self.stages(&before, &now, seconds),
            "memory": {
                "used_bytes": self.counters.metrics.memory_used.get(),
                "budget_bytes": self.counters.metrics.memory_budget.get(),
            },
            "partitions": self.partitions(),
            "sinks": self.sinks(),
            "drift": counts.drift.signals.iter().map(|signal| json!({
                "signal": signal.signal.name(), "index": signal.psi, "drifting": signal.drifting,
            })).collect::<Vec<_>>(),
            "label_mix": self.counters.metrics.labelled_documents.sums(0).into_iter().map(|(label, documents)| {
                json!({ "label": label, "documents": documents })
            }).collect::<Vec<_>>(),
            "scores": self.counters.metrics.label_score.counts().into_iter().take(10).collect::<Vec<_>>(),
            "dead_letters": self.dead_letter_counts(),
            "audits": self.corrections.as_ref().map(|corrections| corrections.audits()),
            "shadow": counts.shadow,
            "serving": counts.serving,
            "health": telemetry.health(),
            "dark": self.dark,
        })
    }

    fn model(&self) -> Option<Value> {
        let live = self.live.get()?;
        let current = live.current();
        let alias = live.followed().map(|(_, alias)| alias.name());
        Some(json!({
            "name": current.name(), "version": current.version(), "alias": alias, "device": current.device(),
        }))
    }

    fn labels(&self) -> Vec<Value> {
        let Some(live) = self.live.get() else { return vec![] };
        let current = live.current();
        current.labels().iter().map(|label| json!({ "id": label.id, "names": label.name })).collect()
    }

    fn stages(&self, before: &Point, now: &Point, seconds: f64) -> Vec<Stage> {
        let stages = self.counters.telemetry.stages();
        let waiting: BTreeMap<String, u64> = queues(&stages).into_iter().collect();
        let stage = |stage: crate::telemetry::Stage| {
            let (busy, blocked, documents) = now.stages.get(&stage.name).copied().unwrap_or_default();
            let (busy_before, blocked_before, _) =
                before.stages.get(&stage.name).copied().unwrap_or_default();
            let share = |now: f64, before: f64| ((now - before) / seconds).clamp(0.0, 1.0);
            // A batch that is in work counts when it is done, so that a share may be too low for a while.
            let (busy, blocked) = (share(busy, busy_before), share(blocked, blocked_before));
            let queue = waiting.get(&stage.name).copied().filter(|_| !is_sink(&stage.name));
            Stage { busy, blocked, idle: (1.0 - busy - blocked).max(0.0), queue, documents, name: stage.name }
        };
        stages.into_iter().map(stage).collect()
    }

    fn partitions(&self) -> Vec<Value> {
        let states = self.counters.telemetry.progress.states(Utc::now().timestamp_millis());
        let partition = |state: fenliu_engine::progress::PartitionState| {
            let (topic, number) = &state.partition;
            json!({
                "topic": &**topic, "partition": number, "position": state.position, "end": state.end,
                "lag_documents": state.lag_documents, "lag_seconds": state.lag_seconds,
            })
        };
        states.into_iter().map(partition).collect()
    }

    fn sinks(&self) -> Vec<Value> {
        let metrics = &self.counters.metrics;
        let states = self.counters.telemetry.sinks();
        let sink = |(labels, pending): (Vec<String>, Arc<fenliu_engine::metrics::Gauge>)| {
            let name = labels.concat();
            let state = states.get(&name).cloned().unwrap_or_default();
            let commits = |outcome| metrics.sink_commits.with(&[&name, outcome]).get();
            json!({
                "name": name,
                "commits": commits("committed"),
                "failures": commits("failed"),
                "pending_documents": pending.get(),
                // The metric begins when the sink is opened.
                "last_commit_at": timestamp(metrics.sink_last_commit.with(&[&name]).get())
                    .filter(|_| commits("committed") > 0),
                "failing_since": state.failing_since.map(time::text),
                "last_error": state.last_error,
            })
        };
        metrics.sink_pending.all().into_iter().map(sink).collect()
    }

    /// How many dead letters there are, by stage and reason.
    pub(super) fn dead_letter_counts(&self) -> Vec<Value> {
        let all = self.counters.metrics.dead_letters.all();
        let count = |(labels, counter): (Vec<String>, Arc<fenliu_engine::metrics::Counter>)| json!({ "stage": labels.first(), "reason": labels.get(1), "documents": counter.get() });
        all.into_iter().map(count).collect()
    }
}

/// A Unix time in seconds; `None` where nothing has happened yet.
fn timestamp(seconds: f64) -> Option<String> {
    let at = (seconds > 0.0).then(|| DateTime::from_timestamp_millis((seconds * 1000.0) as i64));
    at.flatten().map(time::text)
}
