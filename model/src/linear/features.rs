//! From a text to the keys of its features.

use std::path::Path;

use fenliu_text::Segmenter;
use serde::{Deserialize, Serialize};

use super::prepare::prepare;
use super::{characters, letters, words};
use crate::error::{ModelError, Result};
use crate::tokenize::words::{is_unspaced, segmenter};

/// Most characters of an n-gram.
pub(super) const MAX_CHARACTERS: usize = 8;
/// Most words of an n-gram.
const MAX_WORDS: usize = 8;

/// Which n-grams of characters are features. Spaces count as characters.
///
/// A script is called unspaced if it puts no spaces between words (Han, kana, Thai, Lao, Khmer, Myanmar), and Hangul
/// is, too: Korean has spaces, but what stands between them is a word with its particles, of which most are rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CharacterScope {
    /// Those whose characters are all of unspaced scripts.
    Unspaced,
    /// All of a text that has a character of an unspaced script, also those of its digits and Latin letters; none of
    /// other texts.
    UnspacedTexts,
    /// All, for the reference classifier.
    All,
}

/// What is read of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureOptions {
    /// Whether the text is brought to Unicode Normalization Form KC.
    pub nfkc: bool,
    /// Whether punctuation is removed, as by [`fenliu_text::strip_punctuation`].
    pub strip_punctuation: bool,
    /// Most characters of an n-gram of characters, at most 8; 0 = none are read.
    pub max_characters: usize,
    /// Which n-grams of characters are read.
    pub character_scope: CharacterScope,
    /// Most letters of an n-gram of letters inside a word, 3 to 8; they are read of texts without a character of an unspaced
    /// script. 0 = none are read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_letters: usize,
    /// Most words of an n-gram of segmented words, at most 8; 0 = none are read, and no text is segmented.
    pub max_words: usize,
    /// Whether texts in scripts without spaces are segmented to have words, too. On headlines the words added nothing to
    /// the characters, and segmentation takes most of the time.
    pub segment: bool,
}

impl Default for FeatureOptions {
    /// Without punctuation: characters 1–3 of texts in scripts without spaces, words 1–2 of others.
    fn default() -> Self {
        Self {
            nfkc: true,
            strip_punctuation: true,
            max_characters: 3,
            character_scope: CharacterScope::UnspacedTexts,
            max_letters: 0,
            max_words: 2,
            segment: false,
        }
    }
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl FeatureOptions {
    fn check(&self) -> Result<()> {
        let bounds = [
            ("max_characters", self.max_characters, MAX_CHARACTERS),
            ("max_letters", self.max_letters, MAX_CHARACTERS),
            ("max_words", self.max_words, MAX_WORDS),
        ];
        for (option, value, most) in bounds {
            if value > most {
                return Err(ModelError::option(option, value, format!("must be at most {most}")));
            }
        }
        if (1..letters::SHORTEST).contains(&self.max_letters) {
            return Err(ModelError::option("max_letters", self.max_letters, "must be 0 or at least 3"));
        }
        if self.max_characters + self.max_letters + self.max_words == 0 {
            let bound = "must be at least 1 where `max_characters` and `max_letters` are 0";
            return Err(ModelError::option("max_words", 0, bound));
        }
        Ok(())
    }
}

/// Turns texts into keys of features; cheap to share between threads by reference.
#[derive(Clone, Debug)]
pub struct Features {
    options: FeatureOptions,
    user_dict: Option<String>,
    segmenter: Segmenter,
}

impl Features {
    /// Features by these options. `user_dict` is the content of a user dictionary for the segmenter, in lines
    /// `word [frequency] [tag]`.
    ///
    /// # Errors
    ///
    /// An option is out of its bounds, or a line of the dictionary is unusable.
    pub fn try_new(options: FeatureOptions, user_dict: Option<String>) -> Result<Self> {
        Self::from_file(options, user_dict, None)
    }

    /// As [`Features::try_new`]; errors in the dictionary name the file that it is from.
    pub(super) fn from_file(
        options: FeatureOptions,
        user_dict: Option<String>,
        path: Option<&Path>,
    ) -> Result<Self> {
        options.check()?;
        let segmenter =
            if options.max_words > 0 { segmenter(user_dict.as_deref(), path)? } else { Segmenter::default() };
        Ok(Self { options, user_dict, segmenter })
    }

    /// What is read of a text.
    pub fn options(&self) -> &FeatureOptions {
        &self.options
    }

    /// Content of the user dictionary.
    pub fn user_dict(&self) -> Option<&str> {
        self.user_dict.as_deref()
    }

    /// Calls `use_key` with the key of each feature, as often as the text has it: characters first, then letters, then words,
    /// each in the order of the text.
    pub fn visit(&self, text: &str, mut use_key: impl FnMut(u64)) {
        let options = &self.options;
        let text = prepare(text, options);
        if options.max_characters > 0 {
            characters::visit(&text, options.max_characters, options.character_scope, &mut use_key);
        }
        let is_spaced = !text.chars().any(is_unspaced);
        if options.max_letters > 0 && is_spaced {
            letters::visit(&text, options.max_letters, &mut use_key);
        }
        if options.max_words > 0 && (options.segment || is_spaced) {
            words::visit(&text, options.max_words, options.strip_punctuation, &self.segmenter, use_key);
        }
    }

