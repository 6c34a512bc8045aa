//! A fine-tuning job, which runs its stages one after the other.
//!
//! Contract: a worse model is never put in use. A job that is killed at any moment leaves the registry unchanged or with
//! one more version, and the next job with the same settings resumes it at the stage where it stopped. For this, a stage
//! is written to `state.json` when it begins, and every stage can be repeated until the next one has begun.

use std::path::{Path, PathBuf};
use std::time::Instant;

use fenliu_config::Problems;
use fenliu_model::quality::QualityReport;
use fenliu_model::registry::HistoryEntry;
use fenliu_model::{
    Alias, Bundle, Classifier, ClassifierOptions, Example, GateLimits, Registry, durable, runtime,
};
use fenliu_operators::{CleanConfig, Plan};
use fenliu_training::{
    Destination, FineTuneOptions, FineTuneRequest, Observer, Staged, inspect, stage_finetuned,
};
use serde_json::Value;

use super::evaluate::{self, Candidate, ChallengerReport, Judges};
use super::page;
use super::rows::Row;
use super::snapshot::{self, ROWS};
use super::split::{self, DevRows, Split};
use super::state::{self, JobDirectory, JobStage, JobState, JobVerdict};
use crate::clean::compile;
use crate::config::{Config, FinetuneConfig, PromotePolicy};
use crate::error::{Converted, Error, Result};
use crate::options::overlay;
use crate::texts::Preprocessing;

/// Named in the registry's history as the one who moved an alias.
const BY: &str = "fenliu finetune";

/// Files of the report in a job's directory; in the bundle they are under `eval/`.
const REPORT: &str = "report.json";
const PAGE: &str = "report.html";
const QUALITY: &str = "quality.json";

/// Runs a job for the model in the directory `model` until it has a verdict. If there is an interrupted job, it is
/// resumed. With `only_if_new`, a job whose rows are the same as those of the last job ends without training.
///
/// # Errors
/// Another job of the same model is running, or a stage failed. A failed job is not resumed; the next one starts from the
/// beginning.
pub(crate) fn run(
    config: &Config,
    model: &Path,
    only_if_new: bool,
    observer: &mut dyn Observer,
) -> Result<JobOutcome> {
    runtime::load(config.model.onnxruntime.as_deref()).converted()?;
    let (registry, selector) = Registry::find(model).converted()?;
    if let Some(selector) = selector.filter(|selector| selector != "champion") {
        let message = format!(
            "the model is named with `@{selector}`, but a job always starts from the version in use: remove \
             the selector"
        );
        return Err(Problems::one("finetune", "", message).into());
    }
    // Held until the job ends. The state of an unfinished job can be read only now: its process has ended, since
    // the lease is free.
    let _lease = registry.lease(BY).converted()?;
    // Before `begin`, whose new directory would be the newest job.
    let last = state::newest(registry.path())?.filter(|last| only_if_new && last.stage == JobStage::Done);
    let mut job = Job::begin(config, registry)?;
    match job.run(last.as_ref(), observer) {
        Ok(report) => {
            let directory = job.directory.path().to_path_buf();
            Ok(JobOutcome { directory, state: job.directory.state, report })
        }
        Err(error) => {
            // The first error is the one to report, whatever happens to its record.
            if let Err(second) = job.directory.end(JobStage::Failed, error.to_string()) {
                tracing::warn!(
                    event = "failure_unrecorded",
                    error = %second,
                    "the failure of the job could not be recorded"
                );
            }
            Err(error)
        }
    }
}

/// The result of a job.
#[derive(Debug)]
pub(crate) struct JobOutcome {
    /// The job's directory.
    pub directory: PathBuf,
    /// The final state, with the verdict and the reason for it.
    pub state: JobState,
    /// All measurements; `None` if nothing was trained because there were no new rows.
    pub report: Option<ChallengerReport>,
}

struct Job<'a> {
    config: &'a Config,
    registry: Registry,
    base: Bundle,
    clean: CleanConfig,
    plan: Plan,
    directory: JobDirectory,
}

