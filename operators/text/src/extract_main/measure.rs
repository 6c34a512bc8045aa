//! The measurement on gold pages: 4-gram F1.
//!
//! A token is a Chinese character or a word. The 4-grams of both texts are compared as bags; a page's F1 is the harmonic
//! mean of the shares of the found and of the gold 4-grams that are in both. The figure is the mean over pages.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::extract_main;
use crate::testing::{json_lines, text_of};
use crate::{decode, is_han};

/// The scores of one language: of articles, and of forums.
struct Scores {
    articles: Vec<f64>,
    forums: Vec<f64>,
}

#[test]
fn the_main_text_of_gold_pages_is_found() {
    for (file, floor) in [("raw_html_zh.jsonl", 0.97), ("raw_html_en.jsonl", 0.94)] {
        let Some(rows) = json_lines(file) else { return };
        let scores = scores(&rows);
        let (articles, forums) = (mean(&scores.articles), mean(&scores.forums));
        println!("{file}: {articles:.4} for {} articles", scores.articles.len());
        println!("{file}: {forums:.4} for {} forums", scores.forums.len());
        assert!(articles >= floor, "{file}: {articles}");
    }
}

/// Mozilla's pages are left out: their gold is what Readability makes of them.
fn scores(rows: &[Value]) -> Scores {
    let mut scores = Scores { articles: Vec::new(), forums: Vec::new() };
    for row in
        rows.iter().filter(|row| row["body"].is_string() && !text_of(row, "source").starts_with("Mozilla"))
    {
        let score = f1(&main_text(&page(row)), text_of(row, "body"));
        let is_forum = text_of(row, "kind") == "forum";
        if is_forum { &mut scores.forums } else { &mut scores.articles }.push(score);
    }
    scores
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// The page of a row, which is given as bytes where they are not UTF-8.
pub(super) fn page(row: &Value) -> String {
    match row["html"].as_str() {
        Some(html) => html.to_owned(),
        None => decode(&BASE64_STANDARD.decode(text_of(row, "html_b64")).unwrap(), None).into_owned(),
    }
}

pub(super) fn main_text(html: &str) -> String {
    let mut out = String::new();
    if extract_main(html, &mut out) { out } else { html.to_owned() }
}

fn f1(found: &str, gold: &str) -> f64 {
    let (found, gold) = (four_grams(found), four_grams(gold));
    let common: usize = found.iter().map(|(gram, count)| *count.min(gold.get(gram).unwrap_or(&0))).sum();
    let all: usize = found.values().chain(gold.values()).sum();
    2.0 * common as f64 / all as f64
}

fn four_grams(text: &str) -> HashMap<Vec<String>, usize> {
    let tokens = tokens(text);
    let mut grams = HashMap::new();
    for gram in tokens.windows(tokens.len().clamp(1, 4)) {
        *grams.entry(gram.to_vec()).or_default() += 1;
    }
    grams
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for character in text.chars().chain([' ']) {
        let is_character = is_han(character);
        if character.is_alphanumeric() && !is_character {
            word.push(character);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if is_character {
            tokens.push(character.to_string());
        }
    }
    tokens
}

#[test]
fn the_measure_is_right_on_small_texts() {
    for (found, gold, expected) in [
        ("一二三四五", "一二三四五", 1.0),
        ("一二三四", "一二三四五", 2.0 / 3.0),
        ("one two three four, five", "one two three four five!", 1.0),
        ("甲", "甲", 1.0),
        ("一二三四", "五六七八", 0.0),
        ("", "五六七八", 0.0),
    ] {
        assert!((f1(found, gold) - expected).abs() < 1e-9, "{found:?} {gold:?}: {}", f1(found, gold));
    }
}
