//! Reads a date as text, from left to right.

use super::calendar::{DayPart, Parts};
use super::number::{compact, parse_number, parse_seconds};
use super::token::{Token, tokens};
use super::zone::{DateOrder, DateRules, Zone, abbreviated, checked_offset};
use super::{Flaw, Moment};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads a date with or without a time of day: ISO 8601, RFC 822, 850, 2822 and 3339, asctime, the notations of common
/// programming languages, English and Chinese dates, digits without separators, and numbers as text. A wrong day of the
/// week is ignored. Times without a zone are in that of `rules`.
///
/// # Errors
/// The text is in none of these notations, or could mean several moments.
pub fn parse_text(text: &str, rules: &DateRules) -> Result<Moment, Flaw> {
    let text = text.trim();
    if let Some(moment) = number(text, rules) {
        return moment;
    }
    let tokens = tokens(text).ok_or(Flaw::Unreadable)?;
    let mut reading =
        Reading { tokens: &tokens, at: 0, parts: Parts::default(), zone: None, rules, is_rfc_822: false };
    while reading.at < tokens.len() {
        reading.step()?;
    }
    reading.moment()
}

/// A text that is one number, whole or with a fraction or an exponent. Its digits are read as a date first.
fn number(text: &str, rules: &DateRules) -> Option<Result<Moment, Flaw>> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    // Every notation with separators has more than one of these signs, or is no number for the parser of floats.
    if !text.chars().all(is_number) || !text.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = text.parse() {
        return Some(parse_number(whole, rules));
    }
    text.parse().ok().map(|float| parse_seconds(float, rules))
}

/// What has been read of a text, and what follows.
struct Reading<'a> {
    tokens: &'a [Token],
    at: usize,
    parts: Parts,
    /// Minutes east of UTC, or a zone by its name.
    zone: Option<Zone>,
    rules: &'a DateRules,
    /// Whether the date is written as RFC 822 has it: day, name of the month, year.
    is_rfc_822: bool,
}

