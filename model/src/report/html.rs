//! HTML markup in which texts are always escaped.

use std::fmt::{Display, Formatter};

/// Markup. Text becomes markup only through [`text`], which escapes it. `Html(format!(…))` must contain only
/// fixed markup, numbers and other `Html`.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(pub(super) String);

impl Display for Html {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<T: IntoIterator<Item = Html>>(parts: T) -> Self {
        Html(parts.into_iter().map(|part| part.0).collect())
    }
}

/// Text, escaped for elements and for quoted attributes. Control characters, which HTML forbids, become spaces.
pub(super) fn text(text: &str) -> Html {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    Html(escaped)
}

/// A complete page. Its content security policy forbids scripts and external resources.
pub(super) fn document(title: &str, body: &Html) -> String {
    let title = text(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body><main>\n<h1>{title}</h1>\n{body}</main></body>\n</html>\n",
        include_str!("style.css")
    )
}

/// A section of the page with a heading and an introduction; empty if `body` is empty.
pub(super) fn section(heading: &str, intro: &str, body: &Html) -> Html {
    if body.0.is_empty() {
        return Html::default();
    }
    let (heading, intro) = (text(heading), text(intro));
    Html(format!("<section>\n<h2>{heading}</h2>\n<p class=\"intro\">{intro}</p>\n{body}</section>\n"))
}

/// The most important figures, each with name, value and remark.
pub(super) fn tiles(tiles: &[(&str, String, String)]) -> Html {
    let tile = |(name, value, remark): &(&str, String, String)| {
        let (name, value, remark) = (text(name), text(value), text(remark));
        Html(format!("<div class=\"tile\"><span>{name}</span><b>{value}</b><span>{remark}</span></div>\n"))
    };
    let tiles: Html = tiles.iter().map(tile).collect();
    Html(format!("<div class=\"tiles\">\n{tiles}</div>\n"))
}

/// A score with four digits.
pub(super) fn score(value: f64) -> String {
    format!("{value:.4}")
}

/// A score that may be undefined.
pub(super) fn optional_score(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), score)
}

/// A difference with its sign.
pub(super) fn signed(value: f64) -> String {
    format!("{value:+.4}")
}

/// A count, with commas between thousands.
pub(super) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(text("a<b> & \"c\" 'd'\u{0}").0, "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; ");
        let page = document("</title><script>", &section("<h2>", "&", &text("<img>")));
        assert!(!page.contains("<script>") && !page.contains("<img>") && page.contains("&lt;h2&gt;"));
        assert!(section("empty", "", &Html::default()).0.is_empty());
    }

    #[test]
    fn thousands_are_separated() {
        for (value, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), expected);
        }
    }
}
