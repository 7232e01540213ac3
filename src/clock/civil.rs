//! The civil calendar: days since 1970-01-01 and dates of the proleptic Gregorian calendar, in UTC.

use super::Timestamp;

const DAYS_IN_ERA: i64 = 146_097;
/// From 0000-03-01, where eras of 400 years begin, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Year, month and day of a day. Years are counted from March inside, so that the leap day ends them.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(DAYS_IN_ERA), days.rem_euclid(DAYS_IN_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`date_of`].
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_IN_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
}

/// A time as RFC 3339 writes it, in UTC with milliseconds: `2026-11-22T19:16:30.123Z`. RFC 3339 knows the years 0 to
/// 9999; other years have more digits or a sign.
#[allow(dead_code, reason = "for the backends with readable times; not every set of features has one")]
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let (millis, seconds) = (time.as_millis().rem_euclid(1000), time.as_secs());
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::{DAYS_IN_ERA, Timestamp, date_of, days_of, rfc3339};

    #[test]
    fn every_day_has_a_date_and_comes_back() {
        let mut before = date_of(-DAYS_IN_ERA - 1);
        for day in -DAYS_IN_ERA..2 * DAYS_IN_ERA {
            let date = date_of(day);
            assert!(date > before, "{day}");
            assert_eq!(days_of(date.0, date.1, date.2), day);
            before = date;
        }
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(11_016), (2000, 2, 29));
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_millis(millis)), expected);
        }
        // Far beyond all dates there is no overflow.
        rfc3339(Timestamp::MAX);
        rfc3339(Timestamp::from_millis(i64::MIN));
    }
}
