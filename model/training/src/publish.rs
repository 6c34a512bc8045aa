//! Writing a network into a bundle: weights, ONNX graph, and the check that both give the same logits.

use std::path::Path;

use fenliu_model::batcher::TokenBatch;
use fenliu_model::onnx::ModelProto;
use fenliu_model::session::Session;
use fenliu_model::tokenize::Encoding;
use fenliu_model::{Device, ModelError, Result};
use prost::Message;

use crate::data::Batch;
use crate::network::{Buffers, CONFIG_FILE, Network};
use crate::onnx::encoder_model;
use crate::weights::WEIGHTS_FILE;

/// The graph's path in a bundle.
pub(crate) const ONNX_FILE: &str = "onnx/fp32.onnx";
/// Most bytes of a protocol buffer message.
const GRAPH_LIMIT: usize = i32::MAX as usize;
/// Largest accepted difference between a logit of the network and of ONNX Runtime.
const PARITY_LIMIT: f64 = 1e-4;
/// Number of documents that are compared.
const PARITY_ROWS: usize = 32;

/// Writes `config.json`, the weights and the ONNX graph into `directory`.
pub(crate) fn write_network(network: &Network, directory: &Path) -> Result<()> {
    let config = serde_json::to_vec_pretty(&network.config);
    let path = directory.join(CONFIG_FILE);
    write(&path, &config.map_err(ModelError::json(&path))?)?;
    write(&directory.join(WEIGHTS_FILE), &network.weights().serialize()?)?;
    write_graph(&encoder_model(network)?, &directory.join(ONNX_FILE))
}

/// Writes an ONNX graph.
pub(crate) fn write_graph(model: &ModelProto, path: &Path) -> Result<()> {
    // Checked before encoding: a longer message could be written, but protocol buffers cannot read it back.
    let bytes = model.encoded_len();
    if bytes > GRAPH_LIMIT {
        return Err(ModelError::Training(format!(
            "the ONNX graph has {bytes} bytes but a file holds at most {GRAPH_LIMIT}: the network is too large"
        )));
    }
    write(path, &model.encode_to_vec())
}

/// Writes a file, and creates its directory if necessary.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))?;
    }
    std::fs::write(path, bytes).map_err(ModelError::io("write", path))
}

/// Runs documents of many lengths through the network and the ONNX graph, each alone and all as one batch,
/// and returns the largest difference between two logits.
///
/// # Errors
///
/// The graph does not run, or the difference is above [`PARITY_LIMIT`].
pub(crate) fn check_parity(
    network: &Network,
    directory: &Path,
    documents: &[Encoding],
    pad_id: u32,
) -> Result<f64> {
    let documents = sample(documents);
    let mut session = Session::open(&directory.join(ONNX_FILE), 1, Device::Cpu)?;
    let mut largest = 0.0_f64;
    let mut buffers = Buffers::default();
    // Alone, a document has no padding; in the batch, all but the longest have. Both must give the logits of the
    // network.
    let singles = documents.iter().map(|document| vec![*document]);
    for group in singles.chain([documents.clone()]) {
        let ids: Vec<&[u32]> = group.iter().map(|encoding| encoding.ids.as_slice()).collect();
        let got = session.run(&TokenBatch::pad(&ids, pad_id))?.values;
        let expected = network.logits(&Batch::new(ids), &mut buffers);
        for (expected, got) in expected.iter().zip(&got) {
            let difference = (f64::from(*expected) - f64::from(*got)).abs();
            // `f64::max` would pass over a NaN, which must not count as parity.
            if difference.is_nan() || difference > largest {
                largest = difference;
            }
        }
    }
    if largest.is_nan() || largest > PARITY_LIMIT {
        return Err(ModelError::Training(format!(
            "the exported graph differs from the network by {largest:.2e} but may differ by at most {PARITY_LIMIT:.0e}"
        )));
    }
    Ok(largest)
}

/// Documents evenly spread over all lengths, including the shortest and the longest.
fn sample(documents: &[Encoding]) -> Vec<&Encoding> {
    let mut sorted: Vec<&Encoding> = documents.iter().collect();
    sorted.sort_by_key(|encoding| encoding.ids.len());
    let last = sorted.len().saturating_sub(1);
    let wanted = PARITY_ROWS.min(sorted.len());
    (0..wanted).filter_map(|number| sorted.get(number * last / (wanted - 1).max(1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::architecture::{Activation, Architecture, Head, NormPlacement};
    use crate::features::FeatureLayout;
    use crate::shape::{EncoderShape, NetworkConfig};
    use crate::testing::has_runtime;

    /// Our own architecture, and one of each kind in the BERT family.
    fn architectures() -> Vec<Architecture> {
        let ours = Architecture::default();
        let bert = Architecture {
            norm: NormPlacement::Post,
            norm_epsilon: 1e-12,
            embedding_norm: true,
            head: Head::Mean,
            ..ours
        };
        vec![
            ours,
            bert,
            Architecture { head: Head::FirstToken(Activation::Tanh), ..bert },
            Architecture { head: Head::FirstToken(Activation::Relu), activation: Activation::Relu, ..bert },
            Architecture {
                head: Head::FirstToken(Activation::Gelu),
                activation: Activation::GeluTanh,
                embedding_width: Some(6),
                ..bert
            },
            Architecture { embedding_width: Some(6), norm: NormPlacement::Post, ..ours },
        ]
    }

    #[test]
    fn every_architecture_gives_the_same_logits_in_the_graph() {
        if !has_runtime() {
            return;
        }
        let mut generator = SmallRng::seed_from_u64(3);
        let documents: Vec<Encoding> = (1..12)
            .map(|length| Encoding::new((0..length).map(|_| generator.random_range(0..20)).collect(), false))
            .collect();
        for architecture in architectures() {
            let config = NetworkConfig {
                labels: 3,
                encoder: EncoderShape { layers: 2, width: 8, heads: 2, feed_forward: 16 },
                embedding: FeatureLayout { tokens: 20, bigrams: 0, trigrams: 0, positions: 12 },
                ngrams: None,
                architecture,
            };
            let network = Network::new(config, &mut generator).unwrap();
            let directory = tempfile::tempdir().unwrap();
            write_network(&network, directory.path()).unwrap();
            check_parity(&network, directory.path(), &documents, 0)
                .unwrap_or_else(|error| panic!("{architecture:?}: {error}"));
        }
    }
}
