//! The numbers that distances between tokens have in the table of their embeddings.

use crate::import::config::check_positions;

/// How distances are numbered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    /// Number of positions: distances are below it.
    pub(super) positions: usize,
    /// The range of distances that are told apart, if each has a number of its own; and that of logarithmic ones.
    pub(super) farthest: usize,
    /// With buckets, more and more distances share a number.
    pub(super) buckets: Option<usize>,
}

impl Distances {
    /// Checks that all distances have a number.
    pub(super) fn check(&self) -> Result<(), String> {
        check_positions("max_relative_positions", self.farthest)?;
        let Some(buckets) = self.buckets else { return Ok(()) };
        if buckets < 2 {
            return Err(format!("`position_buckets` is {buckets} but must be at least 2"));
        }
        // Half the buckets are for distances up to this; the logarithm of the farthest one is divided by.
        let least = buckets / 2 + 2;
        if self.farthest < least {
            let farthest = self.farthest;
            let bound = format!("must be more than {} with {buckets} `position_buckets`", least - 1);
            return Err(format!("`max_relative_positions` is {farthest} but {bound}"));
        }
        Ok(())
    }

    /// Half the number of embeddings.
    pub(super) fn span(&self) -> usize {
        self.buckets.unwrap_or(self.farthest)
    }

    /// For each distance, from `1 - positions` to `positions - 1`, the number of its embedding.
    pub(super) fn ahead(&self) -> Vec<i64> {
        self.numbers(|number| number)
    }

    /// The same, of the opposite of each distance.
    pub(super) fn behind(&self) -> Vec<i64> {
        self.numbers(|number| -number)
    }

    fn numbers(&self, direction: impl Fn(i64) -> i64) -> Vec<i64> {
        let (most, span) = (self.positions as i64 - 1, self.span() as i64);
        let number = |distance| (direction(self.bucket(distance)) + span).clamp(0, 2 * span - 1);
        (-most..=most).map(number).collect()
    }

    /// The bucket of a distance: the distance itself if it is small, and a logarithm of it from half the buckets on.
    fn bucket(&self, distance: i64) -> i64 {
        let Some(buckets) = self.buckets else { return distance };
        let middle = (buckets / 2) as i64;
        if distance.abs() <= middle {
            return distance;
        }
        // In `f32`, as PyTorch computes it, so that both round to the same bucket.
        let logarithm = |distance: i64| (distance as f32 / middle as f32).ln();
        let share = logarithm(distance.abs()) / logarithm(self.farthest as i64 - 1);
        ((share * (middle - 1) as f32).ceil() as i64 + middle) * distance.signum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `make_log_bucket_position` of `transformers`.
    #[test]
    fn distances_have_the_numbers_of_transformers() {
        let distances = Distances { positions: 512, farthest: 512, buckets: Some(256) };
        let of = |distance: i64| distances.bucket(distance);
        assert_eq!([0, 5, -128, 129, -200, 300, 400, -511].map(of), [0, 5, -128, 129, -169, 207, 233, -255]);
        let plain = Distances { positions: 4, farthest: 2, buckets: None };
        assert_eq!(plain.ahead(), [0, 0, 1, 2, 3, 3, 3]);
        assert_eq!(plain.behind(), [3, 3, 3, 2, 1, 0, 0]);
    }
}
