//! Time zones: the offsets and abbreviations that texts name, and the zone that is meant where they name none.

use std::fmt;
use std::str::FromStr;

use chrono::{Duration, FixedOffset, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::calendar::{Parts, within_calendar};
use super::{Flaw, Moment};

/// The largest distance from UTC that is believed, as in ISO 8601.
const LARGEST_OFFSET_MINUTES: i32 = 18 * 60;

/// How texts are read that leave something open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateRules {
    /// The zone of times that name none.
    pub timezone: Zone,
    /// The order of day and month where both could be either.
    pub order: DateOrder,
}

impl DateRules {
    /// The moment of a local time that names no zone.
    ///
    /// # Errors
    /// No calendar has it.
    pub(super) fn moment(&self, parts: &Parts) -> Result<Moment, Flaw> {
        let millis = within_calendar(self.timezone.millis(parts.local()?))?;
        Ok(Moment { millis, is_month: parts.day.is_none() })
    }
}

/// The order of day and month in dates like `03/04/2023`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// Unknown: such dates are ambiguous and give no time.
    #[default]
    Unknown,
    /// The 3rd of April, as in most countries.
    DayFirst,
    /// March 4th, as in the United States.
    MonthFirst,
}

/// A time zone: `UTC`, an offset such as `+08:00`, or a name of the IANA database such as `Asia/Shanghai`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// A fixed distance from UTC, in minutes east.
    Offset(i32),
    /// A zone with its own history of offsets.
    Named(Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Zone::Offset(0)
    }
}

impl Zone {
    /// Milliseconds since the Unix epoch at which clocks of this zone show `local`. Where they show it twice, it is the
    /// first time; where they leave it out, the offset of before the change counts.
    pub(super) fn millis(self, local: NaiveDateTime) -> i64 {
        match self {
            Zone::Offset(minutes) => (local - Duration::minutes(minutes.into())).and_utc().timestamp_millis(),
            Zone::Named(zone) => match zone.from_local_datetime(&local) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp_millis(),
                // No change of clocks is longer than a day, so the zone knows the local time of a day before.
                LocalResult::None => {
                    let day = Duration::days(1);
                    let before = zone.from_local_datetime(&(local - day)).earliest();
                    before.map_or(local.and_utc(), |time| time.with_timezone(&Utc) + day).timestamp_millis()
                }
            },
        }
    }

    /// Whether `CST` means China Standard Time here.
    fn is_chinese(self) -> bool {
        match self {
            Zone::Offset(minutes) => minutes == 8 * 60,
            Zone::Named(zone) => matches!(
                zone,
                Tz::Asia__Shanghai
                    | Tz::Asia__Chongqing
                    | Tz::Asia__Harbin
                    | Tz::Asia__Urumqi
                    | Tz::Asia__Taipei
                    | Tz::Asia__Hong_Kong
                    | Tz::Asia__Macau
                    | Tz::PRC
                    | Tz::ROC
                    | Tz::Hongkong
            ),
        }
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["UTC", "Z", "GMT"].iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(Zone::Offset(0));
        }
        let wrong = || {
            format!(
                "{text:?} is no time zone: use `UTC`, an offset such as `+08:00`, or a name such as `Asia/Shanghai`"
            )
        };
        match text.as_bytes() {
            [b'+' | b'-', ..] => {
                let offset: FixedOffset = text.parse().map_err(|_| wrong())?;
                let minutes = offset.local_minus_utc() / 60;
                checked_offset(minutes).map(Zone::Offset).map_err(|_| wrong())
            }
            _ => Tz::from_str_insensitive(text).map(Zone::Named).map_err(|_| wrong()),
        }
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Offset(0) => f.write_str("UTC"),
            Zone::Offset(minutes) => {
                let sign = if *minutes < 0 { '-' } else { '+' };
                let size = minutes.abs();
                write!(f, "{sign}{:02}:{:02}", size / 60, size % 60)
            }
            Zone::Named(zone) => f.write_str(zone.name()),
        }
    }
}

/// That an offset in minutes is one that a zone can have.
///
/// # Errors
/// It is too large.
pub(super) fn checked_offset(minutes: i32) -> Result<i32, Flaw> {
    if minutes.abs() <= LARGEST_OFFSET_MINUTES { Ok(minutes) } else { Err(Flaw::Unreadable) }
}

/// The minutes east of UTC that the abbreviation `name`, in lower case, stands for. `is_rfc_822` says that the date is
/// written as in mail headers and feeds.
///
/// # Errors
/// Nothing is known of it, or several zones share it.
pub(super) fn abbreviated(name: &str, is_rfc_822: bool, local: Zone) -> Result<i32, Flaw> {
    let hours = match name {
        "z" | "utc" | "gmt" | "ut" | "wet" => 0,
        // RFC 822 defines these eight.
        "est" => -5,
        "edt" => -4,
        "cdt" => -5,
        "mst" => -7,
        "mdt" => -6,
        "pst" => -8,
        "pdt" => -7,
        "cst" if is_rfc_822 => -6,
        "cst" if local.is_chinese() => 8,
        "cet" | "met" | "west" => 1,
        "cest" | "mest" | "eet" => 2,
        "eest" | "msk" => 3,
        "wib" => 7,
        "hkt" | "sgt" | "北京时间" => 8,
        "jst" | "kst" => 9,
        "aest" => 10,
        "aedt" => 11,
        "nzst" => 12,
        "nzdt" => 13,
        // China or Chicago; Britain or Bangladesh; India, Israel or Ireland.
        "cst" | "bst" | "ist" => return Err(Flaw::Ambiguous),
        _ => return Err(Flaw::Unreadable),
    };
    Ok(hours * 60)
}
