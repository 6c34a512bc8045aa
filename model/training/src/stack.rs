//! The weight of the n-gram side path's logits, if encoder and side path were trained separately.
//!
//! Each was trained as if it were the only classifier. The plain sum of their logits is therefore
//! overconfident where they agree, and a weak side path can outvote a strong encoder. The right combination
//! is fitted to held-out rows (stacking, Wolpert, 1992), by a logistic regression of the labels on the two
//! logits,
//!
//! ```text
//! p(label) = softmax(a * encoder + b * side)        minimise  -sum log p(gold) + ((a - 1)^2 + (b - 1)^2) / 2
//! weight   = b / a
//! ```
//!
//! with Newton's method, since the problem is convex in `a` and `b`. The second term keeps the weight near 1
//! if there are few rows, and the optimum finite if all rows are classified correctly. `a` itself is not
//! used: the calibration fits a temperature, which has the same effect.

/// The largest weight. Above it, the encoder would have no influence.
const LARGEST: f64 = 10.0;
const STEPS: usize = 50;
/// How often a step is halved if it increases the objective.
const HALVINGS: usize = 30;
/// A smaller step ends the search.
const SMALLEST_STEP: f64 = 1e-6;

/// The weight of the side path's logits relative to the encoder's, from 0 to 10. `gold[row]` is an index into
/// the logits `encoder[row]` and `side[row]`.
pub(super) fn side_weight(encoder: &[Vec<f32>], side: &[Vec<f32>], gold: &[usize]) -> f32 {
    let mut at = [1.0, 1.0];
    let mut here = objective(encoder, side, gold, at);
    for _ in 0..STEPS {
        let [first, second] = here.newton_step();
        // A full Newton step can overshoot where the softmax is saturated and the Hessian is small; it is halved
        // until the objective does not rise.
        let steps = (0..HALVINGS).map(|halvings| 0.5_f64.powi(halvings as i32));
        let mut tried = steps.map(|share| {
            let at = [at[0] - share * first, at[1] - share * second];
            (at, objective(encoder, side, gold, at))
        });
        let Some((lower, there)) = tried.find(|(_, there)| there.value <= here.value) else { break };
        let moved = (lower[0] - at[0]).abs().max((lower[1] - at[1]).abs());
        (at, here) = (lower, there);
        if moved < SMALLEST_STEP {
            break;
        }
    }
    let weight = match at {
        [encoder, side] if encoder > 0.0 => (side / encoder).clamp(0.0, LARGEST),
        // The encoder's weight is not positive, so the ratio has no meaning; the side path should decide alone.
        [_, side] if side > 0.0 => LARGEST,
        // Neither helps to predict the labels, so any weight is as good.
        _ => 1.0,
    };
    weight as f32
}

/// The objective at one point, with its derivatives.
struct Objective {
    value: f64,
    gradient: [f64; 2],
    /// Its entries `(0, 0)`, `(0, 1)` and `(1, 1)`.
    hessian: [f64; 3],
}

