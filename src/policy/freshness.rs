//! Freshness lifetime (RFC 9111 sections 4.2.1 and 4.2.2).

use http::{HeaderMap, StatusCode, header};

use crate::clock::Timestamp;
use crate::entry::Freshness;
use crate::policy::date::parse_date;
use crate::policy::directives::ResponseDirectives;
use crate::policy::seconds::MAX_SECONDS;
use crate::policy::settings::Policy;

/// The data that decides about a response, both for a new one and for one that was stored under other settings.
pub(crate) struct Facts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) authorized: bool,
    /// The lifetime that the user set for this one exchange.
    pub(crate) overridden: Option<u32>,
    pub(crate) response_time: Timestamp,
}

pub(crate) struct Lifetime {
    pub(crate) seconds: u32,
    pub(crate) explicit: bool,
}

/// 4.2.1, with the user's settings around it, for a response that may be cached.
pub(crate) fn lifetime(
    policy: &Policy,
    facts: &Facts<'_>,
    directives: &ResponseDirectives,
    date: Timestamp,
) -> Lifetime {
    let set = |seconds| Lifetime { seconds, explicit: false };
    let stated = |seconds| Lifetime { seconds, explicit: true };
    if let Some(seconds) = facts.overridden.or(policy.overriding()) {
        return set(seconds);
    }
    if let Some(seconds) = directives.s_maxage.filter(|_| policy.is_shared()) {
        return stated(seconds);
    }
    if let Some(seconds) = directives.max_age {
        return stated(seconds);
    }
    if !directives.targeted && facts.headers.contains_key(header::EXPIRES) {
        return stated(expires_in(facts.headers, facts.response_time, date));
    }
    if let Some(seconds) = policy.for_status(facts.status) {
        return set(seconds);
    }
    set(policy.by_default().unwrap_or_else(|| {
        let modified = facts.headers.get(header::LAST_MODIFIED);
        let modified = modified.and_then(|value| parse_date(value.as_bytes(), facts.response_time));
        modified.map_or(0, |modified| policy.guess(date.millis_since(modified)))
    }))
}

/// 5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time in
/// the past". Several dates, in one line or in lines that differ, are no date.
fn expires_in(headers: &HeaderMap, now: Timestamp, date: Timestamp) -> u32 {
    let mut lines = headers.get_all(header::EXPIRES).iter().map(|line| parse_date(line.as_bytes(), now));
    let Some(Some(expires)) = lines.next() else { return 0 };
    if lines.any(|other| other != Some(expires)) {
        return 0;
    }
    u32::try_from(expires.millis_since(date).max(0) / 1000).unwrap_or(MAX_SECONDS).min(MAX_SECONDS)
}

/// The lifetime that counts, in milliseconds: none for what a HEAD showed to be outdated.
pub(crate) fn lifetime_millis(freshness: &Freshness) -> u64 {
    if freshness.outdated { 0 } else { u64::from(freshness.lifetime.min(MAX_SECONDS)) * 1000 }
}

/// Until when a response is usable: while it is fresh, and for as long as stale ones are retained.
pub(crate) fn usable_until(policy: &Policy, freshness: &Freshness, response_time: Timestamp) -> Timestamp {
    let fresh_for = lifetime_millis(freshness).saturating_sub(freshness.initial_age);
    let stale_for =
        policy.retained_seconds().max(freshness.stale_while_revalidate).max(freshness.stale_if_error);
    let millis = fresh_for.saturating_add(u64::from(stale_for) * 1000);
    response_time.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
