//! The product of experts (Hinton, 2002): a model's logits are the sum of those of experts that fail differently,
//!
//! ```text
//! logits = 0.65 stripped / T1 + 0.4 plain / T2 + 0.35 mean / T3 + 0.3 encoder / T4
//! ```
//!
//! where `stripped` and `plain` are linear and read n-grams of the whole text, scaled by naive Bayes ratios and by inverse
//! document frequencies; `mean` is the mean of weights of tokens and hashed n-grams (the network's side path); and `encoder`
//! is the transformer. Each temperature minimises the negative log-likelihood of the expert alone on the development rows.
//! The weights are constants, because weights that are fitted to rows like the training rows favour the encoder, which is
//! the least accurate expert on text of another source.

mod linear;
mod report;

use fenliu_model::tokenize::Encoding;
use fenliu_model::training_report::ExpertReport;
use fenliu_model::{Evaluation, Probabilities, Result, evaluate};

use crate::corpus::Corpus;
use crate::data::Dataset;
use crate::network::{Buffers, Network};
use crate::ops::add;

pub(crate) use report::report;

pub(crate) use linear::{LinearMembers, LinearStart, OwnedRows, baseline_accuracy};

const MEAN_WEIGHT: f64 = 0.35;
const ENCODER_WEIGHT: f64 = 0.3;

/// Temperatures without development rows: those of a model of 27,000 Chinese headlines.
const MEAN_TEMPERATURE: f64 = 0.66;
const ENCODER_TEMPERATURE: f64 = 0.98;

/// Bounds of one batch of development rows.
const BATCH_TOKENS: usize = 8192;
const BATCH_ROWS: usize = 256;

/// Scales the logits of encoder and side path to their parts in the sum. Returns what they are.
pub(crate) fn scale(network: &mut Network, corpus: &Corpus) -> Vec<ExpertReport> {
    let gold = &corpus.dev.labels;
    let [encoder, mean] = parts(network, &corpus.dev);
    let mean = report("mean", (MEAN_WEIGHT, MEAN_TEMPERATURE), gold, &mean);
    let encoder = report("encoder", (ENCODER_WEIGHT, ENCODER_TEMPERATURE), gold, &encoder);
    let factor = |expert: &ExpertReport| (expert.weight / expert.temperature) as f32;
    network.scale(factor(&encoder), factor(&mean));
    if network.ngrams.is_some() { vec![mean, encoder] } else { vec![encoder] }
}

/// The evaluation of the sum of experts on the development rows; `None` if there are none. `network` is `None` if linear
/// experts are the whole model.
///
/// # Errors
///
/// As [`evaluate`].
pub(crate) fn evaluation(network: Option<&Network>, corpus: &Corpus) -> Result<Option<Evaluation>> {
    let dev = &corpus.dev;
    if dev.documents.is_empty() {
        return Ok(None);
    }
    let zeros = || vec![vec![0.0; corpus.labels.len()]; dev.documents.len()];
    let [encoder, mean] = network.map_or_else(|| [zeros(), zeros()], |network| parts(network, dev));
    let experts = encoder.into_iter().zip(mean).zip(&dev.documents);
    let sum = |((mut logits, mean), document): ((Vec<f32>, Vec<f32>), &Encoding)| {
        add(&mut logits, &mean);
        add(&mut logits, &document.linear);
        Probabilities::from_logits(&logits)
    };
    let probabilities: Vec<Probabilities> = experts.map(sum).collect();
    evaluate(&corpus.labels.ids(), &dev.labels, &probabilities).map(Some)
}

/// The logits of encoder and side path of each document; zeros for a side path that is not there.
fn parts(network: &Network, data: &Dataset) -> [Vec<Vec<f32>>; 2] {
    let labels = network.config.labels;
    let mut buffers = Buffers::default();
    let mut encoder = vec![Vec::new(); data.len()];
    let mut side = vec![vec![0.0; labels]; data.len()];
    for rows in data.plan(BATCH_TOKENS, BATCH_ROWS, None) {
        let batch = data.batch(&rows);
        let mut all = network.logits(&batch, &mut buffers);
        if let Some(sides) = network.side_logits(&batch, &mut buffers) {
            all.iter_mut().zip(&sides).for_each(|(sum, side)| *sum -= side);
            rows.iter()
                .zip(sides.chunks_exact(labels))
                .for_each(|(row, values)| side[*row] = values.to_vec());
        }
        rows.iter().zip(all.chunks_exact(labels)).for_each(|(row, values)| encoder[*row] = values.to_vec());
    }
    [data.of_documents(encoder), data.of_documents(side)]
}
