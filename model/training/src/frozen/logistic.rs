//! Multinomial logistic regression on the vectors of texts.
//!
//! Vectors are standardised: each component less its mean over the training rows, divided by its standard deviation
//! there. The weights W and biases b minimise
//!
//! ```text
//! |W|² / 2 + C Σ_i −log softmax(W x_i + b)[label_i]
//! ```
//!
//! so that C means what it does in scikit-learn. Mean and deviation are then made part of weights and biases.

use rayon::prelude::*;

use super::minimise::minimise;
use super::vectors::Vectors;

/// Rows whose gradients are summed on one thread. A constant, so that the result does not depend on the number of
/// threads.
const CHUNK: usize = 256;
/// A component that varies less is a constant, and only its mean is subtracted.
const SMALLEST_DEVIATION: f32 = 1e-6;

/// A linear classifier over vectors: `logits = vector · weight + bias`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearHead {
    /// Row-major `[width, labels]`.
    pub(crate) weight: Vec<f32>,
    /// One for each label.
    pub(crate) bias: Vec<f32>,
}

impl LinearHead {
    /// Fits the head to rows and the indices of their labels.
    pub(super) fn fit(vectors: &Vectors, labels: &[usize], classes: usize, cost: f64) -> Self {
        let scaling = Scaling::of(vectors);
        let inputs = scaling.apply(vectors);
        let width = vectors.width();
        let problem = Problem { inputs: &inputs, labels, classes, cost };
        let solution = minimise(vec![0.0; classes * (width + 1)], |at| problem.at(at));
        scaling.head(&solution, classes)
    }

    /// The logits of a vector.
    pub(crate) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let mut logits = self.bias.clone();
        for (value, weights) in vector.iter().zip(self.weight.chunks_exact(self.bias.len())) {
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
        }
        logits
    }

    /// Multiplies all logits.
    pub(super) fn scale(&mut self, factor: f32) {
        self.weight.iter_mut().chain(&mut self.bias).for_each(|value| *value *= factor);
    }
}

/// Mean and standard deviation of each component.
struct Scaling {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Scaling {
    fn of(vectors: &Vectors) -> Self {
        let mean = vectors.mean();
        let mut squares = vec![0.0_f64; vectors.width()];
        for row in vectors.rows() {
            let differences = row.iter().zip(&mean).map(|(value, mean)| f64::from(value - mean));
            squares.iter_mut().zip(differences).for_each(|(sum, difference)| *sum += difference * difference);
        }
        let count = vectors.len().max(1) as f64;
        let deviation = squares.into_iter().map(|square| (square / count).sqrt() as f32);
        let deviation = deviation.map(|value| if value < SMALLEST_DEVIATION { 1.0 } else { value }).collect();
        Self { mean, deviation }
    }

    fn apply(&self, vectors: &Vectors) -> Vectors {
        let mut scaled = vectors.clone();
        for row in scaled.rows_mut() {
            for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *value = (*value - mean) / deviation;
            }
        }
        scaled
    }

    /// The head over vectors as they are, from weights and biases over standardised ones: for each class its weights and
    /// then its bias.
    fn head(&self, solution: &[f64], classes: usize) -> LinearHead {
        let width = self.mean.len();
        let planes: Vec<&[f64]> = solution.chunks_exact(width + 1).collect();
        let weight =
            |component: usize, class: usize| planes[class][component] / f64::from(self.deviation[component]);
        let bias = |class: usize| {
            let shift: f64 = (0..width).map(|i| weight(i, class) * f64::from(self.mean[i])).sum();
            (planes[class][width] - shift) as f32
        };
        let weights = (0..width).flat_map(|i| (0..classes).map(move |class| (i, class)));
        LinearHead {
            weight: weights.map(|(i, class)| weight(i, class) as f32).collect(),
            bias: (0..classes).map(bias).collect(),
        }
    }
}

/// The objective, divided by C times the number of rows: the mean loss, and a penalty.
struct Problem<'a> {
    inputs: &'a Vectors,
    labels: &'a [usize],
    classes: usize,
    cost: f64,
}

