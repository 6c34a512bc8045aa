//! The vectors of many texts.

/// Vectors of the same length, one after another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vectors {
    values: Vec<f32>,
    width: usize,
}

impl Vectors {
    /// Vectors of `width` values each; `width` is above 0.
    pub(super) fn new(values: Vec<f32>, width: usize) -> Self {
        Self { values, width }
    }

    /// Number of vectors.
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Length of each.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The vector of a text.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.width)
    }

    /// The vectors at these places.
    pub(super) fn select(&self, rows: &[usize]) -> Self {
        Self { values: rows.iter().flat_map(|row| self.row(*row)).copied().collect(), width: self.width }
    }

    /// The mean of all vectors; zeros if there are none.
    pub(super) fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.width];
        for row in self.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let count = self.len().max(1) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    }
}

/// Divides a vector by its length; a vector of zeros stays as it is.
pub(super) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// `left - right`, divided by its length.
pub(super) fn direction(left: &[f32], right: &[f32]) -> Vec<f32> {
    let mut difference: Vec<f32> = left.iter().zip(right).map(|(left, right)| left - right).collect();
    normalise(&mut difference);
    difference
}
