//! From a trained network to a bundle: weights, ONNX graph, proof that both agree, descriptions.

use std::path::Path;

use prost::Message;

use super::data::Batch;
use super::network::{CONFIG_FILE, Network};
use super::weights::WEIGHTS_FILE;
use crate::batcher::TokenBatch;
use crate::error::{ModelError, Result};
use crate::onnx::encoder_model;
use crate::session::Session;
use crate::tokenize::Encoding;

/// Where the graph lies in a bundle.
pub(super) const ONNX_FILE: &str = "onnx/fp32.onnx";
/// Largest accepted difference between a logit of candle and of ONNX Runtime.
const PARITY_LIMIT: f64 = 1e-4;
/// Documents compared.
const PARITY_ROWS: usize = 32;

/// Writes `config.json`, the weights and the ONNX graph into `directory`.
pub(super) fn write_network(network: &Network, directory: &Path) -> Result<()> {
    let config = serde_json::to_vec_pretty(&network.config);
    let path = directory.join(CONFIG_FILE);
    write(&path, &config.map_err(ModelError::json(&path))?)?;
    write(&directory.join(WEIGHTS_FILE), &network.weights()?.serialize()?)?;
    let model = encoder_model(network)?.encode_to_vec();
    write(&directory.join(ONNX_FILE), &model)
}

/// Writes a file, making its directory.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))?;
    }
    std::fs::write(path, bytes).map_err(ModelError::io("write", path))
}

/// Runs documents of many lengths through candle and through the ONNX graph, one by one and as one
/// batch, and returns the largest difference of two logits.
///
/// # Errors
///
/// The graph does not run, or the difference is above [`PARITY_LIMIT`].
pub(super) fn check_parity(
    network: &Network,
    directory: &Path,
    documents: &[Encoding],
    pad_id: u32,
) -> Result<f64> {
    let documents = sample(documents);
    let mut session = Session::open(&directory.join(ONNX_FILE), 1)?;
    let mut largest = 0.0_f64;
    let singles = documents.iter().map(|document| vec![*document]);
    for group in singles.chain([documents.clone()]) {
        let batch = Batch::new(group.iter().map(|encoding| encoding.ids.as_slice()).collect());
        let expected = network.logits(&batch)?;
        let expected = expected.flatten_all()?.to_vec1::<f32>()?;
        let got = session.run(&TokenBatch::pad(&group, pad_id))?.values;
        for (expected, got) in expected.iter().zip(&got) {
            largest = largest.max((f64::from(*expected) - f64::from(*got)).abs());
        }
    }
    if largest > PARITY_LIMIT {
        return Err(ModelError::Training(format!(
            "the exported graph differs from the network by {largest:.2e} but at most {PARITY_LIMIT:.0e} is accepted"
        )));
    }
    Ok(largest)
}

/// Documents spread evenly over all lengths, shortest and longest included.
fn sample(documents: &[Encoding]) -> Vec<&Encoding> {
    let mut sorted: Vec<&Encoding> = documents.iter().collect();
    sorted.sort_by_key(|encoding| encoding.ids.len());
    let last = sorted.len().saturating_sub(1);
    let wanted = PARITY_ROWS.min(sorted.len());
    (0..wanted).filter_map(|number| sorted.get(number * last / (wanted - 1).max(1)).copied()).collect()
}
