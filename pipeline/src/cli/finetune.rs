//! `fenliu finetune`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fenliu_config::Problems;
use fenliu_model::{Comparison, Evaluation, Gate};
use fenliu_training::Adaptation;
use serde::Serialize;

use super::common::Common;
use super::output;
use super::train::{Reporter, key_and_value};
use crate::config::RowFilter;
use crate::config::{Config, PromotePolicy};
use crate::error::Result;
use crate::finetune::{self, JobOutcome, JobVerdict, SnapshotSummary, SplitSummary};
use crate::system::step_back;

/// Each flag overrides a key of the section `finetune`; keys without a flag keep their configured values.
#[derive(Debug, Args)]
pub(super) struct FinetuneArgs {
    /// Directory of the model, models/NAME [default: model.bundle]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Labelled documents to train on: files such as JSON Lines, CSV, Parquet or Arrow, directories, or patterns
    #[arg(long, value_name = "PATH", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Only rows of --data whose FIELD has this VALUE, such as split=train
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Option<RowFilter>,
    /// Labelled documents to test on, instead of a share of all rows
    #[arg(long, value_name = "PATH", num_args = 1..)]
    test: Vec<PathBuf>,
    /// Only rows of --test whose FIELD has this VALUE
    #[arg(long, value_name = "FIELD=VALUE")]
    test_select: Option<RowFilter>,
    /// Labelled documents of another source, on which a challenger must not be worse either
    #[arg(long, value_name = "PATH", num_args = 1..)]
    far: Vec<PathBuf>,
    /// Only rows of --far whose FIELD has this VALUE
    #[arg(long, value_name = "FIELD=VALUE")]
    far_select: Option<RowFilter>,
    /// Corrections {id | text, label, by, at}: files or directories
    #[arg(long, value_name = "PATH", num_args = 1..)]
    feedback: Vec<PathBuf>,
    /// Documents that corrections name by id: files or directories
    #[arg(long, value_name = "PATH", num_args = 1..)]
    texts: Vec<PathBuf>,
    /// Which weights change: head, top-K, lora, lora-RANK or full
    #[arg(long)]
    mode: Option<Adaptation>,
    /// Passes over the rows
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Any other training option, such as learning_rate=1e-4; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Threads of training; 0: one per core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// What to do with a challenger that passes all gates
    #[arg(long, value_name = "POLICY")]
    promote: Option<PromotePolicy>,
    /// Publish a challenger as a version even if it is refused
    #[arg(long)]
    keep_refused: bool,
    /// End without training if the last job was trained on the same rows
    #[arg(long)]
    only_if_new: bool,
    /// Fail (exit code 1) unless the challenger is promoted
    #[arg(long)]
    require_promotion: bool,
}

