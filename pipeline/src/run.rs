//! The pipeline, wired top to bottom in data-flow order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use fenliu_operators::Plan;
use fenliu_schemas::labelled_schema;

use crate::batch::Batch;
use crate::breaker::Breaker;
use crate::classify::{Labeller, encode};
use crate::clean::{clean, compile, pass};
use crate::config::{SourceConfig, ValidatedConfig};
use crate::deliver::Worker;
use crate::error::{PipelineError, Result};
use crate::finetune::{JobCommand, Schedule};
use crate::kafka::{self, KafkaConsumer};
use crate::ledger::Ledger;
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::serve::{Generation, Live, Shadow, Watcher};
use crate::shutdown::Shutdown;
use crate::sink::{self, StdoutSink};
use crate::source::{self, Commit, KafkaCommit, NothingToCommit};
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
pub struct RunOptions {
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
pub fn run(config: &ValidatedConfig, options: RunOptions, shutdown: &Shutdown) -> Result<Summary> {
    let RunOptions { stop_at_end, expected, counters, job } = options;
    let plan = Arc::new(compile(&config.clean)?);
    let live = open_model(config, &counters)?;
    let pipeline = Pipeline { config, plan, live: live.clone(), counters: counters.clone(), stop_at_end };
    let watcher = live.clone().map(|live| Watcher::start(config, live, counters.clone())).transpose()?;
    let schedule = job.map(|job| Schedule::start(config, job, counters.clone())).transpose()?;
    let progress = Progress::start(counters.clone(), expected);
    let mut fenced_at = None;
    let outcome = loop {
        match pipeline.run_once(&shutdown.child()) {
            Err(why) if !shutdown.is_requested() && passes(&why, &mut fenced_at) => {
                tracing::warn!(%why, "reading begins again where the sinks stand");
                std::thread::sleep(REST);
            }
            outcome => break outcome,
        }
    };
    drop((progress, schedule, watcher));
    let model = live.map(|live| live.current());
    outcome.map(|meters| Summary::new(&counters.snapshot(), &meters, model.as_deref()))
}

/// The model, where there is one.
fn open_model(config: &ValidatedConfig, counters: &Counters) -> Result<Option<Arc<Live>>> {
    if !config.has_model() {
        tracing::info!("no model: documents are cleaned and written without labels");
        return Ok(None);
    }
    Live::open(config, counters.clone()).map(|live| Some(Arc::new(live)))
}

/// Whether reading can begin again after `error`.
fn passes(error: &PipelineError, fenced_at: &mut Option<Instant>) -> bool {
    match error {
        PipelineError::Lost(_) => true,
        PipelineError::Fenced => {
            fenced_at.replace(Instant::now()).is_none_or(|at| at.elapsed() > TWIN_WINDOW)
        }
        _ => false,
    }
}

/// What stays when reading begins again.
struct Pipeline<'a> {
    config: &'a ValidatedConfig,
    plan: Arc<Plan>,
    /// None: documents are written without labels.
    live: Option<Arc<Live>>,
    counters: Counters,
    stop_at_end: bool,
}

impl Pipeline<'_> {
    /// All stages, from the source to the sinks, until they end.
    fn run_once(&self, shutdown: &Shutdown) -> Result<Meters> {
        let Pipeline { config, counters, .. } = self;
        let schema = labelled_schema(self.plan.schema(), config.labelled_options());
        let consumer = match &config.source {
            SourceConfig::Kafka(source) => Some(Arc::new(kafka::connect(config, source)?)),
            SourceConfig::Files(_) => None,
        };
        let sinks = sink::open(config, &schema, consumer.as_ref())?;
        let ledger = Ledger::new(sinks.clone(), self.commit(consumer.as_ref()));
        let source = source::open(config, consumer.clone(), Arc::clone(&ledger), self.stop_at_end)?;
        let stdout = StdoutSink::find(config, &schema)?;

        let mut stages = Stages::new(shutdown.clone());
        let (plan, stop) = (Arc::clone(&self.plan), shutdown.clone());
        let raw = stages.source("source", move |out, meter| source.run(out, meter, &stop))?;
        let cleaned = stages.map("clean", raw, move |batch| clean(&plan, batch))?;
        let labelled = self.label(&mut stages, cleaned, schema)?;
        let mut workers = vec![];
        for (index, sink) in sinks.into_iter().enumerate() {
            let (sender, deliveries) = channel();
            workers.push(sender);
            let bounds = sink.bounds(&config.epoch);
            let (ledger, counters) = (Arc::clone(&ledger), counters.clone());
            let worker = Worker::new(sink, index, bounds, ledger, counters, shutdown.clone());
            stages.spawn("sink", move |meter| worker.run(&deliveries, meter))?;
        }
        let dispatcher = Dispatcher::new(stdout, workers, Breaker::new(config.breaker), counters.clone());
        stages.spawn("write", move |meter| dispatcher.run(&labelled, meter))?;

        let meters = stages.meters();
        let mut outcome = stages.join().and_then(|()| ledger.finish());
        // It holds the consumer, too.
        drop(ledger);
        if let Some(consumer) = consumer {
            // What made the consumer unusable is why the stages failed, whichever noticed it first.
            outcome = outcome.or_else(|error| kafka::check_usable(&consumer).and(Err(error)));
            source::leave(consumer);
        }
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

    /// Who tells the group what the sinks have: a sink in its transactions, or the ledger.
    fn commit(&self, consumer: Option<&Arc<KafkaConsumer>>) -> Box<dyn Commit> {
        match consumer {
            Some(consumer) if !sink::moves_group_offsets(self.config) => {
                Box::new(KafkaCommit::new(Arc::clone(consumer)))
            }
            _ => Box::new(NothingToCommit),
        }
    }
}

/// Everything that can be checked without reading a document: steps, bundle, model. The model's name, where
/// there is one.
///
/// # Errors
/// What would keep [`run`] from starting.
pub fn preflight(config: &ValidatedConfig) -> Result<Option<String>> {
    compile(&config.clean)?;
    config.has_model().then(|| Generation::open(config).map(|generation| generation.title())).transpose()
}
