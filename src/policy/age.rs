//! Age (RFC 9111 section 4.2.3).

use http::{HeaderMap, header};

use crate::clock::Timestamp;
use crate::entry::Freshness;
use crate::policy::date::parse_date;
use crate::policy::seconds::{MAX_SECONDS, delta_seconds};
use crate::policy::times::Times;

const MAX_AGE_MILLIS: u64 = MAX_SECONDS as u64 * 1000;

/// How far the clock may be behind the time at which a response arrived: another machine's clock may have set that time.
/// If the clock is further behind, the age is unknown and counts as the largest.
const CLOCK_TOLERANCE_MILLIS: i64 = 60_000;

/// When the response was generated: its `Date`, or its arrival if `Date` is missing or invalid.
pub(crate) fn date_of(headers: &HeaderMap, response_time: Timestamp) -> Timestamp {
    let date = headers.get(header::DATE).and_then(|value| parse_date(value.as_bytes(), response_time));
    date.unwrap_or(response_time)
}

/// `corrected_initial_age` of section 4.2.3 in milliseconds.
pub(crate) fn initial_age(headers: &HeaderMap, date: Timestamp, times: Times) -> u64 {
    // Date has whole seconds, so the arrival is compared in whole seconds too.
    let apparent = times.response.as_secs().saturating_mul(1000).saturating_sub(date.as_millis());
    let delay = times.response.millis_since(times.request).max(0);
    let corrected = i64::from(age_value(headers)).saturating_mul(1000).saturating_add(delay);
    u64::try_from(apparent.max(corrected)).unwrap_or(0).min(MAX_AGE_MILLIS)
}

/// 5.1: of a list "SHOULD use the first member"; an invalid value "SHOULD" be ignored.
fn age_value(headers: &HeaderMap) -> u32 {
    let first =
        headers.get(header::AGE).and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    first.and_then(|first| delta_seconds(first.trim_ascii())).unwrap_or(0)
}

/// `current_age` of section 4.2.3 in milliseconds; never negative, at most 2^31 seconds.
pub(crate) fn current_age(freshness: &Freshness, response_time: Timestamp, now: Timestamp) -> u64 {
    let resident = now.millis_since(response_time);
    if resident < -CLOCK_TOLERANCE_MILLIS {
        return MAX_AGE_MILLIS;
    }
    let resident = u64::try_from(resident).unwrap_or(0);
    freshness.initial_age.saturating_add(resident).min(MAX_AGE_MILLIS)
}
