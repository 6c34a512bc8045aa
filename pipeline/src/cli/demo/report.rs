//! What the demo shows in the end: some labelled rows, how many labels are those of the editors, and what to try next.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use fenliu_connectors::files::{Documents, data_files};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::summary::Summary;

/// Rows that are shown of each source and language.
const SHOWN: usize = 4;

/// Columns of a terminal that the text of a row takes.
const TEXT_WIDTH: usize = 60;

/// The columns of a labelled row that are shown.
#[derive(Debug, Deserialize)]
struct Row {
    source: Option<String>,
    lang: Option<String>,
    label: String,
    score: f64,
    source_label: Option<String>,
    body: Option<String>,
}

/// Reports on the rows in `out`, the directory of the demo that trained `model`.
pub(super) fn report(summary: &Summary, out: &Path, model: &str, test_files: &[PathBuf]) -> Result<String> {
    let groups = groups(&out.join("labelled"))?;
    Ok(format!(
        "\n{}\n{summary}\n{}\n{}",
        samples(&groups),
        accuracies(&groups),
        next_steps(out, model, test_files)
    ))
}

/// The labelled rows by source and language.
fn groups(labelled: &Path) -> Result<BTreeMap<(String, String), Vec<Row>>> {
    let mut groups: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for file in data_files(&[labelled.to_path_buf()])? {
        for row in Documents::open(&file)? {
            let row: Row = serde_json::from_slice(row?.content.payload())
                .map_err(|error| Error::internal(format!("{}: {error}", file.display())))?;
            let group = (row.source.clone().unwrap_or_default(), row.lang.clone().unwrap_or_default());
            groups.entry(group).or_default().push(row);
        }
    }
    Ok(groups)
}

/// A few rows of each group, as lines of text.
fn samples(groups: &BTreeMap<(String, String), Vec<Row>>) -> String {
    let mut text = String::new();
    for row in groups.values().flat_map(|rows| rows.iter().take(SHOWN)) {
        let start = start(row.body.as_deref().unwrap_or_default(), TEXT_WIDTH);
        let lang = row.lang.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {:13} {:.2}  {lang}  {start}...", row.label, row.score);
    }
    text
}

/// As much of `text` as fits into `width` columns of a terminal, in which Chinese characters take two.
fn start(text: &str, mut width: usize) -> String {
    let fits = |c: &char| {
        let columns = if c.is_ascii() { 1 } else { 2 };
        let fits = columns <= width;
        width = width.saturating_sub(columns);
        fits
    };
    text.chars().take_while(fits).collect()
}

/// The share of rows of each group that have the editors' label.
fn accuracies(groups: &BTreeMap<(String, String), Vec<Row>>) -> String {
    let mut text = String::from("\n  accuracy by source and language\n");
    for ((source, lang), rows) in groups {
        let right = rows.iter().filter(|row| row.source_label.as_ref() == Some(&row.label)).count();
        let accuracy = right as f64 / rows.len() as f64;
        let _ = writeln!(text, "    {source:10} {lang:3} {accuracy:.4} over {} documents", rows.len());
    }
    text
}

fn next_steps(out: &Path, model: &str, test_files: &[PathBuf]) -> String {
    let binary = std::env::args().next().unwrap_or_else(|| "fenliu".into());
    let out = out.display();
    let data: Vec<_> = test_files.iter().map(|file| file.display().to_string()).collect();
    let lines = [
        format!("  labelled rows {out}/labelled/*.parquet"),
        format!("  dead letters  {out}/dead-letters/*.parquet"),
        format!("  model         {out}/models/{model}"),
        format!("  configuration {out}/fenliu.toml"),
        String::from("\nTry next:"),
        format!(
            "  {binary} predict --model {out}/models/{model} \"oil prices rose after opec ministers met in vienna\""
        ),
        format!("  {binary} evaluate --model {out}/models/{model} --data {}", data.join(" ")),
        format!(
            "  {binary} run -c {out}/fenliu.toml --set kafka.brokers=YOUR_BROKER:9092 --set source.topics='[\"YOUR_TOPIC\"]'"
        ),
    ];
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn a_text_is_cut_where_the_terminal_has_no_more_columns() {
        assert_eq!(start("分流 divides", 6), "分流 d");
        assert_eq!(start("分流", 3), "分");
    }
}
