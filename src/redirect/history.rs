//! The redirects that were followed.

use std::fmt;

use http::{StatusCode, Uri};

use crate::key::shown_uri;

/// The hops from the requested URI to the one that answered. It is in the extensions of every response of a layer that
/// [follows redirects](crate::CacheLayer::follow_redirects). It is empty if no redirect was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectHistory {
    hops: Vec<Hop>,
}

/// One redirect that was followed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The URI that answered with a redirect.
    pub uri: Uri,
    /// Its status.
    pub status: StatusCode,
}

impl fmt::Debug for Hop {
    /// Without userinfo and query, in which tokens and signatures often are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").field("uri", &shown_uri(&self.uri)).field("status", &self.status).finish()
    }
}

impl RedirectHistory {
    /// The redirects followed, in order.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    pub(crate) fn push(&mut self, uri: Uri, status: StatusCode) {
        self.hops.push(Hop { uri, status });
    }
}
