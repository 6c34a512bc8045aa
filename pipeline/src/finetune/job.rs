//! One fine-tuning job, stage by stage.
//!
//! Contract: a worse model is never put to use, and a job that is killed at any moment leaves the registry as it
//! was or with one more version; the next job with the same settings takes it up where it stopped. A stage
//! begins by writing that it does (`state.json`); it can be repeated until the next one has begun.

use std::path::{Path, PathBuf};
use std::time::Instant;

use fenliu_config::Problems;
use fenliu_model::quality::QualityReport;
use fenliu_model::registry::HistoryEntry;
use fenliu_model::{Alias, Bundle, Classifier, ClassifierOptions, Example, Registry, durable, runtime};
use fenliu_operators::{CleanConfig, Plan};
use fenliu_training::{
    Destination, FineTuneOptions, FineTuneRequest, Observer, Staged, inspect, stage_finetuned,
};
use serde_json::Value;

use super::judge::{self, Candidate, Judgement};
use super::page;
use super::rows::Row;
use super::snapshot::{self, ROWS};
use super::split::{self, Split};
use super::state::{self, JobDirectory, JobState, Stage, Verdict};
use crate::clean::compile;
use crate::config::{Config, FinetuneConfig, PromotePolicy};
use crate::error::{Converted, Error, Result};
use crate::options::overlay;
use crate::texts::Preprocessing;

/// Who moved an alias, as history tells it.
const BY: &str = "fenliu finetune";

/// The judgement in a job's directory; in the bundle both lie under `eval/`.
const REPORT: &str = "report.json";
const PAGE: &str = "report.html";
const QUALITY: &str = "quality.json";

/// Runs a job for the model in the directory `model`, or takes up the one that was interrupted, to its verdict.
/// With `only_if_new`, a job whose rows are those of the last one ends without training.
///
/// # Errors
/// Another job of the model runs; whatever keeps this one from its verdict. It is over then: the next starts anew.
pub(crate) fn run(
    config: &Config,
    model: &Path,
    only_if_new: bool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    runtime::load(config.model.onnxruntime.as_deref()).converted()?;
    let (registry, selector) = Registry::find(model).converted()?;
    if let Some(selector) = selector.filter(|selector| selector != "champion") {
        let message = format!(
            "the model is named with `@{selector}`, but a job starts from the version in use: leave it out"
        );
        return Err(Problems::one("finetune", "", message).into());
    }
    let _lease = registry.lease(BY).converted()?;
    let last = state::newest(registry.path())?.filter(|last| only_if_new && last.stage == Stage::Done);
    let mut job = Job::begin(config, registry)?;
    match job.run(last.as_ref(), observer) {
        Ok(judgement) => {
            let directory = job.directory.path().to_path_buf();
            Ok(Outcome { directory, state: job.directory.state, judgement })
        }
        Err(error) => {
            if let Err(second) = job.directory.end(Stage::Failed, error.to_string()) {
                tracing::warn!(event = "failure_unrecorded", error = %second, "the job's failure could not be written down");
            }
            Err(error)
        }
    }
}

