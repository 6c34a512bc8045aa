//! `fenliu train`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use clap::Args;
use fenliu_config::Problems;
use fenliu_model::training_report::{EpochReport, ExpertReport, RunSize, TrainReport};
use fenliu_model::{Bundle, Example, Tokenization, runtime};
use fenliu_operators::{Agreement, agreement};
use fenliu_training::{
    Destination, DistillOptions, EmbeddingWork, Observer, Preset, Teaching as DistillRequest, TrainOptions,
    TrainRequest, distill, train as train_model,
};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;

use super::common::Common;
use super::output;
use crate::clean::compile;
use crate::config::Config;
use crate::config::RowFilter;
use crate::corpus::{self, Corpus};
use crate::error::{Converted, Error, Result};
use crate::options::{overlay, value};
use crate::progress::bar;
use crate::texts::Preprocessing;

mod frozen;

/// How often it is said how far the encoder is, where there is no terminal.
const BETWEEN_NOTES: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Labelled documents: files such as JSON Lines, CSV, Parquet or Arrow, directories, or patterns
    #[arg(long, value_name = "PATH", required_unless_present = "zero_shot", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Only rows whose FIELD has this VALUE, such as split=train
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Option<RowFilter>,
    /// Development documents (for early stopping), instead of a share of the training documents
    #[arg(long, value_name = "PATH", num_args = 1..)]
    dev: Vec<PathBuf>,
    /// Only development rows whose FIELD has this VALUE
    #[arg(long, value_name = "FIELD=VALUE", requires = "dev")]
    dev_select: Option<RowFilter>,
    /// Name of the model: the bundle is OUT/NAME/versions/VERSION
    #[arg(long)]
    name: String,
    /// Directory of models
    #[arg(long, value_name = "DIR", default_value = "models")]
    out: PathBuf,
    /// A pretrained encoder that stays as it is; only classifiers over its vectors are trained. A checkpoint directory of
    /// transformers or sentence-transformers, or hf:OWNER/NAME[@REVISION]
    #[arg(long, value_name = "PATH|hf:OWNER/NAME[@REVISION]")]
    encoder: Option<PathBuf>,
    /// What the encoder reads before each text, such as 'query: ' [default: what its directory says]
    #[arg(long, value_name = "TEXT", requires = "encoder")]
    prefix: Option<String>,
    /// Names and keywords of the labels, which the encoder compares with documents: they classify without labelled
    /// documents (--unlabelled), or help where documents are unlike the labelled ones
    #[arg(long, value_name = "labels.toml", requires = "encoder")]
    zero_shot: Option<PathBuf>,
    /// Size of the network: tiny, small, base or classic; or linear, without a network [default: tiny]
    #[arg(long)]
    preset: Option<Preset>,
    /// words: jieba segmentation and a built vocabulary; subword: a tokenizer.json [default: subword]
    #[arg(long, value_parser = tokenization)]
    tokenization: Option<Tokenization>,
    /// A tokenizer.json to use; without it, one is trained on the documents
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Passes over the training documents
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The same seed, documents and options give the same model
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A bundle or model directory, whose probabilities are learnt in addition to the labels (distillation)
    #[arg(long, value_name = "BUNDLE")]
    teacher: Option<PathBuf>,
    /// Documents without labels: the teacher labels them, or --zero-shot compares them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    unlabelled: Vec<PathBuf>,
    /// Weight of the teacher relative to the document's own label, 0 to 1 [default: 0.7]
    #[arg(long, value_name = "SHARE", requires = "teacher")]
    soft_share: Option<f32>,
    /// Softens the teacher's probabilities: the higher, the more its less likely labels count; at least 1 [default: 2]
    #[arg(long, value_name = "T", requires = "teacher")]
    temperature: Option<f32>,
    /// Any other training option, such as dropout=0.2 or vocabulary.max_size=50000; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
}

fn tokenization(text: &str) -> std::result::Result<Tokenization, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|_| "must be words or subword".into())
}

/// The documents to train on, and the training options.
pub(super) struct Recipe {
    name: String,
    out: PathBuf,
    data: Vec<PathBuf>,
    select: Option<RowFilter>,
    dev: Vec<PathBuf>,
    dev_select: Option<RowFilter>,
    options: TrainOptions,
    teaching: Option<Teaching>,
}

/// The teacher of a distillation, with its options.
struct Teaching {
    teacher: PathBuf,
    unlabelled: Vec<PathBuf>,
    options: DistillOptions,
}

impl Recipe {
    /// The smallest preset with word tokenisation and default options.
    pub(super) fn new(name: &str, out: PathBuf, data: Vec<PathBuf>) -> Self {
        Recipe {
            name: name.into(),
            out,
            data,
            select: None,
            dev: vec![],
            dev_select: None,
            options: TrainOptions::new(Preset::Tiny, Tokenization::Words),
            teaching: None,
        }
    }
}

