//! The encoder at work: texts in, vectors out, each text once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fenliu_model::batcher::{BatchOptions, TokenBatch, plan};
use fenliu_model::session::Session;
use fenliu_model::tokenize::{Encoding, Tokenizer};
use fenliu_model::{Device, Result};
use prost::Message;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::FrozenOptions;
use super::cache::{Cache, Key, key};
use super::settings::Settings;
use super::vectors::Vectors;
use crate::import::encoder_features::{OpenEncoder, open_encoder};
use crate::observer::{EmbeddingWork, Observer};
use crate::onnx::SentenceGraph;
use crate::publish;

/// Most tokens of a text if nothing says it: more cost time, and say little more about the class.
const MOST_TOKENS: usize = 512;
/// Bytes that tokenizer, documents and linear experts need, as measured on 27,000 headlines.
const PROGRAM_BYTES: usize = 300 << 20;
/// Bytes that one padded token of a call needs in the widest layers, per unit of the encoder's width.
const ACTIVATION_BYTES: usize = 64;

/// What a bundle says of its encoder.
pub(super) struct Encoder {
    pub(super) graph: SentenceGraph,
    /// What it reads before each text.
    pub(super) prefix: String,
    pub(super) max_tokens: usize,
    /// The name of its family.
    pub(super) family: &'static str,
    /// Number of its weights, without a head.
    pub(super) parameters: u64,
    /// SHA-256 of the graph.
    pub(super) digest: String,
}

/// A pretrained encoder that can be run.
pub(super) struct Embedder {
    pub(super) encoder: Encoder,
    pad_id: u32,
    session: Session,
    cache: Cache,
    batch: BatchOptions,
}

impl Embedder {
    /// Opens the encoder in `directory`, and its tokenizer. Its graph is written to `graph_file`, which may be written again afterwards, and
    /// vectors are kept in the directory `cache`.
    ///
    /// # Errors
    ///
    /// The checkpoint, or a file beside it, is missing, unusable or not implemented; ONNX Runtime cannot run it.
    pub(super) fn open(
        directory: &Path,
        options: &FrozenOptions,
        graph_file: &Path,
        cache: &Path,
    ) -> Result<(Self, Tokenizer)> {
        let settings = Settings::read(directory, options.prefix.as_deref())?;
        let limit = settings.max_tokens.unwrap_or(MOST_TOKENS);
        let OpenEncoder { graph, family, parameters, max_tokens, tokenizer } =
            open_encoder(&settings.checkpoint, options.max_tokens, limit)?;
        let graph = SentenceGraph::new(graph, settings.pooling);
        let digest = write_features(&graph, graph_file)?;
        let session = Session::open(graph_file, options.threads(), Device::Cpu)?;
        let cache = Cache::open(cache, &digest[..32], graph.width())?;
        let encoder = Encoder { graph, prefix: settings.prefix, max_tokens, family, parameters, digest };
        let (pad_id, batch) = (tokenizer.pad_id(), BatchOptions::default());
        Ok((Self { encoder, pad_id, session, cache, batch }, tokenizer))
    }

    /// The token ids of texts, in their order.
    ///
    /// # Errors
    ///
    /// A text cannot be tokenised.
    pub(super) fn encode(&self, tokenizer: &Tokenizer, texts: &[String]) -> Result<Vec<Encoding>> {
        texts
            .par_iter()
            .map(|text| tokenizer.encode_after(&self.encoder.prefix, text, self.encoder.max_tokens))
            .collect()
    }

    /// The vectors of encoded texts, in their order. Only those that the cache lacks are computed.
    ///
    /// # Errors
    ///
    /// ONNX Runtime fails, or the cache cannot be read or written.
    pub(super) fn embed(&mut self, texts: &[Encoding], observer: &mut dyn Observer) -> Result<Vectors> {
        let keys: Vec<Key> = texts.iter().map(|text| key(&text.ids)).collect();
        // By key, so that equal texts are one.
        let missing: HashMap<&Key, &[u32]> = keys
            .iter()
            .zip(texts)
            .filter(|(key, _)| !self.cache.has(key))
            .map(|(key, text)| (key, text.ids.as_slice()))
            .collect();
        let mut missing: Vec<(&Key, &[u32])> = missing.into_iter().collect();
        missing.sort_unstable();
        self.compute(&missing, texts.len(), observer)?;
        Ok(Vectors::new(self.cache.vectors(&keys)?, self.encoder.graph.width()))
    }

    fn compute(
        &mut self,
        missing: &[(&Key, &[u32])],
        texts: usize,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let lengths: Vec<usize> = missing.iter().map(|(_, ids)| ids.len()).collect();
        let mut calls = plan(&lengths, &self.batch);
        let padded = |rows: &Vec<usize>| rows.len() * rows.iter().map(|row| lengths[*row]).max().unwrap_or(0);
        let tokens: usize = calls.iter().map(padded).sum();
        if calls.is_empty() {
            return Ok(());
        }
        // A call of middling length is made first, to say how long the others will take.
        let probe = calls.remove(calls.len() / 2);
        let start = Instant::now();
        self.run(missing, &probe)?;
        let seconds =
            start.elapsed().as_secs_f64() * (tokens - padded(&probe)) as f64 / padded(&probe).max(1) as f64;
        let work = EmbeddingWork {
            texts,
            missing: missing.len(),
            tokens,
            seconds,
            memory_bytes: self.memory_bytes(texts),
        };
        observer.embedding(&work);
        let mut done = probe.len();
        for rows in calls {
            self.run(missing, &rows)?;
            done += rows.len();
            observer.embedded(done, missing.len());
        }
        Ok(())
    }

    fn run(&mut self, missing: &[(&Key, &[u32])], rows: &[usize]) -> Result<()> {
        let ids: Vec<&[u32]> = rows.iter().map(|row| missing[*row].1).collect();
        let vectors = self.session.run(&TokenBatch::pad(&ids, self.pad_id))?;
        let keys = rows.iter().map(|row| missing[*row].0);
        self.cache.append(keys.zip(vectors.values.chunks_exact(vectors.labels)))
    }

    /// About how much memory the process needs: the weights, three times when they are converted, the states of a call, the
    /// vectors with a standardised copy, and the rest of the program.
    fn memory_bytes(&self, texts: usize) -> u64 {
        let width = self.encoder.graph.width();
        let states = self.batch.max_batch_tokens * width * ACTIVATION_BYTES;
        12 * self.encoder.parameters + (PROGRAM_BYTES + states + 8 * texts * width) as u64
    }
}

/// Writes the graph whose output is the vectors; returns its SHA-256.
fn write_features(graph: &SentenceGraph, path: &Path) -> Result<String> {
    let bytes = graph.clone().features().encode_to_vec();
    publish::write(path, &bytes)?;
    Ok(hex::encode(Sha256::digest(&bytes)))
}

/// The directory of vectors beside the models in `root`.
pub(super) fn cache_directory(root: &Path) -> PathBuf {
    root.join(".embeddings")
}
