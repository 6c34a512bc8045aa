//! What a text is turned into before n-grams are taken.

use std::borrow::Cow;

use fenliu_text::strip_punctuation;
use icu_normalizer::ComposingNormalizerBorrowed;

use super::features::FeatureOptions;
use crate::tokenize::words::lowercase;

/// The text in Normalization Form KC and without punctuation, as far as the options say so.
///
/// Case is kept, because the segmenter's dictionaries have words in capital letters.
pub(super) fn prepare<'a>(text: &'a str, options: &FeatureOptions) -> Cow<'a, str> {
    let text = if options.nfkc { compatible(text) } else { Cow::Borrowed(text) };
    if options.strip_punctuation { stripped(text) } else { text }
}

fn compatible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    ComposingNormalizerBorrowed::new_nfkc().normalize(text)
}

fn stripped(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut words = String::with_capacity(text.len());
    if strip_punctuation(&text, &mut words) { Cow::Owned(words) } else { text }
}

/// The text in lower case, with one space for each run of white space and none at its ends.
pub(super) fn lower_case(text: &str) -> String {
    let mut lower = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !lower.is_empty() {
            lower.push(' ');
        }
        lower.push_str(&lowercase(word));
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_what_is_left_of_a_text() {
        let text = "央行：ＧＤＰ增长③％！\n“Ａ股” up";
        for (nfkc, strip_punctuation, expected) in [
            (true, true, "央行 GDP增长3\nA股 up"),
            (true, false, "央行:GDP增长3%!\n“A股” up"),
            (false, false, text),
        ] {
            let options = FeatureOptions { nfkc, strip_punctuation, ..FeatureOptions::default() };
            assert_eq!(prepare(text, &options), expected);
        }
        assert_eq!(lower_case("  央行 \n\tGDP Q1\u{3000}"), "央行 gdp q1");
    }
}