/// A job with its verdict.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The job's directory.
    pub directory: PathBuf,
    /// The verdict, and how it came about.
    pub state: JobState,
    /// Everything measured; none when there was nothing new to learn.
    pub judgement: Option<Judgement>,
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
    /// Takes up the interrupted job, or begins a new one.
    fn begin(config: &'a Config, registry: Registry) -> Result<Self> {
        let settings = settings(&config.finetune)?;
        let current = registry.current().converted()?;
        let directory = match JobDirectory::unfinished(registry.path())? {
            Some(directory) => take_up(directory, &settings, &current)?,
            None => None,
        };
        let directory = match directory {
            Some(directory) => directory,
            None => JobDirectory::create(registry.path(), &current, settings)?,
        };
        let base = registry.bundle(&directory.state.base).converted()?;
        let clean = Preprocessing::of_bundle(&base)?.map_or_else(|| config.clean.clone(), |p| p.clean);
        let plan = compile(&clean)?;
        Ok(Job { config, registry, base, clean, plan, directory })
    }

    fn run(&mut self, last: Option<&JobState>, observer: &mut dyn Observer) -> Result<Option<Judgement>> {
        // Options are checked before the long work.
        self.options()?;
        if self.directory.state.stage == Stage::Snapshot {
            self.timed(Stage::Snapshot, Self::snapshot)?;
        }
        if last.is_some_and(|last| self.has_nothing_new(last)) {
            self.directory.state.verdict = Some(Verdict::Unchanged);
            self.directory.end(Stage::Done, "the last job learnt the same rows".into())?;
            return Ok(None);
        }
        let judgement = match self.published()? {
            Some(version) => {
                self.directory.state.version = Some(version);
                self.directory.read_json(REPORT)?
            }
            None => self.challenge(observer)?,
        };
        let (verdict, reason) = self.timed(Stage::Promote, |job| job.promote(&judgement))?;
        self.directory.state.verdict = Some(verdict);
        self.directory.end(Stage::Done, reason)?;
        Ok(Some(judgement))
    }

    /// From rows to a judged challenger, which is a version if it is to be one.
    fn challenge(&mut self, observer: &mut dyn Observer) -> Result<Judgement> {
        let Split { train, dev, test } = self.timed(Stage::Split, Self::split)?;
        let quality = self.timed(Stage::Check, |job| job.check(&train, &test))?;
        let mut staged = self.timed(Stage::Train, |job| job.train(&train, &dev, observer))?;
        self.timed(Stage::Calibrate, |job| {
            if !staged
                .calibrate(&mut staged.classifier(&job.classifier_options()).converted()?)
                .converted()?
            {
                tracing::warn!(event = "not_calibrated", "no development rows: the model is not calibrated");
            }
            Ok(())
        })?;
        let judgement = self.timed(Stage::Evaluate, |job| job.evaluate(&staged, &test, quality))?;
        let name = root_and_name(self.registry.path())?.1;
        durable::replace(&self.directory.file(PAGE), page::html(&judgement, &name, &test).as_bytes())
            .converted()?;
        self.directory.write_json(REPORT, &judgement)?;
        // Before there is a champion the newest version is in use: a refused one must not be.
        let keeps_refused = self.config.finetune.keep_refused && self.base.manifest().model.head_trained;
        if judgement.passed() || keeps_refused {
            staged.describe("job", self.directory.state.job.clone().into());
            let version = self.timed(Stage::Publish, |job| job.publish(staged, &judgement))?;
            self.directory.state.version = Some(version);
        }
        Ok(judgement)
    }

    /// Enters a stage, does its work, and notes how long it took.
    fn timed<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
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
        // From here on the snapshot is taken.
        self.directory.enter(Stage::Split)
    }

    /// Whether `last` had the same rows and settings, and its model is the one in use or was refused.
    fn has_nothing_new(&self, last: &JobState) -> bool {
        let state = &self.directory.state;
        let sha256 = |state: &JobState| state.snapshot.as_ref().map(|snapshot| snapshot.sha256.clone());
        let is_same_base = last.base == state.base || last.version.as_ref() == Some(&state.base);
        last.job != state.job
            && is_same_base
            && last.settings == state.settings
            && sha256(last) == sha256(state)
    }

    fn split(&mut self) -> Result<Split> {
        let rows: Vec<Row> = self.directory.read_lines(ROWS)?;
        let (split, summary) = split::split(rows, &self.config.finetune);
        if split.train.is_empty() || split.test.is_empty() {
            let message = format!("too few rows: {} to learn, {} to test on", summary.train, summary.test);
            return Err(Error::input(message));
        }
        self.directory.state.split = Some(summary);
        Ok(split)
    }

    /// What is wrong with the rows: found once, since it takes a training of its own.
    fn check(&mut self, train: &[Row], test: &[Row]) -> Result<QualityReport> {
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
            dev: examples(dev),
            preprocessing,
            options: &options,
            work: Some(&work),
        };
        stage_finetuned(request, observer).converted()
    }

    fn evaluate(&mut self, staged: &Staged, test: &[Row], quality: QualityReport) -> Result<Judgement> {
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
        };
        let limits = &self.config.finetune.gates;
        judge::judge(candidate, champion, &mut staged.classifier(&options).converted()?, test, limits)
    }

    /// Makes the staged bundle a version and gives its ULID.
    fn publish(&mut self, staged: Staged, judgement: &Judgement) -> Result<String> {
        self.pin_champion()?;
        for name in [REPORT, PAGE] {
            let (from, to) = (self.directory.file(name), staged.path().join("eval").join(name));
            std::fs::copy(&from, &to).map_err(Error::file("copy", from))?;
        }
        let card = staged.path().join("card.md");
        let text = page::card(judgement, &root_and_name(self.registry.path())?.1);
        std::fs::write(&card, text).map_err(Error::file("write", card))?;
        Ok(staged.publish().converted()?.manifest().version.clone())
    }

    /// Without a champion the newest version is in use: the one in use becomes champion before there is a newer.
    fn pin_champion(&self) -> Result<()> {
        if self.base.manifest().model.head_trained
            && self.registry.alias(Alias::Champion).converted()?.is_none()
        {
            let reason = format!("in use before job {}", self.directory.state.job);
            self.registry.promote(&self.registry.current().converted()?, BY, &reason).converted()?;
        }
        Ok(())
    }

    /// The version that this job published before it was interrupted.
    fn published(&self) -> Result<Option<String>> {
        if self.directory.state.stage < Stage::Publish {
            return Ok(None);
        }
        let job = Value::String(self.directory.state.job.clone());
        let is_ours = |training: &Value| training.get("job") == Some(&job);
        let versions = self.registry.versions().converted()?;
        let ours =
            versions.into_iter().find(|v| v.manifest.as_ref().is_some_and(|m| is_ours(&m.model.training)));
        Ok(ours.map(|entry| entry.version))
    }

    /// Moves the aliases as the gates and the policy say.
    fn promote(&mut self, judgement: &Judgement) -> Result<(Verdict, String)> {
        let state = &self.directory.state;
        let Some(version) = &state.version else { return Ok((Verdict::Refused, judgement.failures())) };
        let reason = format!("job {}: {}", state.job, scores(judgement));
        // Killed after it had promoted: the version may have been rolled back since.
        let was_promoted = |entry: &HistoryEntry| match entry {
            HistoryEntry::Alias { alias, record } => *alias == Alias::Champion && record.version == *version,
            HistoryEntry::Remove { .. } => false,
        };
        if self.registry.history().converted()?.entries.iter().any(was_promoted) {
            return Ok((Verdict::Promoted, scores(judgement)));
        }
        let champion = self.registry.alias(Alias::Champion).converted()?.map(|champion| champion.version);
        let is_judged_against = champion.as_ref().is_none_or(|now| *now == state.base || now == version);
        let (verdict, why) = match self.config.finetune.promote {
            _ if !judgement.passed() => (Verdict::Refused, judgement.failures()),
            PromotePolicy::Never => (Verdict::Challenger, "`finetune.promote` is never".to_string()),
            PromotePolicy::Auto if !is_judged_against => {
                (Verdict::Challenger, "the champion changed while the job ran".to_string())
            }
            PromotePolicy::Auto => (Verdict::Promoted, scores(judgement)),
        };
        match verdict {
            Verdict::Promoted => drop(self.registry.promote(version, BY, &reason).converted()?),
            _ if champion.as_ref().is_some_and(|now| now != version) => {
                self.registry.set_challenger(version, BY, &reason).converted()?;
            }
            _ => {}
        }
        Ok((verdict, why))
    }

    /// The defaults for base and mode, with the configured options over them.
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

