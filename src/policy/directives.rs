//! `Cache-Control` (RFC 9111 section 5.2) and its old and targeted relatives.

use http::HeaderMap;

/// The directives of a request (section 5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` without `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age` in seconds.
    pub max_age: Option<u32>,
    /// `min-fresh` in seconds.
    pub min_fresh: Option<u32>,
    /// `max-stale` in seconds; `u32::MAX` where no limit is given.
    pub max_stale: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl RequestDirectives {
    /// Reads them.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let _ = headers;
        todo!()
    }
}

/// The directives of a response (section 5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {}
