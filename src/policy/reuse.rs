//! May a stored response answer (RFC 9111 sections 4, 4.2.4, 5.2.1)?

use http::{Method, StatusCode};

use crate::clock::Timestamp;
use crate::entry::{Freshness, StoredHead, StoredResponse};
use crate::overrides::CacheMode;
use crate::policy::conditional::{self, Evaluated, etag, is_strong};
use crate::policy::freshness::{MAX_SECONDS, current_age, lifetime_millis, under};
use crate::policy::validation::{completion, validation_of};
use crate::policy::{Policy, RequestInfo, Validation, range};
use crate::status::Fwd;

/// What to do with a request, given what is stored under its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Reuse {
    /// Answer with a stored response.
    Serve(Serve),
    /// Ask the origin whether one of the stored responses still holds.
    Validate(Validation),
    /// Nothing stored helps.
    Forward(Fwd),
    /// The client wants a stored response or none, and there is none: 504.
    GatewayTimeout,
}

/// Which stored response answers, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// Index of the response among those that were looked up.
    pub index: usize,
    /// What the answer is made of.
    pub answer: Answer,
    /// Value of the `Age` field, in seconds.
    pub age: u32,
    /// Remaining lifetime in seconds; negative when stale.
    pub ttl: i64,
    /// It is to be refreshed in the background (`stale-while-revalidate`).
    pub refresh: bool,
}

/// What an answer from the cache is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Status, fields and body as stored.
    Full,
    /// As stored, without the body: the request was HEAD.
    Head,
    /// 304: the client's own precondition holds.
    NotModified,
    /// 206 with the bytes from `first` to `last`, both included. Where the stored response is itself partial, its
    /// body begins at [`StoredRange::first`](crate::entry::StoredRange::first).
    Range {
        /// Offset of the first byte, in the whole representation.
        first: u64,
        /// Offset of the last byte, in the whole representation.
        last: u64,
        /// Length of the whole representation.
        complete_len: u64,
    },
    /// 416: the range lies outside of the representation.
    Unsatisfiable {
        /// Length of the whole representation.
        complete_len: u64,
    },
}

/// Decides.
///
/// What is past its usable time, what these settings would not have stored, and what the request does not select is
/// as if it were not there.
#[must_use]
pub fn reuse(policy: &Policy, request: &RequestInfo<'_>, stored: &[StoredResponse], now: Timestamp) -> Reuse {
    let otherwise = |forward: Reuse| if wants_stored(request) { Reuse::GatewayTimeout } else { forward };
    if !request.is_handled(policy) {
        let fwd = if policy.handles(request.method) { Fwd::Bypass } else { Fwd::Method };
        return otherwise(Reuse::Forward(fwd));
    }
    let Some(chosen) = choose(policy, request, stored, now) else {
        return otherwise(without_selected(policy, request, stored, now));
    };
    if request.overrides.mode == CacheMode::Reload || request.conditions.only_for_origin {
        return otherwise(Reuse::Forward(chosen.passed_over(now)));
    }
    let verdict = judge(request, &chosen, now);
    match verdict {
        // Who wants nothing but what is stored does not want the origin asked behind the answer either.
        Verdict::Serve { refresh } => {
            let refresh = refresh && !wants_stored(request);
            Reuse::Serve(Serve { refresh, ..served(request, &chosen, now) })
        }
        // 4.3.2: the tag of a part may be sent because the part has all of the range. A weak one does not tell
        // whether the bytes are the same, and without any a 206 is asked for as well as a 304.
        Verdict::Ask(fwd) if chosen.head.range.is_some() && !has_strong_tag(chosen.head) => {
            otherwise(Reuse::Forward(fwd))
        }
        Verdict::Ask(fwd) => {
            otherwise(Reuse::Validate(validation_of(fwd, Some(chosen.index), policy, request, stored, now)))
        }
    }
}

/// How `stored[index]` answers this request now that it may: as a whole, as a 304, as a range.
///
/// `index` must be one of `stored`'s; for any other the answer is an empty whole.
#[must_use]
pub fn serve(request: &RequestInfo<'_>, stored: &[StoredResponse], index: usize, now: Timestamp) -> Serve {
    match stored.get(index) {
        Some(response) => {
            let chosen = Chosen::new(index, response, response.head.freshness);
            served(request, &chosen, now)
        }
        None => Serve { index, answer: Answer::Full, age: 0, ttl: 0, refresh: false },
    }
}

