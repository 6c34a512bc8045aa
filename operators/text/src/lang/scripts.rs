//! Counts the letters of a text by script.
//!
//! Only letters count: no digits, no punctuation, and none of the invisible characters that Unicode places among
//! the letters of a script, such as the Hangul fillers. A text of such characters alone has no letter at all.

/// A writing system. East Asian text mixes three of them. From Hebrew on, each script is of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Han,
    Kana,
    /// の alone. Chinese brand names use it as decoration, so it is no evidence for Japanese by itself.
    No,
    Hangul,
    Cyrillic,
    Arabic,
    Hebrew,
    Greek,
    Armenian,
    Georgian,
    Thaana,
    Devanagari,
    Bengali,
    Gurmukhi,
    Gujarati,
    Oriya,
    Tamil,
    Telugu,
    Kannada,
    Malayalam,
    Sinhala,
    Thai,
    Lao,
    Tibetan,
    Burmese,
    Ethiopic,
    Khmer,
    Mongolian,
}

impl Script {
    /// The last one: its place is the number of the others.
    const COUNT: usize = Script::Mongolian as usize + 1;

    /// The scripts whose count alone can decide, and the code of the language that each is reported as.
    const OF_ONE_LANGUAGE: [(Script, &'static str); 22] = [
        (Script::Hebrew, "he"),
        (Script::Greek, "el"),
        (Script::Armenian, "hy"),
        (Script::Georgian, "ka"),
        (Script::Thaana, "dv"),
        (Script::Devanagari, "hi"),
        (Script::Bengali, "bn"),
        (Script::Gurmukhi, "pa"),
        (Script::Gujarati, "gu"),
        (Script::Oriya, "or"),
        (Script::Tamil, "ta"),
        (Script::Telugu, "te"),
        (Script::Kannada, "kn"),
        (Script::Malayalam, "ml"),
        (Script::Sinhala, "si"),
        (Script::Thai, "th"),
        (Script::Lao, "lo"),
        (Script::Tibetan, "bo"),
        (Script::Burmese, "my"),
        (Script::Ethiopic, "am"),
        (Script::Khmer, "km"),
        (Script::Mongolian, "mn"),
    ];

    /// The script of a letter. Most letters of news are ASCII or Han, so these come first.
    fn of(character: char) -> Option<Script> {
        match character {
            'a'..='z' | 'A'..='Z' => Some(Script::Latin),
            '\0'..='\u{BF}' => None,
            '\u{4E00}'..='\u{9FFF}' => Some(Script::Han),
            _ if is_latin(character) => Some(Script::Latin),
            _ => Script::of_other(character),
        }
    }

    fn of_other(character: char) -> Option<Script> {
        Some(match character {
            // Han includes the phonetic letters that only Chinese has (Bopomofo).
            '\u{3105}'..='\u{312F}'
            | '\u{31A0}'..='\u{31BF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{3347F}' => Script::Han,
            'の' => Script::No,
            'ぁ'..='ゖ' | 'ァ'..='ヺ' | '\u{31F0}'..='\u{31FF}' | 'ｦ'..='ﾝ' => Script::Kana,
            // U+115F, U+1160, U+3164 and U+FFA0 are invisible fillers.
            '\u{AC00}'..='\u{D7A3}'
            | '\u{1100}'..='\u{115E}'
            | '\u{1161}'..='\u{11FF}'
            | '\u{3131}'..='\u{3163}'
            | '\u{3165}'..='\u{318E}'
            | '\u{FFA1}'..='\u{FFDC}' => Script::Hangul,
            '\u{400}'..='\u{481}' | '\u{48A}'..='\u{52F}' => Script::Cyrillic,
            // The last character of the presentation forms, U+FEFF, is the byte order mark.
            '\u{620}'..='\u{64A}'
            | '\u{671}'..='\u{6D3}'
            | '\u{6D5}'
            | '\u{750}'..='\u{77F}'
            | '\u{FB50}'..='\u{FBB1}'
            | '\u{FBD3}'..='\u{FD3D}'
            | '\u{FE70}'..='\u{FEFC}' => Script::Arabic,
            'א'..='ת' | '\u{FB1D}'..='\u{FB4F}' => Script::Hebrew,
            '\u{386}' | '\u{388}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFC}' => Script::Greek,
            '\u{531}'..='\u{556}' | '\u{561}'..='\u{587}' => Script::Armenian,
            '\u{10A0}'..='\u{10FA}' | '\u{1C90}'..='\u{1CBF}' => Script::Georgian,
            '\u{780}'..='\u{7A5}' => Script::Thaana,
            '\u{904}'..='\u{939}' | '\u{958}'..='\u{961}' | '\u{972}'..='\u{97F}' => Script::Devanagari,
            '\u{985}'..='\u{9B9}' | '\u{9DC}'..='\u{9DF}' => Script::Bengali,
            '\u{A05}'..='\u{A39}' | '\u{A59}'..='\u{A5E}' => Script::Gurmukhi,
            '\u{A85}'..='\u{AB9}' => Script::Gujarati,
            '\u{B05}'..='\u{B39}' | '\u{B5C}'..='\u{B61}' => Script::Oriya,
            '\u{B83}'..='\u{BB9}' => Script::Tamil,
            '\u{C05}'..='\u{C39}' => Script::Telugu,
            '\u{C85}'..='\u{CB9}' => Script::Kannada,
            '\u{D05}'..='\u{D3A}' | '\u{D7A}'..='\u{D7F}' => Script::Malayalam,
            '\u{D85}'..='\u{DC6}' => Script::Sinhala,
            '\u{E01}'..='\u{E2E}' => Script::Thai,
            '\u{E81}'..='\u{EAE}' | '\u{EDC}'..='\u{EDF}' => Script::Lao,
            '\u{F40}'..='\u{F6C}' => Script::Tibetan,
            '\u{1000}'..='\u{102A}' | '\u{103F}' | '\u{1050}'..='\u{1055}' => Script::Burmese,
            '\u{1200}'..='\u{135A}' => Script::Ethiopic,
            '\u{1780}'..='\u{17B3}' => Script::Khmer,
            '\u{1820}'..='\u{1878}' => Script::Mongolian,
            _ => return None,
        })
    }
}

/// Whether a character is a Latin letter. The signs × and ÷ stand among them.
pub(super) fn is_latin(character: char) -> bool {
    matches!(
        character,
        'a'..='z' | 'A'..='Z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{24F}'
            | 'ə' | '\u{1E00}'..='\u{1EFF}'
    )
}

/// The number of Latin letters that one Han, kana or Hangul character counts for.
const EAST_ASIAN_WEIGHT: usize = 4;

/// The number of letters of each script.
pub(super) struct ScriptCounts([usize; Script::COUNT]);

impl ScriptCounts {
    pub(super) fn of(text: &str) -> Self {
        let mut counts = [0; Script::COUNT];
        for character in text.chars() {
            if let Some(script) = Script::of(character) {
                counts[script as usize] += 1;
            }
        }
        ScriptCounts(counts)
    }

