//! Stale responses in place of an origin that fails (RFC 9111 section 4.2.4, RFC 5861 section 4).

use http::StatusCode;

use crate::clock::Timestamp;
use crate::entry::StoredResponse;
use crate::overrides::CacheMode;
use crate::policy::request::RequestInfo;
use crate::policy::select::{Chosen, choose};
use crate::policy::serve::{Serve, served};
use crate::policy::settings::Policy;

/// The stored response that may be served stale when the origin cannot be reached (section 4.2.4).
#[must_use]
pub fn without_origin(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Option<Serve> {
    if !request.is_handled(policy)
        || request.overrides.mode == CacheMode::Reload
        || request.conditions.only_for_origin
    {
        return None;
    }
    let chosen = choose(policy, request, stored, now)?;
    let disconnected = policy.serves_disconnected() && !asks_for_more(request) && !chosen.forbids_stale();
    (disconnected || may_stand_in(request, &chosen, now)).then(|| served(request, &chosen, now))
}

/// RFC 5861 section 4: `stale-if-error` of the response, the request or the settings, whichever is longest.
pub(crate) fn may_stand_in(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> bool {
    let own = request.directives.stale_if_error;
    let window = chosen.freshness.stale_if_error.max(own.unwrap_or(0));
    let in_time = match chosen.staleness(now) {
        Some(stale_by) => stale_by <= u64::from(window) * 1000,
        None => true,
    };
    // A request that demands validation accepts no stale response, unless it has stale-if-error itself.
    let content = own.is_some() || !asks_for_more(request);
    window > 0 && in_time && content && !chosen.forbids_stale()
}

/// Whether the request sets limits that a stale response exceeds.
fn asks_for_more(request: &RequestInfo<'_>) -> bool {
    let directives = &request.directives;
    let limits =
        directives.max_age.is_some() && directives.max_stale.is_none() || directives.min_fresh.is_some();
    directives.no_cache || limits || request.overrides.mode == CacheMode::Revalidate
}

/// Statuses that stand for a failing origin (RFC 5861 section 4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
