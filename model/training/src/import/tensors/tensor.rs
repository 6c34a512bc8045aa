//! A tensor in memory, with what the conversion of a checkpoint does to one.

/// A tensor of a checkpoint. Its values are in row-major order, as many as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::import) struct Tensor {
    pub(in crate::import) shape: Vec<usize>,
    pub(in crate::import) values: Vec<f32>,
}

impl Tensor {
    /// Tensors one after the other along their first axis; they have the same shape but for it.
    pub(in crate::import) fn concatenated(parts: &[Self]) -> Self {
        let mut shape = parts.first().map(|part| part.shape.clone()).unwrap_or_default();
        if let Some(rows) = shape.first_mut() {
            *rows = parts.iter().map(|part| part.shape[0]).sum();
        }
        Self { shape, values: parts.iter().flat_map(|part| &part.values).copied().collect() }
    }

    /// A matrix with rows and columns exchanged.
    pub(in crate::import) fn transposed(&self) -> Self {
        let (rows, columns) = (self.shape[0], self.shape[1]);
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..columns {
            values.extend((0..rows).map(|row| self.values[row * columns + column]));
        }
        Self { shape: vec![columns, rows], values }
    }

    /// The rows of a matrix from `first` on.
    pub(in crate::import) fn rows_from(mut self, first: usize) -> Self {
        let columns = self.shape[1];
        self.values.drain(..first * columns);
        self.shape[0] -= first;
        self
    }

    /// Adds a vector to each row of a matrix.
    pub(in crate::import) fn add_to_rows(&mut self, vector: &[f32]) {
        for row in self.values.chunks_exact_mut(vector.len()) {
            for (value, added) in row.iter_mut().zip(vector) {
                *value += added;
            }
        }
    }
}
