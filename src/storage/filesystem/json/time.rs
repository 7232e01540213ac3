//! Times as RFC 3339 writes them, in UTC with milliseconds: `2026-11-22T18:48:29.123Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{Timestamp, civil};

const DAY: i64 = 86_400_000;

/// A time in a JSON record. Beyond the years that RFC 3339 can write it is a number of milliseconds, and `never` is
/// the end of all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == Timestamp::MAX {
            return serializer.serialize_str("never");
        }
        match format(self.0.as_millis()) {
            Some(text) => serializer.serialize_str(&text),
            None => serializer.serialize_i64(self.0.as_millis()),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Millis(i64),
        }
        let millis = match Written::deserialize(deserializer)? {
            Written::Text(text) if text == "never" => return Ok(Self(Timestamp::MAX)),
            Written::Text(text) => {
                parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of RFC 3339 in UTC"))?
            }
            Written::Millis(millis) => millis,
        };
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

/// `None` outside the years 0 to 9999.
fn format(millis: i64) -> Option<String> {
    let writable = (-62_167_219_200_000..=253_402_300_799_999).contains(&millis);
    writable.then(|| civil::rfc3339(Timestamp::from_millis(millis)))
}

/// Takes any number of digits after the second; `Z` is the only zone.
fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = three(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = three(time, ':')?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis = format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
    Some(civil::days_of(year, month, day) * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_rfc_3339_and_come_back() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_368_509_123, "2026-11-22T17:28:29.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ];
        for (millis, text) in table {
            assert_eq!(format(millis).as_deref(), Some(text));
            assert_eq!(parse(text), Some(millis), "{text}");
        }
        assert_eq!(format(253_402_300_800_000), None);
        assert_eq!(parse("2026-11-22T17:28:29Z"), Some(1_795_368_509_000));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
