//! The pipeline, wired top to bottom in data-flow order.

use std::sync::Arc;

use fenliu_schemas::{LabelledOptions, labelled_schema};

use crate::batch::Budget;
use crate::breaker::Breaker;
use crate::classify::{Labeller, encode};
use crate::clean::{clean, compile};
use crate::config::ValidatedConfig;
use crate::error::Result;
use crate::finetune::{JobCommand, Schedule};
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::serve::{Generation, Live, Shadow, Watcher};
use crate::shutdown::Shutdown;
use crate::sink::Outputs;
use crate::source;
use crate::stage::Stages;
use crate::summary::Summary;
use crate::write::Writer;

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
/// finished and committed.
///
/// # Errors
/// Whatever keeps the pipeline from starting or going on. Offsets of unfinished rows stay uncommitted:
/// the next run reads them again.
pub fn run(config: &ValidatedConfig, options: RunOptions, shutdown: &Shutdown) -> Result<Summary> {
    let RunOptions { stop_at_end, expected, counters, job } = options;
    let plan = compile(&config.clean)?;
    let live = Arc::new(Live::open(config, counters.clone())?);

    let columns = LabelledOptions { body: config.output.body, tokens: config.output.tokens };
    let schema = labelled_schema(plan.schema(), columns);
    let outputs = Outputs::open(config, &schema)?;
    let budget = Budget::new(config.limits.memory.as_u64());
    let (source, commit) = source::open(config, budget, stop_at_end)?;
    let shadow = Shadow::start(config, counters.clone())?;
    let mut labeller = Labeller::new(Arc::clone(&live), shadow, schema, config.model.top_k, counters.clone());
    let breaker = Breaker::new(config.breaker);
    let writer = Writer::new(outputs, commit, config.epoch.clone(), breaker, counters.clone());
    let shutdown = shutdown.clone();

    let watcher = Watcher::start(config, Arc::clone(&live), counters.clone())?;
    let schedule = job.map(|job| Schedule::start(config, job, counters.clone())).transpose()?;
    let encoding = Arc::clone(&live);
    let mut stages = Stages::new(shutdown.clone());
    let raw = stages.source("source", move |out, meter| source.run(out, meter, &shutdown))?;
    let cleaned = stages.map("clean", raw, move |batch| clean(&plan, batch))?;
    let encoded = stages.map("tokenize", cleaned, move |batch| encode(&encoding, batch))?;
    let labelled = stages.map("model", encoded, move |encoded| labeller.label(encoded))?;
    stages.sink("write", labelled, move |input, meter| writer.run(&input, meter))?;

    let meters = stages.meters();
    let progress = Progress::start(counters.clone(), expected);
    let outcome = stages.join();
    drop((progress, schedule, watcher));
    outcome.map(|()| Summary::new(&counters.snapshot(), &meters, &live.current()))
}

/// Everything that can be checked without reading a document: steps, bundle, model. The model's name.
///
/// # Errors
/// What would keep [`run`] from starting.
pub fn preflight(config: &ValidatedConfig) -> Result<String> {
    compile(&config.clean)?;
    Generation::open(config).map(|generation| generation.title())
}
