//! The element-wise functions between two matrices, together with the addition of the bias before them.

use rayon::prelude::*;

use super::exp::exp;
use super::vector::vectorised;
use crate::architecture::Activation;

/// Rows that one task works on.
const ROWS: usize = 16;

/// Adds `bias` to each row of `x` and writes the function of the sum to `out`.
pub(crate) fn activate(function: Activation, x: &mut [f32], bias: &[f32], out: &mut [f32]) {
    let width = bias.len();
    x.par_chunks_mut(ROWS * width).zip(out.par_chunks_mut(ROWS * width)).for_each(|(x, out)| {
        let rows = x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width));
        match function {
            Activation::Gelu => rows.for_each(|(x, out)| map(x, bias, out, gelu)),
            Activation::GeluTanh => rows.for_each(|(x, out)| map(x, bias, out, gelu_tanh)),
            Activation::Relu => rows.for_each(|(x, out)| map(x, bias, out, |x| x.max(0.0))),
            Activation::Tanh => rows.for_each(|(x, out)| map(x, bias, out, tanh)),
        }
    });
}

/// Multiplies `gradient` by the derivative of the function at `x`; [`activate`] has added the bias to `x`.
pub(crate) fn activate_backward(function: Activation, x: &[f32], gradient: &mut [f32]) {
    const CHUNK: usize = 4096;
    x.par_chunks(CHUNK).zip(gradient.par_chunks_mut(CHUNK)).for_each(|(x, gradient)| match function {
        Activation::Gelu => scale(x, gradient, gelu_derivative),
        Activation::GeluTanh => scale(x, gradient, gelu_tanh_derivative),
        // At 0 the derivative is taken as 0, as PyTorch does.
        Activation::Relu => scale(x, gradient, |x| if x > 0.0 { 1.0 } else { 0.0 }),
        Activation::Tanh => scale(x, gradient, |x| 1.0 - tanh(x) * tanh(x)),
    });
}

#[inline(always)]
fn map(x: &mut [f32], bias: &[f32], out: &mut [f32], function: impl Fn(f32) -> f32) {
    vectorised(
        #[inline(always)]
        || {
            for ((x, bias), out) in x.iter_mut().zip(bias).zip(out) {
                // Kept with the bias: the backward pass needs the input of the function.
                *x += bias;
                *out = function(*x);
            }
        },
    );
}

#[inline(always)]
fn scale(x: &[f32], gradient: &mut [f32], derivative: impl Fn(f32) -> f32) {
    vectorised(
        #[inline(always)]
        || x.iter().zip(gradient).for_each(|(x, gradient)| *gradient *= derivative(*x)),
    );
}

/// The error function to about 1e-7: the rational approximation of Numerical Recipes (`erfcc`, §6.2)
/// has a relative error below 1.2e-7, that is `f32` precision.
#[inline(always)]
fn erf(x: f32) -> f32 {
    // Horner's scheme from the highest coefficient down; the approximation is for |x|, and erf is odd.
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut polynomial = 0.170_872_77_f32;
    for coefficient in [
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ] {
        polynomial = polynomial * t + coefficient;
    }
    let complement = t * exp(-z * z + polynomial);
    (1.0 - complement).copysign(x)
}

#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The exact Gaussian error linear unit, `x * Phi(x)` (Hendrycks and Gimpel, 2016), as ONNX's `Erf` gives it.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal_cdf(x)
}

/// `Phi(x) + x * phi(x)`, with the density `phi` of the normal distribution.
#[inline(always)]
fn gelu_derivative(x: f32) -> f32 {
    const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;
    normal_cdf(x) + x * INVERSE_SQRT_TWO_PI * exp(-0.5 * x * x)
}

const SQRT_TWO_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// The GELU by its `tanh` approximation (Hendrycks and Gimpel, 2016).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(SQRT_TWO_OVER_PI * (x + CUBIC * x * x * x)))
}

#[inline(always)]
fn gelu_tanh_derivative(x: f32) -> f32 {
    let tanh = tanh(SQRT_TWO_OVER_PI * (x + CUBIC * x * x * x));
    let inner = SQRT_TWO_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner
}

/// `(1 - e^-2|x|) / (1 + e^-2|x|)` with the sign of `x`.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    // The exponent is never positive, so nothing overflows for large |x|.
    let decayed = exp(-2.0 * x.abs());
    ((1.0 - decayed) / (1.0 + decayed)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::super::{check_gradient, random, weighted};
    use super::*;

    fn apply(function: Activation, x: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len()];
        activate(function, &mut x.to_vec(), &vec![0.0; x.len()], &mut out);
        out
    }

    #[test]
    fn every_activation_has_its_values() {
        for (function, expected) in [
            (Activation::Gelu, [-0.158_655, 0.0, 1.954_5]),
            (Activation::GeluTanh, [-0.158_808, 0.0, 1.954_597_7]),
            (Activation::Relu, [0.0, 0.0, 2.0]),
            (Activation::Tanh, [-0.761_594_2, 0.0, 0.964_027_6]),
        ] {
            for (got, expected) in apply(function, &[-1.0, 0.0, 2.0]).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-5, "{function:?}: {got} and {expected}");
            }
        }
    }

    #[test]
    fn the_bias_is_added_before_the_function() {
        let (mut x, mut out) = ([1.0, -2.0, -3.0, 4.0], [0.0; 4]);
        activate(Activation::Relu, &mut x, &[1.0, 3.0], &mut out);
        assert_eq!((x, out), ([2.0, 1.0, -2.0, 7.0], [2.0, 1.0, 0.0, 7.0]));
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let x: Vec<f32> = random(40, 1).iter().map(|x| 3.0 * x).collect();
        let weights = random(40, 2);
        for function in [Activation::Gelu, Activation::GeluTanh, Activation::Tanh] {
            let mut gradient = weights.clone();
            activate_backward(function, &x, &mut gradient);
            check_gradient(&x, &gradient, |x| weighted(&apply(function, x), &weights));
        }
        let mut gradient = [5.0, 5.0];
        activate_backward(Activation::Relu, &[-1.0, 1.0], &mut gradient);
        assert_eq!(gradient, [0.0, 5.0]);
    }
}
