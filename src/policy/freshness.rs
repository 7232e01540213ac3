//! Freshness lifetime and age (RFC 9111 section 4.2).

use http::{HeaderMap, StatusCode, header};

use crate::clock::Timestamp;
use crate::entry::{Freshness, StoredHead};
use crate::policy::date::parse_date;
use crate::policy::directives::{ResponseDirectives, Scope, delta_seconds};
use crate::policy::{NotStored, Policy, SetCookie, Times, trailers};

/// 1.2.2: the largest delta-seconds; whatever is or becomes larger is this.
pub(crate) const MAX_SECONDS: u32 = 1 << 31;
const MAX_AGE_MILLIS: u64 = MAX_SECONDS as u64 * 1000;

/// How far the clock may stand before the time a response arrived (another machine's clock may have stamped it).
/// Beyond that its age is unknown and taken for the largest.
const CLOCK_TOLERANCE_MILLIS: i64 = 60_000;

/// What a response is judged by, whether it just arrived or was stored under other settings.
pub(crate) struct Facts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) authorized: bool,
    /// The lifetime that the user set for this one exchange.
    pub(crate) overridden: Option<u32>,
    pub(crate) response_time: Timestamp,
}

/// May it be stored (section 3), and how fresh is it then? `initial_age` and `outdated` are left for the caller.
pub(crate) fn assess(
    policy: &Policy,
    facts: &Facts<'_>,
    directives: &ResponseDirectives,
) -> Result<Freshness, NotStored> {
    let shared = policy.is_shared();
    if directives.must_understand && !is_understood(facts.status) {
        return Err(NotStored::NotUnderstood);
    }
    // 5.2.2.3: a cache that understands the status "SHOULD ignore the no-store" beside must-understand.
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    if shared && directives.private == Scope::Whole {
        return Err(NotStored::Private);
    }
    // 3.5: "a shared cache MUST NOT use a cached response to a request with an Authorization header field ...
    // unless the response contains a Cache-Control field with a response directive that allows it".
    if shared && facts.authorized && !directives.authorization_leave {
        return Err(NotStored::Authorization);
    }
    if policy.on_set_cookie() == SetCookie::Refuse && facts.headers.contains_key(header::SET_COOKIE) {
        return Err(NotStored::SetCookie);
    }
    let date = date_of(facts.headers, facts.response_time);
    // First whether it may be stored, whatever lifetime the user sets for it.
    if !may_be_cached(policy, facts, directives) {
        return Err(NotStored::NotCacheable);
    }
    let lifetime = lifetime(policy, facts, directives, date);
    Ok(Freshness {
        settings: policy.fingerprint(),
        lifetime: lifetime.seconds,
        initial_age: 0,
        no_cache: directives.no_cache == Scope::Whole,
        // 5.2.2.10: s-maxage "incorporates the semantics of proxy-revalidate".
        must_revalidate: directives.must_revalidate
            || shared && (directives.proxy_revalidate || directives.s_maxage.is_some()),
        immutable: directives.immutable,
        stale_while_revalidate: directives.stale_while_revalidate.unwrap_or(policy.revalidate_window()),
        stale_if_error: directives.stale_if_error.unwrap_or(policy.error_window()),
        explicit: lifetime.explicit,
        overridden: facts.overridden.is_some(),
        outdated: false,
        date,
    })
}

struct Lifetime {
    seconds: u32,
    explicit: bool,
}

/// Section 3: what a response must contain "at least one of", or be by its status, so that it may be stored at all. Of
/// the user's settings only a lifetime for its very status stands in for that.
fn may_be_cached(policy: &Policy, facts: &Facts<'_>, directives: &ResponseDirectives) -> bool {
    if must_not_be_stored(facts.status) {
        return policy.for_status(facts.status).is_some();
    }
    let shared = policy.is_shared();
    let states_lifetime = directives.max_age.is_some()
        || shared && directives.s_maxage.is_some()
        || !directives.targeted && facts.headers.contains_key(header::EXPIRES);
    // "explicitly marked as cacheable": public, or private for a private cache.
    let marked = directives.public || !shared && directives.private != Scope::Nothing;
    let by_status = is_heuristically_cacheable(facts.status) || policy.for_status(facts.status).is_some();
    states_lifetime || marked || by_status
}

/// 4.2.1, with the user's settings around it, for a response that may be cached.
fn lifetime(
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

/// When the response was generated: its `Date`, or when it arrived where that is missing or invalid.
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

/// The lifetime that counts, in milliseconds: none for what a HEAD showed to be outdated.
pub(crate) fn lifetime_millis(freshness: &Freshness) -> u64 {
    if freshness.outdated { 0 } else { u64::from(freshness.lifetime.min(MAX_SECONDS)) * 1000 }
}

/// The freshness of a stored response under these settings; `None` when they would not have stored it.
pub(crate) fn under(policy: &Policy, head: &StoredHead) -> Option<Freshness> {
    if head.freshness.settings == policy.fingerprint() {
        return Some(head.freshness);
    }
    let directives = ResponseDirectives::parse(&head.headers, policy.target_fields());
    let facts = Facts {
        status: head.status,
        headers: &head.headers,
        authorized: head.authorized,
        overridden: head.freshness.overridden.then_some(head.freshness.lifetime),
        response_time: head.response_time,
    };
    let freshness = assess(policy, &facts, &directives).ok()?;
    // What these settings would have stripped must not be there.
    let present = |name| head.headers.contains_key(name);
    let unstripped = policy.on_set_cookie() == SetCookie::Strip && present(&header::SET_COOKIE)
        || policy.is_shared() && directives.private.fields().iter().any(present)
        || directives.no_cache.fields().iter().any(present)
        || !trailers::are_storable(policy, head);
    (!unstripped).then_some(Freshness {
        initial_age: head.freshness.initial_age,
        outdated: head.freshness.outdated,
        date: head.freshness.date,
        ..freshness
    })
}

/// Until when a response is of any use: while fresh, and for as long as stale ones are retained.
pub(crate) fn usable_until(policy: &Policy, freshness: &Freshness, response_time: Timestamp) -> Timestamp {
    let fresh_for = lifetime_millis(freshness).saturating_sub(freshness.initial_age);
    let stale_for =
        policy.retained_seconds().max(freshness.stale_while_revalidate).max(freshness.stale_if_error);
    let millis = fresh_for.saturating_add(u64::from(stale_for) * 1000);
    response_time.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// RFC 9110 section 15.1.
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// RFC 6585: responses with these statuses "MUST NOT be stored by a cache", whatever else they say. They are about this
/// one request, or about the network on the way.
fn must_not_be_stored(status: StatusCode) -> bool {
    matches!(status.as_u16(), 428 | 429 | 431 | 511)
}

/// The final statuses whose caching requirements this cache knows: those registered when it was written.
fn is_understood(status: StatusCode) -> bool {
    status.as_u16() >= 200 && status.canonical_reason().is_some()
}
