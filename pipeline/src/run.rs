//! The pipeline, wired top to bottom in data-flow order.

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
use crate::metrics::Counters;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::serve::{Generation, Live, Shadow, Watcher};
use crate::stage::{Meters, Stages};
use crate::summary::Summary;
use crate::write::Dispatcher;

/// Pause before reading begins again: the group needs a moment to settle.
const REST: Duration = Duration::from_secs(1);

/// A member that is fenced twice within this time has a twin. Once may be its own doing: after an outage,
/// brokers can get what it had sent before the outage after what it sent since.
const TWIN_WINDOW: Duration = Duration::from_secs(600);

/// What a caller may want of a run beside the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunOptions {
    /// End where the input ends at present, instead of waiting for more.
    pub stop_at_end: bool,
    /// Documents expected, for the progress bar.
    pub expected: Option<u64>,
    /// Where counts are kept, for a caller that watches them.
    pub counters: Counters,
    /// How to start a fine-tuning job where the configuration schedules any; none: it starts none.
    pub job: Option<JobCommand>,
}

/// Runs the pipeline until its input ends or `shutdown` is requested; what is in flight then is
/// finished and committed. When partitions are lost on the way, it begins again where
/// the sinks stand.
///
/// # Errors
/// Whatever keeps the pipeline from starting or going on. The sinks know how far they are: the next run
/// reads what they lack.
pub(crate) fn run(config: &Plan, options: RunOptions, shutdown: &Shutdown) -> Result<Summary> {
    let RunOptions { stop_at_end, expected, counters, job } = options;
    let live = open_model(config, &counters)?;
    let pipeline = Pipeline { config, live: live.clone(), counters: counters.clone(), stop_at_end };
    let watcher = live.clone().map(|live| Watcher::start(config, live, counters.clone())).transpose()?;
    let schedule = job.map(|job| Schedule::start(config, job, counters.clone())).transpose()?;
    let progress = Progress::start(counters.clone(), expected);
    let mut fenced_at = None;
    let outcome = loop {
        match pipeline.run_once(&shutdown.child()) {
            Err(why) if !shutdown.is_requested() && passes(&why, &mut fenced_at) => {
                counters
                    .metrics
                    .restarts
                    .with(&[if why.kind() == Kind::Lost { "lost" } else { "fenced" }])
                    .add(1);
                tracing::warn!(event = "restarting", %why, "partitions lost, restarting from the sinks' positions");
                rest(shutdown);
            }
            outcome => break outcome,
        }
    };
    drop((progress, schedule, watcher));
    let model = live.map(|live| live.current());
    outcome.map(|meters| Summary::new(&counters.snapshot(), &meters, model.as_deref()))
}

/// The model, where there is one.
fn open_model(config: &Plan, counters: &Counters) -> Result<Option<Arc<Live>>> {
    if !config.has_model() {
        tracing::info!(event = "no_model", "no model: documents are cleaned and written without labels");
        return Ok(None);
    }
    Live::open(config, counters.clone()).map(|live| Some(Arc::new(live)))
}

/// Whether reading can begin again after `error`.
fn passes(error: &Error, fenced_at: &mut Option<Instant>) -> bool {
    match error.kind() {
        Kind::Lost => true,
        Kind::Fenced => fenced_at.replace(Instant::now()).is_none_or(|at| at.elapsed() > TWIN_WINDOW),
        _ => false,
    }
}

/// Gives the group a moment to settle, unless a stop is requested.
fn rest(shutdown: &Shutdown) {
    let until = Instant::now() + REST;
    while Instant::now() < until && !shutdown.is_requested() {
        std::thread::sleep(REST / 20);
    }
}

/// What stays when reading begins again.
struct Pipeline<'a> {
    config: &'a Plan,
    /// None: documents are written without labels.
    live: Option<Arc<Live>>,
    counters: Counters,
    stop_at_end: bool,
}

impl Pipeline<'_> {
    /// All stages, from the source to the sinks, until they end.
    fn run_once(&self, shutdown: &Shutdown) -> Result<Meters> {
        let Pipeline { config, counters, .. } = self;
        let topics = config.topics();
        let connection = config.source.connect(&config.kafka, &config.name)?;
        let OpenOutputs { sinks, streams } =
            outputs::open(&config.outputs, &config.name, &topics, connection.member())?;
        let (reports_in, reports) = channel();
        let (queues, inputs): (Vec<_>, Vec<_>) = sinks.iter().map(|_| channel()).unzip();
        let source = connection.open(self.feed(SinkLinks::new(queues.clone(), reports)))?;

        let mut stages = Stages::new(shutdown.clone());
        let (plan, stop) = (Arc::clone(&config.clean), shutdown.clone());
        let raw = stages.source("source", move |out, meter| source.run(out, meter, &stop))?;
        let cleaned = stages.map("clean", raw, move |batch| clean(&plan, batch))?;
        let labelled = self.label(&mut stages, cleaned, Arc::clone(&config.schema))?;
        for (number, (sink, input)) in sinks.into_iter().zip(inputs).enumerate() {
            let queues = SinkQueues { number, input, reports: reports_in.clone() };
            let thread = SinkThread::new(sink, &config.epoch, queues, counters.clone(), shutdown.clone());
            stages.spawn("sink", move |meter| thread.run(meter))?;
        }
        drop(reports_in);
        let dispatcher = Dispatcher::new(streams, queues, Breaker::new(config.breaker), counters.clone());
        stages.spawn("write", move |meter| dispatcher.run(&labelled, meter))?;

        let meters = stages.meters();
        // What made the source unusable is why the stages failed, whichever noticed it first.
        let outcome = stages.join().or_else(|error| connection.check().and(Err(error)));
        connection.leave();
        outcome.map(|()| meters)
    }

    /// The stages from cleaned rows to rows of `schema`: two with a model, none to speak of without.
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

    /// What the source needs to feed the stages; it begins where the sinks behind `links` stand.
    fn feed(&self, links: SinkLinks) -> Feed {
        let limits = &self.config.limits;
        let (decoder, budget) = (self.config.decoder.clone(), Budget::new(limits.memory.as_u64()));
        Feed {
            assembler: Assembler::new(decoder, budget, limits.batch_rows, limits.batch_linger),
            links,
            stop_at_end: self.stop_at_end,
            commits_offsets: !self.moves_group_offsets(),
            keeps_keys: self.config.uses(KAFKA_KEY),
            keeps_headers: self.config.uses(KAFKA_HEADERS),
        }
    }

    /// Whether a sink moves the group's offsets itself, in its transactions.
    fn moves_group_offsets(&self) -> bool {
        let topics: Vec<_> =
            self.config.outputs().iter().filter_map(|(_, _, output)| output.topic()).collect();
        self.config.topics().is_transactional(&topics)
    }
}

/// What [`preflight`] finds.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// The model's name, where there is one.
    pub model: Option<String>,
    /// For outputs that do not answer, why: whether they take the rows is not known.
    pub unknown: Vec<Error>,
}

/// Everything that can be checked without reading a document: steps, tables of sinks, bundle, model.
///
/// # Errors
/// What would keep [`run`] from starting.
pub(crate) fn preflight(config: &Plan) -> Result<Preflight> {
    let examined = config.outputs.iter().filter_map(|output| output.examine().transpose());
    let unknown = examined.collect::<Result<_>>()?;
    let model = config.has_model().then(|| Generation::open(config).map(|generation| generation.title()));
    Ok(Preflight { model: model.transpose()?, unknown })
}