pub(super) fn finetune(args: FinetuneArgs, common: &Common) -> Result<ExitCode> {
    let (only_if_new, require_promotion) = (args.only_if_new, args.require_promotion);
    let mut config = common.load()?;
    let model = args.model.clone().unwrap_or_else(|| config.model.bundle.clone());
    args.apply(&mut config)?;
    config.validate_finetune(&common.origin())?;
    if model.as_os_str().is_empty() {
        let message = "no model: give --model models/NAME, or a configuration with `model.bundle`";
        return Err(Problems::one(common.origin(), "", message).into());
    }
    // A lower priority, so that a pipeline on the same machine keeps its latency.
    step_back(config.finetune.niceness.into());
    let outcome = finetune::run(&config, &model, only_if_new, &mut Reporter::default())?;
    let is_promoted = outcome.state.verdict == Some(JobVerdict::Promoted);
    let report = FinetuneReport::new(outcome);
    if common.json {
        output::json(&report)?
    } else {
        output::line(report.text().trim_end())?
    }
    Ok(if require_promotion && !is_promoted { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl FinetuneArgs {
    /// Overrides the configuration with the flags.
    fn apply(self, config: &mut Config) -> Result<()> {
        let job = &mut config.finetune;
        for (given, configured) in [
            (self.data, &mut job.data),
            (self.test, &mut job.test),
            (self.far, &mut job.far),
            (self.feedback, &mut job.feedback.paths),
            (self.texts, &mut job.feedback.texts),
        ] {
            if !given.is_empty() {
                *configured = given;
            }
        }
        job.select = self.select.or(job.select.take());
        job.test_select = self.test_select.or(job.test_select.take());
        job.far_select = self.far_select.or(job.far_select.take());
        job.mode = self.mode.unwrap_or(job.mode);
        job.epochs = self.epochs.or(job.epochs);
        job.threads = self.threads.unwrap_or(job.threads);
        job.promote = self.promote.unwrap_or(job.promote);
        job.keep_refused |= self.keep_refused;
        for text in &self.options {
            let (key, value) = key_and_value(text)?;
            job.options.insert(key.into(), value);
        }
        Ok(())
    }
}

/// The result that is printed to standard output.
#[derive(Debug, Serialize)]
struct FinetuneReport {
    job: String,
    verdict: Option<JobVerdict>,
    reason: Option<String>,
    base: String,
    version: Option<String>,
    directory: PathBuf,
    resumes: usize,
    seconds: f64,
    snapshot: Option<SnapshotSummary>,
    split: Option<SplitSummary>,
    champion: Option<Scores>,
    challenger: Option<Scores>,
    macro_f1_difference: Option<[f64; 3]>,
    gates: Vec<Gate>,
}

/// The scores of one model on the test rows.
#[derive(Clone, Copy, Debug, Serialize)]
struct Scores {
    rows: usize,
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
}

impl From<&Evaluation> for Scores {
    fn from(evaluation: &Evaluation) -> Self {
        let Evaluation { rows, accuracy, macro_f1, ece, .. } = *evaluation;
        Scores { rows, accuracy, macro_f1, ece }
    }
}

impl FinetuneReport {
    fn new(JobOutcome { directory, state, report }: JobOutcome) -> Self {
        let report = report.as_ref();
        let interval = |c: &Comparison| [c.macro_f1.difference, c.macro_f1.low, c.macro_f1.high];
        FinetuneReport {
            job: state.job,
            verdict: state.verdict,
            reason: state.reason,
            base: state.base,
            version: state.version,
            directory,
            resumes: state.resumes,
            seconds: state.seconds.values().sum(),
            snapshot: state.snapshot,
            split: state.split,
            champion: report.and_then(|j| j.champion.as_ref()).map(Scores::from),
            challenger: report.map(|j| Scores::from(&j.challenger)),
            macro_f1_difference: report.and_then(|j| j.comparison.as_ref()).map(interval),
            gates: report.map_or(vec![], |j| j.gates.clone()),
        }
    }

    /// The report as text for a person.
    fn text(&self) -> String {
        let verdict = self.verdict.map_or("", JobVerdict::as_str);
        let mut text = format!("{verdict}: {}\n", self.reason.as_deref().unwrap_or_default());
        if let (Some(snapshot), Some(split)) = (&self.snapshot, &self.split) {
            text += &format!(
                "\n{} corrections ({} not used), {} replayed documents: {} rows for training, {} for development, \
                 {} for testing, {} far\n",
                snapshot.seen,
                snapshot.skipped.values().sum::<usize>(),
                snapshot.data,
                split.train,
                split.dev,
                split.test,
                split.far
            );
        }
        let width = self.gates.iter().map(|gate| gate.name.chars().count()).max().unwrap_or(0);
        if width > 0 {
            text += &format!("\n{:width$}       value      bound\n", "gate");
        }
        for gate in &self.gates {
            let mark = if gate.passed { "passed" } else { "FAILED" };
            text += &format!(
                "{:width$}  {:>10.4} {:>10.4}  {mark}  {}\n",
                gate.name, gate.value, gate.bound, gate.detail
            );
        }
        let version = self.version.as_ref().map_or(String::new(), |version| format!("version {version}, "));
        text + &format!(
            "\n{version}job {} in {:.0} s: {}\n",
            self.job,
            self.seconds,
            self.directory.display()
        )
    }
}
