//! What a request with an unsafe method invalidates (RFC 9111 section 4.4, RFC 9875).

use http::{Method, StatusCode, Uri, header, response};

use crate::entry::GroupId;
use crate::key::{origin_of, resolve, same_origin, target_of, target_uri};
use crate::policy::groups;
use crate::policy::request::RequestInfo;
use crate::policy::settings::Policy;

/// The URIs whose stored responses are invalidated by this exchange, the target URI first where it is absolute.
///
/// "A cache MUST invalidate the target URI ... when it receives a non-error status code in response to an unsafe
/// request method (including methods whose safety is unknown)". `Location` and `Content-Location` follow if they
/// have the target's origin. Otherwise one site could empty another's cache.
#[must_use]
pub fn invalidated(request: &RequestInfo<'_>, response: &response::Parts) -> Vec<Uri> {
    if !invalidates(request, response) {
        return Vec::new();
    }
    let mut uris = vec![request.uri.clone()];
    uris.extend(named(request, response));
    uris
}

/// What `Location` and `Content-Location` name, of the target's own origin. For a request in origin-form, "http" stands
/// in for its scheme.
fn named(request: &RequestInfo<'_>, response: &response::Parts) -> Vec<Uri> {
    let target = target_of(request.uri, request.headers).map(|target| with_scheme(&target));
    let Some(base) = target.and_then(|target| target.parse::<Uri>().ok()) else { return Vec::new() };
    let mut uris = Vec::new();
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        // Bytes beyond ASCII are escaped, as where a redirect is followed.
        let named = response.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let named = named.and_then(|reference| resolve(&base, reference));
        uris.extend(named.filter(|uri| same_origin(uri, &base) && *uri != base && !uris.contains(uri)));
    }
    uris
}

/// Everything this exchange invalidates: what is stored for [those URIs](invalidated) under any key, and the
/// groups that `Cache-Group-Invalidation` names (RFC 9875), which "MUST be ignored on responses to requests that have
/// a safe method".
///
/// A method that the user allows to be reused ([`Policy::methods`]) does not invalidate responses to the same method.
/// Otherwise each search by POST would invalidate all others.
#[must_use]
pub fn invalidated_groups(
    policy: &Policy,
    request: &RequestInfo<'_>,
    response: &response::Parts,
) -> Vec<GroupId> {
    if !invalidates(request, response) {
        return Vec::new();
    }
    let Some(own) = target_of(request.uri, request.headers) else { return Vec::new() };
    let others = named(request, response);
    let others = others.iter().filter_map(target_uri).map(|other| like(&own, other));
    let targets: Vec<_> = others.chain([own.clone()]).flat_map(|target| spellings(&target)).collect();
    let mut ids = ids_of(policy, request, &targets);
    for origin in spellings(origin_of(&own)) {
        ids.extend(groups::invalidated_by(&origin, &response.headers));
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Everything that is stored for the URI that answered in place of the requested one.
pub(crate) fn target_groups(policy: &Policy, request: &RequestInfo<'_>, uri: &Uri) -> Vec<GroupId> {
    let targets: Vec<_> = target_uri(uri).iter().flat_map(|target| spellings(target)).collect();
    ids_of(policy, request, &targets)
}

/// Everything that is stored for a URI, for all methods. Empty if the URI is not absolute.
pub(crate) fn groups_of_uri(uri: &Uri) -> Vec<GroupId> {
    let targets = target_uri(uri).map(|target| spellings(&target)).unwrap_or_default();
    let of_target = |target: &String| {
        [GroupId::of_target(target), GroupId::of_path(target), GroupId::of_reused_unsafe(target)]
    };
    targets.iter().flat_map(of_target).collect()
}

fn ids_of(policy: &Policy, request: &RequestInfo<'_>, targets: &[String]) -> Vec<GroupId> {
    // A response stored for several queries (No-Vary-Search) may be one for this target.
    let of_any = targets.iter().flat_map(|target| [GroupId::of_target(target), GroupId::of_path(target)]);
    let mut ids: Vec<_> = of_any.collect();
    if !request.is_handled(policy) {
        ids.extend(targets.iter().map(|target| GroupId::of_reused_unsafe(target)));
    }
    ids
}

/// All spellings under which the same URI or origin may be stored. A request in origin-form does not say its scheme.
fn spellings(target: &str) -> Vec<String> {
    match target.split_once(':') {
        _ if target.starts_with("//") => {
            ["http:", "https:", ""].map(|scheme| format!("{scheme}{target}")).into()
        }
        Some((_, rest)) => vec![target.to_owned(), rest.to_owned()],
        None => vec![target.to_owned()],
    }
}

fn with_scheme(target: &str) -> String {
    if target.starts_with("//") { format!("http:{target}") } else { target.to_owned() }
}

/// Without a scheme, where the request's own target has none.
fn like(own: &str, target: String) -> String {
    let rest = target.strip_prefix("http:").filter(|_| own.starts_with("//"));
    rest.map(str::to_owned).unwrap_or(target)
}

fn invalidates(request: &RequestInfo<'_>, response: &response::Parts) -> bool {
    !is_safe(request.method) && is_non_error(response.status)
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
