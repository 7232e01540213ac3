//! Whether a stored response may answer (RFC 9111 sections 4, 4.2.4, 5.2.1).

use crate::clock::Timestamp;
use crate::entry::{StoredHead, StoredResponse};
use crate::overrides::CacheMode;
use crate::policy::age::current_age;
use crate::policy::freshness::lifetime_millis;
use crate::policy::request::RequestInfo;
use crate::policy::seconds::millis;
use crate::policy::select::{Chosen, choose, usable};
use crate::policy::serve::{Serve, served};
use crate::policy::settings::Policy;
use crate::policy::validation::{Validation, completion, validation_of};
use crate::policy::validators::{etag, is_strong};
use crate::status::Fwd;

/// What to do with a request, given what is stored under its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Reuse {
    /// Answer with a stored response.
    Serve(Serve),
    /// Ask the origin whether one of the stored responses is still valid.
    Validate(Validation),
    /// Nothing stored helps.
    Forward(Fwd),
    /// The client accepts only a stored response, and there is none: 504.
    GatewayTimeout,
}

/// Decides what to do with a request.
///
/// Ignores stored responses that are past their usable time, that this policy would not store, or that the request does
/// not select.
#[must_use]
pub fn reuse(policy: &Policy, request: &RequestInfo<'_>, stored: &[StoredResponse], now: Timestamp) -> Reuse {
    let otherwise = |forward: Reuse| if wants_stored(request) { Reuse::GatewayTimeout } else { forward };
    if !request.is_handled(policy) {
        let fwd = if policy.handles(request.method) { Fwd::Bypass } else { Fwd::Method };
        return otherwise(Reuse::Forward(fwd));
    }
    let Some(chosen) = choose(policy, request, stored, now) else {
        return otherwise(without_selected(policy, request, stored, now));
    };
    if request.overrides.mode == CacheMode::Reload || request.conditions.only_for_origin {
        return otherwise(Reuse::Forward(chosen.passed_over(now)));
    }
    let verdict = judge(request, &chosen, now);
    match verdict {
        // A client that wants only a stored response does not want a refresh from the origin either.
        Verdict::Serve { refresh } => {
            let refresh = refresh && !wants_stored(request);
            Reuse::Serve(Serve { refresh, ..served(request, &chosen, now) })
        }
        // 4.3.2: the tag of a part may be sent, because the part holds the whole range. A weak tag does not say whether
        // the bytes are the same. Without a tag, the origin may answer 206 as well as 304.
        Verdict::Ask(fwd) if chosen.head.range.is_some() && !has_strong_tag(chosen.head) => {
            otherwise(Reuse::Forward(fwd))
        }
        Verdict::Ask(fwd) => {
            otherwise(Reuse::Validate(validation_of(fwd, Some(chosen.index), policy, request, stored, now)))
        }
    }
}

/// 5.2.1.7: "the client only wishes to obtain a stored response".
pub(crate) fn wants_stored(request: &RequestInfo<'_>) -> bool {
    match request.overrides.mode {
        CacheMode::OnlyIfCached => true,
        CacheMode::Reload => false,
        _ => request.directives.only_if_cached,
    }
}

/// No stored response is selected. A part may be completed, or the origin may say which of the other variants answers.
fn without_selected(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Reuse {
    let mut candidates = stored
        .iter()
        .enumerate()
        .filter_map(|(index, response)| usable(policy, request, index, response, now))
        .peekable();
    if candidates.peek().is_none() {
        return Reuse::Forward(Fwd::UriMiss);
    }
    let selects =
        |head: &StoredHead| head.selecting.matches(request.headers, &head.key, policy.secret_bytes());
    let reload = request.overrides.mode == CacheMode::Reload;
    let (mut parts, mut varied) = (Vec::new(), false);
    for chosen in candidates {
        if chosen.head.range.is_none() {
            varied = true;
        } else if selects(chosen.head) {
            parts.push(chosen);
        }
    }
    if !parts.is_empty() {
        // If-Range validates what is stale (4.3.1).
        let completion = if reload { None } else { completion(request, &parts) };
        return completion.map_or(Reuse::Forward(Fwd::Partial), Reuse::Validate);
    }
    if reload || request.conditions.only_for_origin {
        return Reuse::Forward(Fwd::VaryMiss);
    }
    let validation = validation_of(Fwd::VaryMiss, None, policy, request, stored, now);
    if varied && !validation.candidates.is_empty() {
        return Reuse::Validate(validation);
    }
    Reuse::Forward(Fwd::VaryMiss)
}

fn has_strong_tag(head: &StoredHead) -> bool {
    etag(&head.headers).is_some_and(is_strong)
}

enum Verdict {
    Serve { refresh: bool },
    Ask(Fwd),
}

/// Section 4: a response is fresh, may be served stale, or must be validated. The request's directives (5.2.1) can
/// restrict or extend this.
fn judge(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> Verdict {
    let (freshness, directives) = (&chosen.freshness, &request.directives);
    if chosen.invalidated || freshness.no_cache {
        return Verdict::Ask(Fwd::Stale);
    }
    let age = current_age(freshness, chosen.head.response_time, now);
    let lifetime = lifetime_millis(freshness);
    let fresh = lifetime > age;
    if directives.no_cache || request.overrides.mode == CacheMode::Revalidate {
        return Verdict::Ask(if fresh { Fwd::Request } else { Fwd::Stale });
    }
    // RFC 8246: a reload (max-age=0) does not validate what is fresh and immutable; no-cache does.
    let too_old = directives.max_age.is_some_and(|limit| limit == 0 || age > millis(limit))
        && !(fresh && freshness.immutable);
    let fresh_too_briefly =
        directives.min_fresh.is_some_and(|least| lifetime.saturating_sub(age) < millis(least));
    if fresh {
        return if too_old || fresh_too_briefly {
            Verdict::Ask(Fwd::Request)
        } else {
            Verdict::Serve { refresh: false }
        };
    }
    let stale_by = age - lifetime;
    let never = chosen.forbids_stale() || freshness.outdated || too_old || fresh_too_briefly;
    if never {
        return Verdict::Ask(Fwd::Stale);
    }
    if directives.max_stale.is_some_and(|limit| limit == u32::MAX || stale_by <= millis(limit)) {
        return Verdict::Serve { refresh: false };
    }
    if directives.max_age.is_none() && stale_by < millis(freshness.stale_while_revalidate) {
        return Verdict::Serve { refresh: true };
    }
    Verdict::Ask(Fwd::Stale)
}
