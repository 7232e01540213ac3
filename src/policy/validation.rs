//! Validation: what is asked of the origin, and what its answer means (RFC 9111 section 4.3).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, response};

use crate::clock::Timestamp;
use crate::entry::{StoredHead, StoredResponse};
use crate::overrides::CacheMode;
use crate::policy::combine::{Missing, may_be_same_coding, missing};
use crate::policy::conditional::{
    self, etag, is_strong, same_representation, strong_validator, strongly_equal, weakly_equal,
};
use crate::policy::range::ContentRange;
use crate::policy::reuse::{Chosen, choose, is_failure, served, usable};
use crate::policy::update::{Update, completed, freshened};
use crate::policy::{Policy, RequestInfo, Serve, Times, fields};
use crate::status::Fwd;

/// A validation to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Why the request goes forward.
    pub fwd: Fwd,
    /// The response that answers if the origin confirms it; `None` after a vary-miss.
    pub selected: Option<usize>,
    /// All stored responses whose validators are sent.
    pub candidates: Vec<usize>,
    /// The part to ask for, where the selected response is partial and the whole is wanted (section 3.4).
    pub missing: Option<Missing>,
}

impl Validation {
    /// Nothing to validate: the request goes forward as it is.
    pub(crate) const fn none(fwd: Fwd) -> Self {
        Self { fwd, selected: None, candidates: Vec::new(), missing: None }
    }

    /// The same without preconditions: a stored response can then only stand in for an origin that fails.
    pub(crate) fn plain(self) -> Self {
        let selected = self.selected.filter(|_| self.missing.is_none());
        Self { selected, ..Self::none(self.fwd) }
    }

    /// Whether preconditions of the cache's own are sent.
    pub(crate) fn is_conditional(&self) -> bool {
        self.missing.is_some() || !self.candidates.is_empty()
    }

    /// The parts that are to be completed.
    pub(crate) fn parts(&self) -> impl Iterator<Item = usize> {
        let selected = self.selected.filter(|_| self.missing.is_some());
        let missing = self.missing.iter();
        let others = missing.flat_map(|missing| missing.before.iter().chain(&missing.after));
        let others = others.map(|part| part.index).filter(move |index| selected != Some(*index));
        selected.into_iter().chain(others)
    }

    /// Whether the origin's answer has to be judged against a stored response.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.selected.is_some() || !self.candidates.is_empty()
    }
}

/// What the origin's answer to a validation request means.
#[derive(Clone, Debug, PartialEq)]
pub enum Validated {
    /// 304: these stored responses have new heads; the client is answered from `serve`, with its new head.
    Freshened {
        /// What becomes of each response that the 304 speaks of.
        updates: Vec<Update>,
        /// Which one answers.
        serve: usize,
    },
    /// The 304 answers the client's own precondition and nothing stored: pass it on.
    PassOn,
    /// A full response: it replaces what was stored.
    Replaced,
    /// The origin failed, and a stale response may be used in its place.
    Stale(Serve),
    /// 206: the missing part. Together with the stored bytes that [`Validation::missing`] names it is the whole.
    Completed {
        /// The head of the whole, with a new id.
        head: Box<StoredHead>,
    },
    /// The answer fits neither what is stored nor what the client asked: ask again, with the client's own request. Never
    /// of a validation without [`candidates`](Validation::candidates) and [`missing`](Validation::missing) part.
    AskAgain,
}

/// More tags than this are not sent at once.
const MOST_CANDIDATES: usize = 32;
/// Nor are more bytes of tags: many servers take 8 KiB of fields.
const MOST_TAG_BYTES: usize = 4096;

