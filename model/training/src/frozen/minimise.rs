//! Minimising a smooth convex function: L-BFGS (Liu and Nocedal, 1989) with backtracking.

use std::collections::VecDeque;

/// Steps that the curvature is estimated from.
const MEMORY: usize = 10;
const MOST_STEPS: usize = 300;
/// The search ends if no component of the gradient is above it.
const SMALL_GRADIENT: f64 = 1e-6;
/// A step must lower the function by at least this share of what the gradient promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
const MOST_HALVINGS: usize = 40;

/// A point, and there the value and the gradient.
struct Place {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A step, the change of the gradient over it, and the inverse of their product.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    scale: f64,
}

/// The minimum of a function that gives its value and gradient; the search begins at `start`.
pub(super) fn minimise(start: Vec<f64>, function: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let place = |at: Vec<f64>| {
        let (value, gradient) = function(&at);
        Place { at, value, gradient }
    };
    let mut here = place(start);
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    for _ in 0..MOST_STEPS {
        if here.gradient.iter().all(|slope| slope.abs() <= SMALL_GRADIENT) {
            break;
        }
        let direction = direction(&here.gradient, &pairs);
        let Some(next) = lower(&here, &direction, &place) else { break };
        let step: Vec<f64> = next.at.iter().zip(&here.at).map(|(next, here)| next - here).collect();
        let change: Vec<f64> =
            next.gradient.iter().zip(&here.gradient).map(|(next, here)| next - here).collect();
        let product = dot(&step, &change);
        if product > f64::EPSILON {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair { step, change, scale: 1.0 / product });
        }
        here = next;
    }
    here.at
}

/// The first of ever shorter steps that lowers the function enough; `None` if rounding leaves none.
fn lower(here: &Place, direction: &[f64], place: &impl Fn(Vec<f64>) -> Place) -> Option<Place> {
    let slope = dot(&here.gradient, direction);
    (0..MOST_HALVINGS).find_map(|halvings| {
        let share = 0.5_f64.powi(halvings as i32);
        let next = place(here.at.iter().zip(direction).map(|(at, step)| at + share * step).collect());
        (next.value <= here.value + SUFFICIENT * share * slope).then_some(next)
    })
}

/// The negative gradient times the estimated inverse of the Hessian, by the two loops of L-BFGS.
fn direction(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = pair.scale * dot(&pair.step, &direction);
        add(&mut direction, &pair.change, -share);
        shares.push(share);
    }
    if let Some(last) = pairs.back() {
        let scale = 1.0 / (last.scale * dot(&last.change, &last.change));
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (pair, share) in pairs.iter().zip(shares.into_iter().rev()) {
        let other = pair.scale * dot(&pair.change, &direction);
        add(&mut direction, &pair.step, share - other);
    }
    direction
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn add(sum: &mut [f64], other: &[f64], factor: f64) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += factor * other);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_of_a_stretched_bowl_is_found() {
        let scales = [1.0, 1e3, 1e-2, 50.0];
        let minimum = minimise(vec![9.0; 4], |at| {
            let gradient: Vec<f64> =
                at.iter().zip(scales).enumerate().map(|(i, (x, s))| s * (x - i as f64)).collect();
            let terms = at.iter().zip(scales).enumerate();
            (terms.map(|(i, (x, s))| s * (x - i as f64).powi(2) / 2.0).sum(), gradient)
        });
        for (index, value) in minimum.iter().enumerate() {
            assert!((value - index as f64).abs() < 1e-3, "{minimum:?}");
        }
    }

    #[test]
    fn a_start_at_the_minimum_stays_there() {
        assert_eq!(minimise(vec![0.0], |at| (at[0] * at[0], vec![2.0 * at[0]])), [0.0]);
    }
}