pub(super) fn train(args: TrainArgs, common: &Common) -> Result<()> {
    let config = common.load()?;
    let result = match &args.encoder {
        Some(encoder) => frozen::fit(encoder, &args, &config)?,
        None => fit(&recipe(args)?, &config)?,
    };
    if common.json { output::json(&result) } else { output::line(result.line()) }
}

/// The recipe of a network that is trained from scratch.
fn recipe(args: TrainArgs) -> Result<Recipe> {
    if args.teacher.is_none() && !args.unlabelled.is_empty() {
        return Err(Problems::one("command line", "--unlabelled", "needs --teacher or --encoder").into());
    }
    let options = train_options(&args)?;
    let teaching = teaching(&args);
    let TrainArgs { data, select, dev, dev_select, name, out, .. } = args;
    Ok(Recipe { name, out, data, select, dev, dev_select, options, teaching })
}

fn teaching(args: &TrainArgs) -> Option<Teaching> {
    let defaults = DistillOptions::default();
    let options = DistillOptions {
        soft_share: args.soft_share.unwrap_or(defaults.soft_share),
        temperature: args.temperature.unwrap_or(defaults.temperature),
    };
    let teacher = args.teacher.clone()?;
    Some(Teaching { teacher, unlabelled: args.unlabelled.clone(), options })
}

/// The options of the preset, overridden by the flags and by each `--option`.
fn train_options(args: &TrainArgs) -> Result<TrainOptions> {
    let mut options = TrainOptions::new(
        args.preset.unwrap_or(Preset::Tiny),
        args.tokenization.unwrap_or(Tokenization::Subword),
    );
    options.tokenizer.clone_from(&args.tokenizer);
    let optimisation = &mut options.optimisation;
    optimisation.epochs = args.epochs.unwrap_or(optimisation.epochs);
    optimisation.seed = args.seed.unwrap_or(optimisation.seed);
    let given = args.options.iter().map(|text| key_and_value(text)).collect::<Result<Vec<_>>>()?;
    overlay(&options, given).map_err(|bad| Problems::one("--option", &bad.key, bad.message).into())
}

/// Splits an option of the command line at its `=`.
pub(super) fn key_and_value(text: &str) -> Result<(&str, Value)> {
    let (key, given) = text
        .split_once('=')
        .ok_or_else(|| Problems::one("--option", text, "must have the form KEY=VALUE"))?;
    Ok((key, value(given)))
}

/// The result of a training.
#[derive(Debug, Serialize)]
pub(super) struct FitResult {
    bundle: PathBuf,
    documents: usize,
    rejected: usize,
    report: TrainReport,
}

impl FitResult {
    /// The result as one line for a person.
    pub(super) fn line(&self) -> String {
        let dev = self.report.dev.as_ref().map_or(String::new(), |dev| {
            format!(
                "; on {} held-out documents accuracy {:.4}, macro-F1 {:.4}",
                dev.rows, dev.accuracy, dev.macro_f1
            )
        });
        let baseline = self.report.baseline_accuracy;
        let baseline = baseline.map_or(String::new(), |accuracy| format!(" (a linear SVM: {accuracy:.4})"));
        let experts: String = self.report.experts.iter().filter_map(expert).collect();
        format!(
            "trained on {} documents in {:.0} s{dev}{baseline}{experts}: {}",
            self.report.size.train_rows,
            self.report.seconds,
            self.bundle.display()
        )
    }
}

/// A duration as people say it.
fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// The accuracy of an expert alone; `None` without development rows.
fn expert(expert: &ExpertReport) -> Option<String> {
    Some(format!(", {} alone {:.4}", expert.name, expert.dev_accuracy?))
}

/// Reads and cleans the documents, trains a model, and writes it as a bundle. Progress is printed to standard error.
pub(super) fn fit(recipe: &Recipe, config: &Config) -> Result<FitResult> {
    // Training ends with a check that needs ONNX Runtime. A missing library is reported now and not after the training.
    runtime::load(config.model.onnxruntime.as_deref()).converted()?;
    let plan = compile(&config.clean)?;
    let corpus = corpus::read(&recipe.data, recipe.select.as_ref(), &config.documents, &plan)?;
    let (documents, rejected) = (corpus.documents.len(), corpus.rejected);
    let dev = match recipe.dev.as_slice() {
        [] => None,
        paths => Some(examples(corpus::read(paths, recipe.dev_select.as_ref(), &config.documents, &plan)?)?),
    };
    let preprocessing = Preprocessing::new(&config.clean).to_value()?;
    let train = examples(corpus)?;
    let request = TrainRequest {
        destination: Destination { root: &recipe.out, name: &recipe.name },
        train,
        dev,
        preprocessing,
        options: &recipe.options,
    };
    let reporter = &mut Reporter::default();
    let trained = match &recipe.teaching {
        None => train_model(request, reporter).converted()?,
        Some(teaching) => {
            let teacher = teacher(&teaching.teacher, config)?;
            let unlabelled = match teaching.unlabelled.as_slice() {
                [] => vec![],
                paths => corpus::read(paths, None, &config.documents, &plan)?.documents,
            };
            let unlabelled = unlabelled.into_iter().map(|document| document.text).collect();
            let teaching = DistillRequest { teacher: &teacher, unlabelled, options: teaching.options };
            distill(request, teaching, reporter).converted()?
        }
    };
    Ok(FitResult { bundle: trained.bundle.path().to_path_buf(), documents, rejected, report: trained.report })
}

