//! The training loss: cross-entropy against smoothed targets (Szegedy et al., 2016), and against the
//! probabilities of a teacher (Hinton, Vinyals and Dean, 2015); and the disagreement of two passes over one
//! document (R-Drop, Liang et al., 2021).

/// The training target of a document; at least one of the two is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target<'a> {
    /// The right label.
    pub(crate) gold: Option<usize>,
    /// A teacher's probability of each label.
    pub(crate) soft: Option<&'a [f32]>,
}

/// The loss of a batch: the mean over its rows.
///
/// ```text
/// gold   = -sum(target * log softmax(z))       target: 1 - smoothing at the gold label, and smoothing / labels
/// soft   = T^2 KL(teacher_T || softmax(z / T))             teacher_T: probabilities^(1/T), normalised
/// loss   = class weight * ((1 - share) * gold + share * soft)        the known one if the other is unknown
/// pair   = consistency * (KL(p || q) + KL(q || p)) / 2          p, q: softmax of two passes over one document
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// The share of probability spread over all labels.
    pub(crate) smoothing: f32,
    /// The weight of documents of each label; `None` = 1 for all.
    pub(crate) class_weights: Option<Vec<f32>>,
    /// The weight of the teacher's probabilities, in [0, 1].
    pub(crate) soft_share: f32,
    /// The temperature `T` of the teacher's probabilities, above 0.
    pub(crate) temperature: f32,
    /// The weight of disagreement. If it is above 0, the second half of a batch must repeat the documents of
    /// the first.
    pub(crate) consistency: f32,
    /// Whether encoder and side path have a loss each, instead of one loss of the sum of their logits.
    pub(crate) separate: bool,
}

impl Loss {
    /// Cross-entropy with smoothed targets, for tests.
    #[cfg(test)]
    pub(crate) const SMOOTHED: Self = Self {
        smoothing: 0.1,
        class_weights: None,
        soft_share: 0.0,
        temperature: 1.0,
        consistency: 0.0,
        separate: false,
    };

    /// The loss of `logits`, `[targets, labels]`, and its gradient with respect to them.
    pub(crate) fn of(&self, logits: &[f32], labels: usize, targets: &[Target<'_>]) -> (f32, Vec<f32>) {
        let mut gradient = vec![0.0; logits.len()];
        let mut total = 0.0_f64;
        let rows = logits.chunks_exact(labels).zip(gradient.chunks_exact_mut(labels)).zip(targets);
        for ((logits, gradient), target) in rows {
            let weight = match (&self.class_weights, target.gold) {
                (Some(weights), Some(gold)) => weights[gold],
                _ => 1.0,
            };
            let soft_share = match (target.gold, target.soft) {
                (_, None) => 0.0,
                (None, Some(_)) => 1.0,
                (Some(_), Some(_)) => self.soft_share,
            };
            // The mean over the rows. It is not divided by the sum of the class weights, which are 1 on average.
            let weight = weight / targets.len() as f32;
            if let Some(gold) = target.gold {
                total += self.add_gold(logits, gold, weight * (1.0 - soft_share), gradient);
            }
            if let Some(teacher) = target.soft {
                total += self.add_soft(logits, teacher, weight * soft_share, gradient);
            }
        }
        if self.consistency > 0.0 {
            total += self.add_disagreement(logits, labels, &mut gradient);
        }
        (total as f32, gradient)
    }

    /// Adds the mean of both divergences over all pairs of a row of the first half and its repetition in the
    /// second.
    fn add_disagreement(&self, logits: &[f32], labels: usize, gradient: &mut [f32]) -> f64 {
        let half = logits.len() / 2;
        let ((first, second), (first_gradient, second_gradient)) =
            (logits.split_at(half), gradient.split_at_mut(half));
        // One over the number of rows, that is over twice the number of pairs: the mean over the pairs of half the
        // sum of both divergences.
        let weight = self.consistency / (2 * half / labels) as f32;
        let answers = first.chunks_exact(labels).zip(second.chunks_exact(labels));
        let gradients = first_gradient.chunks_exact_mut(labels).zip(second_gradient.chunks_exact_mut(labels));
        let mut loss = 0.0;
        for ((p, q), (p_gradient, q_gradient)) in answers.zip(gradients) {
            let (log_p, log_q) = (log_softmax(p), log_softmax(q));
            let (to_q, to_p) = (divergence(&log_p, &log_q), divergence(&log_q, &log_p));
            loss += f64::from(weight * (to_q + to_p));
            for label in 0..labels {
                let (p, q) = (log_p[label].exp(), log_q[label].exp());
                // With `r = log p - log q`, the derivative of `KL(p || q)` is `p (r - KL(p || q))` by the logits of `p`
                // and `q - p` by those of `q`. `KL(q || p)` has the same with `p` and `q` exchanged.
                let ratio = log_p[label] - log_q[label];
                p_gradient[label] += weight * (p * (ratio - to_q) + p - q);
                q_gradient[label] += weight * (q * (-ratio - to_p) + q - p);
            }
        }
        loss
    }

    fn add_gold(&self, logits: &[f32], gold: usize, weight: f32, gradient: &mut [f32]) -> f64 {
        let spread = self.smoothing / logits.len() as f32;
        let normaliser = log_sum_exp(logits);
        let mut loss = 0.0;
        for (label, (logit, gradient)) in logits.iter().zip(gradient).enumerate() {
            let target = if label == gold { 1.0 - self.smoothing + spread } else { spread };
            loss += f64::from(weight * target * (normaliser - logit));
            // The targets sum to 1, so the derivative is `softmax - target`.
            *gradient += weight * ((logit - normaliser).exp() - target);
        }
        loss
    }

    fn add_soft(&self, logits: &[f32], teacher: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        let temperature = self.temperature;
        let cooled: Vec<f32> = logits.iter().map(|logit| logit / temperature).collect();
        let normaliser = log_sum_exp(&cooled);
        // The teacher gives probabilities `p`, not logits. Since `p` is a softmax, `p^(1/T)` normalised is its
        // softmax at temperature `T`.
        let powers: Vec<f32> = teacher.iter().map(|p| p.powf(1.0 / temperature)).collect();
        let sum: f32 = powers.iter().sum();
        let mut loss = 0.0;
        for ((logit, power), gradient) in cooled.iter().zip(&powers).zip(gradient) {
            let (log_student, target) = (logit - normaliser, power / sum);
            // `0 * ln 0` is 0 in the divergence but NaN in floating point.
            if target > 0.0 {
                loss += f64::from(target * (target.ln() - log_student));
            }
            // `T^2` from the loss times `1/T` from the logits. The factor `T^2` keeps the gradient of the same size
            // for each temperature (Hinton, Vinyals and Dean, 2015, section 2).
            *gradient += weight * temperature * (log_student.exp() - target);
        }
        loss * f64::from(weight * temperature * temperature)
    }
}

/// The Kullback-Leibler divergence `KL(p || q)`, of logarithms of probabilities.
fn divergence(log_p: &[f32], log_q: &[f32]) -> f32 {
    log_p.iter().zip(log_q).map(|(p, q)| p.exp() * (p - q)).sum()
}

fn log_softmax(row: &[f32]) -> Vec<f32> {
    let normaliser = log_sum_exp(row);
    row.iter().map(|value| value - normaliser).collect()
}

/// The logarithm of the sum of exponentials, computed around the largest value.
fn log_sum_exp(row: &[f32]) -> f32 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // No exponential is above 1, so none overflows, and the sum is at least 1.
    top + row.iter().map(|value| (value - top).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::super::{assert_close, check_gradient, random};
    use super::*;

    const PLAIN: Loss = Loss { smoothing: 0.2, soft_share: 0.7, temperature: 2.0, ..Loss::SMOOTHED };

    fn gold(label: usize) -> Target<'static> {
        Target { gold: Some(label), soft: None }
    }

