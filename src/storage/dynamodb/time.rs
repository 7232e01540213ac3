//! Times that people can read in the table's attributes.

use crate::clock::Timestamp;

/// `2026-11-22T19:16:30.123Z`: sorts as the time does.
pub(super) fn readable(time: Timestamp) -> String {
    let millis = time.as_millis().rem_euclid(1000);
    let seconds = time.as_secs();
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years from a first of March, so that a leap day is the last day of its year.
fn date(day: i64) -> (i64, i64, i64) {
    const DAYS_IN_ERA: i64 = 146_097;
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(DAYS_IN_ERA), day.rem_euclid(DAYS_IN_ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_they_are_written_by_others() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(readable(Timestamp::from_millis(millis)), expected);
        }
        readable(Timestamp::MAX);
        readable(Timestamp::from_millis(i64::MIN));
    }
}
