//! How a test says that it is skipped because this machine lacks something, and how CI forbids it.
//!
//! Contract: a skipped test writes one line `SKIPPED (PART): REASON` to standard error, past the test runner's
//! capture, which hides what passing tests print. Where the environment variable `FENLIU_REQUIRE` lists the part,
//! as in `FENLIU_REQUIRE=broker,onnx,data`, the test fails instead.
//!
//! The crate has no dependencies, so that the tests of every other crate can use it.

use std::fmt::Display;
use std::io::Write as _;

/// The variable that lists what must be there, separated by commas.
const VARIABLE: &str = "FENLIU_REQUIRE";
/// The older variable, for the broker alone: `FENLIU_REQUIRE_BROKER=1`.
const BROKER_VARIABLE: &str = "FENLIU_REQUIRE_BROKER";

/// What a test may need and a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Apache Kafka and the other programs of the tests that run on Java: the schema registry, Delta Kernel.
    Broker,
    /// ONNX Runtime's shared library.
    Onnx,
    /// The real data beside the repository, `../shared/data`.
    Data,
    /// The right to mount a small file system, to fill it.
    Mount,
    /// Node, and Chromium.
    Browser,
}

impl Part {
    const ALL: [Part; 5] = [Part::Broker, Part::Onnx, Part::Data, Part::Mount, Part::Browser];

    /// Its name in `FENLIU_REQUIRE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Broker => "broker",
            Part::Onnx => "onnx",
            Part::Data => "data",
            Part::Mount => "mount",
            Part::Browser => "browser",
        }
    }
}

/// Says that the test is skipped, since `part` is missing; `why` is the reason.
///
/// # Panics
/// If `FENLIU_REQUIRE` lists the part, or a name that it does not know: a test must not be skipped because the name
/// was mistyped.
pub fn skipped(part: Part, why: impl Display) {
    let require = std::env::var(VARIABLE).unwrap_or_default();
    let broker = std::env::var(BROKER_VARIABLE).unwrap_or_default();
    let objection = objection(part, &require, &broker);
    assert!(objection.is_none(), "{}: {why}", objection.unwrap_or_default());
    // An error is ignored: with standard error closed, no one can read the line.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({}): {why}", part.name());
}

/// The value, or `None` after saying with [`skipped`] that the test is skipped.
///
/// # Panics
/// As [`skipped`].
pub fn found<T>(part: Part, outcome: Result<T, impl Display>) -> Option<T> {
    outcome.inspect_err(|why| skipped(part, why)).ok()
}

/// Why a test must not be skipped for want of `part`, with these values of the two variables.
fn objection(part: Part, require: &str, broker: &str) -> Option<String> {
    let listed = || require.split(',').map(str::trim).filter(|name| !name.is_empty());
    let is_known = |name: &str| Part::ALL.iter().any(|part| part.name() == name);
    if let Some(unknown) = listed().find(|name| !is_known(name)) {
        let known = Part::ALL.map(Part::name).join(", ");
        return Some(format!("{VARIABLE} lists `{unknown}`, which is none of {known}"));
    }
    let name = part.name();
    if listed().any(|listed| listed == name) {
        return Some(format!("{VARIABLE} lists {name}"));
    }
    (part == Part::Broker && broker == "1").then(|| format!("{BROKER_VARIABLE}=1, and there is no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_must_be_there_and_the_rest_may_be_missing() {
        let listed = |part| objection(part, "broker, onnx,", "");
        assert_eq!(listed(Part::Broker).as_deref(), Some("FENLIU_REQUIRE lists broker"));
        assert_eq!(listed(Part::Onnx).as_deref(), Some("FENLIU_REQUIRE lists onnx"));
        assert_eq!((listed(Part::Data), listed(Part::Mount)), (None, None));
    }

    #[test]
    fn the_older_variable_demands_the_broker_alone() {
        assert!(objection(Part::Broker, "", "1").is_some());
        assert_eq!((objection(Part::Broker, "", "0"), objection(Part::Data, "", "1")), (None, None));
    }

    #[test]
    fn a_mistyped_name_is_told() {
        let message = objection(Part::Data, "brokers", "").unwrap();
        assert_eq!(
            message,
            "FENLIU_REQUIRE lists `brokers`, which is none of broker, onnx, data, mount, browser"
        );
    }

    #[test]
    fn a_value_that_is_there_is_given() {
        assert_eq!(found(Part::Data, Ok::<_, &str>(7)), Some(7));
    }
}
