//! What a request with an unsafe method spoils (RFC 9111 section 4.4).

use http::{Method, StatusCode, Uri, header, response};

use crate::key::{resolve, same_origin};
use crate::policy::Asked;

/// The URIs whose stored responses are invalidated by this exchange.
///
/// "A cache MUST invalidate the target URI ... when it receives a non-error status code in response to an unsafe
/// request method (including methods whose safety is unknown)". `Location` and `Content-Location` follow where they
/// have the target's origin; elsewhere they would let one site empty another's cache.
#[must_use]
pub fn invalidated(asked: &Asked<'_>, response: &response::Parts) -> Vec<Uri> {
    if is_safe(asked.method) || !is_non_error(response.status) {
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
