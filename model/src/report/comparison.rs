//! Parts of a page that compare a challenger with the champion.

use super::html::{Html, score, section, signed};
use super::table::{Cell, table};
use crate::compare::{Comparison, Difference, Slice};
use crate::gates::Gate;
use crate::quality::excerpt;

/// Most disagreements that a page shows.
const SHOWN: usize = 20;

/// The gates and their results.
pub(super) fn gates(gates: &[Gate]) -> Html {
    let row = |gate: &Gate| {
        vec![
            Cell::Flag(gate.passed, "passed", "refused"),
            Cell::Text(gate.name.clone()),
            Cell::Number(number(gate.value)),
            Cell::Number(number(gate.bound)),
            Cell::Long(gate.detail.clone()),
        ]
    };
    let rows: Vec<Vec<Cell>> = gates.iter().map(row).collect();
    let intro = "A challenger is promoted only if it passes all of them.";
    section("Gates", intro, &table(&["", "gate", "value", "bound", "in words"], &rows))
}

/// Values range from logits that differ by 1e-6 to whole numbers of rows.
fn number(value: f64) -> String {
    match value.abs() {
        1.0.. if value.fract() == 0.0 => format!("{value:.0}"),
        f64::MIN_POSITIVE..1e-3 => format!("{value:.1e}"),
        _ => score(value),
    }
}

/// Both models' scores with the interval of their difference.
pub(super) fn comparison(comparison: &Comparison) -> Html {
    let scores = [("accuracy", &comparison.accuracy), ("macro-F1", &comparison.macro_f1)];
    let ends = scores.iter().flat_map(|(_, score)| [score.low.abs(), score.high.abs()]);
    // A minimum width, so that noise does not look like a difference.
    let reach = ends.fold(0.01, f64::max);
    let row = |(name, difference): (&str, &Difference)| {
        let Difference { champion, challenger, difference, low, high } = *difference;
        vec![
            Cell::Text(name.to_owned()),
            Cell::Share(champion),
            Cell::Share(challenger),
            Cell::Change(difference),
            Cell::Number(format!("{} to {}", signed(low), signed(high))),
            Cell::Interval { low, difference, high, reach },
        ]
    };
    let intro = format!(
        "On the same {} documents. {} only the challenger labels right, {} only the champion. Intervals hold the true \
         difference with 95 % probability (paired bootstrap, {} resamples).",
        comparison.rows, comparison.gained, comparison.lost, comparison.resamples
    );
    let headings = ["score", "champion", "challenger", "difference", "95 % interval", "worse | better"];
    section("Champion and challenger", &intro, &table(&headings, &scores.map(row)))
}

/// Accuracy on parts of the rows.
pub(super) fn slices(slices: &[Slice]) -> Html {
    let has_champion = slices.iter().any(|slice| slice.champion.is_some());
    let row = |slice: &Slice| {
        let mut cells =
            vec![Cell::Text(slice.name.clone()), Cell::count(slice.rows), Cell::Share(slice.challenger)];
        if has_champion {
            let champion = slice.champion.unwrap_or(0.0);
            cells.extend([Cell::Share(champion), Cell::Change(slice.challenger - champion)]);
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = slices.iter().map(row).collect();
    let headings = ["slice", "documents", "accuracy", "champion", "change"];
    section("Slices", "Accuracy on documents that have something in common.", &table(&headings, &rows))
}

/// Documents that both label differently; first those that one of them labels correctly.
pub(super) fn disagreements(comparison: &Comparison, texts: &[&str]) -> Html {
    let mut rows: Vec<_> = comparison.disagreements.iter().collect();
    rows.sort_by_key(|row| row.gold != row.champion && row.gold != row.challenger);
    let cells = |row: &&crate::compare::Disagreement| {
        vec![
            Cell::Text(row.gold.clone()),
            Cell::Text(row.champion.clone()),
            Cell::Text(row.challenger.clone()),
            Cell::Long(excerpt(texts.get(row.row).copied().unwrap_or_default())),
        ]
    };
    let shown: Vec<Vec<Cell>> = rows.iter().take(SHOWN).map(cells).collect();
    let intro = format!("{} of the {} documents that both label differently.", shown.len(), rows.len());
    section("Disagreements", &intro, &table(&["label", "champion", "challenger", "text"], &shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_needed() {
        let cases = [
            (10.0, "10"),
            (0.0, "0.0000"),
            (1.1e-6, "1.1e-6"),
            (-0.005, "-0.0050"),
            (1.05, "1.0500"),
            (-2.0, "-2"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
