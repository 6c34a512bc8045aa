//! How much the n-gram side path counts beside an encoder that learnt apart from it.
//!
//! Both answer as if they were alone, so their sum is too sure where they agree, and a weak side path outvotes a
//! strong encoder. Held-out rows tell the right mix (stacking, Wolpert, 1992): a logistic regression of the labels
//! on the two answers,
//!
//! ```text
//! p(label) = softmax(a * encoder + b * side)        minimise  -sum log p(gold) + ((a - 1)^2 + (b - 1)^2) / 2
//! weight   = b / a
//! ```
//!
//! by Newton's method: the problem is convex in `a` and `b`. The second term keeps few rows from moving the weight
//! far from 1, and the optimum finite where all rows are answered rightly. `a` is left to the calibration, which
//! chooses a temperature anyway.

/// The largest weight: beyond, the encoder would say nothing.
const LARGEST: f64 = 10.0;
const STEPS: usize = 50;
/// How often a step is halved when it leads up.
const HALVINGS: usize = 30;
/// A step that is smaller ends the search.
const SMALLEST_STEP: f64 = 1e-6;

/// The weight of the side path's logits, from 0 to 10, when those of the encoder count 1; `gold[row]` is an index
/// into the logits of `encoder[row]` and `side[row]`.
pub(super) fn side_weight(encoder: &[Vec<f32>], side: &[Vec<f32>], gold: &[usize]) -> f32 {
    let mut at = [1.0, 1.0];
    let mut here = objective(encoder, side, gold, at);
    for _ in 0..STEPS {
        let [first, second] = here.newton_step();
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
        [_, side] if side > 0.0 => LARGEST,
        // Neither says anything: it does not matter.
        _ => 1.0,
    };
    weight as f32
}

/// What is minimised, at one point.
struct Objective {
    value: f64,
    gradient: [f64; 2],
    /// Its entries `(0, 0)`, `(0, 1)` and `(1, 1)`.
    hessian: [f64; 3],
}

impl Objective {
    fn newton_step(&self) -> [f64; 2] {
        let ([x, y], [xx, xy, yy]) = (self.gradient, self.hessian);
        // The penalty adds 1 to both diagonal entries of a matrix that has no negative direction.
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

/// Adds the loss of one row, its slope (what the answers say of all labels, on average, less what they say of the
/// gold one) and its curvature (how what they say varies over the labels).
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
    fn a_side_path_that_is_wrong_counts_nothing_and_a_wrong_encoder_little() {
        let (encoder, _, gold) = rows(500, 2.0, 0.0);
        let wrong: Answers = encoder.iter().map(|row| row.iter().map(|logit| -logit).collect()).collect();
        let unlike: Answers =
            wrong.iter().map(|row| row.iter().map(|logit| logit * logit).collect()).collect();
        assert!(side_weight(&encoder, &unlike, &gold) < 0.1);
        assert_eq!(side_weight(&unlike, &encoder, &gold), LARGEST as f32);
        assert_eq!(side_weight(&wrong, &wrong, &gold), 1.0);
    }

    #[test]
    fn few_or_perfect_rows_keep_it_finite_and_near_one() {
        assert_eq!(side_weight(&[], &[], &[]), 1.0);
        let (right, gold) = (vec![vec![9.0, -9.0]; 40], vec![0; 40]);
        let weight = side_weight(&right, &right, &gold);
        assert!((weight - 1.0).abs() < 1e-3, "{weight}");
    }
}
