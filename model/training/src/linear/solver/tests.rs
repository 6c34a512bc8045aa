use super::*;

/// Dense rows.
struct Dense<'a>(&'a [[f64; 3]]);

impl Design for Dense<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn features(&self) -> usize {
        3
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        self.0[row].iter().zip(weights).map(|(value, weight)| value * weight).sum()
    }

    fn add(&self, row: usize, step: f64, weights: &mut [f64]) {
        weights.iter_mut().zip(self.0[row]).for_each(|(weight, value)| *weight += step * value);
    }

    fn squared_norm(&self, row: usize) -> f64 {
        self.dot(row, &self.0[row])
    }
}

const ROWS: [[f64; 3]; 8] = [
    [0.8, 0.0, 0.6],
    [0.6, 0.8, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.6, 0.8],
    [1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.6, 0.0, 0.8],
    [0.8, 0.6, 0.0],
];
const IS_POSITIVE: [bool; 8] = [true, true, false, false, true, false, true, false];

/// Of scikit-learn 1.9: `LinearSVC(C, loss="squared_hinge", dual=True, tol=1e-10)`, the third with `sample_weight`.
#[test]
fn planes_are_those_of_scikit_learn() {
    for (costs, weights, bias) in [
        ([1.0; 8], [1.051325, -0.611062, -0.156095], -0.19557),
        ([0.3; 8], [0.651507, -0.427808, -0.131001], -0.079976),
        ([1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 3.0, 1.0], [1.212586, -0.451077, 0.01835], -0.157987),
    ] {
        for seed in 0..5 {
            let plane = solve(&Dense(&ROWS), &IS_POSITIVE, &costs, seed);
            let differences = plane.weights.iter().zip(weights).map(|(found, wanted)| (found - wanted).abs());
            assert!(differences.fold(0.0, f64::max) < 2e-3, "{plane:?}");
            assert!((plane.bias - bias).abs() < 2e-3, "{plane:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let plane = |seed| solve(&Dense(&ROWS), &IS_POSITIVE, &[1.0; 8], seed);
    assert_eq!(plane(3), plane(3));
}

#[test]
fn rows_without_features_and_classes_without_rows_have_a_plane() {
    let plane = solve(&Dense(&[[0.0; 3]; 4]), &[false; 4], &[0.3; 4], 1);
    assert_eq!(plane.weights, [0.0; 3]);
    // The minimum of ½ b² + 4 · 0.3 · (1 + b)².
    assert!((plane.bias + 2.4 / 3.4).abs() < 1e-3, "{plane:?}");
}
