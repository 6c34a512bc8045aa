//! What is checked of a graph before it is published.

use std::path::Path;

use fenliu_model::batcher::TokenBatch;
use fenliu_model::session::Session;
use fenliu_model::tokenize::{Encoding, Tokenizer};
use fenliu_model::{Device, ModelError, Result};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::network::Network;
use crate::publish::{PARITY_LIMIT, check_parity, largest_difference};

/// Tokens of the longest text of a batch with many lengths.
const SHORT: usize = 48;
/// Most tokens of a text that a graph without a network is tried with. Attention over all 8192 positions of a ModernBERT
/// would take minutes and gigabytes.
const LONG: usize = 1024;

/// Compares the logits of random documents: many short lengths in one batch, and the longest possible one
/// alone.
pub(super) fn parity(
    network: &Network,
    directory: &Path,
    tokenizer: &Tokenizer,
    max_tokens: usize,
    generator: &mut SmallRng,
) -> Result<f64> {
    // Many lengths in one batch test padding and masks; the longest text alone tests that all positions are there.
    let short = documents(tokenizer, max_tokens, generator);
    let long = [document(tokenizer, max_tokens, generator)];
    let short = check_parity(network, directory, &short, tokenizer.pad_id())?;
    Ok(short.max(check_parity(network, directory, &long, tokenizer.pad_id())?))
}

/// Runs a graph on random documents of many lengths; returns the largest difference between a logit of a document alone
/// and in a batch with padding.
///
/// # Errors
///
/// The graph does not run, or the difference is above [`PARITY_LIMIT`].
pub(super) fn check_padding(graph: &Path, tokenizer: &Tokenizer, max_tokens: usize) -> Result<f64> {
    let mut generator = SmallRng::seed_from_u64(0);
    let mut session = Session::open(graph, 1, Device::Cpu)?;
    let mut run = |documents: &[Encoding]| -> Result<Vec<f32>> {
        let rows: Vec<&[u32]> = documents.iter().map(|document| document.ids.as_slice()).collect();
        Ok(session.run(&TokenBatch::pad(&rows, tokenizer.pad_id()))?.values)
    };
    let documents = documents(tokenizer, max_tokens, &mut generator);
    let together = run(&documents)?;
    let mut alone = Vec::with_capacity(together.len());
    for document in &documents {
        alone.extend(run(std::slice::from_ref(document))?);
    }
    run(&[document(tokenizer, max_tokens.min(LONG), &mut generator)])?;
    let largest = largest_difference(&alone, &together);
    if largest.is_nan() || largest > PARITY_LIMIT {
        return Err(ModelError::Training(format!(
            "the graph's logits of a text change by {largest:.2e} with the other texts of a batch but may change by at \
             most {PARITY_LIMIT:.0e}"
        )));
    }
    Ok(largest)
}

fn documents(tokenizer: &Tokenizer, max_tokens: usize, generator: &mut SmallRng) -> Vec<Encoding> {
    let lengths = (1..=max_tokens.min(SHORT)).step_by(4);
    lengths.map(|length| document(tokenizer, length, generator)).collect()
}

fn document(tokenizer: &Tokenizer, length: usize, generator: &mut SmallRng) -> Encoding {
    let vocabulary = tokenizer.vocab_size() as u32;
    Encoding::new((0..length).map(|_| generator.random_range(0..vocabulary)).collect(), false)
}
