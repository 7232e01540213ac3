//! Which stored response a request selects (RFC 9111 sections 4 and 4.1).

use http::{HeaderMap, Method, header};

use crate::clock::Timestamp;
use crate::entry::{Freshness, StoredHead, StoredResponse};
use crate::key::{CacheKey, Selecting};
use crate::policy::age::current_age;
use crate::policy::assess::under;
use crate::policy::freshness::lifetime_millis;
use crate::policy::range;
use crate::policy::request::RequestInfo;
use crate::policy::settings::Policy;
use crate::status::Fwd;

/// Section 4: "If multiple stored responses match, the cache MUST use the most recent one (as determined by the Date
/// header field)". A response with Vary is preferred to one without (4.1), a whole response to a part.
pub(crate) fn choose<'a>(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &'a [StoredResponse],
    now: Timestamp,
) -> Option<Chosen<'a>> {
    let mut best: Option<(Rank, Chosen<'a>)> = None;
    for (index, response) in stored.iter().enumerate() {
        let Some(chosen) = usable(policy, request, index, response, now) else { continue };
        let head = chosen.head;
        if head.range.is_some() && (*request.method != Method::GET || !range::lies_inside(request, head))
            || !head.selecting.matches(request.headers, &head.key, policy.secret_bytes())
        {
            continue;
        }
        let rank = Rank {
            whole: head.range.is_none(),
            varies: !head.selecting.fields.is_empty(),
            date: chosen.freshness.date,
        };
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            best = Some((rank, chosen));
        }
    }
    best.map(|(_, chosen)| chosen)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    whole: bool,
    varies: bool,
    date: Timestamp,
}

/// The stored response, if it may answer this method and is still usable. Its selecting fields are not compared.
pub(crate) fn usable<'a>(
    policy: &Policy,
    request: &RequestInfo<'_>,
    index: usize,
    response: &'a StoredResponse,
    now: Timestamp,
) -> Option<Chosen<'a>> {
    let head = &*response.head;
    let allows =
        head.method == *request.method || *request.method == Method::HEAD && head.method == Method::GET;
    if !allows || now >= head.usable_until {
        return None;
    }
    under(policy, head).map(|freshness| Chosen::new(index, response, freshness))
}

/// A stored response that the request selects, and its freshness under the current settings.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) index: usize,
    pub(crate) head: &'a StoredHead,
    pub(crate) invalidated: bool,
    pub(crate) freshness: Freshness,
}

impl<'a> Chosen<'a> {
    pub(crate) fn new(index: usize, response: &'a StoredResponse, freshness: Freshness) -> Self {
        Self { index, head: &response.head, invalidated: response.invalidated, freshness }
    }

    /// 4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive".
    pub(crate) fn forbids_stale(&self) -> bool {
        self.invalidated || self.freshness.no_cache || self.freshness.must_revalidate
    }

    /// Why the request is forwarded although this response could answer. `request` is only for "a fresh response" that
    /// "the request's semantics ... did not allow" (RFC 9211 section 2.2).
    pub(crate) fn passed_over(&self, now: Timestamp) -> Fwd {
        let fresh = !self.invalidated && !self.freshness.no_cache && self.staleness(now).is_none();
        if fresh { Fwd::Request } else { Fwd::Stale }
    }

    /// Milliseconds by which the age exceeds the lifetime; 0 while fresh.
    pub(crate) fn staleness(&self, now: Timestamp) -> Option<u64> {
        let (age, lifetime) =
            (current_age(&self.freshness, self.head.response_time, now), lifetime_millis(&self.freshness));
        (age >= lifetime).then(|| age - lifetime)
    }
}

pub(crate) fn selecting(
    policy: &Policy,
    request: &RequestInfo<'_>,
    key: &CacheKey,
    response: &HeaderMap,
) -> Selecting {
    if !response.contains_key(header::VARY) {
        return Selecting::default();
    }
    Selecting::new(response, request.headers, key, policy.secret_bytes())
}
