//! The exponential function, in a form that the compiler turns into vector instructions.

/// `e^x` to about two units in the last place; 0 below -87, never above `e^88`; NaN stays NaN.
///
/// Splits `x` into a multiple of ln 2 and a remainder of at most half of ln 2 (Cody and Waite, 1980), whose
/// Taylor series is summed up to the sixth power. It has neither branches nor calls, unlike the library's
/// function, so that loops are vectorised.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding and then subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    /// The two parts of ln 2, as in `expf` of the Cephes library: the first has few digits, so that its multiples are
    /// exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let exponent = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // Two subtractions: a product with the rounded ln 2 would lose the last bits of the remainder.
    let rest = (clamped - exponent * LN2_HIGH) - exponent * LN2_LOW;
    let mut sum = 1.0 / 720.0;
    for factorial in [120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        sum = sum * rest + 1.0 / factorial;
    }
    // The bits of 2^exponent; the clamping keeps the exponent within those of normal numbers.
    let biased = (exponent + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let power = f32::from_bits(biased << 23);
    // A select and no branch. NaN passes the clamping and the comparison, and stays NaN.
    if x < -87.0 { 0.0 } else { sum * power }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn agrees_with_the_library() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 3e-7, "exp({x}): relative error {relative}");
        }
    }

    #[test]
    fn ends_at_zero_and_stays_finite() {
        assert_eq!((exp(-100.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
        assert!(exp(1000.0).is_finite() && exp(f32::NAN).is_nan());
    }
}
