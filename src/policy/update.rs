//! Freshening a stored head from a newer response to the same representation (RFC 9111 sections 3.2 and 4.3.4).

use http::{header, response};

use crate::entry::{Freshness, StoredHead};
use crate::policy::age::initial_age;
use crate::policy::assess::assess;
use crate::policy::directives::ResponseDirectives;
use crate::policy::fields;
use crate::policy::freshness::{Facts, usable_until};
use crate::policy::not_stored::NotStored;
use crate::policy::request::RequestInfo;
use crate::policy::seconds::seconds;
use crate::policy::select::selecting;
use crate::policy::settings::Policy;
use crate::policy::stored_fields::{complete_fields, dropped, update_fields};
use crate::policy::times::Times;
use crate::policy::{groups, trailers};

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
    let merged = update_fields(&stored.headers, &newer.headers);
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
    let mut freshness = assessed.unwrap_or(Freshness { lifetime: 0, no_cache: true, ..stored.freshness });
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
