//! The pipeline: connects source, stages and sinks in data-flow order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use fenliu_connectors::outputs::{self, OpenOutputs};
use fenliu_connectors::{Assembler, Feed, Shutdown, SinkLinks};
use fenliu_engine::batch::{Batch, Budget};
use fenliu_schemas::{KAFKA_HEADERS, KAFKA_KEY};

use crate::breaker::Breaker;
use crate::classify::{Labeller, encode};
use crate::clean::{clean, pass};
use crate::deliver::{SinkQueues, SinkThread};
use crate::error::{Error, Kind, Result};
use crate::finetune::{JobCommand, Schedule};
use crate::http::{self, Listener};
use crate::metrics::Counters;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::serve::{Generation, Live, Shadow, Watcher};
use crate::stage::Stages;
use crate::summary::Summary;
use crate::telemetry::Phase;
use crate::write::Dispatcher;

/// Pause before a restart, so that the consumer group can finish its rebalance first.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Two fencings within this time mean that another process uses the same `source.instance`, a duplicate instance. A single
/// one can be caused by this process itself: after an outage, a broker may process delayed requests out of order.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);

/// Options of a run that are not part of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunOptions {
    /// Stop at the present end of the input instead of waiting for more.
    pub stop_at_end: bool,
    /// Number of documents expected, for the progress bar.
    pub expected: Option<u64>,
    /// The counters to use, so that the caller can watch them.
    pub counters: Counters,
    /// How to start fine-tuning jobs, if the configuration schedules any or the page asks for one; `None`: no jobs are
    /// started.
    pub job: Option<JobCommand>,
    /// Is told where the page is, if there is one.
    pub announce: Option<fn(SocketAddr)>,
}

/// Runs the pipeline until its input ends or `shutdown` is requested. Documents in flight are then finished and committed.
/// If the pipeline loses its partitions meanwhile, it restarts from the positions of the sinks.
///
/// # Errors
/// Anything that keeps the pipeline from starting or continuing. The sinks have stored their positions, so the next run
/// reads exactly the documents that they do not have yet.
pub(crate) fn run(config: &Plan, options: RunOptions, shutdown: &Shutdown) -> Result<Summary> {
    let RunOptions { stop_at_end, expected, counters, job, announce } = options;
    counters.telemetry.heed(shutdown);
    // Before the model is opened, which may take a while: whoever waits for it sees that the process lives.
    let listener = Listener::start(config, &counters, job.as_ref())?;
    if let (Some(announce), Some(page)) = (announce, listener.as_ref().and_then(|listener| listener.page)) {
        announce(page);
    }
    // Opened once, and kept when the pipeline restarts after it has lost its partitions.
    let live = open_model(config, &counters)?;
    if let Some((listener, live)) = listener.as_ref().zip(live.as_ref()) {
        listener.set_model(live);
    }
    let feed = listener.as_ref().and_then(Listener::feed);
    let pipeline = Pipeline { config, live: live.clone(), counters: counters.clone(), feed, stop_at_end };
    let watcher = live.clone().map(|live| Watcher::start(config, live, counters.clone())).transpose()?;
    let schedule = job.map(|job| Schedule::start(config, job, counters.clone())).transpose()?;
    let progress = Progress::start(counters.clone(), expected);
    if config.source.group().is_some() {
        counters.telemetry.await_assignment();
    }
    let mut fenced_at = None;
    let outcome = loop {
        // A child for each attempt: a stage that fails stops the attempt only, while a signal stops all attempts.
        match pipeline.run_once(&shutdown.child()) {
            Err(why) if !shutdown.is_requested() && can_restart(&why, &mut fenced_at) => {
                counters
                    .metrics
                    .restarts
                    .with(&[if why.kind() == Kind::Lost { "lost" } else { "fenced" }])
                    .add(1);
                tracing::warn!(
                    event = "restarting",
                    %why,
                    "partitions lost, restarting from the sinks' positions"
                );
                pause(shutdown);
            }
            outcome => break outcome,
        }
    };
    counters.telemetry.set_phase(Phase::Stopping);
    // Their threads end here, so that nothing changes or prints during the summary.
    drop((progress, schedule, watcher));
    let model = live.map(|live| live.current());
    outcome.map(|()| Summary::new(&counters.snapshot(), &counters.telemetry, model.as_deref()))
}

/// Opens the model, if the configuration names one.
fn open_model(config: &Plan, counters: &Counters) -> Result<Option<Arc<Live>>> {
    if !config.has_model() {
        tracing::info!(event = "no_model", "no model: documents are cleaned and written without labels");
        return Ok(None);
    }
    Live::open(config, counters.clone()).map(|live| Some(Arc::new(live)))
}

/// Whether a restart can succeed after `error`. `fenced_at` is the time of the last fencing.
fn can_restart(error: &Error, fenced_at: &mut Option<Instant>) -> bool {
    match error.kind() {
        Kind::Lost => true,
        // `replace` records this fencing, whatever the answer.
        Kind::Fenced => fenced_at.replace(Instant::now()).is_none_or(|at| at.elapsed() > DUPLICATE_WINDOW),
        _ => false,
    }
}

/// Waits before a restart, until a stop is requested at the latest.
fn pause(shutdown: &Shutdown) {
    let until = Instant::now() + RESTART_PAUSE;
    while Instant::now() < until && !shutdown.is_requested() {
        std::thread::sleep(RESTART_PAUSE / 20);
    }
}

/// What is kept when the pipeline restarts.
struct Pipeline<'a> {
    config: &'a Plan,
    /// `None`: documents are written without labels.
    live: Option<Arc<Live>>,
    counters: Counters,
    /// What shows documents on the page.
    feed: Option<Arc<http::feed::Feed>>,
    stop_at_end: bool,
}

