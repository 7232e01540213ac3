//! What a response that comes in part adds to what is stored (RFC 9111 section 3.3).

use http::{StatusCode, response};

use crate::entry::{StoredHead, StoredResponse};
use crate::policy::parts::same::{are_same, beside, holds_all};
use crate::policy::parts::spans::{Span, complete_len_of};
use crate::policy::request::RequestInfo;
use crate::policy::settings::Policy;
use crate::policy::times::Times;
use crate::policy::update::{UpdateAction, freshened};
use crate::policy::validators::strong_validator;

/// The stored response that already holds the part which just arrived, with its head updated from that of the part.
/// Under the same strong validator the bytes are the same, so the part is not stored.
#[must_use]
pub fn held_already(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    part: &StoredHead,
    response: &response::Parts,
    times: Times,
) -> Option<(usize, StoredHead)> {
    let span = Span::of(usize::MAX, part)?;
    let complete_len = complete_len_of(part);
    let (index, head) = beside(stored, part).find(|(index, head)| {
        let inside = || {
            let held = Span::of(*index, head);
            held.is_some_and(|held| held.first <= span.first && span.end <= held.end)
                && complete_len_of(head).is_some_and(|len| complete_len.is_none_or(|other| len == other))
        };
        are_same(head, part) && (holds_all(head, span, complete_len) || inside())
    })?;
    let (head, action) = freshened(policy, request, head, response, times);
    (action == UpdateAction::Write).then_some((index, head))
}

/// The number of bytes that a response must exceed to be kept when it breaks off (section 3.3). `None` if it is never
/// kept: it must answer GET with a representation or a part of one, and a strong validator must allow completing it. If
/// a part with the same first byte is stored, only a longer one is kept.
#[must_use]
pub fn resumable(head: &StoredHead, stored: &[StoredResponse]) -> Option<u64> {
    let content = head.range.is_some() || head.status == StatusCode::OK;
    if head.method != http::Method::GET || !content || strong_validator(head).is_none() {
        return None;
    }
    let first = head.range.map_or(0, |range| range.first);
    let held = beside(stored, head)
        .filter(|(_, old)| old.range.is_some_and(|range| range.first == first) && are_same(old, head))
        .map(|(_, old)| old.body_len());
    Some(held.max().unwrap_or(0))
}
