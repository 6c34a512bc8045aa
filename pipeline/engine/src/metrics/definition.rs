//! What a line of the table of metrics says.

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name for Prometheus.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: Unit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it is, without a final stop.
    pub help: &'static str,
    /// Its name in the summary of a run, where it appears there by itself.
    pub summary: Option<&'static str>,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What a metric counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Documents.
    Documents,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Events, or a number without a unit.
    None,
}