/// Opens the bundle of a teacher.
///
/// # Errors
/// The bundle cannot be opened, or was trained on documents that were cleaned differently from what `config` says, so
/// that its probabilities would be for other texts.
fn teacher(path: &Path, config: &Config) -> Result<Bundle> {
    let bundle = Bundle::open(path).converted()?;
    let trained = Preprocessing::of_bundle(&bundle)?;
    let configured = config.clean.fingerprint();
    if trained.is_some_and(|trained| agreement(&trained.fingerprint, &configured) == Agreement::Different) {
        return Err(Error::input(format!(
            "the teacher {} was trained on documents that were cleaned differently from what `clean` says",
            bundle.path().display()
        )));
    }
    Ok(bundle)
}

/// Reports the progress of a training: a bar over all batches on a terminal, and one line per epoch.
#[derive(Default)]
pub(super) struct Reporter {
    bar: Option<ProgressBar>,
    epochs: usize,
    epoch: usize,
    /// When the encoder began to read, or when that was last said.
    embedded: Option<Instant>,
}

impl Observer for Reporter {
    fn start(&mut self, run: &RunSize) {
        self.epochs = run.epochs;
        output::note(format!(
            "     {} documents ({} held out), {} labels, {} tokens, vocabulary {}, {:.1} M parameters",
            run.train_rows,
            run.dev_rows,
            run.labels,
            run.train_tokens,
            run.vocabulary,
            run.parameters as f64 / 1e6
        ));
    }

    fn step(&mut self, step: usize, steps: usize, loss: f32) {
        let total = (steps * self.epochs) as u64;
        let bar = self.bar.get_or_insert_with(|| bar(Some(total), "batches"));
        bar.set_position((steps * self.epoch + step) as u64);
        bar.set_message(format!("loss {loss:.3}"));
    }

    fn embedding(&mut self, work: &EmbeddingWork) {
        self.embedded = Some(Instant::now());
        output::note(format!(
            "     the encoder reads {} of {} documents ({} tokens): about {}, with about {} of memory",
            work.missing,
            work.texts,
            work.tokens,
            duration(work.seconds),
            ByteSize(work.memory_bytes).display().si()
        ));
    }

    fn embedded(&mut self, done: usize, missing: usize) {
        let bar = self.bar.get_or_insert_with(|| bar(Some(missing as u64), "documents"));
        bar.set_length(missing as u64);
        bar.set_position(done as u64);
        let is_due = self.embedded.is_none_or(|since| since.elapsed() >= BETWEEN_NOTES);
        if bar.is_hidden() && is_due && done < missing {
            self.embedded = Some(Instant::now());
            output::note(format!("     the encoder has read {done} of {missing} documents"));
        }
        if done == missing {
            bar.finish_and_clear();
            self.bar = None;
        }
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        self.epoch = epoch.epoch;
        let scores = match (epoch.dev_accuracy, epoch.dev_macro_f1) {
            (Some(accuracy), Some(macro_f1)) => {
                format!(", dev accuracy {accuracy:.4}, macro-F1 {macro_f1:.4}")
            }
            _ => String::new(),
        };
        let (number, epochs, loss, seconds) = (epoch.epoch, self.epochs, epoch.train_loss, epoch.seconds);
        let line = format!("     epoch {number}/{epochs}: loss {loss:.4}{scores} ({seconds:.1} s)");
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(line)),
            None => output::note(line),
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn examples(corpus: Corpus) -> Result<Vec<Example>> {
    let unlabelled = |text: &str| {
        let start: String = text.chars().take(40).collect();
        Error::input(format!("document without a label: {start}"))
    };
    let example = |document: corpus::CleanDocument| match document.label {
        Some(label) => Ok(Example { text: document.text, label, group: None }),
        None => Err(unlabelled(&document.text)),
    };
    corpus.documents.into_iter().map(example).collect()
}
