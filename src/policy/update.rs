//! Updating stored heads from a 304 (RFC 9111 sections 3.2, 4.3.4) or from a response to HEAD (4.3.5).

use http::response;

use crate::entry::{StoredHead, StoredResponse};
use crate::policy::{Asked, Policy, Times};

/// What a response to HEAD does to one stored response to GET.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadUpdate {
    /// It has this new head (same id).
    Freshen(usize, StoredHead),
    /// It is no longer current: its new head is stale.
    Outdated(usize, StoredHead),
}

/// What a 2xx response to HEAD says of the stored responses.
#[must_use]
pub fn updated_by_head(
    policy: &Policy,
    asked: &Asked<'_>,
    stored: &[StoredResponse],
    response: &response::Parts,
    times: Times,
) -> Vec<HeadUpdate> {
    let _ = (policy, asked, stored, response, times);
    todo!()
}
