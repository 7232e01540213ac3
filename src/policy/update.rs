//! Updating stored heads from a 304 (RFC 9111 sections 3.2, 4.3.4), from a response to HEAD (4.3.5) or from the
//! missing part of a representation (3.4).

use http::header;
use http::{HeaderMap, Method, StatusCode, response};

use crate::entry::{BodySummary, EntryId, StoredHead, StoredResponse};
use crate::policy::combine::describe_whole;
use crate::policy::conditional::{etag, weakly_equal};
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Facts, assess, initial_age, usable_until};
use crate::policy::range::ContentRange;
use crate::policy::reuse::usable;
use crate::policy::settings::seconds;
use crate::policy::storable::{complete_fields, content_length, dropped, selecting};
use crate::policy::{NotStored, Policy, RequestInfo, Times, fields, groups, trailers};

/// What becomes of a stored response that was freshened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Update {
    /// Its index among those that were looked up.
    pub index: usize,
    /// Its new head (same id), with which it may answer this once, whatever the action.
    pub head: StoredHead,
    /// What to do with what is stored.
    pub action: UpdateAction,
}

/// What to do with a stored response that was freshened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateAction {
    /// Store its new head.
    Write,
    /// Leave it as it is: it is this request, or the newer response to it, that must not be stored.
    Leave,
    /// Remove it: with the new fields it must not be kept.
    Remove,
}

/// What a response to HEAD does to one stored response to GET.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadUpdate {
    /// It has this new head (same id).
    Freshen(usize, StoredHead),
    /// It is no longer current: its new head is stale.
    Outdated(usize, StoredHead),
}

/// What a 2xx response to HEAD says of the stored responses.
///
/// "If the Content-Length, ETag and Last-Modified of the HEAD response agree with a stored response, it is updated;
/// else it SHOULD be considered stale" (4.3.5). Only a 200 speaks of the representation that GET would get.
#[must_use]
pub fn updated_by_head(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    response: &response::Parts,
    times: Times,
) -> Vec<HeadUpdate> {
    if *request.method != Method::HEAD || response.status != StatusCode::OK {
        return Vec::new();
    }
    let updates = stored.iter().enumerate().filter_map(|(index, one)| {
        let head = usable(policy, request, index, one, times.response)?.head;
        let selected = head.selecting.matches(request.headers, &head.key, policy.secret_bytes());
        if !selected || head.range.is_some() || head.status != StatusCode::OK {
            return None;
        }
        if agrees(head, &response.headers) {
            match freshened(policy, request, head, response, times) {
                (newer, UpdateAction::Write) => return Some(HeadUpdate::Freshen(index, newer)),
                (_, UpdateAction::Leave) => return None,
                (_, UpdateAction::Remove) => {}
            }
        }
        let mut outdated = head.clone();
        outdated.freshness.outdated = true;
        Some(HeadUpdate::Outdated(index, outdated))
    });
    updates.collect()
}

fn agrees(head: &StoredHead, newer: &HeaderMap) -> bool {
    let tags_agree =
        etag(newer).is_none_or(|tag| etag(&head.headers).is_some_and(|own| weakly_equal(own, tag)));
    let modified = newer.get(header::LAST_MODIFIED);
    let dates_agree = modified.is_none() || modified == head.headers.get(header::LAST_MODIFIED);
    let lengths_agree = content_length(newer).is_none_or(|len| {
        content_length(&head.headers).or(head.body.map(|body| body.len)).is_none_or(|own| own == len)
    });
    tags_agree && dates_agree && lengths_agree
}

/// The stored head with the fields, times and freshness of a newer response to the same representation, and what it
/// means for what is stored.
///
/// What has grown over the limits may not. Section 3.2: "the cache MUST add each header field in the provided response
/// to the stored response": kept without the fields that do not fit, or as it was, it would be reused by directives that
/// the origin has replaced.
pub(crate) fn freshened(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &StoredHead,
    newer: &response::Parts,
    times: Times,
) -> (StoredHead, UpdateAction) {
    let merged = fields::update_fields(&stored.headers, &newer.headers);
    let mergeable = merged.is_ok();
    let merged = merged.unwrap_or_else(|_| stored.headers.clone());
    let groups = groups::updated(request, stored, &merged);
    // The directives in force: those of the newer response where it states any.
    let directives = ResponseDirectives::parse(&merged, policy.target_fields());
    let mut headers = fields::without(merged, &dropped(policy, &directives));
    if !newer.headers.contains_key(header::DATE) {
        // The stored Date is that of the response before; the newer one came without.
        headers.remove(header::DATE);
    }
    let overridden = request.overrides.lifetime.map(seconds);
    let facts = Facts {
        status: stored.status,
        headers: &headers,
        authorized: stored.authorized || request.is_authorized(),
        overridden: overridden.or(stored.freshness.overridden.then_some(stored.freshness.lifetime)),
        response_time: times.response,
    };
    let authorized = facts.authorized;
    let assessed = assess(policy, &facts, &directives);
    // 5.2.1.5: with no-store the cache "MUST NOT store any part of either this request or any response to it"; nor may a
    // response to an authorized request (3.5) touch one to a request that was not.
    let leaves =
        request.forbids_storing() || matches!(assessed, Err(NotStored::Authorization)) && !stored.authorized;
    let mut storable = mergeable && assessed.is_ok();
    let mut freshness =
        assessed.unwrap_or(crate::entry::Freshness { lifetime: 0, no_cache: true, ..stored.freshness });
    freshness.initial_age = initial_age(&newer.headers, freshness.date, times);
    freshness.outdated = false;

    let mut head = stored.clone();
    if newer.headers.contains_key(header::VARY) {
        let selecting = selecting(policy, request, &stored.key, &headers);
        storable &= !selecting.any;
        // A 304 after a vary-miss confirms a response to another request: what selected that one stays.
        if selecting.any || stored.selecting.matches(request.headers, &stored.key, policy.secret_bytes()) {
            head.selecting = selecting;
        }
    }
    complete_fields(&mut headers, freshness.initial_age, times);
    storable &= groups.is_some();
    head.groups = groups.unwrap_or_default();
    head.authorized = authorized;
    head.headers = headers;
    trailers::update(policy, &mut head);
    head.request_time = times.request;
    head.response_time = times.response;
    head.usable_until = usable_until(policy, &freshness, times.response);
    head.freshness = freshness;
    storable &= head.is_within_limits();
    let action = match (leaves, storable) {
        (true, _) => UpdateAction::Leave,
        (false, true) => UpdateAction::Write,
        (false, false) => UpdateAction::Remove,
    };
    (head, action)
}

/// The head of the whole that a partial response and its missing part make (3.4): fields updated from the newer
/// response, status 200, a new id. `None` when the whole may not be stored.
pub(crate) fn completed(
    policy: &Policy,
    request: &RequestInfo<'_>,
    partial: &StoredHead,
    newer: &response::Parts,
    times: Times,
) -> Option<StoredHead> {
    let complete_len = ContentRange::of_single_part(&newer.headers)?.complete_len?;
    let (mut head, action) = freshened(policy, request, partial, newer, times);
    if action != UpdateAction::Write {
        return None;
    }
    head.id = EntryId::random();
    head.status = StatusCode::OK;
    head.range = None;
    head.body = Some(BodySummary { len: complete_len, checksum: 0 });
    describe_whole(&mut head.headers, complete_len);
    Some(head)
}
