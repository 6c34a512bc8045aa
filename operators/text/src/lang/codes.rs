//! `resolve_lang`: the language of a text, from what its source declares and from its letters.
//!
//! Sources declare languages as codes of two or three letters, with region and script (`zh-Hans-CN`), as names in
//! English or in the language itself, and as codes of countries (`cn`, `jp`). [`canonical_lang`] reads them and
//! compares the writing system with the text: a code that is no language, or whose letters the text hardly has, is
//! not believed.
//!
//! What it does not do: it does not compare the declared language with the detected one where both share a script.
//! `fr` over an English text is believed.

mod spelling;
mod tables;
#[cfg(test)]
mod tests;

use super::language_of;
use super::scripts::ScriptCounts;
use spelling::{Language, Spelling};
use tables::COUNTRIES_OF_OTHER_LANGUAGES;

/// A declared language is believed if its letters make up at least one in this many of the text, by weight. "No
/// letter at all" would be too weak: of 1,737 Chinese articles with the code `en`, 831 would pass for English; so do 39.
const SHARE_OF_OWN_LETTERS: usize = 10;

/// What a declared language is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredLang {
    /// Nothing is declared: the text is empty, or says so (`und`, `mul`, `unknown`).
    Absent,
    /// The code of the language, of ISO 639-1 (`ckb`, which has none there, of ISO 639-3).
    Believed(&'static str),
    /// It is no language, or contradicts the letters of the text.
    Doubted,
}

/// The language of a text, and whether what was declared is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedLang {
    /// The code of the language. `None` if there is neither a text nor a declared language that is believed.
    pub code: Option<&'static str>,
    /// Whether a language was declared and not believed: the warning `lang:unknown`.
    pub doubted: bool,
}

/// The declared language if it is believed, else the language that is detected in the text.
///
/// ```
/// use fenliu_text::resolve_lang;
///
/// assert_eq!(resolve_lang(Some("央行降息"), Some("zh-Hans")).code, Some("zh"));
/// assert_eq!(resolve_lang(Some("央行降息"), Some("cn")).code, Some("zh"));
/// let resolved = resolve_lang(Some("央行降息"), Some("en"));
/// assert!(resolved.doubted && resolved.code == Some("zh"));
/// assert_eq!(resolve_lang(None, Some("english")).code, Some("en"));
/// ```
pub fn resolve_lang(text: Option<&str>, declared: Option<&str>) -> ResolvedLang {
    let content = text.unwrap_or_default();
    let counts = ScriptCounts::of(content);
    let worth = declared.map_or(DeclaredLang::Absent, |declared| judge(declared, content, &counts));
    if let DeclaredLang::Believed(code) = worth {
        return ResolvedLang { code: Some(code), doubted: false };
    }
    let code = text.map(|text| language_of(text, &counts));
    ResolvedLang { code, doubted: worth == DeclaredLang::Doubted }
}

/// Whether a source that writes this declares a language, or says that there is none to declare.
pub fn declares_language(declared: &str) -> bool {
    !matches!(spelling::read(declared), Spelling::Unknown)
}

/// Reads a declared language, and compares its letters with those of the text. A text without letters contradicts
/// nothing.
pub fn canonical_lang(declared: &str, text: &str) -> DeclaredLang {
    judge(declared, text, &ScriptCounts::of(text))
}

fn judge(declared: &str, text: &str, counts: &ScriptCounts) -> DeclaredLang {
    match spelling::read(declared) {
        Spelling::Absent => DeclaredLang::Absent,
        Spelling::Known(language)
            if !contradicts(language, counts) && !is_country(language.code, text, counts) =>
        {
            DeclaredLang::Believed(language.code)
        }
        Spelling::Known(_) | Spelling::Unknown => DeclaredLang::Doubted,
    }
}

/// Whether the text is written in other letters than the language is.
fn contradicts(language: Language, counts: &ScriptCounts) -> bool {
    !language.scripts.is_empty()
        && counts.weight(language.scripts) * SHARE_OF_OWN_LETTERS < counts.total_weight()
}

/// Whether the code rather means a country, because the text is in a language of that country.
fn is_country(code: &str, text: &str, counts: &ScriptCounts) -> bool {
    COUNTRIES_OF_OTHER_LANGUAGES.iter().filter(|(country, _)| *country == code).any(|(_, languages)| {
        let detected = language_of(text, counts);
        languages.split(' ').any(|language| language == detected)
    })
}