impl Objective {
    fn newton_step(&self) -> [f64; 2] {
        let ([x, y], [xx, xy, yy]) = (self.gradient, self.hessian);
        // Never zero: the penalty adds 1 to both diagonal entries of a positive semidefinite matrix.
        let determinant = xx * yy - xy * xy;
        [(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant]
    }
}

fn objective(encoder: &[Vec<f32>], side: &[Vec<f32>], gold: &[usize], at: [f64; 2]) -> Objective {
    let penalty = at.map(|weight| weight - 1.0);
    let mut sum = Objective {
        value: penalty.iter().map(|distance| distance * distance / 2.0).sum(),
        gradient: penalty,
        hessian: [1.0, 0.0, 1.0],
    };
    for ((encoder, side), gold) in encoder.iter().zip(side).zip(gold) {
        add_row(&mut sum, encoder, side, *gold, at);
    }
    sum
}

/// Adds the loss of one row, its gradient (the expected logits under the predicted probabilities minus those
/// of the gold label) and its Hessian (the covariance of the logits under the same probabilities).
fn add_row(sum: &mut Objective, encoder: &[f32], side: &[f32], gold: usize, at: [f64; 2]) {
    let answers = || encoder.iter().zip(side).map(|(e, s)| [f64::from(*e), f64::from(*s)]);
    let scores: Vec<f64> = answers().map(|[e, s]| at[0] * e + at[1] * s).collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
    let shares = || scores.iter().map(|score| (score - highest).exp() / total).zip(answers());

    let mean = shares().fold([0.0; 2], |[x, y], (share, [e, s])| [x + share * e, y + share * s]);
    sum.value += highest + total.ln() - scores[gold];
    sum.gradient[0] += mean[0] - f64::from(encoder[gold]);
    sum.gradient[1] += mean[1] - f64::from(side[gold]);
    for (share, [e, s]) in shares() {
        let (e, s) = (e - mean[0], s - mean[1]);
        sum.hessian[0] += share * e * e;
        sum.hessian[1] += share * e * s;
        sum.hessian[2] += share * s * s;
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    type Answers = Vec<Vec<f32>>;

    /// Rows whose labels are drawn from `softmax(sharpness * (encoder + weight * side))`.
    fn rows(rows: usize, sharpness: f32, weight: f32) -> (Answers, Answers, Vec<usize>) {
        let mut generator = SmallRng::seed_from_u64(7);
        let mut draw = || (0..4).map(|_| generator.random_range(-3.0..3.0)).collect::<Vec<f32>>();
        let (encoder, side): (Answers, Answers) = (0..rows).map(|_| (draw(), draw())).unzip();
        let gold = encoder.iter().zip(&side).map(|(encoder, side)| {
            let odds = encoder.iter().zip(side).map(|(e, s)| (sharpness * (e + weight * s)).exp());
            let odds: Vec<f32> = odds.collect();
            let mut left = generator.random::<f32>() * odds.iter().sum::<f32>();
            let drawn = odds.iter().position(|odd| {
                left -= odd;
                left <= 0.0
            });
            drawn.unwrap_or(odds.len() - 1)
        });
        let gold = gold.collect();
        (encoder, side, gold)
    }

    #[test]
    fn the_weight_that_made_the_labels_is_found() {
        for (sharpness, weight) in [(1.0, 0.0), (1.0, 0.2), (0.5, 1.0), (2.0, 0.5), (0.7, 3.0)] {
            let (encoder, side, gold) = rows(4000, sharpness, weight);
            let found = side_weight(&encoder, &side, &gold);
            assert!((found - weight).abs() < 0.05 + 0.1 * weight, "{found} for {weight} at {sharpness}");
        }
    }

    #[test]
    fn a_side_path_that_is_wrong_gets_no_weight_and_one_beside_a_wrong_encoder_the_largest() {
        let (encoder, _, gold) = rows(500, 2.0, 0.0);
        let wrong: Answers = encoder.iter().map(|row| row.iter().map(|logit| -logit).collect()).collect();
        let unlike: Answers =
            wrong.iter().map(|row| row.iter().map(|logit| logit * logit).collect()).collect();
        assert!(side_weight(&encoder, &unlike, &gold) < 0.1);
        assert_eq!(side_weight(&unlike, &encoder, &gold), LARGEST as f32);
        assert_eq!(side_weight(&wrong, &wrong, &gold), 1.0);
    }

    #[test]
    fn the_weight_stays_near_one_if_rows_are_few_or_all_correct() {
        assert_eq!(side_weight(&[], &[], &[]), 1.0);
        let (right, gold) = (vec![vec![9.0, -9.0]; 40], vec![0; 40]);
        let weight = side_weight(&right, &right, &gold);
        assert!((weight - 1.0).abs() < 1e-3, "{weight}");
    }
}
