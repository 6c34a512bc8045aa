//! Training a small network to answer as a larger one does (Hinton, Vinyals and Dean, 2015).

use std::path::Path;

use rand::{SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::{NetworkConfig, TrainOptions};
use super::corpus::Corpus;
use super::hyperparameters::Hyperparameters;
use super::network::Network;
use super::report::Observer;
use super::staged::{Provenance, Staged};
use super::{Example, Trained, finish, on_threads, split};
use crate::bundle::Bundle;
use crate::classifier::{Classifier, ClassifierOptions};
use crate::error::{ModelError, Result};

/// How much a student listens to its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillOptions {
    /// Share of the teacher in the loss of a labelled document, in [0, 1]; the rest is the gold label's. Default:
    /// 0.7. Documents without a label have the teacher alone.
    pub soft_share: f32,
    /// Temperature at which teacher and student are compared, at least 1; the higher, the more what the teacher
    /// thinks of the wrong labels counts. Default: 2.
    pub temperature: f32,
}

impl Default for DistillOptions {
    fn default() -> Self {
        Self { soft_share: 0.7, temperature: 2.0 }
    }
}

impl DistillOptions {
    fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.soft_share) {
            return Err(ModelError::option(
                "soft_share",
                self.soft_share,
                "must be at least 0 and at most 1",
            ));
        }
        if !(self.temperature.is_finite() && self.temperature >= 1.0) {
            return Err(ModelError::option(
                "temperature",
                self.temperature,
                "must be a number of at least 1",
            ));
        }
        Ok(())
    }
}

/// What a student learns from.
#[derive(Clone, Debug, Default)]
pub struct Lessons {
    /// Labelled documents.
    pub train: Vec<Example>,
    /// Labelled documents to stop by; none = a share of the training documents.
    pub dev: Option<Vec<Example>>,
    /// Texts that only the teacher labels.
    pub unlabelled: Vec<String>,
}

/// Trains a classifier from scratch on the probabilities that `teacher` gives, and publishes it as
/// [`super::train`] does.
///
/// The student gets the teacher's labels in their order. Texts are given cleaned as the teacher wants them.
///
/// # Errors
///
/// As [`super::train`]; also when the teacher cannot run or a document has a label that it does not know.
#[expect(clippy::too_many_arguments, reason = "as `train`, and from whom to learn")]
pub fn distill(
    teacher: &Bundle,
    name: &str,
    root: &Path,
    lessons: Lessons,
    preprocessing: serde_json::Value,
    options: &TrainOptions,
    distillation: &DistillOptions,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    options.validate()?;
    distillation.validate()?;
    let Lessons { train, dev, unlabelled } = lessons;
    let hyperparameters = Hyperparameters {
        soft_share: distillation.soft_share,
        temperature: distillation.temperature,
        ..options.hyperparameters()
    };
    let staged = on_threads(options.threads, || {
        let (train, dev) = match dev {
            Some(dev) => (train, dev),
            None => split::hold_out(train, options.dev_share, options.seed),
        };
        let soft = soft_labels(teacher, &train, &unlabelled, options.threads)?;
        let rows = unlabelled.len();
        let corpus = Corpus::for_student(teacher.labels(), train, dev, unlabelled, soft, options)?;
        let config = NetworkConfig::new(options, corpus.tokenizer.vocab_size(), corpus.labels.len());
        let network = Network::new(config, &mut SmallRng::seed_from_u64(options.seed))?;
        let manifest = teacher.manifest();
        let provenance = Provenance {
            preset: options.preset.name().to_owned(),
            tokenization: options.tokenization,
            max_tokens: options.max_tokens,
            preprocessing,
            training: json!({
                "options": options,
                "teacher": { "name": manifest.name, "version": manifest.version },
                "distillation": distillation,
                "unlabelled_rows": rows,
            }),
        };
        Staged::build(name, root, network, corpus, provenance, &hyperparameters, None, observer)
    })?;
    finish(staged, name, options)
}

/// The teacher's probabilities of all labels for the training documents and then the unlabelled ones.
fn soft_labels(
    teacher: &Bundle,
    train: &[Example],
    unlabelled: &[String],
    threads: usize,
) -> Result<Vec<Vec<f32>>> {
    let mut options = ClassifierOptions::default();
    if threads > 0 {
        options.threads = threads;
    }
    let mut classifier = Classifier::open(teacher, &options)?;
    let texts: Vec<&str> =
        train.iter().map(|example| &example.text).chain(unlabelled).map(String::as_str).collect();
    tracing::info!(texts = texts.len(), version = classifier.version(), "the teacher labels");
    let encodings = classifier.encoder().encode_batch(&texts)?;
    let probabilities = classifier.classify(&encodings)?;
    Ok(probabilities.iter().map(|probabilities| probabilities.as_slice().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::Tokenization;
    use crate::train::tests::{examples, has_runtime, options};
    use crate::train::train;

    #[test]
    fn a_student_learns_from_texts_that_only_its_teacher_labels() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let options = options(Tokenization::Words);
        let teacher = train("teacher", root.path(), examples(200), None, json!(null), &options, &mut ())
            .unwrap()
            .bundle;
        let all = examples(200);
        // Too few to learn from, and both of one kind: what the student knows comes from its teacher.
        let labelled = vec![all[0].clone(), all[2].clone()];
        let lessons = Lessons {
            train: labelled,
            dev: Some(all[..40].to_vec()),
            unlabelled: all[40..].iter().map(|example| example.text.clone()).collect(),
        };
        let student = distill(
            &teacher,
            "student",
            root.path(),
            lessons,
            json!(null),
            &options,
            &DistillOptions::default(),
            &mut (),
        )
        .unwrap();
        assert_eq!(student.bundle.labels(), teacher.labels());
        assert_eq!(student.report.dev.as_ref().map(|dev| dev.accuracy), Some(1.0));
        let training = &student.bundle.manifest().model.training;
        assert_eq!(training["teacher"]["version"], teacher.manifest().version);
        assert_eq!(training["unlabelled_rows"], 160);

        let lessons = Lessons {
            train: vec![Example { label: "sky".to_owned(), ..all[0].clone() }],
            ..Lessons::default()
        };
        let distillation = DistillOptions::default();
        let error =
            distill(&teacher, "s", root.path(), lessons, json!(null), &options, &distillation, &mut ());
        assert!(error.unwrap_err().to_string().contains("no label `sky`"));
    }
}
