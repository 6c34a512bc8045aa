//! The model card of a bundle (`card.md`; Mitchell et al. 2019).

use crate::calibration::Calibration;
use crate::evaluate::Evaluation;

/// The content of a model card.
#[derive(Clone, Copy, Debug)]
pub struct ModelCard<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its purpose, in one or two sentences.
    pub purpose: &'a str,
    /// Names and values: architecture, parent version, options, data digest.
    pub facts: &'a [(String, String)],
    /// What it was tested on, as it completes "tested on …".
    pub tested_on: &'a str,
    /// Scores on those documents, if there were any.
    pub evaluation: Option<&'a Evaluation>,
    /// How its confidences were calibrated, if they were.
    pub calibration: Option<&'a Calibration>,
}

impl ModelCard<'_> {
    /// The card as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut card = format!("# {}\n\n{}\n\n", line(self.name), line(self.purpose));
        for (name, value) in self.facts {
            card += &format!("- {}: {}\n", line(name), line(value));
        }
        card += &self.scores();
        card += &self.confidences();
        card += "\n## Limits\n\nThe model knows only the labels above and predicts one of them for every text, \
                 including texts to which none of them applies. It was not tested on other sources, languages or \
                 years than those of its test documents. Watch its drift, and let people check the documents for \
                 which it abstains.\n";
        card
    }

    fn scores(&self) -> String {
        let Some(e) = self.evaluation else {
            return "\n## Scores\n\nNot tested.\n".to_owned();
        };
        let mut text = format!(
            "\n## Scores\n\nTested on {}: {} documents, accuracy {:.4}, macro-F1 {:.4}, calibration error {:.4}.\n\n\
             | label | documents | precision | recall | F1 |\n|---|---:|---:|---:|---:|\n",
            line(self.tested_on),
            e.rows,
            e.accuracy,
            e.macro_f1,
            e.ece
        );
        for class in &e.per_class {
            text += &format!(
                "| {} | {} | {:.4} | {:.4} | {:.4} |\n",
                line(&class.label),
                class.support,
                class.precision,
                class.recall,
                class.f1
            );
        }
        let confusions = e.top_confusions(5);
        if !confusions.is_empty() {
            text += "\nMost often confused:\n\n";
        }
        for confusion in confusions {
            let (gold, predicted) = (line(&confusion.gold), line(&confusion.predicted));
            text += &format!("- {gold} labelled as {predicted}: {} documents\n", confusion.rows);
        }
        text
    }

    fn confidences(&self) -> String {
        let Some(c) = self.calibration else {
            return "\n## Confidences\n\nNot calibrated.\n".to_owned();
        };
        format!(
            "\n## Confidences\n\nCalibrated on {} held-out documents (temperature {:.3}); calibration error {:.4} \
             before, {:.4} after. A prediction is trusted above the confidence at which {:.0} % of the held-out predictions \
             of its label were correct.\n",
            c.rows,
            c.temperature,
            c.before.ece,
            c.after.ece,
            c.target_precision * 100.0
        )
    }
}

/// Escapes a text for Markdown, on one line.
fn line(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if "\\`*_[]<>|#".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_card() {
        let facts = [("data\n# x".to_owned(), "a|b <i>".to_owned())];
        let card = ModelCard {
            name: "news_v1",
            purpose: "News.",
            facts: &facts,
            tested_on: "nothing",
            evaluation: None,
            calibration: None,
        };
        let text = card.to_markdown();
        assert!(text.starts_with("# news\\_v1\n\nNews.\n\n- data \\# x: a\\|b \\<i\\>\n"), "{text}");
        assert!(text.contains("Not tested.") && text.contains("Not calibrated."));
    }
}
