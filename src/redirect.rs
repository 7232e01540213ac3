//! Redirects: which responses become aliases, where they lead, and the history of a followed chain.
//!
//! Each hop of a chain is a stored response of its own, judged by RFC 9111 on its own; an alias only adds the key of
//! the next one. See [`Alias`](crate::entry::Alias).

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

use crate::key::resolve;

/// The way from the URI that was asked for to the one that answered. In the extensions of a response that was
/// reached over redirects followed by the layer itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectHistory {
    hops: Vec<Hop>,
}

/// One redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The URI that answered with a redirect.
    pub uri: Uri,
    /// Its status.
    pub status: StatusCode,
}

impl RedirectHistory {
    /// The redirects followed, in order.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    #[cfg(feature = "follow-redirects")]
    pub(crate) fn push(&mut self, uri: Uri, status: StatusCode) {
        self.hops.push(Hop { uri, status });
    }
}

/// Where a response redirects to, if it does (RFC 9110 section 15.4).
pub(crate) fn target(asked: &Uri, status: StatusCode, headers: &HeaderMap) -> Option<Uri> {
    if !is_redirect(status) {
        return None;
    }
    let location = headers.get(LOCATION)?.to_str().ok()?;
    resolve(asked, location)
}

/// Statuses that send the client to another URI with the same kind of request.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URI that really answered, where something below the cache followed redirects.
pub(crate) fn answered_by(extensions: &http::Extensions) -> Option<Uri> {
    #[cfg(feature = "follow-redirects")]
    return extensions.get::<tower_http::follow_redirect::RequestUri>().map(|uri| uri.0.clone());
    #[cfg(not(feature = "follow-redirects"))]
    {
        let _ = extensions;
        None
    }
}
