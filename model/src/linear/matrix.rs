//! The values of the features, and the sums over those of a text.

/// Larger values are damage: ratios are logarithms of counts, and weights are bounded by the cost of an error.
/// With this bound no sum over all features overflows.
const LARGEST: f32 = 1e9;

/// Values of F features and C classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// `[F, 2, C]`: r·w of all classes, then r² of all classes. The values of a feature are adjacent, so that a
    /// feature of a text costs one access to memory.
    values: Vec<f32>,
    bias: Vec<f32>,
}

impl Matrix {
    /// A matrix of `numerators` r·w and `denominators` r², each of shape `[F, C]`, and `bias` of shape `[C]`.
    ///
    /// It is usable if a [`LinearExpert`](super::LinearExpert) accepts it.
    pub fn new(numerators: &[f32], denominators: &[f32], bias: Vec<f32>) -> Self {
        let classes = bias.len().max(1);
        let features = numerators.chunks(classes).zip(denominators.chunks(classes));
        let values =
            features.flat_map(|(numerator, denominator)| [numerator, denominator].concat()).collect();
        Self { values, bias }
    }

    /// Bias of each class.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The numerators r·w, `[F, C]`.
    pub fn numerators(&self) -> impl Iterator<Item = f32> {
        self.parts(0)
    }

    /// The denominators r², `[F, C]`.
    pub fn denominators(&self) -> impl Iterator<Item = f32> {
        self.parts(1)
    }

    fn parts(&self, part: usize) -> impl Iterator<Item = f32> {
        self.values.chunks(self.bias.len()).skip(part).step_by(2).flatten().copied()
    }

    /// Says what makes the values unusable for `features` features and `classes` classes, if anything does.
    pub(super) fn check(&self, features: usize, classes: usize) -> Result<(), String> {
        if self.bias.len() != classes {
            return Err(format!(
                "tensor `bias` has {} values but there are {classes} classes",
                self.bias.len()
            ));
        }
        if self.values.len() != 2 * features * classes {
            let values = self.values.len();
            return Err(format!(
                "`num` and `den` have {values} values but 2 x {features} x {classes} are wanted"
            ));
        }
        check_values("num", self.numerators(), -LARGEST)?;
        check_values("den", self.denominators(), 0.0)?;
        check_values("bias", self.bias.iter().copied(), -LARGEST)
    }

    /// The logits of a text with these rows. Rows are summed in the given order.
    pub(super) fn logits(&self, rows: &[u32]) -> Vec<f32> {
        let classes = self.bias.len();
        let mut sums = vec![0.0_f32; 2 * classes];
        for row in rows {
            let start = *row as usize * sums.len();
            let values = &self.values[start..start + sums.len()];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        let (numerators, denominators) = sums.split_at(classes);
        let sums = numerators.iter().zip(denominators);
        sums.zip(&self.bias).map(|((num, den), bias)| quotient(*num, *den) + bias).collect()
    }
}

/// num / √den. Without a known feature, or if all ratios are 0, both are 0 and so is the result.
fn quotient(num: f32, den: f32) -> f32 {
    if den > 0.0 { num / den.sqrt() } else { 0.0 }
}

fn check_values(tensor: &str, values: impl Iterator<Item = f32>, least: f32) -> Result<(), String> {
    let is_unusable = |(_, value): &(usize, f32)| !(least..=LARGEST).contains(value);
    match values.enumerate().find(is_unusable) {
        Some((place, value)) => {
            Err(format!("tensor `{tensor}`: value {place} is {value} but must be from {least} to {LARGEST}"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        Matrix::new(&[1.0, 2.0, 3.0, -4.0], &[9.0, 1.0, 7.0, 0.0], vec![0.5, -1.0])
    }

    #[test]
    fn logits_are_the_formula() {
        for (rows, expected) in [
            (vec![], [0.5, -1.0]),
            (vec![0], [1.0 / 3.0 + 0.5, 2.0 - 1.0]),
            (vec![1], [3.0 / 7_f32.sqrt() + 0.5, -1.0]),
            (vec![0, 1], [4.0 / 4.0 + 0.5, -2.0 - 1.0]),
        ] {
            assert_eq!(matrix().logits(&rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn parts_are_returned_as_they_were_given() {
        assert_eq!(matrix().numerators().collect::<Vec<f32>>(), [1.0, 2.0, 3.0, -4.0]);
        assert_eq!(matrix().denominators().collect::<Vec<f32>>(), [9.0, 1.0, 7.0, 0.0]);
    }

    #[test]
    fn unusable_values_are_named() {
        assert_eq!(matrix().check(2, 2), Ok(()));
        for (matrix, message) in [
            (Matrix { values: vec![0.0; 7], ..matrix() }, "have 7 values but 2 x 2 x 2 are wanted"),
            (Matrix { bias: vec![0.0], ..matrix() }, "tensor `bias` has 1 values but there are 2 classes"),
            (
                Matrix::new(&[0.0, f32::NAN, 0.0, 0.0], &[0.0; 4], vec![0.0; 2]),
                "tensor `num`: value 1 is NaN but must be from -1000000000 to 1000000000",
            ),
            (Matrix::new(&[0.0; 4], &[0.0, 0.0, -1.0, 0.0], vec![0.0; 2]), "tensor `den`: value 2 is -1"),
            (Matrix::new(&[0.0; 4], &[0.0; 4], vec![0.0, f32::INFINITY]), "tensor `bias`: value 1 is inf"),
        ] {
            let problem = matrix.check(2, 2).unwrap_err();
            assert!(problem.contains(message), "{problem}");
        }
    }
}