/// A stored response that the request selects, and its freshness under the settings of now.
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

    /// 4.2.4: a stale response MUST NOT answer against an explicit directive, however much it is wanted.
    pub(crate) fn forbids_stale(&self) -> bool {
        self.invalidated || self.freshness.no_cache || self.freshness.must_revalidate
    }

    /// Why the request goes forward though this could answer: `request` is only for "a fresh response" that "the
    /// request's semantics ... did not allow" (RFC 9211 section 2.2).
    fn passed_over(&self, now: Timestamp) -> Fwd {
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

/// Section 4: "If multiple stored responses match, the cache MUST use the most recent one (as determined by the Date
/// header field)"; one with a Vary goes before one without (4.1), a whole one before a part.
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

/// A stored response that may be looked at at all, whatever it varies on.
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

/// 5.2.1.7: "the client only wishes to obtain a stored response".
pub(crate) fn wants_stored(request: &RequestInfo<'_>) -> bool {
    match request.overrides.mode {
        CacheMode::OnlyIfCached => true,
        CacheMode::Reload => false,
        _ => request.directives.only_if_cached,
    }
}

/// Nothing is selected: all that is left is to complete a part, or to ask which of the other variants it would be.
fn without_selected(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Reuse {
    let mut candidates = stored
        .iter()
        .enumerate()
        .filter_map(|(index, response)| usable(policy, request, index, response, now))
        .peekable();
    if candidates.peek().is_none() {
        return Reuse::Forward(Fwd::UriMiss);
    }
    let selects =
        |head: &StoredHead| head.selecting.matches(request.headers, &head.key, policy.secret_bytes());
    let reload = request.overrides.mode == CacheMode::Reload;
    let (mut parts, mut varied) = (Vec::new(), false);
    for chosen in candidates {
        if chosen.head.range.is_none() {
            varied = true;
        } else if selects(chosen.head) {
            parts.push(chosen);
        }
    }
    if !parts.is_empty() {
        // If-Range validates what is stale (4.3.1).
        let completion = if reload { None } else { completion(request, &parts) };
        return completion.map_or(Reuse::Forward(Fwd::Partial), Reuse::Validate);
    }
    if reload || request.conditions.only_for_origin {
        return Reuse::Forward(Fwd::VaryMiss);
    }
    let validation = validation_of(Fwd::VaryMiss, None, policy, request, stored, now);
    if varied && !validation.candidates.is_empty() {
        return Reuse::Validate(validation);
    }
    Reuse::Forward(Fwd::VaryMiss)
}

fn has_strong_tag(head: &StoredHead) -> bool {
    etag(&head.headers).is_some_and(is_strong)
}

enum Verdict {
    Serve { refresh: bool },
    Ask(Fwd),
}

/// Section 4: fresh, or allowed to be served stale, or to be validated; and what the request says to that (5.2.1).
fn judge(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> Verdict {
    let (freshness, directives) = (&chosen.freshness, &request.directives);
    if chosen.invalidated || freshness.no_cache {
        return Verdict::Ask(Fwd::Stale);
    }
    let age = current_age(freshness, chosen.head.response_time, now);
    let lifetime = lifetime_millis(freshness);
    let fresh = lifetime > age;
    if directives.no_cache || request.overrides.mode == CacheMode::Revalidate {
        return Verdict::Ask(if fresh { Fwd::Request } else { Fwd::Stale });
    }
    // RFC 8246: a reload (max-age=0) does not validate what is fresh and immutable; no-cache does.
    let too_old = directives.max_age.is_some_and(|limit| limit == 0 || age > millis(limit))
        && !(fresh && freshness.immutable);
    let fresh_too_briefly =
        directives.min_fresh.is_some_and(|least| lifetime.saturating_sub(age) < millis(least));
    if fresh {
        return if too_old || fresh_too_briefly {
            Verdict::Ask(Fwd::Request)
        } else {
            Verdict::Serve { refresh: false }
        };
    }
    let stale_by = age - lifetime;
    let never = chosen.forbids_stale() || freshness.outdated || too_old || fresh_too_briefly;
    if never {
        return Verdict::Ask(Fwd::Stale);
    }
    if directives.max_stale.is_some_and(|limit| limit == u32::MAX || stale_by <= millis(limit)) {
        return Verdict::Serve { refresh: false };
    }
    if directives.max_age.is_none() && stale_by < millis(freshness.stale_while_revalidate) {
        return Verdict::Serve { refresh: true };
    }
    Verdict::Ask(Fwd::Stale)
}

fn millis(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

/// The answer made of a response that may answer.
pub(crate) fn served(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> Serve {
    let age = current_age(&chosen.freshness, chosen.head.response_time, now);
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    let left = signed(lifetime_millis(&chosen.freshness)).saturating_sub(signed(age));
    Serve {
        index: chosen.index,
        answer: answer(request, chosen.head),
        age: u32::try_from(age / 1000).unwrap_or(MAX_SECONDS),
        ttl: left.div_euclid(1000),
        refresh: false,
    }
}

/// RFC 9110 13.2.2: preconditions first, then If-Range and Range.
fn answer(request: &RequestInfo<'_>, head: &StoredHead) -> Answer {
    if request.conditions.not_modified && conditional::evaluate(request, head) == Evaluated::NotModified {
        return Answer::NotModified;
    }
    if *request.method == Method::HEAD {
        return Answer::Head;
    }
    if head.range.is_none() && (*request.method != Method::GET || !request.conditions.range) {
        return Answer::Full;
    }
    if head.range.is_none() {
        return range::of_complete(request, head).unwrap_or(Answer::Full);
    }
    // If-Range was compared when the part was chosen; a 304 may have brought another Last-Modified since. It has all
    // of the range, or it would not have been chosen. Whatever happens, a part is never a whole.
    let complete_len = head.range.and_then(|range| range.complete_len).unwrap_or(0);
    range::of_partial(request, head).unwrap_or(Answer::Unsatisfiable { complete_len })
}

/// Statuses that stand for a failing origin (RFC 5861 section 4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
