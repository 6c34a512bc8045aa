//! Multi-head self-attention over packed queries, keys and values (Vaswani et al., 2017).
//!
//! `softmax(q k^T / sqrt(head width)) v` within each document and head. The backward pass computes the
//! softmax again instead of storing it, so that the memory of a step does not grow with the square of the
//! length.

use rayon::prelude::*;

use super::exp::exp;
use super::matmul::{Matrix, Threads, Write, multiply};
use super::vector::{largest, sum, sum_of, vectorised};

/// The sizes of the attention of one document.
#[derive(Clone, Copy)]
struct Document {
    length: usize,
    width: usize,
    head_width: usize,
    scale: f32,
}

impl Document {
    /// Queries (0), keys (1) or values (2) of one head: `[length, head width]`.
    fn part<'a>(&self, packed: &'a [f32], part: usize, head: usize) -> Matrix<'a> {
        let start = part * self.width + head * self.head_width;
        Matrix::new(&packed[start..], self.length, self.head_width, 3 * self.width)
    }

    /// The attention probabilities of one head, `[length, length]`, into `out`.
    fn probabilities(&self, packed: &[f32], head: usize, out: &mut [f32]) {
        let (queries, keys) = (self.part(packed, 0, head), self.part(packed, 1, head));
        // The scale is applied in the product, at no cost.
        multiply(out, self.length, queries, keys.transposed(), self.scale, Write::Set, Threads::One);
        vectorised(|| {
            for row in out.chunks_exact_mut(self.length) {
                // Subtracting the largest score changes nothing in the quotient and keeps the exponentials from
                // overflowing.
                let top = largest(row);
                row.iter_mut().for_each(|value| *value = exp(*value - top));
                let inverse = 1.0 / sum(row);
                row.iter_mut().for_each(|value| *value *= inverse);
            }
        });
    }

    fn new(length: usize, width: usize, heads: usize) -> Self {
        let head_width = width / heads;
        Self { length, width, head_width, scale: 1.0 / (head_width as f32).sqrt() }
    }
}

/// Attention of every document: `packed` is `[tokens, 3 * width]`, queries, keys and values side by side, the
/// tokens of document `i` at `starts[i]..starts[i + 1]`; `out` is `[tokens, width]`.
pub(crate) fn attention(packed: &[f32], starts: &[usize], width: usize, heads: usize, out: &mut [f32]) {
    // A task for each document, with products on one thread: documents are independent, and their score matrices
    // are small.
    let tasks = documents(out, starts, width);
    tasks.into_par_iter().for_each_init(Vec::new, |probabilities, (start, out)| {
        let document = Document::new(out.len() / width, width, heads);
        let packed = &packed[start * 3 * width..][..3 * out.len()];
        // The buffer keeps values of the document before; every element is overwritten below.
        probabilities.resize(document.length * document.length, 0.0);
        for head in 0..heads {
            document.probabilities(packed, head, probabilities);
            let weights = Matrix::new(probabilities, document.length, document.length, document.length);
            let values = document.part(packed, 2, head);
            let out = &mut out[head * document.head_width..];
            multiply(out, width, weights, values, 1.0, Write::Set, Threads::One);
        }
    });
}

/// Writes the gradient of `packed` to `out`, given that of the output.
pub(crate) fn attention_backward(
    packed: &[f32],
    starts: &[usize],
    width: usize,
    heads: usize,
    gradient: &[f32],
    out: &mut [f32],
) {
    let tasks = documents(out, starts, 3 * width);
    tasks.into_par_iter().for_each_init(Scratch::default, |scratch, (start, out)| {
        let length = out.len() / (3 * width);
        let document = Document::new(length, width, heads);
        let packed = &packed[start * 3 * width..][..out.len()];
        let gradient = &gradient[start * width..][..length * width];
        scratch.resize(length * length);
        for head in 0..heads {
            head_backward(&document, head, packed, gradient, out, scratch);
        }
    });
}

/// Splits `out` into the parts of the documents, each with the number of its first token.
fn documents<'a>(mut out: &'a mut [f32], starts: &[usize], width: usize) -> Vec<(usize, &'a mut [f32])> {
    let mut parts = Vec::with_capacity(starts.len());
    for bounds in starts.windows(2) {
        let (part, rest) = out.split_at_mut((bounds[1] - bounds[0]) * width);
        parts.push((bounds[0], part));
        out = rest;
    }
    parts
}

