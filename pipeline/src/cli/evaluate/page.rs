//! The HTML page of `fenliu evaluate --html`.

use fenliu_model::evaluate::roc_curves;
use fenliu_model::report::{EvaluationPage, mistakes};
use fenliu_model::{Bundle, Classifier};

use super::{Answers, EvaluateArgs, Measured};

/// How many wrongly labelled documents the page shows.
const MISTAKES: usize = 30;

/// The page as HTML.
pub(super) fn page(
    args: &EvaluateArgs,
    bundle: &Bundle,
    classifier: &Classifier,
    answers: &Answers,
    measured: &Measured,
) -> String {
    let Answers { labels, gold, probabilities, documents } = answers;
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    EvaluationPage {
        title: &format!("{} on {}", bundle.manifest().name, data(args)),
        facts: &facts(args, bundle, measured),
        evaluation: &measured.evaluation,
        roc: &roc_curves(labels, gold, probabilities),
        // The evaluation has its own.
        slices: &[],
        mistakes: &mistakes(labels, gold, probabilities, &texts, MISTAKES),
        calibration: classifier.calibration(),
    }
    .to_html()
}

/// The names of the data files.
fn data(args: &EvaluateArgs) -> String {
    let name = |path: &std::path::PathBuf| {
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = args.data.iter().map(name).collect();
    let selection = args.select.as_ref().map_or_else(String::new, |s| format!(" ({}={})", s.field, s.value));
    format!("{}{selection}", names.join(", "))
}

fn facts(args: &EvaluateArgs, bundle: &Bundle, measured: &Measured) -> Vec<(String, String)> {
    let manifest = bundle.manifest();
    let paths: Vec<String> = args.data.iter().map(|path| path.display().to_string()).collect();
    let mut facts = vec![
        ("model", manifest.name.clone()),
        ("version", manifest.version.clone()),
        ("created", manifest.created_at.clone()),
        ("architecture", format!("{}, {} parameters", manifest.model.preset, manifest.model.parameters)),
        ("documents", paths.join(", ")),
        ("rejected by decoding or cleaning", measured.rejected.to_string()),
        ("documents a second", format!("{:.0}", measured.docs_per_s)),
        ("program", format!("fenliu {}", env!("CARGO_PKG_VERSION"))),
    ];
    facts.extend(measured.trusted.as_ref().map(|trusted| ("labels", trusted.words())));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
