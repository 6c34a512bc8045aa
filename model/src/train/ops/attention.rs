//! Multi-head self-attention over packed queries, keys and values (Vaswani et al., 2017).
//!
//! Rows of a batch are right-padded; positions at or past a row's length are neither read nor attended
//! to, and their outputs are zero. The backward pass computes the softmax again rather than keep it: the
//! memory of a step does not grow with the square of the length.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::exp::exp;
use super::matmul::{Matrix, multiply};
use super::{gradient, guarded, values};

/// `softmax(q k^T / sqrt(head width)) v` per row and head; input `[rows, tokens, 3 * width]`, output
/// `[rows, tokens, width]`.
pub(in crate::train) struct Attention {
    /// How many heads share `width`; it must divide it.
    pub(in crate::train) heads: usize,
    /// The number of real tokens of each row.
    pub(in crate::train) lengths: Vec<usize>,
}

const NAME: &str = "attention";

/// The shape of one row's problem.
#[derive(Clone, Copy)]
struct Row {
    length: usize,
    width: usize,
    head_width: usize,
    scale: f32,
}

impl Row {
    /// Queries (0), keys (1) or values (2) of one head: `[length, head width]`.
    fn part<'a>(&self, packed: &'a [f32], part: usize, head: usize) -> Matrix<'a> {
        let start = part * self.width + head * self.head_width;
        Matrix::new(&packed[start..], self.length, self.head_width, 3 * self.width)
    }

    /// The attention probabilities of one head, `[length, length]`, into `out`.
    fn probabilities(&self, packed: &[f32], head: usize, out: &mut [f32]) {
        let (queries, keys) = (self.part(packed, 0, head), self.part(packed, 1, head));
        multiply(out, self.length, queries, keys.transposed(), self.scale, false);
        for row in out.chunks_exact_mut(self.length) {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|value| *value = exp(*value - top));
            let inverse = 1.0 / row.iter().sum::<f32>();
            row.iter_mut().for_each(|value| *value *= inverse);
        }
    }
}

impl Attention {
    fn row(&self, length: usize, width: usize) -> Row {
        let head_width = width / self.heads;
        Row { length, width, head_width, scale: 1.0 / (head_width as f32).sqrt() }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, packed: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, tokens, packed_width) = layout.shape().dims3()?;
        let width = packed_width / 3;
        let packed = values(packed, layout, NAME)?;
        let mut out = vec![0.0; rows * tokens * width];
        out.par_chunks_mut(tokens * width)
            .zip(packed.par_chunks(tokens * packed_width))
            .zip(&self.lengths)
            .for_each(|((out, packed), &length)| {
                let row = self.row(length, width);
                let mut probabilities = vec![0.0; length * length];
                for head in 0..self.heads {
                    row.probabilities(packed, head, &mut probabilities);
                    let weights = Matrix::new(&probabilities, length, length, length);
                    let out = &mut out[head * row.head_width..];
                    multiply(out, width, weights, row.part(packed, 2, head), 1.0, false);
                }
            });
        Ok((CpuStorage::F32(out), Shape::from((rows, tokens, width))))
    }

    fn bwd(&self, packed: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let upstream = upstream.contiguous()?;
        let (packed_guard, packed_layout) = packed.storage_and_layout();
        let (upstream_guard, upstream_layout) = upstream.storage_and_layout();
        let (_, tokens, packed_width) = packed.dims3()?;
        let width = packed_width / 3;
        let packed_values = guarded(&packed_guard, packed_layout, NAME)?;
        let slope = guarded(&upstream_guard, upstream_layout, NAME)?;
        let mut out = vec![0.0; packed_values.len()];
        out.par_chunks_mut(tokens * packed_width)
            .zip(packed_values.par_chunks(tokens * packed_width))
            .zip(slope.par_chunks(tokens * width))
            .zip(&self.lengths)
            .for_each(|(((out, packed), slope), &length)| {
                let row = self.row(length, width);
                let mut scratch = Scratch::new(length);
                for head in 0..self.heads {
                    head_gradient(&row, head, packed, slope, out, &mut scratch);
                }
            });
        gradient(out, packed)
    }
}