impl Pipeline<'_> {
    /// Runs all stages, from the source to the sinks, until they end.
    fn run_once(&self, shutdown: &Shutdown) -> Result<()> {
        let Pipeline { config, counters, .. } = self;
        let mut topics = config.topics();
        let limits = outputs::row_limits(&config.outputs, &mut topics)?;
        // Before the sinks are opened: a transactional sink commits offsets with the group membership of this
        // consumer.
        let connection = config.source.connect(&config.kafka, &config.name)?;
        let OpenOutputs { sinks, streams } =
            outputs::open(&config.outputs, &config.name, &topics, connection.member())?;
        let (reports_in, reports) = channel();
        let (queues, inputs): (Vec<_>, Vec<_>) = sinks.iter().map(|_| channel()).unzip();
        let source = connection.open(self.feed(SinkLinks::new(queues.clone(), reports)))?;

        let mut stages = Stages::new(shutdown.clone(), Arc::clone(&counters.telemetry));
        let (plan, stop) = (Arc::clone(&config.clean), shutdown.clone());
        let raw = stages.source("source", move |out, meter| source.run(out, meter, &stop))?;
        let received = counters.clone();
        let cleaned = stages.map("clean", raw, move |batch| {
            received.count_received(&batch);
            clean(&plan, batch)
        })?;
        let labelled = self.label(&mut stages, cleaned, Arc::clone(&config.schema))?;
        let names: Vec<String> = sinks.iter().map(|sink| sink.name.clone()).collect();
        names.iter().for_each(|name| counters.telemetry.sink_opened(name));
        for (number, (sink, input)) in sinks.into_iter().zip(inputs).enumerate() {
            let queues = SinkQueues { number, input, reports: reports_in.clone() };
            let thread = SinkThread::new(sink, &config.epoch, queues, counters.clone(), shutdown.clone());
            stages.spawn("sink", move |meter| thread.run(meter))?;
        }
        // The threads have their own senders. Without this one, the source sees a closed channel when all sinks
        // have ended.
        drop(reports_in);
        let workers = names.into_iter().zip(queues).collect();
        let dispatcher = Dispatcher::new(
            streams,
            workers,
            limits,
            Breaker::new(config.breaker),
            counters.clone(),
            self.feed.clone(),
        );
        stages.spawn("write", move |meter| dispatcher.run(&labelled, meter))?;
        counters.telemetry.set_phase(Phase::Running);

        // If the source became unusable, the stages failed because of that, whichever of them noticed it first. The
        // reason of the source is therefore reported instead of theirs.
        let outcome = stages.join().or_else(|error| connection.check().and(Err(error)));
        connection.leave();
        outcome
    }

    /// The stages from cleaned rows to rows of `schema`: `tokenize` and `model`, or without a model only `pass`.
    fn label(
        &self,
        stages: &mut Stages,
        cleaned: Receiver<Batch>,
        schema: SchemaRef,
    ) -> Result<Receiver<Batch>> {
        let Pipeline { config, counters, .. } = self;
        let Some(live) = &self.live else {
            return stages.map("pass", cleaned, move |batch| pass(&schema, batch));
        };
        let shadow = Shadow::start(config, counters.clone())?;
        let mut labeller =
            Labeller::new(Arc::clone(live), shadow, schema, config.model.top_k, counters.clone());
        let live = Arc::clone(live);
        let encoded = stages.map("tokenize", cleaned, move |batch| encode(&live, batch))?;
        stages.map("model", encoded, move |encoded| labeller.label(encoded))
    }

    /// What the source needs to feed the stages. It begins to read at the positions of the sinks that `links` connects.
    fn feed(&self, links: SinkLinks) -> Feed {
        let limits = &self.config.limits;
        let (decoder, budget) = (self.config.decoder.clone(), Budget::new(limits.memory.as_u64()));
        let telemetry = &self.counters.telemetry;
        telemetry.watch(budget.clone());
        Feed {
            metrics: Arc::clone(&telemetry.metrics),
            progress: Arc::clone(&telemetry.progress),
            assembler: Assembler::new(decoder, budget, limits.batch_rows, limits.batch_linger),
            links,
            stop_at_end: self.stop_at_end,
            commits_offsets: !self.moves_group_offsets(),
            keeps_keys: self.config.uses(KAFKA_KEY),
            keeps_headers: self.config.uses(KAFKA_HEADERS),
        }
    }

    /// Whether a sink commits the offsets of the consumer group itself, within its transactions.
    fn moves_group_offsets(&self) -> bool {
        let topics: Vec<_> =
            self.config.outputs().iter().filter_map(|(_, _, output)| output.topic()).collect();
        self.config.topics().is_transactional(&topics)
    }
}

/// The result of [`preflight`].
#[derive(Debug)]
pub(crate) struct Preflight {
    /// Name and version of the model; `None` if there is no model.
    pub model: Option<String>,
    /// Why outputs did not answer, one error for each of them. Whether these outputs accept the rows is not known.
    pub unknown: Vec<Error>,
}

/// Checks everything that can be checked without reading documents: the tables of sinks, the bundle and the model.
///
/// # Errors
/// The first problem because of which [`run`] would not start.
pub(crate) fn preflight(config: &Plan) -> Result<Preflight> {
    let examined = config.outputs.iter().filter_map(|output| output.examine().transpose());
    let unknown = examined.collect::<Result<_>>()?;
    let model = config.has_model().then(|| Generation::open(config).map(|generation| generation.title()));
    Ok(Preflight { model: model.transpose()?, unknown })
}
