//! `/predict` and `…/explain`: asking the model. They share its session with the pipeline and wait for their turn; one
//! question is answered at a time, so that they cannot slow the pipeline by more than that.
//!
//! The explanation is by occlusion (Zeiler and Fergus 2014): the label's probability without a piece of the text, compared
//! with that of the whole text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::Array;
use axum::Json;
use axum::extract::State;
use fenliu_model::Probabilities;
use fenliu_schemas::{Document, Origin, RawBuilder, split_rejected, text_column};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::documents::Key;
use crate::error::Converted;
use crate::http::app::App;
use crate::http::app::in_background;
use crate::http::extract::Body;
use crate::http::problem::{Answer, Problem};
use crate::serve::Generation;
use fenliu_operators::Plan as CleaningPlan;
use fenliu_text::Segmenter;

/// Most texts of one question.
const TEXTS: usize = 16;
/// Most pieces that a text is divided into, and how long the model may be asked about them.
const PIECES: usize = 96;
const BUDGET: Duration = Duration::from_secs(2);
/// Pieces that are left out in one call.
const PER_CALL: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    texts: Vec<Text>,
    #[serde(default = "three")]
    top_k: usize,
}

fn three() -> usize {
    3
}

/// A text to label: a body, or a headline and a body.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Body(String),
    Parts { title: Option<String>, body: Option<String> },
}

impl App {
    fn generation(&self) -> Answer<Arc<Generation>> {
        let live = self.live.get();
        live.map(|live| live.current()).ok_or_else(|| match self.dark.get("explain") {
            Some(why) => Problem::not_found(why.clone()),
            None => Problem::busy("the model is being opened", 5),
        })
    }

    /// Runs a question when it is its turn.
    async fn ask<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Generation, &CleaningPlan) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let generation = self.generation()?;
        let turn = Arc::clone(&self);
        let Some(_turn) = turn.asks.take() else {
            return Err(Problem::busy("the model is being asked by someone else", 1));
        };
        in_background(self, move |app| work(&generation, &app.clean)).await
    }
}

pub(super) async fn predict(
    State(app): State<Arc<App>>,
    Body(question): Body<Question>,
) -> Answer<Json<Value>> {
    let texts = question.texts.len();
    if texts == 0 || texts > TEXTS {
        return Err(Problem::bad_request(format!("{texts} texts are given: 1 to {TEXTS} may be")));
    }
    let answer = app.ask(move |generation, clean| labelled(&question, generation, clean));
    answer.await.map(Json)
}

fn labelled(question: &Question, generation: &Generation, clean: &CleaningPlan) -> Answer<Value> {
    let mut builder = RawBuilder::default();
    for (row, text) in question.texts.iter().enumerate() {
        let origin = Origin { topic: "predict", partition: 0, offset: row as i64, timestamp_ms: None };
        let (title, body) = match text {
            Text::Body(body) => (None, Some(body)),
            Text::Parts { title, body } => (title.as_ref(), body.as_ref()),
        };
        let (title, body) = (title.map(|title| title.as_str().into()), body.map(|body| body.as_str().into()));
        let document = Document { title, body, ..Document::default() };
        builder.append(origin, &[], &Ok(document));
    }
    let rows = builder.finish().map_err(|error| Problem::bad_request(error.to_string()))?;
    let cleaned = clean.run(&rows).converted()?;
    let reasons =
        text_column(&cleaned, "reject_reason").map_err(|error| Problem::bad_request(error.to_string()))?;
    let (kept, _) = split_rejected(&cleaned).map_err(|error| Problem::bad_request(error.to_string()))?;
    let classified = generation.classify(&generation.encode(&kept)?)?;
    let mut answers = classified.probabilities.iter().zip(&classified.abstained);
    let top_k = question.top_k.max(1);
    let one = |row: usize| match reasons.is_valid(row) {
        true => json!({ "label": null, "rejected": reasons.value(row) }),
        false => {
            answers.next().map_or(Value::Null, |(row, abstained)| answer(row, *abstained, top_k, generation))
        }
    };
    let predictions: Vec<Value> = (0..cleaned.num_rows()).map(one).collect();
    Ok(json!({ "model_version": generation.version(), "predictions": predictions }))
}

fn answer(row: &Probabilities, abstained: bool, top_k: usize, generation: &Generation) -> Value {
    let scored = |(index, score)| json!({ "label": generation.label(index), "score": score });
    let labels: Vec<Value> = row.top(top_k).into_iter().map(scored).collect();
    json!({ "label": labels[0]["label"], "score": labels[0]["score"], "labels": labels, "abstained": abstained })
}

/// A piece of a text, and how much the label's probability falls without it.
#[derive(Debug, Serialize)]
struct Piece {
    text: String,
    /// Characters of the whole text before the piece and up to its end.
    start: usize,
    end: usize,
    /// Positive: the piece speaks for the label.
    effect: f32,
}

pub(super) async fn explain(State(app): State<Arc<App>>, key: Key) -> Answer<Json<Value>> {
    let story = app.story(key)?;
    let text = story.text();
    let answer = app.ask(move |generation, _| explained(&text, generation));
    answer.await.map(Json)
}

fn explained(text: &str, generation: &Generation) -> Answer<Value> {
    let deadline = Instant::now() + BUDGET;
    let whole = generation.classify(&generation.encode_texts(&[text])?)?;
    let best = whole.probabilities.first().map(|row| row.top(1)).unwrap_or_default();
    let Some((label, score)) = best.first().copied() else {
        return Err(Problem::bad_request("the document has no text"));
    };
    let mut pieces = vec![];
    let spans = spans(text);
    for some in spans.chunks(PER_CALL) {
        if Instant::now() > deadline {
            break;
        }
        let without: Vec<String> =
            some.iter().map(|(start, end)| format!("{}{}", &text[..*start], &text[*end..])).collect();
        let classified = generation.classify(&generation.encode_texts(&without)?)?;
        for ((start, end), row) in some.iter().zip(&classified.probabilities) {
            let left = row.as_slice().get(label).copied().unwrap_or_default();
            let begin = text[..*start].chars().count();
            let piece = text[*start..*end].to_owned();
            pieces.push(Piece {
                start: begin,
                end: begin + piece.chars().count(),
                text: piece,
                effect: score - left,
            });
        }
    }
    let is_whole = pieces.len() == spans.len();
    Ok(json!({
        "method": "occlusion", "label": generation.label(label), "score": score, "pieces": pieces, "complete": is_whole,
    }))
}

/// The words of a text, or its sentences if it has many words: byte ranges that do not overlap.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let place = |word: &str| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        (start, start + word.len())
    };
    let has_letters = |word: &&str| word.chars().any(char::is_alphanumeric);
    let words: Vec<_> = Segmenter::loaded().words(text).filter(has_letters).map(place).collect();
    if words.len() <= PIECES {
        return words;
    }
    let ends = |c: char| matches!(c, '。' | '！' | '？' | '；' | '.' | '!' | '?' | ';' | '\n');
    let sentences = text.split_inclusive(ends).filter(has_letters);
    sentences.take(PIECES).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_words_and_of_long_texts_sentences() {
        let of = |text: &'static str| spans(text).into_iter().map(|(s, e)| &text[s..e]).collect::<Vec<_>>();
        assert_eq!(of("Banks raise rates."), ["Banks", "raise", "rates"]);
        assert_eq!(of("央行宣布降息"), ["央行", "宣布", "降息"]);
        let long = "One two three. ".repeat(40);
        assert_eq!(spans(&long).len(), 40);
    }
}
