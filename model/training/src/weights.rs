//! Named tensors: all weights of a network, as they are stored in `weights/model.safetensors`.
//!
//! Contract: values are `f32` in row-major order; the matrix of a dense layer is `[inputs, outputs]`. Taking
//! a tensor checks its shape, so that a network is never built from the weights of a different one.

use std::collections::BTreeMap;
use std::path::Path;

use fenliu_model::{ModelError, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The path of the weights in a bundle.
pub(crate) const WEIGHTS_FILE: &str = "weights/model.safetensors";

/// Tensors by name: shape and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Weights(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Weights {
    /// Reads a safetensors file of `f32` tensors.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is invalid, or has a tensor of another type.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        let failed = |problem: String| ModelError::Weights(format!("{}: {problem}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.to_string()))?;
        let mut weights = Self::default();
        for (name, tensor) in tensors.iter() {
            if tensor.dtype() != Dtype::F32 {
                return Err(failed(format!("tensor `{name}` is {:?} but F32 is wanted", tensor.dtype())));
            }
            let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            weights.insert(name, tensor.shape().to_vec(), values);
        }
        Ok(weights)
    }

    /// Adds or replaces a tensor; the number of values must fit the shape.
    pub(crate) fn insert(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        self.0.insert(name.to_owned(), (shape, values));
    }

    /// Removes and returns a tensor.
    ///
    /// # Errors
    ///
    /// It is missing, or has another shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match self.0.remove(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(ModelError::Weights(format!(
                "tensor `{name}` has the shape {found:?} but {shape:?} is wanted"
            ))),
            None => Err(ModelError::Weights(format!("there is no tensor `{name}`"))),
        }
    }

    /// Checks that every tensor was taken.
    ///
    /// # Errors
    ///
    /// One is left.
    pub(crate) fn check_empty(&self) -> Result<()> {
        match self.0.keys().next() {
            Some(name) => Err(ModelError::Weights(format!("tensor `{name}` is of no use to the network"))),
            None => Ok(()),
        }
    }

    /// The content of a safetensors file.
    ///
    /// # Errors
    ///
    /// A shape does not fit its values.
    pub(crate) fn serialize(&self) -> Result<Vec<u8>> {
        let failed = |error: safetensors::SafeTensorError| ModelError::Weights(error.to_string());
        // The views below borrow from these buffers, so all of them live until the file has been serialised.
        let bytes: Vec<Vec<u8>> = self
            .0
            .values()
            .map(|(_, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let mut views = Vec::with_capacity(bytes.len());
        for ((name, (shape, _)), bytes) in self.0.iter().zip(&bytes) {
            views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?));
        }
        safetensors::serialize(views, None).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let mut weights = Weights::default();
        weights.insert("head.weight", vec![2, 3], vec![0.0, 1.5, -2.0, f32::MIN_POSITIVE, 4.0, 5.0]);
        weights.insert("head.bias", vec![3], vec![1.0; 3]);
        weights
    }

    #[test]
    fn written_weights_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        std::fs::write(&path, weights().serialize().unwrap()).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights());
        std::fs::write(&path, b"{}").unwrap();
        let message = Weights::read(&path).unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{message}");
    }

    #[test]
    fn missing_superfluous_and_misshapen_tensors_are_named() {
        let mut weights = weights();
        let message = weights.clone().take("head.weight", &[3, 2]).unwrap_err().to_string();
        assert!(message.contains("`head.weight` has the shape [2, 3] but [3, 2] is wanted"), "{message}");
        let message = weights.take("tail", &[1]).unwrap_err().to_string();
        assert!(message.contains("no tensor `tail`"), "{message}");
        assert_eq!(weights.take("head.bias", &[3]).unwrap(), [1.0; 3]);
        let message = weights.check_empty().unwrap_err().to_string();
        assert!(message.contains("`head.weight` is of no use"), "{message}");
    }
}
