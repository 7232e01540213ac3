//! Validators and their comparison (RFC 9110 section 8.8).

use http::{HeaderMap, HeaderValue, header};

use crate::entry::StoredHead;
use crate::policy::date::parse_date;

/// The `ETag`, as in the field.
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
pub(crate) fn is_strong_date(modified: &HeaderValue, head: &StoredHead, least_millis: i64) -> bool {
    parse_date(modified.as_bytes(), head.response_time)
        .is_some_and(|modified| head.freshness.date.millis_since(modified) >= least_millis)
}

/// The members of a list of entity tags; commas in quotes do not separate. A member that is no valid tag
/// is still a member.
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
