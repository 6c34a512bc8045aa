//! Whether a restart would help (`/live`), whether the process does its work (`/ready`), and what is not as it should be
//! although it does (`degraded`).
//!
//! A lag, a broker or a sink that is away, or a rebalance do not fail either of them: a restart would only make them last
//! longer, and a pod that is not ready would hold up the rollout that brings the remedy.

use std::time::Duration;

use chrono::Utc;
use serde::Serialize;

use super::{Phase, QUEUED_BATCHES, Telemetry, is_sink, queues, unix_seconds};

/// Longest time since the last poll: half of librdkafka's default of `max.poll.interval.ms`, after which the group removes
/// the member.
const POLL_LIMIT: Duration = Duration::from_secs(150);

/// Longest time in one batch while the queue before the stage is full.
const BATCH_LIMIT: Duration = Duration::from_secs(600);

/// A lag that is worth mentioning, in seconds.
const BEHIND: f64 = 60.0;

/// The health of the process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Health {
    /// Whether the process gets on, or could if its surroundings let it.
    pub(crate) live: bool,
    /// Whether it does its work.
    pub(crate) ready: bool,
    /// What is not as it should be, in sentences.
    pub(crate) degraded: Vec<String>,
}

impl Telemetry {
    /// The health at this moment.
    pub(crate) fn health(&self) -> Health {
        let mut degraded = self.stuck();
        let live = degraded.is_empty();
        let ready = self.phase() == Phase::Running && self.can_read();
        match self.phase() {
            Phase::Starting => degraded.push("starting: the model and the sinks are opened".into()),
            Phase::Stopping => degraded.push("stopping".into()),
            Phase::Running if !ready => {
                degraded.push("the consumer group has not given any partitions to this process yet".into());
            }
            Phase::Running => {}
        }
        degraded.extend(self.complaints());
        Health { live, ready, degraded }
    }

    /// What a restart would mend.
    fn stuck(&self) -> Vec<String> {
        if self.phase() != Phase::Running {
            return vec![];
        }
        let mut stuck = vec![];
        let last_poll = self.metrics.last_poll.get();
        let silent = unix_seconds() - last_poll;
        if last_poll > 0.0 && silent > POLL_LIMIT.as_secs_f64() {
            stuck.push(format!("the source has not polled for {silent:.0} s"));
        }
        let stages = self.stages();
        let waiting = queues(&stages);
        for stage in stages.iter().filter(|stage| !is_sink(&stage.name)) {
            let is_full = waiting
                .iter()
                .any(|(name, batches)| *name == stage.name && *batches >= QUEUED_BATCHES as u64);
            if let Some(time) = stage.meter.working_for().filter(|time| is_full && *time > BATCH_LIMIT) {
                let seconds = time.as_secs();
                stuck.push(format!("the stage `{}` has been at one batch for {seconds} s", stage.name));
            }
        }
        stuck
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = vec![];
        for (sink, state) in self.sinks() {
            if let Some(since) = state.failing_since {
                let (at, error) = (since.format("%H:%M:%S"), state.last_error.unwrap_or_default());
                complaints.push(format!("the sink {sink} has been failing since {at} UTC: {error}"));
            }
        }
        for state in self.progress.states(Utc::now().timestamp_millis()) {
            if let Some(lag) = state.lag_seconds.filter(|lag| *lag > BEHIND) {
                let (topic, partition) = state.partition;
                complaints.push(format!("{topic}/{partition} is {lag:.0} s behind"));
            }
        }
        let drifting = self.metrics.drifting.all().into_iter().filter(|(_, gauge)| gauge.get() > 0.0);
        complaints.extend(drifting.map(|(signal, _)| {
            format!("the newest documents differ from those of the evaluation by their {}", signal.concat())
        }));
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_while_its_stages_run_and_its_source_can_read() {
        let telemetry = Telemetry::default();
        telemetry.await_assignment();
        let health = telemetry.health();
        assert!(health.live && !health.ready, "{health:?}");
        telemetry.set_phase(Phase::Running);
        assert!(!telemetry.health().ready, "no assignment yet");
        telemetry.metrics.rebalances.add(1);
        let health = telemetry.health();
        assert!(health.live && health.ready && health.degraded.is_empty(), "{health:?}");
        let shutdown = fenliu_connectors::Shutdown::default();
        telemetry.heed(&shutdown);
        assert!(telemetry.health().ready);
        shutdown.request();
        let health = telemetry.health();
        assert!(health.live && !health.ready, "{health:?}");
    }

    #[test]
    fn a_sink_that_fails_is_named_and_costs_neither() {
        let telemetry = Telemetry::default();
        telemetry.set_phase(Phase::Running);
        telemetry.sink_failed("sinks[0] files out", "No space left on device".into());
        let health = telemetry.health();
        assert!(health.live && health.ready);
        assert!(health.degraded[0].contains("sinks[0] files out") && health.degraded[0].contains("No space"));
        telemetry.sink_committed("sinks[0] files out");
        assert!(telemetry.health().degraded.is_empty());
    }

    #[test]
    fn a_source_that_does_not_poll_any_more_is_not_live() {
        let telemetry = Telemetry::default();
        telemetry.set_phase(Phase::Running);
        telemetry.metrics.last_poll.set(unix_seconds() - 100.0);
        assert!(telemetry.health().live);
        telemetry.metrics.last_poll.set(unix_seconds() - 200.0);
        let health = telemetry.health();
        assert!(
            !health.live && health.degraded[0].starts_with("the source has not polled for 200 s"),
            "{health:?}"
        );
    }
}