impl<'a> Job<'a> {
    /// Resumes the interrupted job, or begins a new one.
    fn begin(config: &'a Config, registry: Registry) -> Result<Self> {
        let settings = settings(&config.finetune)?;
        let current = registry.current().converted()?;
        let directory = match JobDirectory::unfinished(registry.path())? {
            Some(directory) => resume(directory, &settings, &current)?,
            None => None,
        };
        let directory = match directory {
            Some(directory) => directory,
            None => JobDirectory::create(registry.path(), &current, settings)?,
        };
        // The base of the job, which for a resumed one is in its state, and not the version in use now.
        let base = registry.bundle(&directory.state.base).converted()?;
        let clean = Preprocessing::of_bundle(&base)?.map_or_else(|| config.clean.clone(), |p| p.clean);
        let plan = compile(&clean)?;
        Ok(Job { config, registry, base, clean, plan, directory })
    }

    fn run(
        &mut self,
        last: Option<&JobState>,
        observer: &mut dyn Observer,
    ) -> Result<Option<ChallengerReport>> {
        // Invalid options are reported before the long work starts.
        self.options()?;
        if self.directory.state.stage == JobStage::Snapshot {
            self.timed(JobStage::Snapshot, Self::snapshot)?;
        }
        if last.is_some_and(|last| self.has_nothing_new(last)) {
            self.directory.state.verdict = Some(JobVerdict::Unchanged);
            self.directory.end(JobStage::Done, "the last job was trained on the same rows".into())?;
            return Ok(None);
        }
        let report = match self.published()? {
            Some(version) => {
                self.directory.state.version = Some(version);
                // Written before the stage `publish` was entered, so a published version has it.
                self.directory.read_json(REPORT)?
            }
            None => self.challenge(observer)?,
        };
        let (verdict, reason) = self.timed(JobStage::Promote, |job| job.promote(&report))?;
        self.directory.state.verdict = Some(verdict);
        self.directory.end(JobStage::Done, reason)?;
        Ok(Some(report))
    }

    /// Trains and evaluates a challenger, and publishes it as a version if it passed the gates or is to be kept anyway.
    fn challenge(&mut self, observer: &mut dyn Observer) -> Result<ChallengerReport> {
        let Split { train, dev, test, far } = self.timed(JobStage::Split, Self::split)?;
        let quality = self.timed(JobStage::Check, |job| job.check(&train, &test))?;
        let mut staged = self.timed(JobStage::Train, |job| job.train(&train, &dev, observer))?;
        self.timed(JobStage::Calibrate, |job| job.calibrate(&staged))?;
        let judges = Judges { test: &test, far: &far, trained: train.iter().chain(&dev).collect() };
        let report = self.timed(JobStage::Evaluate, |job| job.evaluate(&staged, &judges, quality))?;
        let name = root_and_name(self.registry.path())?.1;
        // Written before the gates decide, so that a refused challenger has a report as well.
        durable::replace(&self.directory.file(PAGE), page::html(&report, &name, &test).as_bytes())
            .converted()?;
        self.directory.write_json(REPORT, &report)?;
        // A model without a champion uses its newest version, so a refused challenger must not become the newest.
        let keeps_refused = self.config.finetune.keep_refused && self.base.manifest().model.head_trained;
        if report.passed() || keeps_refused {
            staged.describe("job", self.directory.state.job.clone().into());
            let version = self.timed(JobStage::Publish, |job| job.publish(staged, &report))?;
            self.directory.state.version = Some(version);
        }
        Ok(report)
    }

    /// Enters a stage, does its work, and records how long it took.
    fn timed<T>(&mut self, stage: JobStage, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.directory.enter(stage)?;
        tracing::info!(
            event = "fine_tuning_stage",
            job = self.directory.state.job,
            stage = stage.as_str(),
            "fine-tuning"
        );
        let start = Instant::now();
        let result = work(self)?;
        let seconds = self.directory.state.seconds.entry(stage.as_str().to_string()).or_default();
        *seconds += start.elapsed().as_secs_f64();
        Ok(result)
    }

