//! `detect_lang`: the language of a text.
//!
//! The script decides first, and words, letters and a statistical model only where the script does not suffice. A
//! model alone takes Chinese with English names for French (greyblake/whatlang-rs issue 136).
//!
//! Letters are counted by script. An East Asian character counts four times, because it stands for about as much
//! text as four Latin letters. The script with the highest count decides:
//! - Latin: function words and letters, then a statistical model ([`latin`]);
//! - Han, kana and Hangul: their proportions ([`east_asian`]);
//! - Arabic and Cyrillic: the letters that only some languages have ([`arabic`], [`cyrillic`]);
//! - any other script: the code of the one language that most text in it is written in, such as `hi` for
//!   Devanagari.
//!
//! Simplified and traditional Chinese are both `zh`. A text without a letter of a known script is `und`, and so is a
//! short text in Latin letters, such as a headline of names, that has no word of any language.

mod arabic;
mod codes;
mod cyrillic;
mod east_asian;
mod evidence;
mod latin;
mod lexicon;
mod scripts;
#[cfg(test)]
mod tests;
mod words;

pub use codes::{DeclaredLang, ResolvedLang, canonical_lang, declares_language, resolve_lang};
use scripts::{Script, ScriptCounts};

/// The code for text that no language can be told from (ISO 639-2: undetermined).
const UNDETERMINED: &str = "und";

/// The code of the language of `text`: of ISO 639-1 if it has one there, else of ISO 639-3 (`ckb`); `und` if no
/// language can be told.
pub fn detect_lang(text: &str) -> &'static str {
    language_of(text, &ScriptCounts::of(text))
}

/// The way in which the language follows from the heaviest script, or group of scripts.
enum By {
    EastAsian,
    Latin,
    Cyrillic,
    Arabic,
    /// A script of one language.
    Script(&'static str),
}

fn language_of(text: &str, counts: &ScriptCounts) -> &'static str {
    let (code, letters) = counts.most_of_one_language();
    let weights = [
        (counts.weight(&[Script::Han, Script::Kana, Script::Hangul]), By::EastAsian),
        (counts.letters(Script::Latin), By::Latin),
        (counts.letters(Script::Cyrillic), By::Cyrillic),
        (counts.letters(Script::Arabic), By::Arabic),
        (letters, By::Script(code)),
    ];
    match weights.into_iter().max_by_key(|(weight, _)| *weight) {
        Some((0, _)) | None => UNDETERMINED,
        Some((_, By::EastAsian)) => east_asian::language(text, counts),
        Some((letters, By::Latin)) => latin::language(text, letters),
        Some((_, By::Cyrillic)) => cyrillic::language(text),
        Some((_, By::Arabic)) => arabic::language(text),
        Some((_, By::Script(code))) => code,
    }
}
