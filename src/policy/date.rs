//! HTTP dates in every historic form (RFC 9110 section 5.6.7).

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use crate::clock::Timestamp;

/// Reads an IMF-fixdate, RFC 850 or asctime date; letter case, the comma and the kind of separator do not matter.
///
/// "A recipient ... MUST treat a date with a zone other than GMT as invalid": only `GMT` is taken, and only asctime
/// has none. `now` decides the century of a year with two digits.
pub(crate) fn parse_date(value: &[u8], now: Timestamp) -> Option<Timestamp> {
    if value.len() > 64 {
        return None;
    }
    let mut tokens = value.split(|byte| matches!(byte, b' ' | b'\t' | b',' | b'-')).filter(|t| !t.is_empty());
    if !is_weekday(tokens.next()?) {
        return None;
    }
    let (one, two, three, four) = (tokens.next()?, tokens.next()?, tokens.next()?, tokens.next()?);
    let (day, month, year, time) = match month_number(one) {
        Some(month) => (two, month, four, three),
        None => {
            if !tokens.next()?.eq_ignore_ascii_case(b"gmt") {
                return None;
            }
            (one, month_number(two)?, three, four)
        }
    };
    if tokens.next().is_some() {
        return None;
    }
    let year = match year.len() {
        4 => number(year)?,
        2 => four_digit_year(number(year)?, now),
        _ => return None,
    };
    let day = number(day).filter(|day| (1..=days_in_month(year, month)).contains(day))?;
    let seconds = seconds_of_day(time)?;
    let days = days_since_epoch(year, month, day);
    Some(Timestamp::from_secs(days.saturating_mul(86_400).saturating_add(seconds)))
}

fn is_weekday(token: &[u8]) -> bool {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    NAMES.iter().any(|name| {
        let name = name.as_bytes();
        token.eq_ignore_ascii_case(name)
            || name.get(..3).is_some_and(|short| token.eq_ignore_ascii_case(short))
    })
}

fn month_number(token: &[u8]) -> Option<i64> {
    const NAMES: [&[u8; 3]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    (1..).zip(NAMES).find(|(_, name)| token.eq_ignore_ascii_case(*name)).map(|(month, _)| month)
}

/// "Recipients ... MUST interpret a timestamp that appears to be more than 50 years in the future as representing
/// the most recent year in the past that had the same last two digits."
fn four_digit_year(two_digits: i64, now: Timestamp) -> i64 {
    let this_year = civil_year(now.as_secs().div_euclid(86_400));
    let year = this_year.div_euclid(100) * 100 + two_digits;
    if year > this_year + 50 { year - 100 } else { year }
}

fn seconds_of_day(time: &[u8]) -> Option<i64> {
    let mut parts = time.split(|byte| *byte == b':');
    let hour = parts.next().filter(|part| matches!(part.len(), 1 | 2)).and_then(number)?;
    let minute = parts.next().filter(|part| part.len() == 2).and_then(number)?;
    let second = parts.next().filter(|part| part.len() == 2).and_then(number)?;
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that leap days end them.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_year(days: i64) -> i64 {
    let days = days.clamp(-700_000, 3_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From 1 January on (day 306 of a year that begins in March) the civil year is one ahead.
    era * 400 + year_of_era + i64::from(day_of_year >= 306)
}

/// The IMF-fixdate of a time between the years 1970 and 9999.
pub(crate) fn format_date(time: Timestamp) -> Option<HeaderValue> {
    const YEAR_10000: i64 = 253_402_300_800;
    let seconds = u64::try_from(time.as_secs()).ok().filter(|_| time.as_secs() < YEAR_10000)?;
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(date).ok()
}
