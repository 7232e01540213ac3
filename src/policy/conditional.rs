//! The client's own preconditions (RFC 9110 section 13, RFC 9111 section 4.3.2).

use http::{HeaderMap, header};

use crate::entry::StoredHead;
use crate::policy::date::parse_date;
use crate::policy::request::RequestInfo;
use crate::policy::validators::{etag, is_strong_date, strongly_equal, tags, weakly_equal};

/// The result of the client's own preconditions for a stored response that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evaluated {
    /// There is none, or it asks for the response.
    Respond,
    /// The client has it already.
    NotModified,
}

/// 4.3.2: `If-None-Match` if there is one, else `If-Modified-Since`, for a stored 200 or 206.
pub(crate) fn evaluate(request: &RequestInfo<'_>, head: &StoredHead) -> Evaluated {
    if !matches!(head.status.as_u16(), 200 | 206) {
        return Evaluated::Respond;
    }
    let holds = if request.headers.contains_key(header::IF_NONE_MATCH) {
        lists(request.headers, etag(&head.headers))
    } else {
        request.headers.get(header::IF_MODIFIED_SINCE).is_some_and(|since| {
            let since = parse_date(since.as_bytes(), head.response_time);
            let modified = head.headers.get(header::LAST_MODIFIED);
            let modified = modified.and_then(|value| parse_date(value.as_bytes(), head.response_time));
            // "If ... Last-Modified is not present, ... use the Date ..., or the time ... received."
            since.is_some_and(|since| modified.unwrap_or(head.freshness.date) <= since)
        })
    };
    if holds { Evaluated::NotModified } else { Evaluated::Respond }
}

/// Whether the request's `If-None-Match` names this tag (weak comparison), or anything at all.
pub(crate) fn lists(headers: &HeaderMap, tag: Option<&[u8]>) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|line| {
        tags(line.as_bytes()).any(|listed| listed == b"*" || tag.is_some_and(|tag| weakly_equal(listed, tag)))
    })
}

/// Whether the request's `If-None-Match` names a tag other than this one.
pub(crate) fn lists_others(headers: &HeaderMap, tag: Option<&[u8]>) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|line| {
        tags(line.as_bytes())
            .any(|listed| listed != b"*" && !tag.is_some_and(|tag| weakly_equal(listed, tag)))
    })
}

/// RFC 9110 13.1.5: whether the request's `If-Range` lets its `Range` apply to this response.
pub(crate) fn range_applies(headers: &HeaderMap, head: &StoredHead) -> bool {
    let Some(condition) = headers.get(header::IF_RANGE) else { return true };
    let condition = condition.as_bytes().trim_ascii();
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return etag(&head.headers).is_some_and(|tag| strongly_equal(condition, tag));
    }
    let Some(modified) = head.headers.get(header::LAST_MODIFIED) else { return false };
    // "exactly matches". A cache that compares wants "at least one second" only (8.8.2.2).
    modified.as_bytes().trim_ascii() == condition && is_strong_date(modified, head, 1000)
}