impl Problem<'_> {
    /// Value and gradient at these weights and biases.
    fn at(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let planes: Vec<f32> = at.iter().map(|value| *value as f32).collect();
        let rows = self.inputs.len();
        // Collected and then added in order: the sum of floats depends on the order.
        let parts: Vec<(f64, Vec<f32>)> = (0..rows.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| self.part(&planes, chunk * CHUNK..rows.min((chunk + 1) * CHUNK)))
            .collect();
        let penalty = 1.0 / (self.cost * rows as f64);
        let mut value = 0.0;
        let mut gradient = vec![0.0; at.len()];
        for (loss, part) in parts {
            value += loss / rows as f64;
            gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(part) / rows as f64);
        }
        let width = self.inputs.width();
        for (place, weight) in at.iter().enumerate().filter(|(place, _)| place % (width + 1) < width) {
            value += penalty * weight * weight / 2.0;
            gradient[place] += penalty * weight;
        }
        (value, gradient)
    }

    /// The summed loss of some rows, and its gradient.
    fn part(&self, planes: &[f32], rows: std::ops::Range<usize>) -> (f64, Vec<f32>) {
        let width = self.inputs.width();
        let mut loss = 0.0;
        let mut gradient = vec![0.0_f32; planes.len()];
        let mut errors = vec![0.0_f32; self.classes];
        for row in rows {
            let input = self.inputs.row(row);
            for (error, plane) in errors.iter_mut().zip(planes.chunks_exact(width + 1)) {
                *error = dot(&plane[..width], input) + plane[width];
            }
            loss += softmax_loss(&mut errors, self.labels[row]);
            for (error, gradient) in errors.iter().zip(gradient.chunks_exact_mut(width + 1)) {
                gradient[..width].iter_mut().zip(input).for_each(|(sum, value)| *sum += error * value);
                gradient[width] += error;
            }
        }
        (loss, gradient)
    }
}

/// The negative log-likelihood of `label`; `logits` become its gradient.
fn softmax_loss(logits: &mut [f32], label: usize) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let gold = logits[label] - highest;
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|value| *value /= sum);
    logits[label] -= 1.0;
    f64::from(sum.ln() - gold)
}

/// In eight sums, which the compiler turns into vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left_chunks, right_chunks) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f32 =
        left_chunks.remainder().iter().zip(right_chunks.remainder()).map(|(left, right)| left * right).sum();
    for (left, right) in left_chunks.zip(right_chunks) {
        sums.iter_mut().zip(left.iter().zip(right)).for_each(|(sum, (left, right))| *sum += left * right);
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::random;

    /// Rows whose label is that of the larger of the first three components, which have other scales.
    fn rows() -> (Vectors, Vec<usize>) {
        let mut values = random(300 * 5, 3);
        let mut labels = Vec::new();
        for row in values.chunks_exact_mut(5) {
            let best = (0..3).max_by(|left, right| row[*left].total_cmp(&row[*right])).unwrap();
            labels.push(best);
            row[1] = row[1] * 100.0 + 7.0;
            row[4] = 0.25;
        }
        (Vectors::new(values, 5), labels)
    }

    #[test]
    fn rows_that_can_be_told_apart_are_and_scales_do_not_matter() {
        let (vectors, labels) = rows();
        let head = LinearHead::fit(&vectors, &labels, 3, 1.0);
        let right = vectors.rows().zip(&labels).filter(|(row, label)| {
            let logits = head.logits(row);
            logits.iter().all(|logit| *logit <= logits[**label])
        });
        assert!(right.count() > 285);
        assert!(head.weight.iter().all(|weight| weight.is_finite()));
    }

    #[test]
    fn at_the_solution_the_objective_is_flat_and_its_gradient_is_the_difference_quotient() {
        let (vectors, labels) = rows();
        let problem = Problem { inputs: &vectors, labels: &labels, classes: 3, cost: 0.1 };
        let at: Vec<f64> = random(18, 9).iter().map(|value| f64::from(*value) / 100.0).collect();
        let (_, gradient) = problem.at(&at);
        for (place, slope) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut at = at.clone();
                at[place] += by;
                problem.at(&at).0
            };
            let quotient = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((slope - quotient).abs() < 2e-3 * (1.0 + slope.abs()), "{place}: {slope} {quotient}");
        }
    }

    #[test]
    fn a_smaller_cost_gives_smaller_weights() {
        let (vectors, labels) = rows();
        let size = |cost| -> f32 {
            LinearHead::fit(&vectors, &labels, 3, cost).weight.iter().map(|weight| weight * weight).sum()
        };
        assert!(size(1e-4) < size(1e-2) && size(1e-2) < size(1.0));
    }
}