    /// The distinct keys of a text, in ascending order.
    pub fn keys(&self, text: &str) -> Vec<u64> {
        let mut keys = Vec::new();
        self.visit(text, |key| keys.push(key));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features(options: FeatureOptions) -> Features {
        Features::try_new(options, None).unwrap()
    }

    #[test]
    fn chinese_has_characters_and_english_has_words() {
        let segmented = features(FeatureOptions { segment: true, ..FeatureOptions::default() });
        let features = features(FeatureOptions::default());
        assert_eq!(features.keys("央行降息").len(), 9);
        // 央 行 降 息 央行 行降 降息 央行降 行降息, and the words 央行 降息 and both.
        assert_eq!(segmented.keys("央行降息").len(), 9 + 3);
        assert_eq!(features.keys("Shares rose").len(), 3);
        assert_eq!(features.keys("!?  \n").len(), 0);
        let letters = FeatureOptions { max_letters: 4, max_words: 0, ..FeatureOptions::default() };
        let letters = Features::try_new(letters, None).unwrap();
        assert_eq!(letters.keys("央行降息").len(), 9);
        assert_eq!(letters.keys("Oil rose").len(), 5 + 7);
    }

    #[test]
    fn width_case_and_punctuation_make_no_difference() {
        let features = features(FeatureOptions::default());
        assert_eq!(features.keys("“ＧＤＰ”增长！"), features.keys("gdp 增长"));
    }

    #[test]
    fn a_user_dictionary_changes_the_words() {
        let options =
            FeatureOptions { max_characters: 0, max_words: 1, segment: true, ..FeatureOptions::default() };
        let with = Features::try_new(options.clone(), Some("云梯计划 n\n".to_owned())).unwrap();
        assert_eq!(with.keys("云梯计划").len(), 1);
        assert_eq!(features(options.clone()).keys("云梯计划").len(), 2);
        let error = Features::try_new(options, Some("云梯 5 n 备注\n".to_owned())).unwrap_err().to_string();
        assert!(error.contains("user_dict.txt") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn options_out_of_bounds_are_refused() {
        let default = FeatureOptions::default;
        for (options, message) in [
            (
                FeatureOptions { max_characters: 9, ..default() },
                "`max_characters` is 9 but must be at most 8",
            ),
            (FeatureOptions { max_words: 9, ..default() }, "`max_words` is 9 but must be at most 8"),
            (
                FeatureOptions { max_words: 0, max_characters: 0, ..default() },
                "`max_words` is 0 but must be at least 1 where `max_characters` and `max_letters` are 0",
            ),
            (
                FeatureOptions { max_letters: 2, ..default() },
                "`max_letters` is 2 but must be 0 or at least 3",
            ),
            (FeatureOptions { max_letters: 9, ..default() }, "`max_letters` is 9 but must be at most 8"),
        ] {
            let error = Features::try_new(options, None).unwrap_err().to_string();
            assert_eq!(error, format!("invalid option: {message}"));
        }
    }

    fn any_options() -> impl Strategy<Value = FeatureOptions> {
        use CharacterScope::{All, Unspaced, UnspacedTexts};
        let scope = prop::sample::select(vec![Unspaced, UnspacedTexts, All]);
        (any::<bool>(), any::<bool>(), 1..=MAX_CHARACTERS, scope, 0..3_usize).prop_map(
            |(nfkc, strip_punctuation, max_characters, character_scope, max_words)| FeatureOptions {
                max_letters: if nfkc { 4 } else { 0 },
                segment: nfkc,
                nfkc,
                strip_punctuation,
                max_characters,
                character_scope,
                max_words,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_has_ascending_keys_in_bounded_number(
            text in "(\\PC|中国|[а-яA-Z]|[ก-๛]|한국|[\\p{M}\\p{P}\\p{S}]|\\s){0,60}",
            options in any_options(),
        ) {
            let keys = features(options.clone()).keys(&text);
            prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
            // NFKC makes at most 18 characters of one.
            let most = 18 * text.chars().count() * (options.max_characters + options.max_letters + options.max_words) * 3;
            prop_assert!(keys.len() <= most);
        }

        #[test]
        fn texts_beside_a_space_keep_their_features(left in "[a-z]{1,9}", right in "[中国股市新闻记者]{1,9}") {
            let character_scope = CharacterScope::Unspaced;
            let options = FeatureOptions { max_words: 1, character_scope, segment: true, ..FeatureOptions::default() };
            let features = features(options);
            let both = features.keys(&format!("{left} {right}"));
            let mut apart = [features.keys(&left), features.keys(&right)].concat();
            apart.sort_unstable();
            prop_assert_eq!(both, apart);
        }
    }
}
