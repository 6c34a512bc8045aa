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

/// ½ ‖w − w₀‖² + Σ C max(0, 1 − y wᵀx)², and the same at planes beside it.
#[test]
fn the_plane_near_another_is_the_minimum() {
    let start = Plane { weights: vec![0.5, -0.2, 1.0], bias: 0.3 };
    let begin = |is_bias_fixed| Start { plane: start.clone(), is_bias_fixed };
    let plane = solve_near(begin(false), &Dense(&ROWS), &IS_POSITIVE, &[0.7; 8], 1);
    let objective = |plane: &Plane| {
        let squares =
            plane.weights.iter().zip(&start.weights).map(|(weight, start)| (weight - start).powi(2));
        let distance = squares.sum::<f64>() + (plane.bias - start.bias).powi(2);
        let loss = |(row, is_positive): (usize, &bool)| {
            let decision = Dense(&ROWS).dot(row, &plane.weights) + plane.bias;
            0.7 * (1.0 - if *is_positive { decision } else { -decision }).max(0.0).powi(2)
        };
        0.5 * distance + IS_POSITIVE.iter().enumerate().map(loss).sum::<f64>()
    };
    assert!(objective(&plane) < objective(&start));
    for (feature, step) in [(0, 0.02), (0, -0.02), (1, 0.02), (1, -0.02), (2, 0.02), (2, -0.02)] {
        let mut beside = plane.clone();
        beside.weights[feature] += step;
        assert!(objective(&plane) < objective(&beside), "{feature} {step}");
    }
    for step in [0.02, -0.02] {
        let beside = Plane { bias: plane.bias + step, ..plane.clone() };
        assert!(objective(&plane) < objective(&beside), "bias {step}");
    }
    let fixed = solve_near(begin(true), &Dense(&ROWS), &IS_POSITIVE, &[0.7; 8], 1);
    assert_eq!(fixed.bias, start.bias);
    assert!(objective(&plane) < objective(&fixed) && objective(&fixed) < objective(&start));
}

#[test]
fn rows_that_a_plane_separates_well_do_not_move_it() {
    let start = Plane { weights: vec![9.0, -9.0, 0.0], bias: 0.0 };
    let rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    let begin = Start { plane: start.clone(), is_bias_fixed: false };
    assert_eq!(solve_near(begin, &Dense(&rows), &[true, false], &[0.3; 2], 1), start);
}