/// The validation of the selected response, or after a vary-miss of all that have an entity tag.
pub(crate) fn validation_of(
    fwd: Fwd,
    selected: Option<usize>,
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Validation {
    let candidates = stored.iter().enumerate().filter_map(|(index, response)| {
        let head = usable(policy, request, index, response, now)?.head;
        let tagged = etag(&head.headers).is_some();
        let dated = head.headers.contains_key(header::LAST_MODIFIED);
        let candidate = match selected {
            // Those that this request selects as well: older responses to the same request, with tags of their own.
            Some(selected) => {
                index == selected && (tagged || dated)
                    || tagged && head.selecting.matches(request.headers, &head.key, policy.secret_bytes())
            }
            None => tagged,
        };
        (candidate && (head.range.is_none() || Some(index) == selected)).then_some(index)
    });
    let mut room = MOST_TAG_BYTES;
    let fits = |index: &usize| {
        let tag = stored.get(*index).and_then(|one| etag(&one.head.headers));
        let left = room.checked_sub(tag.map_or(0, <[u8]>::len));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let candidates = candidates.filter(fits).take(MOST_CANDIDATES).collect();
    Validation { fwd, selected, candidates, missing: None }
}

/// The validation that makes the most recent part whole, together with others of its representation, where a strong
/// validator allows it (section 3.4) and the whole is what the client asked for.
pub(crate) fn completion(request: &RequestInfo<'_>, parts: &[Chosen<'_>]) -> Option<Validation> {
    let for_origin = request.conditions.range || request.conditions.only_for_origin;
    // What is put together is stored as it passes, which a request with no-store forbids.
    if *request.method != Method::GET || for_origin || request.forbids_storing() {
        return None;
    }
    let latest = parts.iter().max_by_key(|part| part.freshness.date)?;
    let missing = missing(latest.head, parts.iter().map(|part| (part.index, part.head)))?;
    let selected = Some(latest.index);
    Some(Validation { fwd: Fwd::Partial, selected, candidates: Vec::new(), missing: Some(missing) })
}

/// Replaces the request's preconditions by those of the validation (section 4.3.1).
///
/// The client's own tags are sent along (4.3.2: the union), so that a 304 may mean either; its date would be
/// mistaken for ours and goes. A `Range` stays: the precondition is evaluated first, and what comes after it
/// is what the client asked for. Without candidates the request is the client's own.
pub fn preconditions(headers: &mut HeaderMap, validation: &Validation, stored: &[StoredResponse]) {
    if let (Some(missing), Some(selected)) = (&validation.missing, validation.selected) {
        ask_for_missing(headers, missing, stored.get(selected));
        return;
    }
    let heads = || validation.candidates.iter().filter_map(|index| stored.get(*index)).map(|one| &*one.head);
    if heads().next().is_none() {
        return;
    }
    let modified = match validation.candidates.as_slice() {
        // "if there is a single stored response ... for the target URI": a date names no variant. And "the request is
        // not for a subrange" that only a part is held for.
        [_] if validation.selected.is_some() => {
            heads().find(|head| head.range.is_none()).and_then(|head| head.headers.get(header::LAST_MODIFIED))
        }
        _ => None,
    };
    let mut tags: Vec<&[u8]> = Vec::new();
    for head in heads() {
        tags.extend(etag(&head.headers).filter(|tag| !tags.contains(tag)));
    }
    let ours = tags.len();
    let own: Vec<HeaderValue> = headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    for tag in own.iter().flat_map(|line| conditional::tags(line.as_bytes())) {
        // Compared with ours alone: how many the client sends is not for the cache to bound.
        if !tags.iter().take(ours).any(|other| *other == tag) {
            tags.push(tag);
        }
    }
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
    // `*` asks whether anything exists: it cannot be mixed with tags, and would turn every answer into a 304.
    tags.retain(|tag| *tag != b"*");
    if let (false, Ok(list)) = (tags.is_empty(), HeaderValue::from_bytes(&tags.join(&b", "[..]))) {
        fields::set(headers, header::IF_NONE_MATCH, list);
    }
    if let Some(modified) = modified {
        fields::set(headers, header::IF_MODIFIED_SINCE, modified.clone());
    }
}

fn ask_for_missing(headers: &mut HeaderMap, missing: &Missing, partial: Option<&StoredResponse>) {
    let Some(validator) = partial.and_then(|partial| strong_validator(&partial.head)) else { return };
    let last = missing.last.map(|last| last.to_string()).unwrap_or_default();
    let range = format!("bytes={}-{last}", missing.first);
    let Ok(range) = HeaderValue::try_from(range) else { return };
    for own in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        headers.remove(own);
    }
    fields::set(headers, header::RANGE, range);
    fields::set(headers, header::IF_RANGE, validator.clone());
}

