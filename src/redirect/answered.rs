//! Which URI answered, if redirects were followed below the cache.

use std::fmt;

use http::request::Parts;
use http::{Extensions, Uri, header};

use crate::key::{same_origin, shown_uri};

/// The URI that answered: the last one after the redirects that a client followed. It is in the extensions of a response.
///
/// A client that follows redirects below the cache, or an adapter around it, sets it on each response. The cache then
/// does not store the response of the last URI under the first URI. A layer that
/// [follows redirects](crate::CacheLayer::follow_redirects) sets it if it followed one.
///
/// ```
/// use larder::redirect::AnsweredBy;
///
/// // In an adapter around a client that knows the final URI of each response:
/// # fn adapt(answered: http::Uri) -> http::Response<String> {
/// let mut response = http::Response::new(String::from("hello"));
/// response.extensions_mut().insert(AnsweredBy(answered));
/// # response
/// # }
/// # adapt("https://example.com/".parse()?);
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AnsweredBy(
    /// The URI, absolute.
    pub Uri,
);

impl fmt::Debug for AnsweredBy {
    /// Without userinfo and query, in which tokens and signatures often are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnsweredBy").field(&shown_uri(&self.0)).finish()
    }
}

/// The URI that answered, if the response says so.
pub(crate) fn answered_by(extensions: &Extensions) -> Option<&Uri> {
    if let Some(AnsweredBy(uri)) = extensions.get() {
        return Some(uri);
    }
    #[cfg(feature = "tower-http")]
    return extensions.get::<tower_http::follow_redirect::RequestUri>().map(|uri| &uri.0);
    #[cfg(not(feature = "tower-http"))]
    None
}

/// Whether another URI than that of the request answered.
pub(crate) fn answered_elsewhere(asked: &Parts, answered: &Extensions) -> bool {
    answered_by(answered).is_some_and(|uri| !is_same(asked, uri))
}

/// Whether the origin sees the same URI: scheme, host and port in normal form, path and query byte for byte. A client
/// that normalises a path before it sends it asks for another one.
fn is_same(asked: &Parts, answered: &Uri) -> bool {
    if (asked.uri.path(), asked.uri.query()) != (answered.path(), answered.query()) {
        return false;
    }
    match (asked.uri.authority(), answered.authority()) {
        (Some(_), Some(_)) => same_origin(&asked.uri, answered),
        (None, None) => true,
        // In origin-form it is `Host` that names the authority; nothing names the scheme.
        (None, Some(authority)) => asked
            .headers
            .get(header::HOST)
            .is_some_and(|host| authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())),
        (Some(_), None) => false,
    }
}