/// Two `[length, length]` buffers, reused over heads and documents.
#[derive(Default)]
struct Scratch {
    probabilities: Vec<f32>,
    scores: Vec<f32>,
}

impl Scratch {
    fn resize(&mut self, size: usize) {
        self.probabilities.resize(size, 0.0);
        self.scores.resize(size, 0.0);
    }
}

/// Writes the gradients of the queries, keys and values of one head to `out`, packed like the input.
fn head_backward(
    document: &Document,
    head: usize,
    packed: &[f32],
    gradient: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let Document { length, width, head_width, scale } = *document;
    let gradient = Matrix::new(&gradient[head * head_width..], length, head_width, width);
    document.probabilities(packed, head, &mut scratch.probabilities);
    let square = |values| Matrix::new(values, length, length, length);
    let part = |part| document.part(packed, part, head);
    let stride = 3 * width;
    let mut write = |part: usize, left, right, alpha| {
        let start = part * width + head * head_width;
        multiply(&mut out[start..], stride, left, right, alpha, Write::Set, Threads::One);
    };

    // Values: `dV = P^T dO`. Scores: `dP = dO V^T`, then through the softmax. Queries and keys: `dQ = dS K` and
    // `dK = dS^T Q`, both times the scale that the scores were multiplied by.
    write(2, square(&scratch.probabilities).transposed(), gradient, 1.0);
    multiply(&mut scratch.scores, length, gradient, part(2).transposed(), 1.0, Write::Set, Threads::One);
    // The derivative of a softmax: p * (s - sum(p * s)).
    vectorised(|| {
        let rows = scratch.scores.chunks_exact_mut(length).zip(scratch.probabilities.chunks_exact(length));
        for (scores, probabilities) in rows {
            let expected = sum_of(scores, probabilities, |s, p| s * p);
            scores.iter_mut().zip(probabilities).for_each(|(s, p)| *s = p * (*s - expected));
        }
    });
    let scores = square(&scratch.scores);
    write(0, scores, part(1), scale);
    write(1, scores.transposed(), part(0), scale);
}

#[cfg(test)]
mod tests {
    use super::super::{assert_close, check_gradient, random, weighted};
    use super::*;

    const WIDTH: usize = 8;
    const HEADS: usize = 2;

    fn forward(packed: &[f32], starts: &[usize]) -> Vec<f32> {
        let mut out = vec![f32::NAN; packed.len() / 3];
        attention(packed, starts, WIDTH, HEADS, &mut out);
        out
    }

    /// One document with plain loops.
    fn plain(packed: &[f32]) -> Vec<f32> {
        let (tokens, head_width) = (packed.len() / (3 * WIDTH), WIDTH / HEADS);
        let at = |token: usize, part: usize, column: usize| packed[token * 3 * WIDTH + part * WIDTH + column];
        let mut out = vec![0.0; tokens * WIDTH];
        for head in 0..HEADS {
            let columns = head * head_width..(head + 1) * head_width;
            for query in 0..tokens {
                let score = |key: usize| -> f32 {
                    let dot: f32 = columns.clone().map(|c| at(query, 0, c) * at(key, 1, c)).sum();
                    (dot / (head_width as f32).sqrt()).exp()
                };
                let total: f32 = (0..tokens).map(score).sum();
                for column in columns.clone() {
                    out[query * WIDTH + column] =
                        (0..tokens).map(|key| score(key) / total * at(key, 2, column)).sum();
                }
            }
        }
        out
    }

    #[test]
    fn documents_attend_to_themselves_only() {
        let packed = random(8 * 3 * WIDTH, 1);
        let (left, right) = packed.split_at(3 * 3 * WIDTH);
        let expected = [plain(left), plain(right)].concat();
        assert_close(&forward(&packed, &[0, 3, 8]), &expected, 1e-5);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let starts = [0, 4, 6];
        let (packed, gradient) = (random(6 * 3 * WIDTH, 2), random(6 * WIDTH, 3));
        let mut by_input = vec![f32::NAN; packed.len()];
        attention_backward(&packed, &starts, WIDTH, HEADS, &gradient, &mut by_input);
        check_gradient(&packed, &by_input, |packed| weighted(&forward(packed, &starts), &gradient));
    }
}
