//! Checks the values of a configuration, alone and against each other. Expressions and columns are checked by compiling
//! them ([`plan`](crate::plan)).

use bytesize::ByteSize;
use fenliu_config::Problems;
use fenliu_connectors::kafka::check_properties;
use fenliu_connectors::resource::{Owned, Resource, check_clashes};
use fenliu_connectors::{Role, SinkKind};
use fenliu_decode::PayloadFormat;
use fenliu_operators::Step;

use super::finetune::parse_schedule;
use super::{BreakerConfig, Config};

impl Config {
    /// All outputs, each with its key and its role.
    pub(crate) fn outputs(&self) -> Vec<(String, Role, &dyn SinkKind)> {
        let sinks = self.sinks.iter().enumerate();
        let mut outputs: Vec<(String, Role, &dyn SinkKind)> =
            sinks.map(|(index, sink)| (format!("sinks[{index}]"), Role::Labelled, &**sink)).collect();
        outputs.push(("dead_letters".into(), Role::DeadLetters, &*self.dead_letters));
        outputs
    }

    /// Adds everything that is wrong with the values to `problems`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.require(!self.name.is_empty(), "name", "empty", "a name");
        self.check_kafka(problems);
        self.source.check(problems);
        self.check_documents(problems);
        self.check_model(problems);
        self.thresholds.check(problems);
        self.check_finetune(problems);
        self.http.check(problems);
        self.check_breaker(problems);
        self.check_limits(problems);
        self.check_outputs(problems);
    }

    fn check_kafka(&self, problems: &mut Problems) {
        let is_named = !self.kafka.brokers.is_empty();
        problems.require(is_named, "kafka.brokers", "empty", "host:port,... or `embedded`");
        check_properties(&self.kafka.properties, "kafka.properties", problems);
        self.kafka.oauth.check(problems);
    }

    fn check_documents(&self, problems: &mut Problems) {
        self.documents.check(self.source.is_of_files(), problems);
        let decodes =
            matches!(self.clean.steps.first(), Some(Step::Operator(name)) if name == "decode_bytes");
        if self.documents.format == PayloadFormat::Bytes && !decodes {
            problems.add("clean.steps", "must begin with `decode_bytes` when `documents.format` is `bytes`");
        }
        let segments = |step: &Step| matches!(step, Step::Operator(name) if name == "segment");
        if self.output.tokens && !self.clean.steps.iter().any(segments) {
            problems
                .add("output.tokens", "is true, but `clean.steps` has no step `segment`, which makes tokens");
        }
    }

    /// Checks the section `finetune` only: a fine-tuning job needs neither a source nor sinks.
    ///
    /// # Errors
    /// All problems of that section at once.
    pub(crate) fn validate_finetune(&self, origin: &str) -> Result<(), Problems> {
        let mut problems = Problems::new(origin);
        self.check_finetune(&mut problems);
        problems.into_result(())
    }

    fn check_finetune(&self, problems: &mut Problems) {
        let job = &self.finetune;
        for (key, share) in [("finetune.test_share", job.test_share), ("finetune.dev_share", job.dev_share)] {
            problems.require((0.01..=0.5).contains(&share), key, share, "0.01 to 0.5");
        }
        problems.require(job.epochs != Some(0), "finetune.epochs", 0, "at least 1");
        problems.require(job.threads <= 1024, "finetune.threads", job.threads, "at most 1024");
        problems.require(job.niceness <= 19, "finetune.niceness", job.niceness, "0 to 19");
        for (key, paths) in
            [("finetune.data", &job.data), ("finetune.test", &job.test), ("finetune.far", &job.far)]
        {
            for path in paths.iter().filter(|path| !path.exists()) {
                problems.add(key, format!("names {}, which does not exist", path.display()));
            }
        }
        if let Some(Err(error)) = (!job.schedule.is_empty()).then(|| parse_schedule(&job.schedule)) {
            let message = format!("is `{}`, which is not a valid cron expression: {error}", job.schedule);
            problems.add("finetune.schedule", message);
        }
        if job.is_scheduled() && job.feedback.is_empty() && job.data.is_empty() {
            problems.add("finetune", "is scheduled, but has neither `feedback` nor `data` to train on");
        }
        if job.min_new_labels > 0 && job.feedback.is_empty() {
            problems.add("finetune.min_new_labels", "counts corrections, but `finetune.feedback` names none");
        }
    }

    fn check_breaker(&self, problems: &mut Problems) {
        let BreakerConfig { share, rows } = self.breaker;
        problems.require((0.0..=1.0).contains(&share), "breaker.share", share, "0 to 1");
        problems.require(rows <= 1_000_000, "breaker.rows", rows, "at most 1000000");
    }

    fn check_limits(&self, problems: &mut Problems) {
        let limits = &self.limits;
        let rows = limits.batch_rows;
        problems.require((1..=65_536).contains(&rows), "limits.batch_rows", rows, "1 to 65536");
        problems.require(limits.memory.as_u64() >= 1 << 20, "limits.memory", limits.memory, "at least 1 MiB");
        let half = ByteSize(limits.memory.as_u64() / 2);
        problems.require(
            (1..=half.as_u64()).contains(&self.epoch.max_bytes.as_u64()),
            "epoch.max_bytes",
            self.epoch.max_bytes,
            format!("1 B to half of `limits.memory` ({half})"),
        );
        problems.require(self.epoch.max_rows >= 1, "epoch.max_rows", self.epoch.max_rows, "at least 1");
        let age = self.epoch.max_age;
        problems.require(!age.is_zero(), "epoch.max_age", "0s", "longer than 0s");
        let age = self.epoch.kafka_max_age;
        problems.require(!age.is_zero(), "epoch.kafka_max_age", "0s", "longer than 0s");
    }

    fn check_outputs(&self, problems: &mut Problems) {
        problems.require(!self.sinks.is_empty(), "sinks", "empty", "at least one sink");
        let outputs = self.outputs();
        for (key, role, output) in &outputs {
            output.check(key, *role, problems);
        }
        if self.dead_letters.filter().is_some() {
            problems.add("dead_letters.where", "would lose documents: all dead letters must be written");
        }
        let topics: Vec<_> =
            outputs.iter().filter_map(|(key, _, output)| Some((key.clone(), output.topic()?))).collect();
        self.topics().check(&topics, problems);
        if self.kafka.is_embedded() && self.source.group().is_none() && !topics.is_empty() {
            problems.add(
                "kafka.brokers",
                "is `embedded`, but the embedded broker is only started for a Kafka source",
            );
        }
        self.check_places(problems);
    }

    /// Checks that no two outputs write to the same place, and that none writes to a place that the source reads.
    fn check_places(&self, problems: &mut Problems) {
        let mut places = vec![];
        for (key, role, output) in self.outputs() {
            let resources = output.resources(&self.kafka).into_iter();
            places.extend(resources.map(|resource| Owned::new(&key, role, resource)));
        }
        if self.shadow.share > 0.0 {
            let directory = Resource::directory(&self.shadow.path);
            places.push(Owned::new("shadow", Role::Labelled, directory));
        }
        check_clashes(&places, problems);
        for Owned { key, resource, .. } in &places {
            if let Some(by) = self.source.reads(resource, &self.kafka) {
                let shown = &resource.shown;
                problems.add(key, format!("is {shown}, which the source reads by `{by}`: an endless loop"));
            }
        }
        let feedback = &self.finetune.feedback.topic;
        if let Some(by) = self.source.reads(&Resource::topic(&self.kafka.brokers, feedback), &self.kafka) {
            let problem = format!("is `{feedback}`, which the source reads by `{by}`");
            problems.add("finetune.feedback.topic", problem);
        }
    }
}
