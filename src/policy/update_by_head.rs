//! What a response to HEAD says about stored responses to GET (RFC 9111 section 4.3.5).

use http::header;
use http::{HeaderMap, Method, StatusCode, response};

use crate::entry::{StoredHead, StoredResponse};
use crate::policy::fields::content_length;
use crate::policy::request::RequestInfo;
use crate::policy::select::usable;
use crate::policy::settings::Policy;
use crate::policy::times::Times;
use crate::policy::update::{UpdateAction, freshened};
use crate::policy::validators::{etag, weakly_equal};

/// What a response to HEAD does to one stored response to GET.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadUpdate {
    /// It has this new head (same id).
    Freshen(usize, StoredHead),
    /// It is no longer current: its new head is stale.
    Outdated(usize, StoredHead),
}

/// What a 2xx response to HEAD says about the stored responses.
///
/// "If the Content-Length, ETag and Last-Modified of the HEAD response agree with a stored response, it is updated;
/// else it SHOULD be considered stale" (4.3.5). Only a 200 is about the representation that GET would get.
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
