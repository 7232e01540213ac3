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

/// The result of freshening a stored response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Update {
    /// Its index among those that were looked up.
    pub index: usize,
    /// Its new head (same id). With it the response may answer this request, with any action.
    pub head: StoredHead,
    /// What to do with what is stored.
    pub action: UpdateAction,
}

/// What to do with a stored response that was freshened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateAction {
    /// Store its new head.
    Write,
    /// Leave it unchanged: this request, or the newer response to it, must not be stored.
    Leave,
    /// Remove it: with the new fields it must not be stored.
    Remove,
}

/// The stored head with the fields, times and freshness of a newer response to the same representation, and what it
/// means for what is stored.
///
/// A head that has grown over the limits is not stored. Section 3.2: "the cache MUST add each header field in the provided response
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
    let fits = merged.is_ok();
    let merged = merged.unwrap_or_else(|_| stored.headers.clone());
    let groups = groups::updated(request, stored, &merged);
    // The directives in force: those of the newer response where it states any.
    let directives = ResponseDirectives::parse(&merged, policy.target_fields());
    let mut head = stored.clone();
    head.headers = fields::without(merged, &dropped(policy, &directives));
    if !newer.headers.contains_key(header::DATE) {
        // The stored Date is that of the response before; the newer one came without.
        head.headers.remove(header::DATE);
    }
    head.authorized |= request.is_authorized();
    let assessed = reassess(policy, request, &head, &directives, times);
    let leaves = must_leave(request, stored, &assessed);
    let kept = assessed.is_ok();
    head.freshness = assessed.unwrap_or(Freshness { lifetime: 0, no_cache: true, ..stored.freshness });
    head.freshness.initial_age = initial_age(&newer.headers, head.freshness.date, times);
    head.freshness.outdated = false;
    let selectable = update_selecting(policy, request, newer, &mut head);
    complete_fields(&mut head.headers, head.freshness.initial_age, times);
    let grouped = groups.is_some();
    head.groups = groups.unwrap_or_default();
    trailers::update(policy, &mut head);
    head.request_time = times.request;
    head.response_time = times.response;
    head.usable_until = usable_until(policy, &head.freshness, times.response);
    let storable = fits && kept && selectable && grouped && head.is_within_limits();
    let action = match (leaves, storable) {
        (true, _) => UpdateAction::Leave,
        (false, true) => UpdateAction::Write,
        (false, false) => UpdateAction::Remove,
    };
    (head, action)
}

/// May it still be kept with its new fields, and how fresh is it then? A lifetime that the user sets for this exchange,
/// or set for the one that stored the response, goes before what the fields say.
fn reassess(
    policy: &Policy,
    request: &RequestInfo<'_>,
    head: &StoredHead,
    directives: &ResponseDirectives,
    times: Times,
) -> Result<Freshness, NotStored> {
    let before = head.freshness.overridden.then_some(head.freshness.lifetime);
    let facts = Facts {
        status: head.status,
        headers: &head.headers,
        authorized: head.authorized,
        overridden: request.overrides.lifetime.map(seconds).or(before),
        response_time: times.response,
    };
    assess(policy, &facts, directives)
}

/// 5.2.1.5: with no-store the cache "MUST NOT store any part of either this request or any response to it"; nor may a
/// response to an authorized request (3.5) touch one to a request that was not.
fn must_leave(
    request: &RequestInfo<'_>,
    stored: &StoredHead,
    assessed: &Result<Freshness, NotStored>,
) -> bool {
    request.forbids_storing() || matches!(assessed, Err(NotStored::Authorization)) && !stored.authorized
}

/// Takes over the newer response's `Vary`, where it has one. `false` where no request selects the response any more.
fn update_selecting(
    policy: &Policy,
    request: &RequestInfo<'_>,
    newer: &response::Parts,
    head: &mut StoredHead,
) -> bool {
    if !newer.headers.contains_key(header::VARY) {
        return true;
    }
    let selecting = selecting(policy, request, &head.key, &head.headers);
    let selectable = !selecting.any;
    // A 304 after a vary-miss confirms a response to another request: what selected that one stays.
    if !selectable || head.selecting.matches(request.headers, &head.key, policy.secret_bytes()) {
        head.selecting = selecting;
    }
    selectable
}
