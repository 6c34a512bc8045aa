//! From the parts of a date and a time of day to a moment.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};

use super::Flaw;

/// The years that times may lie in: those that four digits can write.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// The parts of a date and a time of day that a text names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) year: Option<i32>,
    pub(super) month: Option<u32>,
    pub(super) day: Option<u32>,
    pub(super) hour: Option<u32>,
    pub(super) minute: Option<u32>,
    pub(super) second: Option<u32>,
    pub(super) nanos: u32,
    /// The part of the day that the hour belongs to, if the text names one.
    pub(super) day_part: Option<DayPart>,
}

/// A part of the day, which says which half of it an hour of 1 to 12 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayPart {
    /// `AM`, 上午.
    Am,
    /// `PM`, 下午.
    Pm,
    /// 凌晨: from midnight to dawn.
    BeforeDawn,
    /// 早上.
    Morning,
    /// 中午.
    Noon,
    /// 傍晚, 晚上.
    Evening,
}

impl DayPart {
    /// The hour from 0 to 23 that `hour` means in this part of the day; `None` if it can be none of it, or either half.
    fn hour(self, hour: u32) -> Option<u32> {
        match (self, hour) {
            (DayPart::Am | DayPart::BeforeDawn, 12) => Some(0),
            (DayPart::Am, 0..=11) | (DayPart::BeforeDawn, 0..=6) | (DayPart::Morning, 4..=11) => Some(hour),
            (DayPart::Pm | DayPart::Noon, 12) | (DayPart::Noon, 11) => Some(hour),
            (DayPart::Pm, 1..=11) | (DayPart::Noon, 1..=2) | (DayPart::Evening, 5..=11) => Some(hour + 12),
            // "下午 15:30" says the same twice.
            (DayPart::Pm | DayPart::Noon, 13..=23) | (DayPart::Evening, 17..=23) => Some(hour),
            // "晚上12点" is midnight, of this day or the next.
            _ => None,
        }
    }
}

impl Parts {
    /// The date and time of day, in whatever zone they are meant. Without a time of day it is the beginning of the day.
    ///
    /// # Errors
    /// A part is missing, or no calendar has it.
    pub(super) fn local(&self) -> Result<NaiveDateTime, Flaw> {
        let year = self.year.filter(|year| YEARS.contains(year)).ok_or(Flaw::Unreadable)?;
        let month = self.month.ok_or(Flaw::Unreadable)?;
        let date = NaiveDate::from_ymd_opt(year, month, self.day.unwrap_or(1)).ok_or(Flaw::Unreadable)?;
        Ok(date.and_time(self.time_of_day()?))
    }

    fn time_of_day(&self) -> Result<NaiveTime, Flaw> {
        let hour = match (self.hour, self.day_part) {
            (None, None) => 0,
            (Some(hour), None) => hour,
            (hour, Some(part)) => hour.and_then(|hour| part.hour(hour)).ok_or(Flaw::Unreadable)?,
        };
        // A leap second is the 60th of a minute; Unix time has no room for it.
        let second = self.second.unwrap_or(0);
        let second = if second == 60 { 59 } else { second };
        let time = NaiveTime::from_hms_nano_opt(hour, self.minute.unwrap_or(0), second, self.nanos);
        time.ok_or(Flaw::Unreadable)
    }
}

/// Milliseconds since the Unix epoch, if they lie within the years 1 to 9999.
pub(super) fn within_calendar(millis: i64) -> Result<i64, Flaw> {
    let time = chrono::DateTime::from_timestamp_millis(millis).ok_or(Flaw::Unreadable)?;
    if YEARS.contains(&time.year()) { Ok(millis) } else { Err(Flaw::Unreadable) }
}
