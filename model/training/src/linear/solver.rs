//! Linear support vector machines with the squared hinge loss, by dual coordinate descent.
//!
//! The problem is that of LIBLINEAR's solver 1 and of scikit-learn's `LinearSVC`, whose bias is the weight of a
//! feature that is 1 in every row:
//!
//! ```text
//! min_w  ½ ‖w − w₀‖² + Σ_i C_i · max(0, 1 − y_i wᵀx_i)²        y_i = ±1
//! ```
//!
//! where w₀ is 0, or a plane that was fitted to other rows and should change no more than these rows ask for (the
//! adaptive support vector machine of Yang, Yan and Hauptmann 2007). The dual problem has w = w₀ + Σ_i α_i y_i x_i, so
//! that w₀ is only where the descent starts.
//!
//! Algorithm 3 of Hsieh et al. 2008: passes over the rows in random order; rows whose dual variable stays at 0 are
//! left out for a while (shrinking).

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::SmallRng};

/// The largest difference of two projected gradients at which the dual problem counts as solved.
const TOLERANCE: f64 = 1e-3;
/// The most passes; a result that is not quite optimal is as good a classifier.
const MAX_PASSES: usize = 1000;
/// Projected gradients below this are zero but for rounding.
const NEGLIGIBLE: f64 = 1e-12;

/// Rows of a design matrix, without the feature of the bias.
pub(super) trait Design {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Number of features.
    fn features(&self) -> usize;
    /// x_i · w
    fn dot(&self, row: usize, weights: &[f64]) -> f64;
    /// w += step · x_i
    fn add(&self, row: usize, step: f64, weights: &mut [f64]);
    /// x_i · x_i
    fn squared_norm(&self, row: usize) -> f64;
}

/// A separating plane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    /// Weight of each feature, in the form that the design's `add` gives them.
    pub(super) weights: Vec<f64>,
    /// Weight of the feature that is always 1.
    pub(super) bias: f64,
}

/// The plane that separates the rows with `is_positive` from the others. `costs` are C_i, above 0.
pub(super) fn solve(design: &impl Design, is_positive: &[bool], costs: &[f64], seed: u64) -> Plane {
    let zero = Plane { weights: vec![0.0; design.features()], bias: 0.0 };
    solve_near(Start { plane: zero, is_bias_fixed: false }, design, is_positive, costs, seed)
}

/// Where the descent begins.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// w₀
    pub(super) plane: Plane,
    /// Whether the bias stays as it is, for rows whose shares of labels say nothing about those of other rows.
    pub(super) is_bias_fixed: bool,
}

/// As [`solve`], with the length of the distance from w₀ in place of that of the weights.
pub(super) fn solve_near(
    start: Start,
    design: &impl Design,
    is_positive: &[bool],
    costs: &[f64],
    seed: u64,
) -> Plane {
    Solver::new(start, design, is_positive, costs, seed).run()
}

struct Solver<'a, D> {
    design: &'a D,
    signs: Vec<f64>,
    /// 1 / (2 C_i), which the squared hinge adds to the diagonal of the dual problem.
    slack: Vec<f64>,
    /// Dual variables.
    alphas: Vec<f64>,
    /// Diagonal of the dual problem.
    curvatures: Vec<f64>,
    /// Value of the feature whose weight is the bias: 1, or 0 if the bias is fixed.
    bias_feature: f64,
    plane: Plane,
    generator: SmallRng,
}

impl<'a, D: Design> Solver<'a, D> {
    fn new(start: Start, design: &'a D, is_positive: &[bool], costs: &[f64], seed: u64) -> Self {
        let bias_feature = if start.is_bias_fixed { 0.0 } else { 1.0 };
        let slack: Vec<f64> = costs.iter().map(|cost| 0.5 / cost).collect();
        let curvature = |(row, slack): (usize, &f64)| design.squared_norm(row) + bias_feature + slack;
        Self {
            design,
            signs: is_positive.iter().map(|is_positive| if *is_positive { 1.0 } else { -1.0 }).collect(),
            alphas: vec![0.0; design.rows()],
            curvatures: slack.iter().enumerate().map(curvature).collect(),
            slack,
            bias_feature,
            plane: start.plane,
            generator: SmallRng::seed_from_u64(seed),
        }
    }

    fn run(mut self) -> Plane {
        let mut active: Vec<usize> = (0..self.design.rows()).collect();
        // Rows whose gradient is above it are left out; at first none are.
        let mut shrink_above = f64::INFINITY;
        for _ in 0..MAX_PASSES {
            active.shuffle(&mut self.generator);
            let range = self.pass(&mut active, shrink_above);
            let is_complete = active.len() == self.design.rows();
            if range.width() > TOLERANCE {
                shrink_above = if range.high > 0.0 { range.high } else { f64::INFINITY };
            } else if is_complete {
                break;
            } else {
                // Solved on the active rows: all are looked at before the result counts.
                active = (0..self.design.rows()).collect();
                shrink_above = f64::INFINITY;
            }
        }
        self.plane
    }

    /// Moves each active dual variable to its optimum with the others fixed; returns the range of the projected
    /// gradients, and takes rows out of `active`.
    fn pass(&mut self, active: &mut Vec<usize>, shrink_above: f64) -> Range {
        let mut range = Range::EMPTY;
        active.retain(|&row| {
            let gradient = self.gradient(row);
            let is_at_bound = self.alphas[row] <= 0.0;
            if is_at_bound && gradient > shrink_above {
                return false;
            }
            let projected = if is_at_bound { gradient.min(0.0) } else { gradient };
            range.include(projected);
            if projected.abs() > NEGLIGIBLE {
                self.step(row, gradient);
            }
            true
        });
        range
    }

    /// Derivative of the dual problem by the dual variable of a row.
    fn gradient(&self, row: usize) -> f64 {
        let decision = self.design.dot(row, &self.plane.weights) + self.plane.bias;
        self.signs[row] * decision - 1.0 + self.alphas[row] * self.slack[row]
    }

    fn step(&mut self, row: usize, gradient: f64) {
        let alpha = (self.alphas[row] - gradient / self.curvatures[row]).max(0.0);
        let step = (alpha - self.alphas[row]) * self.signs[row];
        self.alphas[row] = alpha;
        self.design.add(row, step, &mut self.plane.weights);
        self.plane.bias += step * self.bias_feature;
    }
}

/// The lowest and the highest of some numbers.
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    const EMPTY: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn include(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    fn width(&self) -> f64 {
        self.high - self.low
    }
}

#[cfg(test)]
mod tests;