/// Two `[length, length]` buffers, reused over the heads of a row.
struct Scratch {
    probabilities: Vec<f32>,
    scores: Vec<f32>,
}

impl Scratch {
    fn new(length: usize) -> Self {
        Self { probabilities: vec![0.0; length * length], scores: vec![0.0; length * length] }
    }
}

/// Writes the gradients of one head's queries, keys and values into `out`, packed as the input is.
fn head_gradient(
    row: &Row,
    head: usize,
    packed: &[f32],
    slope: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let Row { length, width, head_width, scale } = *row;
    let slope = Matrix::new(&slope[head * head_width..], length, head_width, width);
    row.probabilities(packed, head, &mut scratch.probabilities);
    let probabilities = Matrix::new(&scratch.probabilities, length, length, length);
    let stride = 3 * width;
    let start = |part: usize| part * width + head * head_width;

    multiply(&mut out[start(2)..], stride, probabilities.transposed(), slope, 1.0, false);
    multiply(&mut scratch.scores, length, slope, row.part(packed, 2, head).transposed(), 1.0, false);
    // The derivative of a softmax: p * (s - sum(p * s)).
    let rows = scratch.scores.chunks_exact_mut(length).zip(scratch.probabilities.chunks_exact(length));
    for (scores, probabilities) in rows {
        let expected: f32 = scores.iter().zip(probabilities).map(|(s, p)| s * p).sum();
        scores.iter_mut().zip(probabilities).for_each(|(s, p)| *s = p * (*s - expected));
    }
    let scores = Matrix::new(&scratch.scores, length, length, length);
    multiply(&mut out[start(0)..], stride, scores, row.part(packed, 1, head), scale, false);
    multiply(&mut out[start(1)..], stride, scores.transposed(), row.part(packed, 0, head), scale, false);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::Attention;
    use candle_core::{D, Result, Tensor};

    fn attention(lengths: &[usize]) -> Attention {
        Attention { heads: 2, lengths: lengths.to_vec() }
    }

    /// One full row with plain operations.
    fn plain(packed: &Tensor, heads: usize) -> Result<Tensor> {
        let (_, tokens, packed_width) = packed.dims3()?;
        let width = packed_width / 3;
        let head_width = width / heads;
        let part = |part: usize| -> Result<Tensor> {
            let part = packed.narrow(2, part * width, width)?.contiguous()?;
            part.reshape((tokens, heads, head_width))?.transpose(0, 1)?.contiguous()
        };
        let scores = (part(0)?.matmul(&part(1)?.transpose(1, 2)?)? / (head_width as f64).sqrt())?;
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        weights.matmul(&part(2)?)?.transpose(0, 1)?.reshape((1, tokens, width))
    }

    #[test]
    fn agrees_with_plain_operations() {
        let packed = random(&[1, 5, 24], 1);
        let got = packed.apply_op1(attention(&[5])).unwrap();
        assert_close(&got, &plain(&packed, 2).unwrap(), 1e-5);
    }

    #[test]
    fn padding_is_never_attended_to() {
        let packed = random(&[2, 5, 24], 2);
        let got = packed.apply_op1(attention(&[3, 5])).unwrap();
        let short = packed.narrow(0, 0, 1).unwrap().narrow(1, 0, 3).unwrap().contiguous().unwrap();
        let expected = plain(&short, 2).unwrap();
        assert_close(&got.narrow(0, 0, 1).unwrap().narrow(1, 0, 3).unwrap(), &expected, 1e-5);
        let padding = got.narrow(0, 0, 1).unwrap().narrow(1, 3, 2).unwrap();
        assert_close(&padding, &padding.zeros_like().unwrap(), 0.0);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        check_gradients(&[random(&[2, 4, 12], 3)], |t| t[0].apply_op1(attention(&[4, 2])));
    }
}
