//! Rotary embeddings of positions (Su et al., 2021): pairs of components of queries and keys are rotated by an angle that
//! grows with the position, so that their product depends on the distance.

use crate::onnx::{GraphBuilder, Value};

/// Which components of a head form the pair with number `i` of `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// `i` and `i + n`, as in ModernBERT.
    Halves,
    /// `2 i` and `2 i + 1`, as in RoFormer.
    Neighbours,
}

/// The constants of a rotation in a graph.
pub(crate) struct Rotary {
    /// Of the batch's positions: `[tokens, head width]`.
    cosines: Value,
    sines: Value,
    /// Turns `(a, b)` into `(-b, a)` for each pair: `[head width, head width]`.
    quarter_turn: Value,
}

/// `position / base^(2 i / head_width)` for each position and pair, row by row.
pub(crate) fn angles(positions: usize, head_width: usize, base: f32) -> Vec<f32> {
    let frequency = |pair: usize| 1.0 / base.powf((2 * pair) as f32 / head_width as f32);
    let frequencies: Vec<f32> = (0..head_width / 2).map(frequency).collect();
    (0..positions)
        .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency))
        .collect()
}

impl Rotary {
    /// Adds the constants. `sines` and `cosines` have a row for each position and a column for each pair; `name` is that
    /// of the constants.
    pub(crate) fn add(
        builder: &mut GraphBuilder,
        ids: &Value,
        name: &str,
        pairs: Pairs,
        head_width: usize,
        [sines, cosines]: [&[f32]; 2],
    ) -> Self {
        let positions = sines.len() / (head_width / 2);
        let mut rows = |part: &str, values: &[f32]| {
            let shape = [positions, head_width];
            let table = builder.floats(&format!("{name}.{part}"), &shape, &pairs.twice(values, head_width));
            builder.first_rows(&table, ids)
        };
        let (sines, cosines) = (rows("sines", sines), rows("cosines", cosines));
        let turn = pairs.quarter_turn(head_width);
        let quarter_turn = builder.floats(&format!("{name}.quarter_turn"), &[head_width, head_width], &turn);
        Self { cosines, sines, quarter_turn }
    }

    /// Rotates `x`, which is `[batch, heads, tokens, head width]`.
    pub(crate) fn rotate(&self, builder: &mut GraphBuilder, x: &Value) -> Value {
        let along = builder.node("Mul", &[x, &self.cosines], vec![]);
        let turned = builder.node("MatMul", &[x, &self.quarter_turn], vec![]);
        let across = builder.node("Mul", &[&turned, &self.sines], vec![]);
        builder.add(&along, &across)
    }
}

impl Pairs {
    /// The two components of a pair.
    fn components(self, pair: usize, head_width: usize) -> [usize; 2] {
        match self {
            Self::Halves => [pair, pair + head_width / 2],
            Self::Neighbours => [2 * pair, 2 * pair + 1],
        }
    }

    /// The value of each pair at both of its components.
    fn twice(self, values: &[f32], head_width: usize) -> Vec<f32> {
        let mut all = vec![0.0; 2 * values.len()];
        for (row, values) in all.chunks_mut(head_width).zip(values.chunks(head_width / 2)) {
            for (pair, value) in values.iter().enumerate() {
                for component in self.components(pair, head_width) {
                    row[component] = *value;
                }
            }
        }
        all
    }

    fn quarter_turn(self, head_width: usize) -> Vec<f32> {
        let mut matrix = vec![0.0; head_width * head_width];
        for pair in 0..head_width / 2 {
            let [first, second] = self.components(pair, head_width);
            // Row times column: the second component becomes the first one, with the other sign.
            matrix[second * head_width + first] = -1.0;
            matrix[first * head_width + second] = 1.0;
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_halves_or_neighbours() {
        // Two positions with two pairs each.
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(Pairs::Halves.twice(&values, 4), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
        assert_eq!(Pairs::Neighbours.twice(&values, 4), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        let turned = |pairs: Pairs, x: [f32; 4]| -> Vec<f32> {
            let matrix = pairs.quarter_turn(4);
            (0..4).map(|column| (0..4).map(|row| x[row] * matrix[row * 4 + column]).sum()).collect()
        };
        assert_eq!(turned(Pairs::Halves, [1.0, 2.0, 3.0, 4.0]), [-3.0, -4.0, 1.0, 2.0]);
        assert_eq!(turned(Pairs::Neighbours, [1.0, 2.0, 3.0, 4.0]), [-2.0, 1.0, -4.0, 3.0]);
    }

    #[test]
    fn angles_grow_with_the_position_and_fall_with_the_pair() {
        assert_eq!(angles(3, 4, 100.0), [0.0, 0.0, 1.0, 0.1, 2.0, 0.2]);
    }
}
