//! Reads times of publication in the notations that news sources use.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// Numbers below this are seconds: seconds since the Unix epoch reach it in the year 5138. The bounds of milliseconds,
/// microseconds and nanoseconds are this number times a thousand each; every time since 1973 is above the bound below.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// Reads RFC 3339, RFC 2822 (used by feeds), or `YYYY-MM-DD[( |T)HH:MM[:SS[.f]]]`, which is taken as UTC.
///
/// Returns milliseconds since the Unix epoch; `None` if the text is in none of these notations.
pub fn parse_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text)) {
        return Some(time.timestamp_millis());
    }
    // Without a time zone, UTC is the only guess that does not depend on the machine.
    let zoneless = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let time = zoneless.or_else(|| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN))
    })?;
    Some(time.and_utc().timestamp_millis())
}

/// Reads a whole number of seconds, milliseconds, microseconds or nanoseconds since the Unix epoch. The unit is inferred
/// from the size of the number.
///
/// Returns milliseconds since the Unix epoch.
pub fn parse_number(number: i64) -> Option<i64> {
    let size = number.unsigned_abs();
    match [1, 1_000, 1_000_000].map(|factor| size < SECONDS_BELOW * factor) {
        [true, ..] => number.checked_mul(1000),
        [_, true, _] => Some(number),
        [.., true] => Some(number / 1000),
        _ => Some(number / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_notations_of_one_moment_give_the_same_time() {
        let millis = Some(1_700_000_000_000);
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-15T06:13:20+08:00",
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20.000",
            "Tue, 14 Nov 2023 22:13:20 GMT",
        ] {
            assert_eq!(parse_text(text), millis, "{text}");
        }
        assert_eq!(parse_number(1_700_000_000), millis);
        assert_eq!(parse_number(1_700_000_000_000), millis);
        assert_eq!(parse_number(1_700_000_000_000_000), millis);
        assert_eq!(parse_number(1_700_000_000_000_000_000), millis);
        assert!(parse_number(i64::MIN).is_some());
        assert_eq!(parse_text("2023-11-14"), Some(1_699_920_000_000));
        assert_eq!(parse_text("last Tuesday"), None);
    }
}