    fn snapshot(&mut self) -> Result<()> {
        let summary = snapshot::take(self.config, &self.plan, self.base.labels(), &self.directory)?;
        self.directory.state.snapshot = Some(summary);
        // The next stage is entered at once, so that a resumed job does not take another snapshot.
        self.directory.enter(JobStage::Split)
    }

    /// Whether this job would give the same result as the job `last`: it has the same rows and settings, and the version
    /// in use is still the one that `last` started from or the one that it made.
    fn has_nothing_new(&self, last: &JobState) -> bool {
        let state = &self.directory.state;
        let sha256 = |state: &JobState| state.snapshot.as_ref().map(|snapshot| snapshot.sha256.clone());
        let is_same_base = last.base == state.base || last.version.as_ref() == Some(&state.base);
        last.job != state.job
            && is_same_base
            && is_same(&last.settings, &state.settings)
            && sha256(last) == sha256(state)
    }

    fn split(&mut self) -> Result<Split> {
        let rows: Vec<Row> = self.directory.read_lines(ROWS)?;
        // A job that an earlier release has split is resumed with the same rows.
        let dev_rows = self.directory.state.split.as_ref().map_or(DevRows::Documents, |split| split.dev_rows);
        let (split, summary) = split::split(rows, &self.config.finetune, dev_rows);
        if split.train.is_empty() || split.test.is_empty() {
            let message =
                format!("too few rows: {} for training, {} for testing", summary.train, summary.test);
            return Err(Error::input(message));
        }
        self.directory.state.split = Some(summary);
        Ok(split)
    }

    /// Looks for suspicious labels. A resumed job reads the result from its directory, because finding them takes a
    /// training of its own.
    fn check(&mut self, train: &[Row], test: &[Row]) -> Result<QualityReport> {
        // Complete if it exists: it is replaced by one rename.
        if self.directory.file(QUALITY).exists() {
            return self.directory.read_json(QUALITY);
        }
        let examples: Vec<Example> = train.iter().map(Row::example).collect();
        let tested: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
        let quality = inspect(&examples, &tested, self.config.finetune.threads).converted()?;
        let (conflicts, suspects) = (quality.conflicts.len(), quality.suspects.len());
        if conflicts + suspects > 0 {
            tracing::warn!(
                event = "suspect_labels",
                conflicts,
                suspects,
                "labels that may be wrong: {QUALITY} of the job lists them"
            );
        }
        self.directory.write_json(QUALITY, &quality)?;
        Ok(quality)
    }

    fn train(&mut self, train: &[Row], dev: &[Row], observer: &mut dyn Observer) -> Result<Staged> {
        let (root, name) = root_and_name(self.registry.path())?;
        let examples = |rows: &[Row]| -> Vec<Example> { rows.iter().map(Row::example).collect() };
        let preprocessing = Preprocessing::new(&self.clean).to_value()?;
        let (options, work) = (self.options()?, self.directory.work()?);
        let request = FineTuneRequest {
            base: &self.base,
            destination: Destination { root: &root, name: &name },
            train: examples(train),
            further: self.trains_further(),
            dev: examples(dev),
            preprocessing,
            options: &options,
            work: Some(&work),
        };
        stage_finetuned(request, observer).converted()
    }

    /// Whether the rows are corrections alone, and the base has linear experts that can learn them without the rows that
    /// they were fitted to.
    fn trains_further(&self) -> bool {
        let snapshot = self.directory.state.snapshot.as_ref();
        let is_alone = snapshot.is_some_and(|snapshot| snapshot.data == 0);
        is_alone && !self.base.manifest().model.linear.is_empty()
    }

