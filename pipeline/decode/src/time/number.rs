//! Times that are numbers: time since the Unix epoch in any unit, or the digits of a date.

use super::calendar::{Parts, within_calendar};
use super::zone::DateRules;
use super::{Flaw, Moment};

/// Numbers of this size and above may be seconds since the Unix epoch; it is reached in March 1973. Smaller ones are
/// something else: 0 and -1 for "unknown", a year, the serial number of a day in a spreadsheet.
const SMALLEST: u64 = 100_000_000;

/// Numbers below this are seconds: seconds since the Unix epoch reach it in the year 5138. The bounds of milliseconds,
/// microseconds and nanoseconds are this number times a thousand each; every time since 1973 is above the bound below.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// The years in which digits without separators are taken for a date.
const COMPACT_YEARS: std::ops::RangeInclusive<u64> = 1900..=2100;

/// Reads a whole number: `YYYYMMDD`, `YYYYMMDDhhmm` or `YYYYMMDDhhmmss` in the zone of `rules` if its digits name a date
/// of the years 1900 to 2100, else seconds, milliseconds, microseconds or nanoseconds since the Unix epoch. The unit is
/// inferred from the size of the number.
///
/// # Errors
/// The number is too small to be a time, or beyond the year 9999.
pub fn parse_number(number: i64, rules: &DateRules) -> Result<Moment, Flaw> {
    if let Some(parts) = u64::try_from(number).ok().and_then(compact) {
        return rules.moment(&parts);
    }
    let size = number.unsigned_abs();
    if size < SMALLEST {
        return Err(Flaw::Unreadable);
    }
    let millis = match [1, 1_000, 1_000_000].map(|factor| size < SECONDS_BELOW * factor) {
        [true, ..] => number * 1000,
        [_, true, _] => number,
        // Rounded down, also before 1970, as everywhere else where a unit becomes coarser.
        [.., true] => number.div_euclid(1000),
        _ => number.div_euclid(1_000_000),
    };
    Ok(Moment { millis: within_calendar(millis)?, is_month: false })
}

/// Reads a number with a fraction, as [`parse_number`] reads a whole one; the fraction is kept to the millisecond.
///
/// # Errors
/// As [`parse_number`].
pub fn parse_seconds(number: f64, rules: &DateRules) -> Result<Moment, Flaw> {
    if !number.is_finite() || number.abs() >= 9.2e18 {
        return Err(Flaw::Unreadable);
    }
    // `as` is exact: the number is whole and within the type.

    if number.fract() == 0.0 {
        return parse_number(number as i64, rules);
    }
    // Only seconds and milliseconds leave bits for a fraction in a number of 64 bits.

    let (is_large_enough, is_seconds) =
        (number.abs() >= SMALLEST as f64, number.abs() < SECONDS_BELOW as f64);
    if !is_large_enough {
        return Err(Flaw::Unreadable);
    }

    let millis = if is_seconds { number * 1000.0 } else { number }.round() as i64;
    Ok(Moment { millis: within_calendar(millis)?, is_month: false })
}

/// A time in milliseconds since the Unix epoch, as formats with a type for times have it.
///
/// # Errors
/// It is outside the years 1 to 9999.
pub fn parse_millis(millis: i64) -> Result<Moment, Flaw> {
    Ok(Moment { millis: within_calendar(millis)?, is_month: false })
}

/// The parts of a date, and perhaps a time of day, whose digits make up this number.
pub(super) fn compact(digits: u64) -> Option<Parts> {
    // The digits of the time of day: none, hours and minutes, or seconds too.
    let (date, time, time_digits) = match digits {
        10_000_000..=99_999_999 => (digits, 0, 0),
        100_000_000_000..=999_999_999_999 => (digits / 10_000, digits % 10_000 * 100, 4),
        10_000_000_000_000..=99_999_999_999_999 => (digits / 1_000_000, digits % 1_000_000, 6),
        _ => return None,
    };
    if !COMPACT_YEARS.contains(&(date / 10_000)) {
        return None;
    }
    let part = |value: u64| u32::try_from(value % 100).ok();
    let has_time = time_digits > 0;
    let parts = Parts {
        year: i32::try_from(date / 10_000).ok(),
        month: part(date / 100),
        day: part(date),
        hour: part(time / 10_000).filter(|_| has_time),
        minute: part(time / 100).filter(|_| has_time),
        second: part(time).filter(|_| has_time),
        ..Parts::default()
    };
    parts.local().is_ok().then_some(parts)
}
