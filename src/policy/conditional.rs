//! Validators, and the client's own preconditions (RFC 9110 sections 8.8.3 and 13, RFC 9111 section 4.3.2).

use http::{HeaderMap, HeaderValue, header};

use crate::entry::StoredHead;
use crate::policy::RequestInfo;
use crate::policy::date::parse_date;

/// What the client's own preconditions say of a stored response that may answer.
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

/// The `ETag`, as it stands in the field.
pub(crate) fn etag(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::ETAG).map(|tag| tag.as_bytes().trim_ascii()).filter(|tag| !tag.is_empty())
}

/// RFC 9110 8.8.3.2, weak comparison: the opaque tags are the same.
pub(crate) fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// RFC 9110 8.8.3.2, strong comparison: the same, and neither is weak.
pub(crate) fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    one == other && is_strong(one)
}

pub(crate) fn is_strong(tag: &[u8]) -> bool {
    opaque(tag).len() == tag.len()
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The validator that two responses share only if their bodies are the same byte for byte: a strong `ETag`, or where
/// there is no `ETag` at all (RFC 9110 section 13.1.5) a `Last-Modified` that is strong.
pub(crate) fn strong_validator(head: &StoredHead) -> Option<&HeaderValue> {
    if let Some(tag) = head.headers.get(header::ETAG) {
        return is_strong(tag.as_bytes().trim_ascii()).then_some(tag);
    }
    let modified = head.headers.get(header::LAST_MODIFIED)?;
    is_strong_date(modified, head, CLOCK_DIFFERENCE_MILLIS).then_some(modified)
}

/// Whether a newer response with these fields is of the same representation, byte for byte.
pub(crate) fn same_representation(head: &StoredHead, newer: &HeaderMap) -> bool {
    match etag(&head.headers) {
        Some(tag) => etag(newer).is_some_and(|other| strongly_equal(tag, other)),
        None => {
            etag(newer).is_none()
                && strong_validator(head).is_some_and(|own| newer.get(header::LAST_MODIFIED) == Some(own))
        }
    }
}

/// By how much two clocks may differ. RFC 9110 section 8.8.2.2 wants "enough difference between the Last-Modified and
/// Date values to make clock synchronization issues unlikely", which RFC 7232 put at 60 seconds.
const CLOCK_DIFFERENCE_MILLIS: i64 = 60_000;

/// RFC 9110 8.8.2.2: strong only if the origin had time to notice another change before it answered.
fn is_strong_date(modified: &HeaderValue, head: &StoredHead, least_millis: i64) -> bool {
    parse_date(modified.as_bytes(), head.response_time)
        .is_some_and(|modified| head.freshness.date.millis_since(modified) >= least_millis)
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

/// The members of a list of entity tags; commas in quotes do not separate. A member that is no valid tag
/// is a member none the less.
pub(crate) fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
            rest = rest.get(start..)?;
            let prefix = if rest.starts_with(b"W/") { 2 } else { 0 };
            let quoted = rest.get(prefix) == Some(&b'"');
            let close = quoted.then(|| rest.iter().skip(prefix + 1).position(|byte| *byte == b'"')).flatten();
            let end = match close {
                Some(at) => prefix + 1 + at + 1,
                None => rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len()),
            };
            let (tag, after) = rest.split_at_checked(end)?;
            rest = after;
            let tag = tag.trim_ascii();
            if !tag.is_empty() {
                return Some(tag);
            }
        }
    })
}
