//! The tensors of a checkpoint by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use fenliu_model::{ModelError, Result};

const SAFETENSORS: &str = "model.safetensors";
const PICKLE: &str = "pytorch_model.bin";

/// Tensors of any type, as they are stored in the file.
pub(super) struct StoredTensors {
    path: PathBuf,
    by_name: HashMap<String, Tensor>,
}

impl StoredTensors {
    /// Reads `model.safetensors` or, if that is not there, `pytorch_model.bin`.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(SAFETENSORS);
        if path.exists() {
            let by_name = candle_core::safetensors::load(&path, &Device::Cpu);
            let by_name =
                by_name.map_err(|error| ModelError::import(directory, format!("{SAFETENSORS}: {error}")))?;
            return Ok(Self::new(path, by_name));
        }
        let path = directory.join(PICKLE);
        if path.exists() {
            let by_name = read_pickle(&path);
            let by_name = by_name.map_err(|error| {
                let advice = "a file of PyTorch before 1.6 or with other objects in it must be saved again";
                ModelError::import(directory, format!("{PICKLE}: {error}; {advice}"))
            })?;
            return Ok(Self::new(path, by_name));
        }
        for shards in [SAFETENSORS, PICKLE].map(|file| format!("{file}.index.json")) {
            if directory.join(&shards).exists() {
                let problem = format!("{shards}: weights in several files are not read; save them in one");
                return Err(ModelError::import(directory, problem));
            }
        }
        Err(ModelError::import(directory, format!("it has neither {SAFETENSORS} nor {PICKLE}")))
    }

    /// Renames the tensors of files that were converted from TensorFlow, where the weight and bias of a
    /// normalisation are called `gamma` and `beta`.
    fn new(path: PathBuf, by_name: HashMap<String, Tensor>) -> Self {
        let renamed = by_name.into_iter().map(|(name, tensor)| {
            let name = match name.rsplit_once('.') {
                Some((layer, "gamma")) => format!("{layer}.weight"),
                Some((layer, "beta")) => format!("{layer}.bias"),
                _ => name,
            };
            (name, tensor)
        });
        Self { path, by_name: renamed.collect() }
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The shape of a matrix.
    pub(super) fn rows_and_columns(&self, name: &str) -> Result<(usize, usize)> {
        self.get(name)?.dims2().map_err(|error| self.problem(name, &error.to_string()))
    }

    /// A tensor as `f32`, which must have this shape.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.get(name)?;
        if tensor.dims() != shape {
            let problem = format!("has the shape {:?} but config.json asks for {shape:?}", tensor.dims());
            return Err(self.problem(name, &problem));
        }
        if !matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16 | DType::F64) {
            return Err(self.problem(name, &format!("is of type {:?}, not floats", tensor.dtype())));
        }
        tensor.to_dtype(DType::F32).map_err(failed)
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.by_name.get(name).ok_or_else(|| self.problem(name, "is not there"))
    }

    fn problem(&self, name: &str, problem: &str) -> ModelError {
        ModelError::import(&self.path, format!("tensor `{name}` {problem}"))
    }
}

/// The error of an operation on tensors. Shapes and types are checked before, so that none is expected.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn failed(error: candle_core::Error) -> ModelError {
    ModelError::Weights(error.to_string())
}

fn read_pickle(path: &Path) -> candle_core::Result<HashMap<String, Tensor>> {
    let file = PthTensors::new(path, None)?;
    let mut by_name = HashMap::new();
    for (name, info) in file.tensor_infos() {
        // A tensor that is a view into a larger storage would be read from the wrong place: candle takes its offset
        // for bytes, but the file gives it in elements.
        if info.layout.start_offset() > 0 {
            candle_core::bail!("tensor `{name}` is a part of another one");
        }
        if let Some(tensor) = file.get(name)? {
            by_name.insert(name.clone(), tensor);
        }
    }
    Ok(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_converted_and_old_names_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let halves = Tensor::new(&[0.5_f32, -2.0], &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap();
        let numbers = Tensor::new(&[1_i64, 2], &Device::Cpu).unwrap();
        let by_name = HashMap::from([("LayerNorm.gamma", halves), ("position_ids", numbers)]);
        candle_core::safetensors::save(&by_name, directory.path().join(SAFETENSORS)).unwrap();
        let tensors = StoredTensors::read(directory.path()).unwrap();
        let values = tensors.take("LayerNorm.weight", &[2]).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [0.5, -2.0]);
        let message = tensors.take("position_ids", &[2]).unwrap_err().to_string();
        assert!(message.contains("tensor `position_ids` is of type I64, not floats"), "{message}");
    }

    #[test]
    fn weights_in_several_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("model.safetensors.index.json"), "{}").unwrap();
        let message = StoredTensors::read(directory.path()).err().unwrap().to_string();
        assert!(message.contains("model.safetensors.index.json: weights in several files"), "{message}");
    }
}
