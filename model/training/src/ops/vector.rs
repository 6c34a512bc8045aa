//! Loops that the compiler turns into vector instructions.

/// Number of partial sums of a long sum: enough to fill the vector registers and to hide their latency.
const LANES: usize = 16;

/// Runs `kernel` compiled for the widest vector instructions that the processor has (AVX2 or AVX-512 on x86-64).
/// Functions that the kernel calls must be inlined into it, otherwise they are compiled without.
#[inline(always)]
pub(crate) fn vectorised<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// The sum of `term(left, right)` over two slices of one length, in one fixed order.
#[inline(always)]
pub(super) fn sum_of(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    // Independent sums per lane: one running sum could not be vectorised, since the order of float additions is
    // fixed.
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            sums[lane] += term(left[lane], right[lane]);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| term(*left, *right)).sum();
    sums.iter().sum::<f32>() + rest
}

/// The sum of all values.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    sum_of(values, values, |value, _| value)
}

/// The largest value; minus infinity if there are no values.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for lane in 0..LANES {
            tops[lane] = if block[lane] > tops[lane] { block[lane] } else { tops[lane] };
        }
    }
    tops.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of squares, in double precision over blocks.
pub(crate) fn squares(values: &[f32]) -> f64 {
    vectorised(|| values.chunks(4096).map(|block| f64::from(sum_of(block, block, |a, b| a * b))).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_maxima_take_every_value_once() {
        for length in [0, 1, 15, 16, 17, 50] {
            let values: Vec<f32> = (0..length).map(|value| value as f32 - 3.0).collect();
            assert_eq!(sum(&values), values.iter().sum::<f32>(), "{length}");
            assert_eq!(squares(&values), values.iter().map(|v| f64::from(v * v)).sum::<f64>(), "{length}");
            let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(&values), top, "{length}");
        }
    }
}
