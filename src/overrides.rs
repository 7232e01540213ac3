//! The user's overrides for one request, carried in the request's extensions.

use std::time::Duration;

use crate::key::CacheKey;

/// What one request demands of the cache, in addition to its `Cache-Control`. Put it into the request's extensions. It
/// never reaches the origin.
///
/// ```
/// use std::time::Duration;
/// use larder::overrides::CacheOverride;
///
/// let request = http::Request::get("https://example.com/report")
///     .extension(CacheOverride::reload().with_lifetime(Duration::from_secs(600)))
///     .body(String::new())?;
/// # Ok::<(), http::Error>(())
/// ```
///
/// It cannot make the cache store what must not be stored: `no-store` in the response wins over a lifetime set here.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct CacheOverride {
    /// How the cache takes part.
    pub mode: CacheMode,
    /// Store nothing of this exchange.
    pub no_store: bool,
    /// Freshness lifetime of the response that this exchange stores, in place of the response's own lifetime.
    pub lifetime: Option<Duration>,
    /// The key to use in place of the computed one.
    pub key: Option<CacheKey>,
    /// Groups (RFC 9875) to add to the response that this exchange stores. These are only the names; the origin is that
    /// of the request.
    pub groups: Vec<String>,
}

impl CacheOverride {
    /// Overrides nothing. Use the `with_` methods to add settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// As if there were no cache: neither read nor write.
    pub fn bypass() -> Self {
        Self::mode(CacheMode::Bypass)
    }

    /// Fetch from the origin even if a fresh response is stored, and store the answer.
    pub fn reload() -> Self {
        Self::mode(CacheMode::Reload)
    }

    /// Validate what is stored, even if it is fresh.
    pub fn revalidate() -> Self {
        Self::mode(CacheMode::Revalidate)
    }

    /// Answer from what is stored, fresh or acceptably stale, or with 504.
    pub fn only_if_cached() -> Self {
        Self::mode(CacheMode::OnlyIfCached)
    }

    fn mode(mode: CacheMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Stores nothing of this exchange. A response that is already stored may still answer.
    pub fn with_no_store(mut self) -> Self {
        self.no_store = true;
        self
    }

    /// Sets the freshness lifetime of the response that this exchange stores, in place of the response's own lifetime. It
    /// does not allow storing more: a response with `no-store` is not stored. Neither is one without explicit lifetime
    /// whose status may not be cached heuristically (302, 400, 403, 500, 503), unless [`Policy::status_lifetime`](crate::Policy::status_lifetime) names that status.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the key, in place of the computed one. Requests with the same key share one stored response, even if their
    /// URIs differ. Requests of different principals do not share it: the partition, and in a private cache the
    /// credentials, are added to this key as to any other.
    /// [`DefaultKey::credentials`](crate::key::DefaultKey::credentials) turns that off for credentials.
    ///
    /// If the layer [follows redirects](crate::CacheLayer::follow_redirects), this is the key of the first request. A
    /// redirect is stored under this key, and the response of the next hop under the computed key of its own URI.
    ///
    /// ```
    /// use larder::key::CacheKey;
    /// use larder::overrides::CacheOverride;
    ///
    /// let key = CacheKey::builder().part("report", "2024-06").build();
    /// let overrides = CacheOverride::new().with_key(key);
    /// ```
    pub fn with_key(mut self, key: CacheKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds groups (RFC 9875) to the response that this exchange stores. These are only the names; the origin is that of
    /// the request.
    ///
    /// ```
    /// use larder::overrides::CacheOverride;
    ///
    /// let overrides = CacheOverride::new().with_groups(["products", "price-list"]);
    /// ```
    pub fn with_groups<I>(mut self, groups: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.groups.extend(groups.into_iter().map(Into::into));
        self
    }
}

/// How the cache takes part in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMode {
    /// As RFC 9111 and the policy say.
    #[default]
    Default,
    /// As if there were no cache: neither read nor write.
    Bypass,
    /// Fetch from the origin even if a fresh response is stored, and store the answer.
    Reload,
    /// Validate what is stored, even if it is fresh.
    Revalidate,
    /// Answer from what is stored, fresh or acceptably stale, or with 504.
    OnlyIfCached,
}
