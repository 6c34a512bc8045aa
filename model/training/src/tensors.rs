//! Named vectors: the weights of the best epoch, and the content of checkpoints.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fenliu_model::{ModelError, Result};
use safetensors::tensor::{Dtype, View};

/// Vectors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tensors(BTreeMap<String, Vector>);

/// One vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Vector {
    /// Values of parameters and moments.
    Floats(Vec<f32>),
    /// Row numbers and counts.
    Integers(Vec<u32>),
}

impl Tensors {
    /// Adds or replaces a vector.
    pub(super) fn insert(&mut self, name: &str, vector: Vector) {
        self.0.insert(name.to_owned(), vector);
    }

    /// Adds all vectors of `others`, with `prefix` before their names.
    pub(super) fn insert_all(&mut self, prefix: &str, others: &Self) {
        self.0.extend(others.0.iter().map(|(name, vector)| (format!("{prefix}{name}"), vector.clone())));
    }

    /// Removes and returns the vectors whose names start with `prefix`, without the prefix.
    pub(super) fn split_off(&mut self, prefix: &str) -> Self {
        let taken = self.0.extract_if(.., |name, _| name.starts_with(prefix));
        Self(taken.map(|(name, vector)| (name[prefix.len()..].to_owned(), vector)).collect())
    }

    /// Removes and returns a vector of `length` floats.
    ///
    /// # Errors
    ///
    /// There is no such vector.
    pub(super) fn floats(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        match self.0.remove(name) {
            Some(Vector::Floats(values)) if values.len() == length => Ok(values),
            _ => Err(ModelError::Training(format!("a checkpoint has no {length} numbers `{name}`"))),
        }
    }

    /// Removes and returns a vector of integers.
    ///
    /// # Errors
    ///
    /// There is no such vector.
    pub(super) fn integers(&mut self, name: &str) -> Result<Vec<u32>> {
        match self.0.remove(name) {
            Some(Vector::Integers(values)) => Ok(values),
            _ => Err(ModelError::Training(format!("a checkpoint has no integers `{name}`"))),
        }
    }

    /// All vectors, to be written to a file.
    pub(super) fn stored(&self) -> impl Iterator<Item = (&String, Stored<'_>)> {
        self.0.iter().map(|(name, vector)| (name, Stored { vector, shape: [vector.len()] }))
    }
}

impl Vector {
    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }
}

/// A vector as the safetensors library writes it.
pub(super) struct Stored<'a> {
    vector: &'a Vector,
    shape: [usize; 1],
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.vector {
            Vector::Floats(_) => Dtype::F32,
            Vector::Integers(_) => Dtype::U32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.vector {
            Vector::Floats(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Vector::Integers(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.vector.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_returned_as_they_were_inserted() {
        let mut inner = Tensors::default();
        inner.insert("a", Vector::Floats(vec![1.0, 2.0]));
        let mut tensors = Tensors::default();
        tensors.insert("rows", Vector::Integers(vec![3]));
        tensors.insert_all("kept/", &inner);
        assert_eq!(tensors.split_off("kept/"), inner);
        assert_eq!(tensors.integers("rows").unwrap(), [3]);
        assert!(inner.clone().floats("a", 3).unwrap_err().to_string().contains("3 numbers `a`"));
        assert_eq!(inner.floats("a", 2).unwrap(), [1.0, 2.0]);
        assert!(inner.floats("a", 2).is_err(), "it was removed");
    }
}
