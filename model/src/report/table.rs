//! Tables of a page.

use super::html::{Html, count, score, signed, text};

/// One cell.
pub(super) enum Cell {
    /// A short text.
    Text(String),
    /// A long text, which is wrapped.
    Long(String),
    /// A formatted number.
    Number(String),
    /// A score from 0 to 1 with a bar behind it.
    Share(f64),
    /// A difference, green if it is above and red if it is below 0.
    Change(f64),
    /// A difference with the ends of its interval, drawn on a scale from `-reach` to `reach`.
    Interval { low: f64, difference: f64, high: f64, reach: f64 },
    /// Whether a condition is met, with a word for each case.
    Flag(bool, &'static str, &'static str),
}

impl Cell {
    /// A count.
    pub(super) fn count(value: usize) -> Self {
        Self::Number(count(value))
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Share(_) | Self::Change(_))
    }

    fn html(&self) -> Html {
        Html(match self {
            Self::Text(value) => format!("<td>{}</td>", text(value)),
            Self::Long(value) => format!("<td class=\"text\" dir=\"auto\">{}</td>", text(value)),
            Self::Number(value) => format!("<td class=\"number\">{}</td>", text(value)),
            Self::Share(value) => format!(
                "<td class=\"number share\" style=\"--share:{:.1}%\">{}</td>",
                value.clamp(0.0, 1.0) * 100.0,
                score(*value)
            ),
            Self::Change(value) => {
                let class = match value {
                    ..0.0 => "bad",
                    0.0 => "",
                    _ => "good",
                };
                format!("<td class=\"number\"><span class=\"{class}\">{}</span></td>", signed(*value))
            }
            Self::Interval { low, difference, high, reach } => {
                let place = |value: &f64| 90.0 + 85.0 * (value / reach).clamp(-1.0, 1.0);
                format!(
                    "<td><svg class=\"interval\" viewBox=\"0 0 180 16\" role=\"img\" aria-label=\"{} to {}\">\
                     <line class=\"guide\" x1=\"90\" y1=\"0\" x2=\"90\" y2=\"16\"/>\
                     <line class=\"one\" x1=\"{:.1}\" y1=\"8\" x2=\"{:.1}\" y2=\"8\"/>\
                     <circle class=\"dot\" cx=\"{:.1}\" cy=\"8\" r=\"4\"/></svg></td>",
                    signed(*low),
                    signed(*high),
                    place(low),
                    place(high),
                    place(difference)
                )
            }
            Self::Flag(is_good, yes, no) => {
                let (class, word) = if *is_good { ("good", yes) } else { ("bad", no) };
                format!("<td class=\"{class}\">{}</td>", text(word))
            }
        })
    }
}

/// Rows under a line of headings; empty without rows.
pub(super) fn table(headings: &[&str], rows: &[Vec<Cell>]) -> Html {
    let Some(first) = rows.first() else { return Html::default() };
    let heading = |(heading, cell): (&&str, &Cell)| {
        let class = if cell.is_number() { " class=\"number\"" } else { "" };
        Html(format!("<th{class}>{}</th>", text(heading)))
    };
    let headings: Html = headings.iter().zip(first).map(heading).collect();
    let row =
        |cells: &Vec<Cell>| Html(format!("<tr>{}</tr>\n", cells.iter().map(Cell::html).collect::<Html>()));
    let rows: Html = rows.iter().map(row).collect();
    Html(format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    ))
}

/// Names and values.
pub(super) fn facts(facts: &[(String, String)]) -> Html {
    let row = |(name, value): &(String, String)| {
        Html(format!("<tr><th>{}</th><td class=\"text\">{}</td></tr>\n", text(name), text(value)))
    };
    let rows: Html = facts.iter().map(row).collect();
    if facts.is_empty() { rows } else { Html(format!("<table>\n{rows}</table>\n")) }
}

/// `counts[gold][predicted]` as a heat map: green on the diagonal and red elsewhere, darker for a larger
/// share of the rows of the gold label.
pub(super) fn confusion(labels: &[&str], counts: &[Vec<usize>]) -> Html {
    let head: Html = labels.iter().map(|label| Html(format!("<th>{}</th>", text(label)))).collect();
    let row = |(gold, (label, counts)): (usize, (&&str, &Vec<usize>))| {
        let support = counts.iter().sum::<usize>().max(1) as f64;
        let cells: Html = counts
            .iter()
            .enumerate()
            .map(|(predicted, rows)| confusion_cell(*rows, *rows as f64 / support, gold == predicted))
            .collect();
        Html(format!("<tr><th>{}</th>{cells}</tr>\n", text(label)))
    };
    let rows: Html = labels.iter().zip(counts).enumerate().map(row).collect();
    Html(format!(
        "<div class=\"scroll\"><table class=\"confusion\">\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    ))
}

fn confusion_cell(rows: usize, share: f64, is_diagonal: bool) -> Html {
    if rows == 0 {
        return Html("<td></td>".to_owned());
    }
    let colour = if is_diagonal { "good" } else { "bad" };
    // The square root makes a few mistakes among many rows visible.
    let strength = 0.65 * share.sqrt();
    Html(format!("<td style=\"background:rgb(var(--{colour}) / {strength:.2})\">{}</td>", count(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_empty_tables_are_left_out() {
        let cells = vec![Cell::Text("<a>".into()), Cell::Long("<b>".into()), Cell::Number("<c>".into())];
        let table = table(&["<d>", "e", "f"], &[cells]).0;
        for tag in ["<a>", "<b>", "<c>", "<d>"] {
            assert!(!table.contains(tag), "{table}");
        }
        assert!(super::table(&["a"], &[]).0.is_empty());
        assert!(!facts(&[("<a>".into(), "<b>".into())]).0.contains("<b>"));
    }

    #[test]
    fn an_interval_is_drawn_around_its_middle() {
        let html = Cell::Interval { low: -0.1, difference: 0.0, high: 0.05, reach: 0.1 }.html().0;
        assert!(html.contains("x1=\"5.0\"") && html.contains("x2=\"132.5\""), "{html}");
        assert!(html.contains("cx=\"90.0\"") && html.contains("-0.1000 to +0.0500"), "{html}");
    }

    #[test]
    fn a_heat_map_shows_every_count() {
        let map = confusion(&["<a>", "b"], &[vec![9, 1], vec![0, 1000]]).0;
        assert!(map.contains(">9<") && map.contains(">1,000<") && map.contains("<td></td>"));
        assert!(map.contains("--good) / 0.62") && map.contains("--bad) / 0.21"), "{map}");
        assert!(!map.contains("<a>"));
    }
}
