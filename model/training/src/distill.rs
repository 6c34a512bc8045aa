//! Distillation: training a small network on the probabilities of a larger one (Hinton, Vinyals and Dean,
//! 2015).

use fenliu_model::{Bundle, Classifier, ClassifierOptions, Example, ModelError, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::corpus::Corpus;
use crate::from_scratch::{TrainRequest, Trained, finish, random_network, with_dev};
use crate::hyperparameters::Hyperparameters;
use crate::observer::Observer;
use crate::options::Preset;
use crate::staged::{Provenance, RunSpec, Staged};
use crate::threads::on_threads;

/// The teacher's part in the training loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillOptions {
    /// Weight of the teacher's probabilities in the loss of a labelled document, in [0, 1]; the gold label
    /// has the rest. Documents without a label have the teacher's probabilities only. Default: 0.7.
    pub soft_share: f32,
    /// Temperature at which the probabilities of teacher and student are compared, at least 1. The higher it
    /// is, the larger is the influence of the probabilities that the teacher gives to the wrong labels.
    /// Default: 2.
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

/// Whom a student learns from, beside its labelled rows.
#[derive(Clone, Debug)]
pub struct Teaching<'a> {
    /// The model whose probabilities are learnt.
    pub teacher: &'a Bundle,
    /// Texts without a label: the student learns the teacher's probabilities for them.
    pub unlabelled: Vec<String>,
    /// The teacher's share in the training target.
    pub options: DistillOptions,
}

/// Trains a classifier from scratch on the probabilities that a teacher gives, and publishes it as
/// [`crate::train`] does.
///
/// The student gets the teacher's labels in their order. Texts are given cleaned as the teacher expects them.
///
/// # Errors
///
/// As [`crate::train`]; also when the teacher cannot run or a document has a label that it does not know.
pub fn distill(
    request: TrainRequest<'_>,
    teaching: Teaching<'_>,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let TrainRequest { destination, train, dev, preprocessing, options } = request;
    let Teaching { teacher, unlabelled, options: distillation } = teaching;
    options.validate()?;
    distillation.validate()?;
    let hyperparameters = Hyperparameters {
        soft_share: distillation.soft_share,
        temperature: distillation.temperature,
        ..options.hyperparameters()
    };
    let staged = on_threads(options.threads, || {
        // Split before the teacher is asked: it labels training texts only, in the order in which the corpus will
        // have them.
        let (train, dev) = with_dev(train, dev, options);
        let soft = soft_labels(teacher, &train, &unlabelled, options.threads)?;
        let manifest = teacher.manifest();
        let training = json!({
            "options": options,
            "teacher": { "name": manifest.name, "version": manifest.version },
            "distillation": distillation,
            "unlabelled_rows": unlabelled.len(),
        });
        let corpus = Corpus::for_student(teacher.labels(), train, dev, unlabelled, soft, options)?;
        let provenance = Provenance::from_scratch(options, preprocessing, training);
        if options.preset == Preset::Linear {
            return Staged::linear_alone(destination, corpus, provenance, observer);
        }
        let spec = RunSpec {
            network: random_network(&corpus, options)?,
            corpus,
            provenance,
            hyperparameters: &hyperparameters,
            linear: options.linear,
            checkpoints: None,
        };
        Staged::build(destination, spec, observer)
    })?;
    finish(staged, destination.name, options)
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
    tracing::info!(texts = texts.len(), version = classifier.version(), "labelling texts with the teacher");
    let encodings = classifier.encoder().encode_batch(&texts)?;
    let probabilities = classifier.classify(&encodings)?;
    Ok(probabilities.iter().map(|probabilities| probabilities.as_slice().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fenliu_model::tokenize::Tokenization;

    use super::*;
    use crate::options::TrainOptions;
    use crate::staged::Destination;
    use crate::testing::{examples, has_runtime, options, run};

    fn request<'a>(
        root: &'a Path,
        train: Vec<Example>,
        dev: Option<Vec<Example>>,
        options: &'a TrainOptions,
    ) -> TrainRequest<'a> {
        let destination = Destination { root, name: "student" };
        TrainRequest { destination, train, dev, preprocessing: json!(null), options }
    }

    #[test]
    fn a_student_learns_from_texts_that_only_its_teacher_has_labelled() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let options = options(Tokenization::Words);
        let teacher = run(examples(200), &options, root.path()).unwrap().bundle;
        let all = examples(200);
        // Two rows of one label: too few to learn from, so what the student knows comes from its teacher.
        let labelled = vec![all[0].clone(), all[2].clone()];
        let teaching = Teaching {
            teacher: &teacher,
            unlabelled: all[40..].iter().map(|example| example.text.clone()).collect(),
            options: DistillOptions::default(),
        };
        let request_of_two = request(root.path(), labelled, Some(all[..40].to_vec()), &options);
        let student = distill(request_of_two, teaching, &mut ()).unwrap();
        assert_eq!(student.bundle.labels(), teacher.labels());
        assert_eq!(student.report.dev.as_ref().map(|dev| dev.accuracy), Some(1.0));
        let training = &student.bundle.manifest().model.training;
        assert_eq!(training["teacher"]["version"], teacher.manifest().version);
        assert_eq!(training["unlabelled_rows"], 160);
    }

    #[test]
    fn a_label_that_the_teacher_does_not_know_is_refused() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let options = options(Tokenization::Words);
        let teacher = run(examples(60), &options, root.path()).unwrap().bundle;
        let unknown = vec![Example { label: "sky".to_owned(), ..examples(1)[0].clone() }];
        let teaching =
            Teaching { teacher: &teacher, unlabelled: Vec::new(), options: DistillOptions::default() };
        let error = distill(request(root.path(), unknown, None, &options), teaching, &mut ());
        assert!(error.unwrap_err().to_string().contains("no label `sky`"));
    }
}
