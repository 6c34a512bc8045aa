//! The languages in Cyrillic script, told apart by the letters that only some of them have.
//!
//! A text without any such letter is reported as Russian, the most frequent of them.

/// A group of letters counts if it makes up at least one letter in this many, so that a name from another language
/// does not decide. For comparison, і alone is 5 % of Ukrainian.
const LETTERS_PER_OWN: usize = 200;

/// The language of a text of which most letters are Cyrillic.
pub(super) fn language(text: &str) -> &'static str {
    let letters = Letters::of(text);
    let has = |count: usize| count > 0 && count * LETTERS_PER_OWN >= letters.all;
    match () {
        () if has(letters.tajik) => "tg",
        () if has(letters.short_u) && has(letters.turkic) => "uz",
        () if has(letters.short_u) => "be",
        () if has(letters.ha) => "tg",
        () if has(letters.turkic) => "kk",
        () if has(letters.schwa) => "tt",
        () if has(letters.eng) => "ky",
        () if has(letters.front_vowels) => "mn",
        () if has(letters.ukrainian) => "uk",
        () if has(letters.macedonian) => "mk",
        () if has(letters.serbian) => "sr",
        // ъ is 2 % of Bulgarian, and rare in Russian.
        () if has(letters.hard_sign) && !has(letters.russian) => "bg",
        () => "ru",
    }
}

/// The number of letters of each group.
#[derive(Default)]
struct Letters {
    all: usize,
    tajik: usize,
    short_u: usize,
    ha: usize,
    turkic: usize,
    schwa: usize,
    eng: usize,
    front_vowels: usize,
    ukrainian: usize,
    macedonian: usize,
    serbian: usize,
    hard_sign: usize,
    russian: usize,
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut letters = Letters::default();
        for character in text.chars() {
            letters.count(character);
        }
        letters
    }

    fn count(&mut self, character: char) {
        self.all += usize::from(matches!(character, '\u{400}'..='\u{52F}'));
        match character {
            'ӣ' | 'ӯ' | 'ҷ' | 'Ӣ' | 'Ӯ' | 'Ҷ' => self.tajik += 1,
            'ў' | 'Ў' => self.short_u += 1,
            'ҳ' | 'Ҳ' => self.ha += 1,
            'қ' | 'ғ' | 'ұ' | 'Қ' | 'Ғ' | 'Ұ' => self.turkic += 1,
            'ә' | 'Ә' => self.schwa += 1,
            'ң' | 'Ң' => self.eng += 1,
            'ө' | 'ү' | 'Ө' | 'Ү' => self.front_vowels += 1,
            'і' | 'ї' | 'є' | 'ґ' | 'І' | 'Ї' | 'Є' | 'Ґ' => self.ukrainian += 1,
            'ѓ' | 'ќ' | 'ѕ' | 'Ѓ' | 'Ќ' | 'Ѕ' => self.macedonian += 1,
            'ј' | 'љ' | 'њ' | 'Ј' | 'Љ' | 'Њ' => self.serbian += 1,
            'ъ' | 'Ъ' => self.hard_sign += 1,
            'ы' | 'э' | 'ё' | 'Ы' | 'Э' | 'Ё' => self.russian += 1,
            _ => {}
        }
    }
}