    fn calibrate(&mut self, staged: &Staged) -> Result<()> {
        if self.trains_further() && staged.keep_calibration(&self.base).converted()? {
            return Ok(());
        }
        let mut classifier = staged.classifier(&self.classifier_options()).converted()?;
        if !staged.calibrate(&mut classifier).converted()? {
            tracing::warn!(event = "not_calibrated", "no development rows: the model is not calibrated");
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        staged: &Staged,
        judges: &Judges<'_>,
        quality: QualityReport,
    ) -> Result<ChallengerReport> {
        let options = self.classifier_options();
        let champion = match self.base.manifest().model.head_trained {
            true => Some(Classifier::open(&self.base, &options).converted()?),
            false => None,
        };
        let state = &self.directory.state;
        let candidate = Candidate {
            job: &state.job,
            base: &state.base,
            snapshot: state.snapshot.clone().unwrap_or_default(),
            split: state.split.clone().unwrap_or_default(),
            quality,
            train: staged.report(),
            keeps_labels: self.trains_further(),
        };
        let limits = &self.config.finetune.gates;
        evaluate::evaluate_challenger(
            candidate,
            champion,
            &mut staged.classifier(&options).converted()?,
            judges,
            limits,
        )
    }

    /// Publishes the staged bundle as a version and returns its ULID.
    fn publish(&mut self, staged: Staged, report: &ChallengerReport) -> Result<String> {
        // Before the version appears under its name.
        self.pin_champion()?;
        for name in [REPORT, PAGE] {
            let (from, to) = (self.directory.file(name), staged.path().join("eval").join(name));
            std::fs::copy(&from, &to).map_err(Error::file("copy", from))?;
        }
        let card = staged.path().join("card.md");
        let text = page::card(report, &root_and_name(self.registry.path())?.1);
        std::fs::write(&card, text).map_err(Error::file("write", card))?;
        Ok(staged.publish().converted()?.manifest().version.clone())
    }

    /// Makes the version in use the champion if there is none. A model without a champion uses its newest version, so the
    /// challenger would otherwise be in use as soon as it is published.
    fn pin_champion(&self) -> Result<()> {
        if self.base.manifest().model.head_trained
            && self.registry.alias(Alias::Champion).converted()?.is_none()
        {
            let reason = format!("in use before job {}", self.directory.state.job);
            self.registry.promote(&self.registry.current().converted()?, BY, &reason).converted()?;
        }
        Ok(())
    }

    /// The version that this job published before it was interrupted, if it did.
    fn published(&self) -> Result<Option<String>> {
        if self.directory.state.stage < JobStage::Publish {
            return Ok(None);
        }
        let job = Value::String(self.directory.state.job.clone());
        let is_ours = |training: &Value| training.get("job") == Some(&job);
        let versions = self.registry.versions().converted()?;
        let ours =
            versions.into_iter().find(|v| v.manifest.as_ref().is_some_and(|m| is_ours(&m.model.training)));
        Ok(ours.map(|entry| entry.version))
    }

    /// Moves the aliases according to the gates and `finetune.promote`. Returns the verdict and the reason for it.
    fn promote(&mut self, report: &ChallengerReport) -> Result<(JobVerdict, String)> {
        let state = &self.directory.state;
        let Some(version) = &state.version else { return Ok((JobVerdict::Refused, report.failures())) };
        let reason = format!("job {}: {}", state.job, scores(report));
        // A job that was killed after it had promoted its version must not promote it again, because the version may
        // have been rolled back meanwhile.
        let was_promoted = |entry: &HistoryEntry| match entry {
            HistoryEntry::Alias { alias, record } => *alias == Alias::Champion && record.version == *version,
            HistoryEntry::Remove { .. } => false,
        };
        if self.registry.history().converted()?.entries.iter().any(was_promoted) {
            return Ok((JobVerdict::Promoted, scores(report)));
        }
        let champion = self.registry.alias(Alias::Champion).converted()?.map(|champion| champion.version);
        let is_compared_with = champion.as_ref().is_none_or(|now| *now == state.base || now == version);
        let (verdict, why) = match self.config.finetune.promote {
            _ if !report.passed() => (JobVerdict::Refused, report.failures()),
            PromotePolicy::Never => (JobVerdict::Challenger, "`finetune.promote` is never".to_string()),
            // The gates compared the challenger with another champion, so they say nothing about this one.
            PromotePolicy::Auto if !is_compared_with => {
                (JobVerdict::Challenger, "the champion changed while the job ran".to_string())
            }
            PromotePolicy::Auto => (JobVerdict::Promoted, scores(report)),
        };
        match verdict {
            JobVerdict::Promoted => drop(self.registry.promote(version, BY, &reason).converted()?),
            _ if champion.as_ref().is_some_and(|now| now != version) => {
                self.registry.set_challenger(version, BY, &reason).converted()?;
            }
            _ => {}
        }
        Ok((verdict, why))
    }

    /// The training options: the defaults for the base and the mode, overridden by the configured ones.
    fn options(&self) -> Result<FineTuneOptions> {
        let config = &self.config.finetune;
        let mut defaults = FineTuneOptions::new(&self.base, config.mode);
        defaults.threads = config.threads;
        defaults.optimisation.epochs = config.epochs.unwrap_or(defaults.optimisation.epochs);
        let given = config.options.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let options = overlay(&defaults, given)
            .map_err(|bad| Problems::one("config", &format!("finetune.options.{}", bad.key), bad.message))?;
        options.validate().converted()?;
        Ok(options)
    }

    fn classifier_options(&self) -> ClassifierOptions {
        let defaults = ClassifierOptions::default();
        match self.config.finetune.threads {
            0 => defaults,
            threads => ClassifierOptions { threads, ..defaults },
        }
    }
}

/// The settings that determine the result of a job. Those that only decide when it runs, and with how many threads, are
/// replaced by their defaults.
fn settings(config: &FinetuneConfig) -> Result<Value> {
    let defaults = FinetuneConfig::default();
    let deciding = FinetuneConfig {
        threads: defaults.threads,
        niceness: defaults.niceness,
        schedule: defaults.schedule,
        min_new_labels: defaults.min_new_labels,
        on_drift: defaults.on_drift,
        min_interval: defaults.min_interval,
        ..config.clone()
    };
    serde_json::to_value(deciding).map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))
}

