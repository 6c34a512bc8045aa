//! The progress of a run on disk, from which a run that was killed continues.
//!
//! Contract: the file is replaced by one rename, so a crash leaves either the new checkpoint or the one
//! before. It holds everything that a run changes: trained parameters, the optimiser's moments, the best
//! weights so far, and the position in the run. It also holds a key made of the run's base, data and options.
//! A checkpoint with another key belongs to another run and is ignored.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use fenliu_model::evaluate::Evaluation;
use fenliu_model::training_report::EpochReport;
use fenliu_model::{ModelError, Result};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::tensors::{Tensors, Vector};

/// The position of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The current epoch, counted from 0; the number of epochs when the run is over.
    pub(super) epoch: usize,
    /// Batches of this epoch that have been trained on.
    pub(super) batch: usize,
    /// The bits of the sum of their losses. JSON would round a decimal number, and the run would end
    /// differently.
    pub(super) loss_bits: u64,
    pub(super) epochs: Vec<EpochReport>,
    /// The bits of the best macro-F1 so far, for the same reason.
    pub(super) best_bits: Option<u64>,
    pub(super) kept: Option<(usize, Evaluation)>,
}

/// The checkpoint file of a run.
pub(super) struct Checkpoints {
    path: PathBuf,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    progress: Progress,
}

/// The key of the header in the file's metadata.
const HEADER: &str = "fenliu";

impl Checkpoints {
    /// The checkpoints, in the existing directory `work`, of the run that `key` identifies.
    pub(super) fn new(work: &Path, key: String) -> Self {
        Self { path: work.join("checkpoint.safetensors"), key }
    }

    /// The last checkpoint; `None` if there is no usable checkpoint of this run.
    pub(super) fn load(&self) -> Result<Option<(Progress, Tensors)>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&self.path).map_err(ModelError::io("read", &self.path))?;
        match self.parse(&bytes) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(reason) => {
                tracing::warn!(path = %self.path.display(), reason, "checkpoint ignored, training starts from the beginning");
                Ok(None)
            }
        }
    }

    fn parse(&self, bytes: &[u8]) -> std::result::Result<(Progress, Tensors), String> {
        // The header is read first: a checkpoint of another run is refused without its tensors being copied.
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or("it has no header")?;
        let Header { key, progress } = serde_json::from_str(header).map_err(|error| error.to_string())?;
        if key != self.key {
            return Err("it belongs to a run with another base, other data or other options".to_owned());
        }
        let stored = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let mut tensors = Tensors::default();
        for (name, tensor) in stored.iter() {
            let words = tensor.data().as_chunks().0.iter();
            let vector = match tensor.dtype() {
                Dtype::U32 => Vector::Integers(words.map(|bytes| u32::from_le_bytes(*bytes)).collect()),
                Dtype::F32 => Vector::Floats(words.map(|bytes| f32::from_le_bytes(*bytes)).collect()),
                other => return Err(format!("tensor `{name}` is {other:?}")),
            };
            tensors.insert(name, vector);
        }
        Ok((progress, tensors))
    }

    /// Replaces the last checkpoint.
    pub(super) fn save(&self, progress: &Progress, tensors: &Tensors) -> Result<()> {
        let header = Header { key: self.key.clone(), progress: progress.clone() };
        let header = serde_json::to_string(&header).map_err(ModelError::json(&self.path))?;
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        let new = self.path.with_extension("new");
        safetensors::serialize_to_file(tensors.stored(), Some(metadata), &new)
            .map_err(|error| ModelError::Training(format!("cannot write {}: {error}", new.display())))?;
        // Before the rename: after a power failure, the new name must not lead to a file that is not on disk.
        File::open(&new).and_then(|file| file.sync_all()).map_err(ModelError::io("sync", &new))?;
        std::fs::rename(&new, &self.path).map_err(ModelError::io("rename", &new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Tensors {
        let mut tensors = Tensors::default();
        tensors.insert("a", Vector::Floats(vec![1.5, -0.0]));
        tensors.insert("b", Vector::Floats(Vec::new()));
        tensors.insert("rows", Vector::Integers(vec![7, u32::MAX]));
        tensors
    }

    #[test]
    fn a_checkpoint_is_read_by_the_run_that_wrote_it_only() {
        let work = tempfile::tempdir().unwrap();
        let checkpoints = |key: &str| Checkpoints::new(work.path(), key.to_owned());
        assert!(checkpoints("one").load().unwrap().is_none());
        let mut progress = Progress::default();
        (progress.epoch, progress.batch) = (2, 5);
        checkpoints("one").save(&progress, &tensors()).unwrap();
        let (read, values) = checkpoints("one").load().unwrap().unwrap();
        assert_eq!((read.epoch, read.batch), (2, 5));
        assert_eq!(values, tensors());
        assert!(checkpoints("two").load().unwrap().is_none());
    }

    #[test]
    fn a_damaged_checkpoint_is_ignored() {
        let work = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(work.path(), "one".to_owned());
        checkpoints.save(&Progress::default(), &tensors()).unwrap();
        let path = work.path().join("checkpoint.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..3], &[]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(checkpoints.load().unwrap().is_none());
        }
    }
}
