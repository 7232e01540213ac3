//! What the origin's answer to a validation means (RFC 9111 sections 4.3.3 and 4.3.4).

use http::{StatusCode, header, response};

use crate::entry::{StoredHead, StoredResponse};
use crate::policy::conditional;
use crate::policy::parts::completed::completed;
use crate::policy::parts::missing::Missing;
use crate::policy::parts::same::may_be_same_coding;
use crate::policy::range::ContentRange;
use crate::policy::request::RequestInfo;
use crate::policy::select::usable;
use crate::policy::serve::{Serve, served};
use crate::policy::settings::Policy;
use crate::policy::stale::{is_failure, may_stand_in};
use crate::policy::times::Times;
use crate::policy::update::{Update, freshened};
use crate::policy::validation::Validation;
use crate::policy::validators::{etag, is_strong, same_representation, strongly_equal, weakly_equal};

/// What the origin's answer to a validation request means.
#[derive(Clone, Debug, PartialEq)]
pub enum Validated {
    /// 304: these stored responses have new heads; the client is answered from `serve`, with its new head.
    Freshened {
        /// What to do with each response that the 304 is about.
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
        // The request asked for a part, and no 304 can answer that.
        StatusCode::NOT_MODIFIED if validation.missing.is_some() => return Validated::AskAgain,
        StatusCode::NOT_MODIFIED => {
            return not_modified(policy, request, stored, validation, response, times);
        }
        // RFC 9110 13.1.2 and 14.2: this is about a precondition, or a range, that the client did not send.
        status if validation.is_conditional() && refuses_conditions(status) => return Validated::AskAgain,
        StatusCode::RANGE_NOT_SATISFIABLE if validation.missing.is_some() => return Validated::AskAgain,
        _ => {}
    }
    if is_failure(response.status) {
        // A part cannot answer a request for the whole.
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

/// Statuses by which an origin can refuse a request only because of its preconditions: 412, 431 if they are too long,
/// and 400 if it does not understand its own tag.
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

/// 4.3.4: which stored responses a 304 is about; "the first (if any)" of its rules that applies.
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
        // No validator: many origins leave it out of a 304. It is about the one response that was validated, if there was
        // only one and the client sent no other tag.
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

/// The 304 is about no stored response: "the cache MUST NOT use [it] to update any stored responses".
fn nothing_identified(
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    validation: &Validation,
    response: &response::Parts,
) -> Validated {
    // A 304 without a precondition, or one that the client would have received without the cache.
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
        // One tag was sent, and the origin confirms it, although its 304 names another. Used once, without an update.
        (Some(serve), [_]) if !request.conditions.not_modified => {
            Validated::Freshened { updates: Vec::new(), serve }
        }
        _ => Validated::AskAgain,
    }
}
