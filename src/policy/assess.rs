//! Whether the status and fields of a response allow storing it, and how fresh it is (RFC 9111 section 3).

use http::{StatusCode, header};

use crate::entry::{Freshness, StoredHead};
use crate::policy::age::date_of;
use crate::policy::directives::{ResponseDirectives, Scope};
use crate::policy::freshness::{Facts, lifetime};
use crate::policy::not_stored::NotStored;
use crate::policy::settings::{Policy, SetCookie};
use crate::policy::trailers;

/// Whether the response may be stored (section 3), and its freshness. The caller sets `initial_age` and `outdated`.
pub(crate) fn assess(
    policy: &Policy,
    facts: &Facts<'_>,
    directives: &ResponseDirectives,
) -> Result<Freshness, NotStored> {
    let shared = policy.is_shared();
    if directives.must_understand && !is_understood(facts.status) {
        return Err(NotStored::NotUnderstood);
    }
    // 5.2.2.3: a cache that understands the status "SHOULD ignore the no-store" beside must-understand.
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    if shared && directives.private == Scope::Whole {
        return Err(NotStored::Private);
    }
    // 3.5: "a shared cache MUST NOT use a cached response to a request with an Authorization header field ...
    // unless the response contains a Cache-Control field with a response directive that allows it".
    if shared && facts.authorized && !directives.authorization_leave {
        return Err(NotStored::Authorization);
    }
    if policy.on_set_cookie() == SetCookie::Refuse && facts.headers.contains_key(header::SET_COOKIE) {
        return Err(NotStored::SetCookie);
    }
    let date = date_of(facts.headers, facts.response_time);
    // A lifetime that the user sets does not decide whether it may be stored.
    if !may_be_cached(policy, facts, directives) {
        return Err(NotStored::NotCacheable);
    }
    let lifetime = lifetime(policy, facts, directives, date);
    Ok(Freshness {
        settings: policy.fingerprint(),
        lifetime: lifetime.seconds,
        initial_age: 0,
        no_cache: directives.no_cache == Scope::Whole,
        // 5.2.2.10: s-maxage "incorporates the semantics of proxy-revalidate".
        must_revalidate: directives.must_revalidate
            || shared && (directives.proxy_revalidate || directives.s_maxage.is_some()),
        immutable: directives.immutable,
        stale_while_revalidate: directives.stale_while_revalidate.unwrap_or(policy.revalidate_window()),
        stale_if_error: directives.stale_if_error.unwrap_or(policy.error_window()),
        explicit: lifetime.explicit,
        overridden: facts.overridden.is_some(),
        outdated: false,
        date,
    })
}

/// Section 3: a response must contain "at least one of" some fields and directives, or have a status that may be cached
/// heuristically. Of the user's settings, only a lifetime for that status replaces this.
fn may_be_cached(policy: &Policy, facts: &Facts<'_>, directives: &ResponseDirectives) -> bool {
    if must_not_be_stored(facts.status) {
        return policy.for_status(facts.status).is_some();
    }
    let shared = policy.is_shared();
    let states_lifetime = directives.max_age.is_some()
        || shared && directives.s_maxage.is_some()
        || !directives.targeted && facts.headers.contains_key(header::EXPIRES);
    // "explicitly marked as cacheable": public, or private for a private cache.
    let marked = directives.public || !shared && directives.private != Scope::Nothing;
    let by_status = is_heuristically_cacheable(facts.status) || policy.for_status(facts.status).is_some();
    states_lifetime || marked || by_status
}

/// RFC 9110 section 15.1.
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// RFC 6585: responses with these statuses "MUST NOT be stored by a cache", with any fields. They are about this
/// one request, or about the network on the way.
fn must_not_be_stored(status: StatusCode) -> bool {
    matches!(status.as_u16(), 428 | 429 | 431 | 511)
}

/// The final statuses whose caching requirements this cache knows: those registered when it was written.
fn is_understood(status: StatusCode) -> bool {
    status.as_u16() >= 200 && status.canonical_reason().is_some()
}

/// The freshness of a stored response under these settings; `None` when they would not have stored it.
pub(crate) fn under(policy: &Policy, head: &StoredHead) -> Option<Freshness> {
    if head.freshness.settings == policy.fingerprint() {
        return Some(head.freshness);
    }
    let directives = ResponseDirectives::parse(&head.headers, policy.target_fields());
    let facts = Facts {
        status: head.status,
        headers: &head.headers,
        authorized: head.authorized,
        overridden: head.freshness.overridden.then_some(head.freshness.lifetime),
        response_time: head.response_time,
    };
    let freshness = assess(policy, &facts, &directives).ok()?;
    // What these settings would have stripped must not be there.
    let present = |name| head.headers.contains_key(name);
    let unstripped = policy.on_set_cookie() == SetCookie::Strip && present(&header::SET_COOKIE)
        || policy.is_shared() && directives.private.fields().iter().any(present)
        || directives.no_cache.fields().iter().any(present)
        || !trailers::are_storable(policy, head);
    (!unstripped).then_some(Freshness {
        initial_age: head.freshness.initial_age,
        outdated: head.freshness.outdated,
        date: head.freshness.date,
        ..freshness
    })
}
