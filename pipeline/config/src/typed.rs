//! Numbers and booleans from environment variables: `batch_rows = "${ROWS}"`.
//!
//! Contract: a string that is one variable and nothing else becomes a number or a boolean only where the type of the key
//! refuses a string. A password `12345` stays text. Only serde knows the type of a key, and it tells it by an error, so
//! the conversion follows the errors.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::misfit::{Misfit, try_read};
use crate::tree::at_mut;
use crate::variables::Filled;

/// Stands for the value of one variable in a trial.
const PROBE: &str = "the value of one environment variable";

/// Converts the string that made reading `value` fail, if it came from a variable and holds a number or a boolean.
/// Returns whether it did.
pub(crate) fn convert_one<T: DeserializeOwned>(
    value: &mut Value,
    filled: &[Filled],
    misfit: &Misfit,
) -> bool {
    if !misfit.message.starts_with("invalid type: string ") {
        return false;
    }
    filled.iter().filter(|filled| filled.is_whole).any(|filled| convert::<T>(value, filled))
}

fn convert<T: DeserializeOwned>(value: &mut Value, filled: &Filled) -> bool {
    let Some(place) = at_mut(value, filled.path.iter().map(String::as_str)) else { return false };
    let Some(typed) = place.as_str().and_then(scalar) else { return false };
    let text = std::mem::replace(place, Value::String(PROBE.to_string()));
    // Inside a table with a `type`, serde does not say which key it was. The message for the probe does, even where
    // several variables hold the same text.
    let is_at_fault = try_read::<T>(value)
        .is_err_and(|misfit| misfit.message.starts_with(&format!("invalid type: string {PROBE:?}")));
    if let Some(place) = at_mut(value, filled.path.iter().map(String::as_str)) {
        *place = if is_at_fault { typed } else { text };
    }
    is_at_fault
}

/// The number or boolean that a text holds. White space around it is ignored: a file of variables with the line ends of
/// Windows leaves a `\r` at the end.
fn scalar(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(integer) = text.parse() {
        return Some(Value::Integer(integer));
    }
    // `nan` and `inf` would pass for floats, and comparisons with bounds do not notice the former.
    if let Some(float) = text.parse::<f64>().ok().filter(|float| float.is_finite()) {
        return Some(Value::Float(float));
    }
    text.to_ascii_lowercase().parse().ok().map(Value::Boolean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_booleans_are_recognised() {
        let cases = [
            ("5", Some(Value::Integer(5))),
            (" -17\r\n", Some(Value::Integer(-17))),
            ("007", Some(Value::Integer(7))),
            ("0.25", Some(Value::Float(0.25))),
            ("1e3", Some(Value::Float(1000.0))),
            ("true", Some(Value::Boolean(true))),
            ("False", Some(Value::Boolean(false))),
            ("", None),
            ("yes", None),
            ("nan", None),
            ("inf", None),
            ("1 000", None),
            ("5s", None),
            ("５", None),
        ];
        for (text, expected) in cases {
            assert_eq!(scalar(text), expected, "{text:?}");
        }
    }
}