    /// The number of letters of one script.
    pub(super) fn letters(&self, script: Script) -> usize {
        self.0[script as usize]
    }

    /// The code for the most frequent of the scripts of one language, and the number of its letters. Most texts have
    /// none of these scripts, and are not searched for them.
    pub(super) fn most_of_one_language(&self) -> (&'static str, usize) {
        let mut most = ("", 0);
        if self.0[Script::Hebrew as usize..].iter().all(|letters| *letters == 0) {
            return most;
        }
        for (script, code) in Script::OF_ONE_LANGUAGE {
            if self.letters(script) > most.1 {
                most = (code, self.letters(script));
            }
        }
        most
    }

    /// How much text the letters of some scripts stand for, in Latin letters.
    pub(super) fn weight(&self, scripts: &[Script]) -> usize {
        scripts.iter().map(|script| self.letters(*script) * weight_of_letter(*script)).sum()
    }

    /// The weight of all letters, except of the decoration の.
    pub(super) fn total_weight(&self) -> usize {
        let east_asian = self.weight(&[Script::Han, Script::Kana, Script::Hangul]);
        let letters: usize = self.0.iter().sum();
        letters + east_asian - east_asian / EAST_ASIAN_WEIGHT - self.letters(Script::No)
    }
}

fn weight_of_letter(script: Script) -> usize {
    match script {
        Script::Han | Script::Kana | Script::Hangul => EAST_ASIAN_WEIGHT,
        Script::No => 0,
        _ => 1,
    }
}
