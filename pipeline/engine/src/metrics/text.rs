//! Metrics as text: the format of Prometheus (0.0.4) and OpenMetrics 1.0.

use std::fmt::Write;

use super::definition::{Definition, Kind, Unit};
use super::values::Sample;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`. The last line, `# EOF`, is left to the caller, who may have more.
    OpenMetrics,
}

/// All `metrics` as text. A metric without any series has only its type and help.
pub(super) fn write<'a>(
    metrics: impl IntoIterator<Item = (&'a Definition, Vec<Sample>)>,
    format: Format,
) -> String {
    let mut text = String::new();
    for (definition, samples) in metrics {
        // Writing to a `String` does not fail.
        let _ = head(&mut text, definition, format);
        for sample in samples {
            let labels = labels(definition, &sample);
            let _ = writeln!(text, "{}{}{labels} {}", definition.name, sample.suffix, sample.value);
        }
    }
    text
}

fn head(text: &mut String, definition: &Definition, format: Format) -> std::fmt::Result {
    let Definition { name, kind, unit, help, .. } = definition;
    // OpenMetrics names a family of counters without the suffix that its samples have.
    let name = match format {
        Format::OpenMetrics if *kind == Kind::Counter => name.trim_end_matches("_total"),
        _ => name,
    };
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", format!("{kind:?}").to_lowercase())?;
    match (format, unit) {
        (Format::OpenMetrics, Unit::Seconds) => writeln!(text, "# UNIT {name} seconds"),
        (Format::OpenMetrics, Unit::Bytes) => writeln!(text, "# UNIT {name} bytes"),
        _ => Ok(()),
    }
}

/// `{name="value",...}`, or nothing.
fn labels(definition: &Definition, sample: &Sample) -> String {
    let own = definition.labels.iter().copied().zip(&sample.labels);
    let bound = sample.bound.iter().map(|bound| ("le", bound));
    let pairs: Vec<String> =
        own.chain(bound).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
