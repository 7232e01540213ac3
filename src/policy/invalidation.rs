//! What a request with an unsafe method invalidates (RFC 9111 section 4.4, RFC 9875).

use http::{HeaderMap, Method, StatusCode, Uri, header, response};

use crate::entry::GroupId;
use crate::key::{resolve, same_origin, target_of};
use crate::policy::{Asked, Policy, groups};

/// The URIs whose stored responses are invalidated by this exchange, the target URI first where it is absolute.
///
/// "A cache MUST invalidate the target URI ... when it receives a non-error status code in response to an unsafe
/// request method (including methods whose safety is unknown)". `Location` and `Content-Location` follow where they
/// have the target's origin; elsewhere they would let one site empty another's cache.
#[must_use]
pub fn invalidated(asked: &Asked<'_>, response: &response::Parts) -> Vec<Uri> {
    if !invalidates(asked, response) {
        return Vec::new();
    }
    let mut uris = vec![asked.uri.clone()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let named = response.headers.get(name).and_then(|value| value.to_str().ok());
        let named = named.and_then(|reference| resolve(asked.uri, reference));
        uris.extend(named.filter(|uri| same_origin(uri, asked.uri) && !uris.contains(uri)));
    }
    uris
}

/// Everything this exchange invalidates: all that is stored for [those URIs](invalidated), whatever its key, and the
/// groups that `Cache-Group-Invalidation` names (RFC 9875), which "MUST be ignored on responses to requests that have
/// a safe method".
///
/// A method that the user lets be reused ([`Policy::methods`]) changes nothing about the answers to its like: each search
/// by POST would invalidate all others.
#[must_use]
pub fn invalidated_groups(policy: &Policy, asked: &Asked<'_>, response: &response::Parts) -> Vec<GroupId> {
    if !invalidates(asked, response) {
        return Vec::new();
    }
    let uris = invalidated(asked, response);
    let targets: Vec<_> = uris.iter().flat_map(|uri| spellings(uri, asked.headers)).collect();
    // An answer for several queries may be an answer for this one, and nobody knows for which others.
    let of_any = targets.iter().flat_map(|target| [GroupId::of_target(target), GroupId::of_path(target)]);
    let mut ids: Vec<_> = of_any.collect();
    if !asked.is_handled(policy) {
        ids.extend(targets.iter().map(|target| GroupId::of_reused_unsafe(target)));
    }
    ids.extend(groups::invalidated_by(asked, &response.headers).iter().map(GroupId::of));
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The forms in which the same URI can have been asked for: nobody knows the scheme of a request in origin-form.
fn spellings(uri: &Uri, headers: &HeaderMap) -> Vec<String> {
    let Some(target) = target_of(uri, headers) else { return Vec::new() };
    match target.split_once(':') {
        Some((_, rest)) if !target.starts_with("//") => {
            let rest = rest.to_owned();
            vec![target, rest]
        }
        _ => vec![format!("http:{target}"), format!("https:{target}"), target],
    }
}

fn invalidates(asked: &Asked<'_>, response: &response::Parts) -> bool {
    !is_safe(asked.method) && is_non_error(response.status)
}

/// RFC 9110 section 9.2.1 and the registry: safe are only those methods known to be.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "PROPFIND" | "REPORT" | "SEARCH"
    )
}

pub(crate) fn is_non_error(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}