impl Reading<'_> {
    fn moment(&self) -> Result<Moment, Flaw> {
        let rules = match self.zone {
            Some(timezone) => &DateRules { timezone, order: self.rules.order },
            None => self.rules,
        };
        let moment = rules.moment(&self.parts)?;
        // A month alone is a date; a month with a time of day has lost its day.
        if moment.is_month && self.parts.hour.is_some() { Err(Flaw::Unreadable) } else { Ok(moment) }
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn number_at(&self, ahead: usize) -> Option<(u64, usize)> {
        match self.peek(ahead) {
            Some(Token::Number { value, digits }) => Some((*value, *digits)),
            _ => None,
        }
    }

    fn sign_at(&self, ahead: usize) -> Option<char> {
        match self.peek(ahead) {
            Some(Token::Sign(sign)) => Some(*sign),
            _ => None,
        }
    }

    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Reads what comes next.
    fn step(&mut self) -> Result<(), Flaw> {
        match self.peek(0) {
            Some(Token::Number { .. }) => self.number(),
            Some(Token::Word(_)) => self.word(),
            Some(Token::Sign(sign)) => self.sign(*sign),
            Some(Token::Space) | None => {
                self.at += 1;
                Ok(())
            }
        }
    }

    fn has_date(&self) -> bool {
        self.parts.month.is_some() && self.parts.day.is_some()
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let (value, digits) = self.number_at(0).ok_or(Flaw::Unreadable)?;
        if let Some(unit) = self.word_at(1).and_then(Unit::of) {
            return self.chinese(value, digits, unit);
        }
        if let (1..=2, Some(':'), Some(_)) = (digits, self.sign_at(1), self.number_at(2)) {
            return self.clock();
        }
        if let (Some(sign @ ('-' | '/' | '.')), None) = (self.sign_at(1), self.parts.month) {
            return match (self.number_at(2), self.word_at(2)) {
                (Some(_), _) => self.separated(sign),
                (None, Some(_)) => self.day(value, digits, 2),
                (None, None) => self.day(value, digits, 1),
            };
        }
        if self.parts.year.is_none() && self.parts.month.is_none() && digits >= 8 {
            return self.digits_of_date(value);
        }
        self.single(value, digits)
    }

    /// A number that stands alone: the day or the year beside a month's name, or an hour before `pm`.
    fn single(&mut self, value: u64, digits: usize) -> Result<(), Flaw> {
        let is_hour = self.has_date() && self.parts.hour.is_none() && digits <= 2;
        if is_hour && self.day_part_at(1).or_else(|| self.day_part_at(2)).is_some() {
            self.at += 1;
            return set(&mut self.parts.hour, value);
        }
        if self.parts.day.is_none() && digits <= 2 {
            return self.day(value, digits, 1);
        }
        if self.parts.year.is_some() || self.parts.month.is_none() {
            return Err(Flaw::Unreadable);
        }
        self.at += 1;
        let year = match (digits, value) {
            (4, _) => value,
            // RFC 2822, section 4.3.
            (2, 0..50) if self.is_rfc_822 => 2000 + value,
            (2, _) if self.is_rfc_822 => 1900 + value,
            _ => return Err(Flaw::Unreadable),
        };
        self.parts.year = i32::try_from(year).ok();
        Ok(())
    }

    /// A day before or after the name of its month; `length` tokens belong to it.
    fn day(&mut self, value: u64, digits: usize, length: usize) -> Result<(), Flaw> {
        if digits > 2 || self.parts.day.is_some() {
            return Err(Flaw::Unreadable);
        }
        self.is_rfc_822 = self.parts.month.is_none();
        self.at += length;
        set(&mut self.parts.day, value)
    }

    /// Three numbers of a date, or the two of a year and its month, with the same sign between them.
    fn separated(&mut self, sign: char) -> Result<(), Flaw> {
        let part = |ahead: usize| self.number_at(ahead).ok_or(Flaw::Unreadable);
        let (first, first_digits) = part(0)?;
        let (second, second_digits) = part(2)?;
        if first_digits == 4 && second_digits <= 2 && self.sign_at(3) != Some(sign) {
            self.at += 3;
            return self.set_date(first, second, None);
        }
        let (third, third_digits) = part(4)?;
        if self.sign_at(3) != Some(sign) || second_digits > 2 {
            return Err(Flaw::Unreadable);
        }
        self.at += 5;
        match (first_digits, third_digits) {
            (4, 1..=2) => self.set_date(first, second, Some(third)),
            (1..=2, 4) => {
                let (month, day) = self.month_and_day(first, second, sign)?;
                self.set_date(third, month, Some(day))
            }
            // Of three numbers of two digits, each can be the year.
            _ => Err(Flaw::Unreadable),
        }
    }

    /// Which of two numbers before the year is the month.
    fn month_and_day(&self, first: u64, second: u64, sign: char) -> Result<(u64, u64), Flaw> {
        match (first > 12, second > 12) {
            (true, true) => Err(Flaw::Unreadable),
            (true, false) => Ok((second, first)),
            (false, true) => Ok((first, second)),
            (false, false) if first == second => Ok((first, second)),
            // Wherever dates are written with dots, the day comes first.
            (false, false) if sign == '.' => Ok((second, first)),
            (false, false) => match self.rules.order {
                DateOrder::Unknown => Err(Flaw::Ambiguous),
                DateOrder::DayFirst => Ok((second, first)),
                DateOrder::MonthFirst => Ok((first, second)),
            },
        }
    }

    fn set_date(&mut self, year: u64, month: u64, day: Option<u64>) -> Result<(), Flaw> {
        self.parts.year = i32::try_from(year).ok();
        set(&mut self.parts.month, month)?;
        day.map_or(Ok(()), |day| set(&mut self.parts.day, day))
    }

    /// `YYYYMMDD` before something else, or `YYYYMMDDhhmmss` before a zone.
    fn digits_of_date(&mut self, value: u64) -> Result<(), Flaw> {
        self.parts = compact(value).ok_or(Flaw::Unreadable)?;
        self.at += 1;
        Ok(())
    }

    /// `hh:mm`, with seconds and a fraction of them if they are there.
    fn clock(&mut self) -> Result<(), Flaw> {
        let two_digits = |(value, digits): (u64, usize)| (digits <= 2).then_some(value);
        let part = |ahead: usize| self.number_at(ahead).and_then(two_digits).ok_or(Flaw::Unreadable);
        let (hour, minute) = (part(0)?, part(2)?);
        let second = if self.sign_at(3) == Some(':') { Some(part(4)?) } else { None };
        set(&mut self.parts.hour, hour)?;
        set(&mut self.parts.minute, minute)?;
        self.at += 3;
        if let Some(second) = second {
            self.at += 2;
            set(&mut self.parts.second, second)?;
            self.fraction();
        }
        Ok(())
    }

    /// The fraction of a second, to the nanosecond: what follows is cut off.
    fn fraction(&mut self) {
        let (Some('.' | ','), Some((value, digits))) = (self.sign_at(0), self.number_at(1)) else { return };
        let nanos = match digits {
            0..=9 => value * 10_u64.pow(u32::try_from(9 - digits).unwrap_or(0)),
            _ => value / 10_u64.pow(u32::try_from(digits - 9).unwrap_or(0).min(19)),
        };
        self.parts.nanos = u32::try_from(nanos).unwrap_or(0);
        self.at += 2;
    }

    /// A number before one of the units of Chinese dates.
    fn chinese(&mut self, value: u64, digits: usize, unit: Unit) -> Result<(), Flaw> {
        self.at += 2;
        match unit {
            Unit::Year if digits != 4 || self.parts.year.is_some() => Err(Flaw::Unreadable),
            Unit::Year => {
                self.parts.year = i32::try_from(value).ok();
                Ok(())
            }
            Unit::Month => set(&mut self.parts.month, value),
            Unit::Day => set(&mut self.parts.day, value),
            Unit::Hour => {
                set(&mut self.parts.hour, value)?;
                // "10点半" is half past ten.
                if self.word_at(0) == Some("半") {
                    self.at += 1;
                    return set(&mut self.parts.minute, 30);
                }
                // "22时13" leaves out the last unit.
                match (self.number_at(0), self.word_at(1).and_then(Unit::of)) {
                    (Some((minute, 1..=2)), None) => {
                        self.at += 1;
                        set(&mut self.parts.minute, minute)
                    }
                    _ => Ok(()),
                }
            }
            Unit::Minute => set(&mut self.parts.minute, value),
            Unit::Second => set(&mut self.parts.second, value),
        }
    }

    fn day_part_at(&self, ahead: usize) -> Option<DayPart> {
        self.word_at(ahead).and_then(day_part)
    }

    fn word(&mut self) -> Result<(), Flaw> {
        let word = self.word_at(0).ok_or(Flaw::Unreadable)?.to_owned();
        if word == "t" && self.has_date() && self.parts.hour.is_none() {
            self.at += 1;
            return self.compact_clock();
        }
        // "p.m."
        if let ("a" | "p", Some('.'), Some("m")) = (word.as_str(), self.sign_at(1), self.word_at(2)) {
            self.at += 3;
            return self.set_day_part(if word == "p" { DayPart::Pm } else { DayPart::Am });
        }
        if let Some(part) = day_part(&word) {
            self.at += 1;
            return self.set_day_part(part);
        }
        if let Some(month) = month(&word) {
            self.at += 1;
            return set(&mut self.parts.month, month);
        }
        if is_without_meaning(&word) {
            self.at += 1;
            return Ok(());
        }
        self.zone_by_name(&word)
    }

    /// The time of day of `20231114T221320`, if no colons follow.
    fn compact_clock(&mut self) -> Result<(), Flaw> {
        let Some((value, digits)) = self.number_at(0) else { return Err(Flaw::Unreadable) };
        let (hour, minute, second) = match digits {
            _ if self.sign_at(1) == Some(':') => return Ok(()),
            2 => (value, 0, 0),
            4 => (value / 100, value % 100, 0),
            6 => (value / 10_000, value / 100 % 100, value % 100),
            _ => return Err(Flaw::Unreadable),
        };
        self.at += 1;
        set(&mut self.parts.hour, hour)?;
        set(&mut self.parts.minute, minute)?;
        set(&mut self.parts.second, second)?;
        self.fraction();
        Ok(())
    }

    fn set_day_part(&mut self, part: DayPart) -> Result<(), Flaw> {
        match self.parts.day_part.replace(part) {
            None => Ok(()),
            Some(_) => Err(Flaw::Unreadable),
        }
    }

    /// An abbreviation, perhaps with an offset behind it: `GMT+0800`.
    fn zone_by_name(&mut self, word: &str) -> Result<(), Flaw> {
        // "America/New_York" and the like come in brackets, behind the offset that counts.
        if self.parts.hour.is_none() {
            return Err(Flaw::Unreadable);
        }
        self.at += 1;
        if self.zone.is_some() {
            // Go writes the offset and the abbreviation; the offset is exact.
            return abbreviated(word, self.is_rfc_822, self.rules.timezone)
                .map(drop)
                .or_else(|flaw| if flaw == Flaw::Ambiguous { Ok(()) } else { Err(flaw) });
        }
        let has_offset = matches!(self.sign_at(0), Some('+' | '-')) && self.number_at(1).is_some();
        if has_offset && matches!(word, "utc" | "gmt") {
            return Ok(());
        }
        let minutes = abbreviated(word, self.is_rfc_822, self.rules.timezone)?;
        self.zone = Some(Zone::Offset(minutes));
        Ok(())
    }

    fn sign(&mut self, sign: char) -> Result<(), Flaw> {
        let is_complete = self.has_date() && self.parts.year.is_some();
        let has_offset = self.number_at(1).is_some() && self.zone.is_none();
        match sign {
            '+' if is_complete && has_offset => self.offset(1),
            // Behind a date without a time of day, `-05:00` could also be one.
            '-' if self.parts.hour.is_some() && has_offset => self.offset(-1),
            '+' if self.parts.hour.is_some() && has_offset => self.offset(1),
            '(' => self.skip_to(')'),
            '[' => self.skip_to(']'),
            // Between the parts of `14-Nov-2023`, `Nov. 14, 2023` and `14/Nov/2023:22:13:20`.
            ',' | '.' | '、' | '|' | '·' | '•' => self.skip(),
            '-' | '/' if !is_complete => self.skip(),
            ':' if is_complete && self.parts.hour.is_none() => self.skip(),
            _ => Err(Flaw::Unreadable),
        }
    }

    fn skip(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        Ok(())
    }

    /// Skips a remark in brackets: the day of the week, or the zone's name, which is believed only for want of an offset.
    fn skip_to(&mut self, end: char) -> Result<(), Flaw> {
        let rest = &self.tokens[self.at..];
        let length = rest.iter().position(|token| *token == Token::Sign(end)).ok_or(Flaw::Unreadable)?;
        let is_weekday = rest[1..length]
            .iter()
            .all(|token| matches!(token, Token::Word(word) if is_without_meaning(word)));
        if self.zone.is_none() && !is_weekday {
            return Err(Flaw::Unreadable);
        }
        self.at += length + 1;
        Ok(())
    }

    /// `+08`, `+0800` or `+08:00`.
    fn offset(&mut self, direction: i32) -> Result<(), Flaw> {
        let (value, digits) = self.number_at(1).ok_or(Flaw::Unreadable)?;
        let (hours, minutes, length) = match (digits, self.sign_at(2), self.number_at(3)) {
            (1..=2, Some(':'), Some((minutes, 2))) => (value, minutes, 4),
            (1..=2, ..) => (value, 0, 2),
            (4, ..) => (value / 100, value % 100, 2),
            _ => return Err(Flaw::Unreadable),
        };
        if minutes > 59 {
            return Err(Flaw::Unreadable);
        }
        self.at += length;
        let minutes = i32::try_from(hours * 60 + minutes).map_err(|_| Flaw::Unreadable)?;
        self.zone = Some(Zone::Offset(checked_offset(direction * minutes)?));
        Ok(())
    }
}