/// Judges the origin's answer (sections 4.3.3 and 4.3.4).
#[must_use]
pub fn validated(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    validation: &Validation,
    response: &response::Parts,
    times: Times,
) -> Validated {
    match response.status {
        // Nobody asked for a 304, but for a part.
        StatusCode::NOT_MODIFIED if validation.missing.is_some() => return Validated::AskAgain,
        StatusCode::NOT_MODIFIED => {
            return not_modified(policy, request, stored, validation, response, times);
        }
        // RFC 9110 13.1.2 and 14.2: of a precondition, or a range, that the client did not send.
        status if validation.is_conditional() && refuses_conditions(status) => return Validated::AskAgain,
        StatusCode::RANGE_NOT_SATISFIABLE if validation.missing.is_some() => return Validated::AskAgain,
        _ => {}
    }
    if is_failure(response.status) {
        // A part cannot stand in for the whole that was asked for.
        let selected = validation.selected.filter(|_| validation.missing.is_none());
        let stale = selected.and_then(|index| {
            let chosen = usable(policy, request, index, stored.get(index)?, times.response)?;
            may_stand_in(request, &chosen, times.response).then(|| served(request, &chosen, times.response))
        });
        return stale.map_or(Validated::Replaced, Validated::Stale);
    }
    match (&validation.missing, validation.selected.and_then(|index| stored.get(index))) {
        (Some(missing), Some(partial)) => {
            part_received(policy, request, &partial.head, missing, response, times)
        }
        _ => Validated::Replaced,
    }
}

/// Statuses by which an origin can refuse a request for nothing but its preconditions: 412, 431 where they are too long
/// for it, and 400 where it does not understand its own tag.
fn refuses_conditions(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 412 | 431)
}

/// The answer to a request for the missing part. A client that asked for the whole must not see a part of it.
fn part_received(
    policy: &Policy,
    request: &RequestInfo<'_>,
    partial: &StoredHead,
    missing: &Missing,
    response: &response::Parts,
    times: Times,
) -> Validated {
    if response.status != StatusCode::PARTIAL_CONTENT {
        return Validated::Replaced;
    }
    let same =
        same_representation(partial, &response.headers) && may_be_same_coding(partial, &response.headers);
    let fits = ContentRange::of_single_part(&response.headers).is_some_and(|range| {
        let same_len = missing.complete_len.is_none() || range.complete_len == missing.complete_len;
        let last = missing.last.or(range.complete_len.and_then(|len| len.checked_sub(1)));
        same_len && range.first == missing.first && Some(range.last) == last
    });
    let head = (same && fits).then(|| completed(policy, request, partial, response, times)).flatten();
    head.map_or(Validated::AskAgain, |head| Validated::Completed { head: Box::new(head) })
}

fn not_modified(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    validation: &Validation,
    response: &response::Parts,
    times: Times,
) -> Validated {
    let head_of = |index: usize| stored.get(index).map(|one| &*one.head);
    let candidates =
        || validation.candidates.iter().filter_map(|index| head_of(*index).map(|head| (*index, head)));
    let identified = identified(request, candidates, response);
    let Some(latest) = identified
        .iter()
        .copied()
        .find(|index| validation.selected == Some(*index))
        .or_else(|| latest_of(candidates().filter(|(index, _)| identified.contains(index))))
    else {
        return nothing_identified(request, stored, validation, response);
    };
    let updates = identified.iter().filter_map(|index| {
        let (head, action) = freshened(policy, request, head_of(*index)?, response, times);
        Some(Update { index: *index, head, action })
    });
    Validated::Freshened { updates: updates.collect(), serve: latest }
}

