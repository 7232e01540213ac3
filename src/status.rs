//! Saying what happened: `Cache-Status` (RFC 9211).

use http::StatusCode;

/// What the cache did with one request; in every response's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// Answered from the cache, or why the request went forward.
    pub outcome: Outcome,
    /// The status the origin gave to a forwarded request, where it differs from the response's or one was received.
    pub fwd_status: Option<StatusCode>,
    /// Remaining freshness lifetime in seconds; negative for a stale response.
    pub ttl: Option<i64>,
    /// The response was (or, while its body still streams, will be) stored.
    pub stored: bool,
    /// The request was collapsed with another one.
    pub collapsed: bool,
    /// The cache key, when the layer was told to show it.
    pub key: Option<String>,
    /// More, for people: why a response was not stored, what the storage said.
    pub detail: Option<String>,
}

/// Hit, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from a stored response.
    Hit,
    /// Sent on to the origin.
    Forwarded(Fwd),
}

/// Why a request went forward (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fwd {
    /// The cache was told not to handle the request.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for these selecting fields.
    VaryMiss,
    /// Nothing usable is stored, and no more specific reason applies.
    Miss,
    /// A usable response was stored, but the request's directives would not have it.
    Request,
    /// The selected response was stale.
    Stale,
    /// Only part of what was asked is stored.
    Partial,
}

impl CacheStatus {
    pub fn append_to(&self, _: &mut http::HeaderMap) {}
}
