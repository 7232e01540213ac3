//! Per-request wishes of the user, carried in the request's extensions.

use std::time::Duration;

use crate::key::CacheKey;

/// What one request wants of the cache, beside what its `Cache-Control` says. Put it into the request's extensions;
/// it never reaches the origin.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct CacheOverride {
    /// How the cache takes part.
    pub mode: CacheMode,
    /// Store nothing of this exchange.
    pub no_store: bool,
    /// Freshness lifetime for what this exchange stores, in place of the one the response says.
    pub lifetime: Option<Duration>,
    /// The key to use in place of the computed one.
    pub key: Option<CacheKey>,
    /// Groups to add to what this exchange stores; names only, the origin is the request's.
    pub groups: Vec<String>,
}

/// How the cache takes part in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMode {
    /// By the rules.
    #[default]
    Default,
    /// As if there were no cache: neither read nor write.
    Bypass,
    /// Fetch from the origin whatever is stored, and store the answer.
    Reload,
    /// Validate what is stored, however fresh.
    Revalidate,
    /// Answer from what is stored, fresh or acceptably stale, or with 504.
    OnlyIfCached,
}
