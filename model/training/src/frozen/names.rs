//! Classifying by the names of the classes: a text belongs to the class whose name means the most similar thing.
//!
//! ```text
//! logit_c = cos(u − μ, t_c − t̄) / 0.056
//! ```
//!
//! where u is the vector of the document, μ the mean over documents, t_c the vector of the class's text and t̄ their mean.
//! Vectors of a sentence encoder have a large common part, which says nothing about the class; hence the means. At 0.056
//! the softmax of multilingual-e5-small is about as sure as it is right.
//!
//! With documents that need no label, the texts of the classes can be replaced by the centres of the documents that are
//! surely theirs, and again by those of the new ones ([`NamesHead::refined`]).

use super::vectors::{Vectors, direction, normalise};

/// The cosine is divided by it.
const TEMPERATURE: f32 = 0.056;
/// The share of the documents that the centres are made of: the surest.
const SUREST: f64 = 0.3;

/// The classifier by names: `logits = (vector − centre) / |vector − centre| · directions`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamesHead {
    /// μ
    pub(crate) centre: Vec<f32>,
    /// Row-major `[width, classes]`: for each class the direction of its text, divided by the temperature.
    pub(crate) directions: Vec<f32>,
}

impl NamesHead {
    /// The head for classes with these vectors and documents with this mean.
    pub(super) fn new(classes: &Vectors, centre: Vec<f32>) -> Self {
        let mean = classes.mean();
        let directions: Vec<Vec<f32>> = classes.rows().map(|class| direction(class, &mean)).collect();
        Self::from_directions(&directions, centre)
    }

    fn from_directions(directions: &[Vec<f32>], centre: Vec<f32>) -> Self {
        let by_component =
            (0..centre.len()).flat_map(|i| directions.iter().map(move |class| class[i] / TEMPERATURE));
        Self { directions: by_component.collect(), centre }
    }

    fn classes(&self) -> usize {
        self.directions.len() / self.centre.len().max(1)
    }

    /// The logits of a vector.
    pub(crate) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let difference = direction(vector, &self.centre);
        let mut logits = vec![0.0; self.classes()];
        for (value, directions) in difference.iter().zip(self.directions.chunks_exact(self.classes())) {
            logits.iter_mut().zip(directions).for_each(|(logit, direction)| *logit += value * direction);
        }
        logits
    }

    /// Multiplies all logits.
    pub(super) fn scale(&mut self, factor: f32) {
        self.directions.iter_mut().for_each(|value| *value *= factor);
    }

    /// The head whose directions are those of the centres of the documents that each class surely has: the surest of the
    /// documents that are nearest to it. A class without such documents keeps its direction.
    pub(super) fn refined(&self, documents: &Vectors, rounds: usize) -> Self {
        (0..rounds).fold(self.clone(), |head, _| head.round(documents))
    }

    fn round(&self, documents: &Vectors) -> Self {
        let classes = self.classes();
        let mut members: Vec<Vec<(f32, usize)>> = vec![Vec::new(); classes];
        for (row, document) in documents.rows().enumerate() {
            let (class, margin) = surest(&self.logits(document));
            members[class].push((margin, row));
        }
        let direction_of = |(class, mut members): (usize, Vec<(f32, usize)>)| {
            members.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
            let kept = (members.len() as f64 * SUREST).ceil() as usize;
            let mut centre = vec![0.0; self.centre.len()];
            for (_, row) in &members[..kept] {
                let difference = direction(documents.row(*row), &self.centre);
                centre.iter_mut().zip(difference).for_each(|(sum, value)| *sum += value);
            }
            if kept == 0 {
                let old = self.directions.iter().skip(class).step_by(classes);
                centre = old.copied().collect();
            }
            normalise(&mut centre);
            centre
        };
        let directions: Vec<Vec<f32>> = members.into_iter().enumerate().map(direction_of).collect();
        Self::from_directions(&directions, self.centre.clone())
    }
}

/// The class with the highest logit, and by how much it is above the second.
fn surest(logits: &[f32]) -> (usize, f32) {
    let (mut best, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (class, logit) in logits.iter().copied().enumerate() {
        if logit > first {
            (best, second, first) = (class, first, logit);
        } else {
            second = second.max(logit);
        }
    }
    (best, first - second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::random;

    /// Documents around two centres that share a large part, and class texts that lean towards them only a little.
    fn documents() -> (Vectors, Vectors, Vec<usize>) {
        let noise = random(200 * 4, 5);
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for (row, noise) in noise.chunks_exact(4).enumerate() {
            let label = row % 2;
            let side = if label == 0 { 1.0 } else { -1.0 };
            values.extend([9.0 + 0.1 * noise[0], side + 0.3 * noise[1], side + 0.3 * noise[2], noise[3]]);
            labels.push(label);
        }
        let classes = Vectors::new(vec![3.0, 0.1, 0.0, 0.3, 3.0, -0.1, 0.0, -0.3], 4);
        (Vectors::new(values, 4), classes, labels)
    }

    fn accuracy(head: &NamesHead, documents: &Vectors, labels: &[usize]) -> f64 {
        let right =
            documents.rows().zip(labels).filter(|(row, label)| surest(&head.logits(row)).0 == **label);
        right.count() as f64 / labels.len() as f64
    }

    #[test]
    fn names_classify_once_the_common_part_is_gone_and_centres_of_documents_do_better() {
        let (documents, classes, labels) = documents();
        let head = NamesHead::new(&classes, documents.mean());
        let names = accuracy(&head, &documents, &labels);
        assert!(names > 0.6, "{names}");
        let refined = head.refined(&documents, 3);
        let centres = accuracy(&refined, &documents, &labels);
        assert!(centres > names && centres > 0.95, "{names} {centres}");
        assert_eq!(head.refined(&documents, 0), head);
    }

    #[test]
    fn a_class_without_documents_keeps_its_direction() {
        let (documents, classes, _) = documents();
        let mut head = NamesHead::new(&classes, documents.mean());
        // The third class points away from all documents.
        let away = [0.0, 1.0, -1.0, 0.0].map(|value: f32| value * 1e-3);
        head.directions = head
            .directions
            .chunks_exact(2)
            .zip(away)
            .flat_map(|(row, away)| [row[0], row[1], away])
            .collect();
        let refined = head.refined(&documents, 1);
        let third: Vec<f32> = refined.directions.iter().skip(2).step_by(3).copied().collect();
        assert!(third[1] > 0.0 && third[2] < 0.0, "{third:?}");
        assert!(refined.directions.iter().all(|value| value.is_finite()));
    }
}