    #[test]
    fn the_loss_of_equal_logits_is_the_logarithm_of_the_label_count() {
        let (loss, _) = PLAIN.of(&[0.5; 16], 8, &[gold(3), gold(7)]);
        assert!((loss - 8.0_f32.ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let teacher = [0.1, 0.2, 0.0, 0.7];
        let targets = [
            gold(2),
            Target { gold: Some(0), soft: Some(&teacher) },
            Target { gold: None, soft: Some(&teacher) },
        ];
        let logits = random(12, 1);
        for loss in [PLAIN, Loss { class_weights: Some(vec![3.0, 1.0, 0.5, 1.0]), ..PLAIN }] {
            let (_, gradient) = loss.of(&logits, 4, &targets);
            check_gradient(&logits, &gradient, |logits| f64::from(loss.of(logits, 4, &targets).0));
        }
    }

    #[test]
    fn two_passes_that_differ_add_to_the_loss() {
        let loss = Loss { smoothing: 0.0, consistency: 1.5, ..PLAIN };
        let logits = random(16, 2);
        let targets = [gold(1), gold(3), gold(1), gold(3)];
        let (value, gradient) = loss.of(&logits, 4, &targets);
        check_gradient(&logits, &gradient, |logits| f64::from(loss.of(logits, 4, &targets).0));
        let alone = Loss { consistency: 0.0, ..loss.clone() };
        assert!(value > alone.of(&logits, 4, &targets).0 + 0.01);
        let same = logits[..8].repeat(2);
        let (agreeing, plain) = (loss.of(&same, 4, &targets), alone.of(&same, 4, &targets));
        assert!((agreeing.0 - plain.0).abs() < 1e-6);
        assert_close(&agreeing.1, &plain.1, 1e-6);
    }

    #[test]
    fn a_student_that_agrees_with_its_teacher_has_no_loss() {
        let logits = [1.0_f32, -0.5, 2.0];
        let normaliser = log_sum_exp(&logits);
        let teacher: Vec<f32> = logits.iter().map(|logit| (logit - normaliser).exp()).collect();
        let (loss, gradient) = PLAIN.of(&logits, 3, &[Target { gold: None, soft: Some(&teacher) }]);
        assert!(loss.abs() < 1e-6, "{loss}");
        assert_close(&gradient, &[0.0; 3], 1e-6);
    }
}
