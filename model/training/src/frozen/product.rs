//! The experts over vectors, and their parts in the sum.

use std::path::Path;

use fenliu_model::batcher::TokenBatch;
use fenliu_model::session::Session;
use fenliu_model::tokenize::Encoding;
use fenliu_model::training_report::ExpertReport;
use fenliu_model::{
    Device, Evaluation, ModelError, PAD_ID, Probabilities, Result, Tokenizer, ZeroShotPart, best_temperature,
    evaluate,
};

use super::folds::out_of_fold;
use super::stage::Inputs;
use super::vectors::Vectors;
use super::{FrozenOptions, LinearHead, NamesHead};
use crate::corpus::Corpus;
use crate::experts::{LinearMembers, report};
use crate::onnx::{Heads, SentenceGraph};
use crate::ops::add;
use crate::publish;

/// C of the logistic regression by the rows of a class: below each bound, and above all bounds.
const COSTS: [(usize, f64); 2] = [(32, 0.03), (300, 0.01)];
const COST: f64 = 1e-3;
/// The weight of the logistic regression beside linear experts, which are better on text like the training text and know
/// nothing of the encoder's mistakes; alone it is 1.
const LEARNT_WEIGHT: f64 = 0.5;
/// The factor of the names' logits beside few rows.
const NAMES_WEIGHT: f32 = 0.5;
/// The same beside many rows, for a text without any familiar n-gram.
const MOST_NAMES_WEIGHT: f64 = 1.3;
/// Fewer held-out documents do not tell how familiar a text usually is.
const FEWEST_FOR_FAMILIARITY: usize = 100;
/// Smaller deviations of the share of familiar n-grams are rounding errors.
const SMALLEST_DEVIATION: f64 = 1e-6;
/// Largest accepted difference between a logit of the graph and of the vectors.
const PARITY_LIMIT: f64 = 1e-3;
/// About how many documents are compared.
const PARITY_ROWS: usize = 32;

/// The experts over vectors, with their parts in the sum.
pub(super) struct Product {
    labels: usize,
    learnt: Option<LinearHead>,
    names: Option<NamesHead>,
    /// How much the names count, if that depends on the text.
    pub(super) part: Option<ZeroShotPart>,
    pub(super) reports: Vec<ExpertReport>,
}

impl Product {
    pub(super) fn fit(
        vectors: &Inputs,
        corpus: &mut Corpus,
        members: Option<&LinearMembers>,
        options: &FrozenOptions,
    ) -> Self {
        let labels = corpus.labels.len();
        let mut product = Self { labels, learnt: None, names: None, part: None, reports: Vec::new() };
        if vectors.train.len() > 0 {
            product.learn(vectors, corpus, if members.is_some() { LEARNT_WEIGHT } else { 1.0 }, options);
        }
        if let Some(classes) = &vectors.classes {
            let documents = if vectors.unlabelled.len() > 0 { &vectors.unlabelled } else { &vectors.train };
            let names = NamesHead::new(classes, documents.mean()).refined(documents, options.rounds);
            product.add_names(names, vectors, corpus, members);
        }
        product
    }

    fn learn(&mut self, vectors: &Inputs, corpus: &Corpus, weight: f64, options: &FrozenOptions) {
        let rows = &corpus.train.labels;
        let by_rows = COSTS.iter().find(|(bound, _)| rows.len() < bound * self.labels);
        let cost = options.cost.unwrap_or(by_rows.map_or(COST, |(_, cost)| *cost));
        let mut head = LinearHead::fit(&vectors.train, rows, self.labels, cost);
        let logits: Vec<Vec<f32>> = vectors.dev.rows().map(|row| head.logits(row)).collect();
        let fallback = || {
            let unseen = out_of_fold(&vectors.train, rows, self.labels, cost, options.seed);
            unseen.map_or(1.0, |logits| best_temperature(rows, &logits))
        };
        let temperature = if corpus.dev.labels.is_empty() { fallback() } else { 1.0 };
        let report = report("pretrained encoder", (weight, temperature), &corpus.dev.labels, &logits);
        head.scale((weight / report.temperature) as f32);
        self.learnt = Some(head);
        self.reports.push(report);
    }