/// A unit of Chinese dates and times.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "年" => Unit::Year,
            "月" => Unit::Month,
            "日" | "号" | "號" => Unit::Day,
            "时" | "時" | "点" | "點" => Unit::Hour,
            "分" => Unit::Minute,
            "秒" => Unit::Second,
            _ => return None,
        })
    }
}

/// Sets a part that must not have been set before: a text that names it twice is no date.
fn set(part: &mut Option<u32>, value: u64) -> Result<(), Flaw> {
    if part.is_some() {
        return Err(Flaw::Unreadable);
    }
    *part = Some(u32::try_from(value).map_err(|_| Flaw::Unreadable)?);
    Ok(())
}

/// The number of the month with this name, which may be cut to three letters.
fn month(word: &str) -> Option<u64> {
    let is_it =
        |name: &&str| **name == *word || name[..3] == *word || (*word == *"sept" && name.starts_with("sept"));
    let index = MONTHS.iter().position(is_it)?;
    u64::try_from(index).ok().map(|index| index + 1)
}

/// The part of the day that a word names.
fn day_part(word: &str) -> Option<DayPart> {
    Some(match word {
        "am" | "上午" => DayPart::Am,
        "pm" | "下午" => DayPart::Pm,
        "凌晨" => DayPart::BeforeDawn,
        "清晨" | "早晨" | "早上" => DayPart::Morning,
        "中午" => DayPart::Noon,
        "傍晚" | "晚上" | "晚间" => DayPart::Evening,
        _ => return None,
    })
}

/// Whether a word may be left out without changing the date.
fn is_without_meaning(word: &str) -> bool {
    let is_weekday = WEEKDAYS.iter().any(|day| *day == word || (3..=4).any(|length| day[..length] == *word));
    let is_chinese_weekday = ["星期", "周", "週", "礼拜", "禮拜"].iter().any(|prefix| {
        let day = word.strip_prefix(prefix);
        day.is_some_and(|day| ["一", "二", "三", "四", "五", "六", "天", "日"].contains(&day))
    });
    let is_filler = matches!(word, "thurs" | "tues" | "at" | "on" | "of" | "the" | "st" | "nd" | "rd" | "th");
    is_weekday || is_chinese_weekday || is_filler
}