/// 4.3.4: which stored responses a 304 speaks of; "the first (if any)" of its rules that applies.
fn identified<'a, I>(
    request: &RequestInfo<'_>,
    candidates: impl Fn() -> I,
    response: &response::Parts,
) -> Vec<usize>
where
    I: Iterator<Item = (usize, &'a StoredHead)>,
{
    let newer = &response.headers;
    match (etag(newer), newer.get(header::LAST_MODIFIED)) {
        // "If the new response contains one or more strong validators ...": all that share it.
        (Some(tag), _) if is_strong(tag) => candidates()
            .filter(|(_, head)| etag(&head.headers).is_some_and(|own| strongly_equal(own, tag)))
            .map(|(index, _)| index)
            .collect(),
        // "If the new response contains no strong validators but does contain one or more weak validators ...": the
        // most recent that matches.
        (Some(tag), _) => latest_of(
            candidates().filter(|(_, head)| etag(&head.headers).is_some_and(|own| weakly_equal(own, tag))),
        )
        .into_iter()
        .collect(),
        (None, Some(modified)) => latest_of(
            candidates().filter(|(_, head)| head.headers.get(header::LAST_MODIFIED) == Some(modified)),
        )
        .into_iter()
        .collect(),
        // No validator at all: many origins leave it out of their 304s. It can then only mean what was asked about,
        // provided that this was one response, and not a tag of the client's either.
        (None, None) => {
            let mut candidates = candidates();
            match (candidates.next(), candidates.next()) {
                (Some((index, head)), None)
                    if !conditional::lists_others(request.headers, etag(&head.headers)) =>
                {
                    vec![index]
                }
                _ => Vec::new(),
            }
        }
    }
}

fn latest_of<'a>(candidates: impl Iterator<Item = (usize, &'a StoredHead)>) -> Option<usize> {
    candidates
        .reduce(|best, next| if next.1.freshness.date > best.1.freshness.date { next } else { best })
        .map(|(index, _)| index)
}

/// The 304 speaks of nothing that is stored: "the cache MUST NOT use [it] to update any stored responses".
fn nothing_identified(
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    validation: &Validation,
    response: &response::Parts,
) -> Validated {
    // A 304 that nobody asked for, or one that the client would have got without the cache.
    let tag_of = |index: &usize| stored.get(*index).and_then(|one| etag(&one.head.headers));
    let all_own =
        || validation.candidates.iter().all(|index| conditional::lists(request.headers, tag_of(index)));
    let named = etag(&response.headers);
    if validation.candidates.is_empty()
        || request.conditions.not_modified && (conditional::lists(request.headers, named) || all_own())
    {
        return Validated::PassOn;
    }
    match (validation.selected, validation.candidates.as_slice()) {
        // One tag was sent and the origin says that it holds, whatever its answer names: used this once.
        (Some(serve), [_]) if !request.conditions.not_modified => {
            Validated::Freshened { updates: Vec::new(), serve }
        }
        _ => Validated::AskAgain,
    }
}

/// The origin cannot be reached: the stored response that may be used stale in its place (section 4.2.4).
#[must_use]
pub fn without_origin(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Option<Serve> {
    if !request.is_handled(policy)
        || request.overrides.mode == CacheMode::Reload
        || request.conditions.only_for_origin
    {
        return None;
    }
    let chosen = choose(policy, request, stored, now)?;
    let disconnected = policy.serves_disconnected() && !asks_for_more(request) && !chosen.forbids_stale();
    (disconnected || may_stand_in(request, &chosen, now)).then(|| served(request, &chosen, now))
}

/// RFC 5861 section 4: `stale-if-error` of the response, the request or the settings, whichever is longest.
fn may_stand_in(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> bool {
    let own = request.directives.stale_if_error;
    let window = chosen.freshness.stale_if_error.max(own.unwrap_or(0));
    let in_time = match chosen.staleness(now) {
        Some(stale_by) => stale_by <= u64::from(window) * 1000,
        None => true,
    };
    // A request that asks for validation takes no substitute, unless it says so itself.
    let content = own.is_some() || !asks_for_more(request);
    window > 0 && in_time && content && !chosen.forbids_stale()
}

/// The request itself sets limits that a stale response does not keep.
fn asks_for_more(request: &RequestInfo<'_>) -> bool {
    let directives = &request.directives;
    let limits =
        directives.max_age.is_some() && directives.max_stale.is_none() || directives.min_fresh.is_some();
    directives.no_cache || limits || request.overrides.mode == CacheMode::Revalidate
}