    fn add_names(
        &mut self,
        mut names: NamesHead,
        vectors: &Inputs,
        corpus: &mut Corpus,
        members: Option<&LinearMembers>,
    ) {
        let logits: Vec<Vec<f32>> = vectors.dev.rows().map(|row| names.logits(row)).collect();
        let shares = members.and_then(|members| members.familiarity(&corpus.dev_texts));
        self.part = shares.as_ref().and_then(|(file, shares)| part(file, shares));
        if let (Some(part), Some((_, shares))) = (&self.part, shares) {
            let factors = shares.into_iter().map(|share| part.factor(share));
            corpus
                .dev
                .documents
                .iter_mut()
                .zip(factors)
                .for_each(|(document, factor)| document.zero_shot = factor);
        } else if self.learnt.is_some() {
            names.scale(NAMES_WEIGHT);
        }
        let weight = match (&self.part, &self.learnt) {
            (Some(part), _) => part.most,
            (None, Some(_)) => f64::from(NAMES_WEIGHT),
            (None, None) => 1.0,
        };
        let report = report("class names", (weight, 1.0), &corpus.dev.labels, &logits);
        // The logits are as they should be: a temperature fitted to text like the training text would make the names surer.
        self.reports.push(ExpertReport { temperature: 1.0, ..report });
        self.names = Some(names);
    }

    /// Number of weights of the classifiers.
    pub(super) fn parameters(&self) -> u64 {
        let learnt = self.learnt.as_ref().map_or(0, |head| head.weight.len() + head.bias.len());
        let names = self.names.as_ref().map_or(0, |head| head.directions.len() + head.centre.len());
        (learnt + names) as u64
    }

    /// The two outputs of the graph for a vector.
    fn outputs(&self, vector: &[f32]) -> [Vec<f32>; 2] {
        let learnt = self.learnt.as_ref().map(|head| head.logits(vector));
        let names = self.names.as_ref().map(|head| head.logits(vector));
        match (learnt, names) {
            (Some(learnt), Some(names)) if self.part.is_some() => [learnt, names],
            (Some(mut learnt), Some(names)) => {
                add(&mut learnt, &names);
                [learnt, Vec::new()]
            }
            (logits, names) => [logits.or(names).unwrap_or_default(), Vec::new()],
        }
    }

    /// The evaluation of the sum of all experts on the development rows; `None` if there are none.
    pub(super) fn evaluation(&self, corpus: &Corpus, vectors: &Vectors) -> Result<Option<Evaluation>> {
        if corpus.dev.documents.is_empty() {
            return Ok(None);
        }
        let sum = |(document, vector): (&Encoding, &[f32])| {
            let [mut logits, names] = self.outputs(vector);
            logits.iter_mut().zip(names).for_each(|(sum, name)| *sum += document.zero_shot * name);
            logits.iter_mut().zip(&document.linear).for_each(|(sum, other)| *sum += other);
            Probabilities::from_logits(&logits)
        };
        let probabilities: Vec<Probabilities> =
            corpus.dev.documents.iter().zip(vectors.rows()).map(sum).collect();
        evaluate(&corpus.labels.ids(), &corpus.dev.labels, &probabilities).map(Some)
    }

    /// Writes the graph of encoder and classifiers. Returns the largest difference between its outputs and those of the
    /// classifiers for the vectors that they were fitted to.
    pub(super) fn write(
        &self,
        graph: SentenceGraph,
        file: &Path,
        corpus: &Corpus,
        vectors: &Inputs,
    ) -> Result<f64> {
        let heads = Heads {
            labels: self.labels,
            learnt: self.learnt.as_ref(),
            names: self.names.as_ref(),
            names_apart: self.part.is_some(),
        };
        publish::write_graph(&graph.classifier(&heads), file)?;
        let mut session = Session::open(file, 1, Device::Cpu)?;
        let pad_id = corpus.tokenizer.as_ref().map_or(PAD_ID, Tokenizer::pad_id);
        let known = corpus.train.documents.iter().zip(vectors.train.rows());
        let mut largest = 0.0_f64;
        let step = (vectors.train.len() / PARITY_ROWS).max(1);
        for (document, vector) in known.step_by(step) {
            let got = session.run(&TokenBatch::pad(&[&document.ids], pad_id))?;
            for (got, expected) in
                [got.values, got.zero_shot].iter().flatten().zip(self.outputs(vector).iter().flatten())
            {
                largest = largest.max(f64::from((got - expected).abs()));
            }
        }
        if largest > PARITY_LIMIT {
            return Err(ModelError::Training(format!(
                "the graph differs from its classifiers by {largest:.2e} but may differ by at most {PARITY_LIMIT:.0e}"
            )));
        }
        Ok(largest)
    }
}

/// How much the names count by the share of familiar n-grams; `None` if that is known of too few documents, or is the same
/// for all.
fn part(file: &str, shares: &[f64]) -> Option<ZeroShotPart> {
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let deviation = (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / count).sqrt();
    let is_usable = shares.len() >= FEWEST_FOR_FAMILIARITY && deviation > SMALLEST_DEVIATION;
    let part = ZeroShotPart { familiar_to: file.to_owned(), mean, deviation, most: MOST_NAMES_WEIGHT };
    is_usable.then_some(part)
}
