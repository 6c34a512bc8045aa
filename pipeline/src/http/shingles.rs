//! Which texts are nearly the same: by the share of three-character sequences that they have in common (Broder 1997).

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Texts that share this much are near duplicates.
pub(super) const NEAR: f64 = 0.6;

/// Most sequences that are kept of a text.
const MOST: usize = 128;

/// The hashes of the three-character sequences of a text, sorted, each once. White space and case do not count.
pub(super) fn of(text: &str) -> Vec<u32> {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let letters: Vec<char> =
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let hashes = letters.windows(3).map(|three| HASHER.hash_one(three) as u32);
    // The lowest hashes of both texts are a fair sample of their sequences.
    hashes.collect::<BTreeSet<_>>().into_iter().take(MOST).collect()
}

/// The share of the sequences of both texts that they have in common; 0 if one has none.
pub(super) fn similarity(a: &[u32], b: &[u32]) -> f64 {
    let (mut left, mut right, mut common) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(left), b.get(right)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => (left, right, common) = (left + 1, right + 1, common + 1),
        }
    }
    let all = a.len() + b.len() - common;
    if common == 0 { 0.0 } else { common as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> bool {
        similarity(&of(a), &of(b)) >= NEAR
    }

    #[test]
    fn small_changes_of_a_headline_do_not_matter_and_another_headline_does() {
        let headline = "Central bank raises interest rates by half a point to fight inflation";
        assert!(alike(
            headline,
            "CENTRAL BANK raises interest rates by half a point to fight inflation, again"
        ));
        assert!(!alike(headline, "Central defender raises hopes by half a season to fight relegation"));
        assert!(alike(
            "央行宣布上调基准利率0.5个百分点以抑制通胀",
            "快讯：央行宣布上调基准利率0.5个百分点以抑制通胀"
        ));
        assert!(!alike("央行宣布上调基准利率", "国足宣布更换主教练"));
        assert!(!alike("", ""));
    }
}