/// What decides over the result of a job: not when it runs, nor how hard.
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

/// The interrupted job, if it is the one that would be begun now; else it is over.
fn take_up(mut directory: JobDirectory, settings: &Value, current: &str) -> Result<Option<JobDirectory>> {
    let state = &directory.state;
    // From `publish` on the champion may be the job's own.
    let is_current = state.base == current || state.stage >= Stage::Publish;
    if state.settings == *settings && is_current {
        tracing::info!(
            event = "job_resumed",
            job = state.job,
            stage = state.stage.as_str(),
            "taking up the interrupted job"
        );
        directory.state.resumes += 1;
        return Ok(Some(directory));
    }
    let why = if is_current { "settings" } else { "champion" };
    tracing::warn!(
        event = "job_abandoned",
        job = state.job,
        "the interrupted job is given up: the {why} changed"
    );
    directory.end(Stage::Failed, format!("interrupted, and the {why} changed"))?;
    Ok(None)
}

/// `models/news` → `models`, `news`.
fn root_and_name(model: &Path) -> Result<(PathBuf, String)> {
    let path = model.canonicalize().map_err(Error::file("read", model))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (path.parent(), name) {
        (Some(root), Some(name)) => Ok((root.to_path_buf(), name)),
        _ => Err(Error::usage(format!("{} is not the directory of a model", model.display()))),
    }
}

/// The figures that count, in one line.
fn scores(judgement: &Judgement) -> String {
    let challenger = &judgement.challenger;
    let against = judgement.champion.as_ref().map_or(String::new(), |champion| {
        format!(", against {:.4} and {:.4}", champion.accuracy, champion.macro_f1)
    });
    let (accuracy, macro_f1, rows) = (challenger.accuracy, challenger.macro_f1, challenger.rows);
    format!("accuracy {accuracy:.4}, macro-F1 {macro_f1:.4} on {rows} test rows{against}")
}
