//! The whole that a stored part and its missing part make (RFC 9111 section 3.4).

use http::{StatusCode, response};

use crate::entry::{BodySummary, EntryId, StoredHead};
use crate::policy::fields::describe_whole;
use crate::policy::range::ContentRange;
use crate::policy::request::RequestInfo;
use crate::policy::settings::Policy;
use crate::policy::times::Times;
use crate::policy::update::{UpdateAction, freshened};

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