/// Whether jobs with these settings train the same. Settings of an earlier release lack the keys that were added since.
/// The bounds of the gates may differ, since they are looked at after the training.
fn is_same(left: &Value, right: &Value) -> bool {
    let read = |value: &Value| {
        let config: FinetuneConfig = serde_json::from_value(value.clone()).ok()?;
        Some(FinetuneConfig { gates: GateLimits::default(), ..config })
    };
    read(left).is_some_and(|settings| Some(settings) == read(right))
}

/// Returns the interrupted job if a new one would do the same; otherwise ends it as failed.
fn resume(mut directory: JobDirectory, settings: &Value, current: &str) -> Result<Option<JobDirectory>> {
    let state = &directory.state;
    // From the stage `publish` on, the version in use may be the one that the job itself made.
    let is_current = state.base == current || state.stage >= JobStage::Publish;
    if is_same(&state.settings, settings) && is_current {
        tracing::info!(
            event = "job_resumed",
            job = state.job,
            stage = state.stage.as_str(),
            "resuming the interrupted job"
        );
        directory.state.resumes += 1;
        return Ok(Some(directory));
    }
    let why = if is_current { "settings" } else { "champion" };
    tracing::warn!(
        event = "job_abandoned",
        job = state.job,
        "the interrupted job is abandoned, because the {why} changed"
    );
    directory.end(JobStage::Failed, format!("interrupted, and the {why} changed"))?;
    Ok(None)
}

/// Splits the path of a model: `models/news` into `models` and `news`.
fn root_and_name(model: &Path) -> Result<(PathBuf, String)> {
    let path = model.canonicalize().map_err(Error::file("read", model))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (path.parent(), name) {
        (Some(root), Some(name)) => Ok((root.to_path_buf(), name)),
        _ => Err(Error::usage(format!("{} is not the directory of a model", model.display()))),
    }
}

/// The most important figures in one line.
fn scores(report: &ChallengerReport) -> String {
    let challenger = &report.challenger;
    let against = report.champion.as_ref().map_or(String::new(), |champion| {
        format!(", against {:.4} and {:.4}", champion.accuracy, champion.macro_f1)
    });
    let (accuracy, macro_f1, rows) = (challenger.accuracy, challenger.macro_f1, challenger.rows);
    format!("accuracy {accuracy:.4}, macro-F1 {macro_f1:.4} on {rows} test rows{against}")
}
