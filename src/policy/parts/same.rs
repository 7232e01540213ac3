//! Which stored responses are of one representation.

use http::{HeaderMap, StatusCode, header};

use crate::entry::{StoredHead, StoredResponse};
use crate::policy::parts::spans::Span;
use crate::policy::validators::{etag, same_representation, weakly_equal};

/// The other stored responses to GET that the same requests select.
pub(super) fn beside<'a>(
    stored: &'a [StoredResponse],
    new: &'a StoredHead,
) -> impl Iterator<Item = (usize, &'a StoredHead)> {
    let heads = stored.iter().enumerate().map(|(index, one)| (index, &*one.head));
    heads
        .filter(|(_, head)| head.id != new.id && head.method == new.method && head.selecting == new.selecting)
}

/// Section 3.4: combined only "if they all share the same strong validator".
pub(super) fn are_same(one: &StoredHead, other: &StoredHead) -> bool {
    same_representation(one, &other.headers)
        && same_representation(other, &one.headers)
        && may_be_same_coding(one, &other.headers)
}

/// Origins are known to give one tag to two content codings. A 206 may leave the field out (RFC 9110 15.3.7).
pub(crate) fn may_be_same_coding(head: &StoredHead, other: &HeaderMap) -> bool {
    let own = head.headers.get(header::CONTENT_ENCODING);
    own.zip(other.get(header::CONTENT_ENCODING)).is_none_or(|(own, other)| own == other)
}

/// Whether the new part shows that the representation of the old response has been replaced.
pub(super) fn was_changed(old: &StoredHead, new: &StoredHead) -> bool {
    let modified = |head: &StoredHead| head.headers.get(header::LAST_MODIFIED).cloned();
    let differ = match (etag(&old.headers), etag(&new.headers)) {
        (Some(old), Some(new)) => !weakly_equal(old, new),
        (None, None) => modified(old).zip(modified(new)).is_some_and(|(old, new)| old != new),
        _ => false,
    };
    let is_representation = old.range.is_some() || old.status == StatusCode::OK;
    differ && is_representation && old.freshness.date <= new.freshness.date
}

/// Whether a complete stored response holds this span too.
pub(super) fn holds_all(head: &StoredHead, span: Span, complete_len: Option<u64>) -> bool {
    let complete = head.range.is_none() && head.status == StatusCode::OK;
    let len = head.body.map(|body| body.len);
    complete && len.is_some_and(|len| span.end <= len && complete_len.is_none_or(|other| other == len))
}
