//! HTTP dates in the three forms of RFC 9110 section 5.6.7.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use crate::clock::{Timestamp, civil};

/// Reads an IMF-fixdate, RFC 850 or asctime date. Nothing else is a date. By section 5.3 of RFC 9111 an
/// invalid date is a time in the past. A guess at its meaning could keep a response fresh for years.
///
/// RFC 9111 section 4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD match the
/// field value case-insensitively." `now` decides the century of a year with two digits.
pub(crate) fn parse_date(value: &[u8], now: Timestamp) -> Option<Timestamp> {
    let text = value.trim_ascii();
    let date = imf_fixdate(text).or_else(|| rfc850_date(text, now)).or_else(|| asctime_date(text))?;
    date.timestamp()
}

/// A point in time as a calendar and a clock show it; not always one that exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Date> {
    let mut rest = Rest(text);
    rest.one_of(&DAYS)?;
    rest.literal(", ")?;
    let day = rest.number(2)?;
    rest.literal(" ")?;
    let month = rest.one_of(&MONTHS)?;
    rest.literal(" ")?;
    let year = rest.number(4)?;
    rest.literal(" ")?;
    let second = rest.time_of_day()?;
    rest.literal(" GMT")?;
    rest.end()?;
    Some(Date { year, month, day, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &[u8], now: Timestamp) -> Option<Date> {
    let mut rest = Rest(text);
    rest.one_of(&LONG_DAYS)?;
    rest.literal(", ")?;
    let day = rest.number(2)?;
    rest.literal("-")?;
    let month = rest.one_of(&MONTHS)?;
    rest.literal("-")?;
    let year = rest.number(2)?;
    rest.literal(" ")?;
    let second = rest.time_of_day()?;
    rest.literal(" GMT")?;
    rest.end()?;
    Some(in_its_century(Date { year, month, day, second }, now))
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &[u8]) -> Option<Date> {
    let mut rest = Rest(text);
    rest.one_of(&DAYS)?;
    rest.literal(" ")?;
    let month = rest.one_of(&MONTHS)?;
    rest.literal(" ")?;
    let day = if rest.literal(" ").is_some() { rest.number(1)? } else { rest.number(2)? };
    rest.literal(" ")?;
    let second = rest.time_of_day()?;
    rest.literal(" ")?;
    let year = rest.number(4)?;
    rest.end()?;
    Some(Date { year, month, day, second })
}

/// "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST interpret a timestamp that
/// appears to be more than 50 years in the future as representing the most recent year in the past that had the same
/// last two digits."
fn in_its_century(date: Date, now: Timestamp) -> Date {
    let now = Date::of(now);
    let in_50_years = Date { year: now.year + 50, ..now };
    let century = now.year - now.year.rem_euclid(100);
    let in_century = |century| Date { year: century + date.year, ..date };
    let near = [century + 100, century].map(in_century).into_iter().find(|date| *date <= in_50_years);
    near.unwrap_or_else(|| in_century(century - 100))
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Passes over this text. Where it is not next, nothing is passed over.
    fn literal(&mut self, text: &str) -> Option<()> {
        let (next, rest) = self.0.split_at_checked(text.len())?;
        next.eq_ignore_ascii_case(text.as_bytes()).then(|| self.0 = rest)
    }

    /// Passes over one of these names and returns its number, counted from one.
    fn one_of(&mut self, names: &[&str]) -> Option<i64> {
        (1..).zip(names).find(|(_, name)| self.literal(name).is_some()).map(|(number, _)| number)
    }

    /// This many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (next, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let is_number = next.iter().all(u8::is_ascii_digit);
        is_number.then(|| next.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// `08:49:37`, as seconds of the day. A second 60 is a leap second.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        let valid = hour < 24 && minute < 60 && second <= 60;
        valid.then_some(hour * 3600 + minute * 60 + second)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

impl Date {
    /// The date of a timestamp, which is taken for one between years that dates can name.
    fn of(timestamp: Timestamp) -> Self {
        let days = timestamp.as_secs().div_euclid(86_400).clamp(-700_000, 3_000_000);
        let (year, month, day) = civil::date_of(days);
        Self { year, month, day, second: timestamp.as_secs().rem_euclid(86_400) }
    }

    /// `None` for a day that its month does not have.
    fn timestamp(self) -> Option<Timestamp> {
        let Self { year, month, day, second } = self;
        if !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        Some(Timestamp::from_secs(civil::days_of(year, month, day) * 86_400 + second))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The IMF-fixdate of a time between the years 1970 and 9999.
pub(crate) fn format_date(time: Timestamp) -> Option<HeaderValue> {
    const YEAR_10000: i64 = 253_402_300_800;
    let seconds = u64::try_from(time.as_secs()).ok().filter(|_| time.as_secs() < YEAR_10000)?;
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(date).ok()
}
