//! Building a client.

use std::fmt;

use http::HeaderMap;
use larder::CacheLayer;
use reqwest::redirect;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
use tower_http::decompression::DecompressionLayer;

use crate::body::Shareable;
use crate::client::CachedClient;
use crate::error::BuildError;
use crate::origin::{Origin, RequestSettings};
use crate::refused;

/// Settings of a [`CachedClient`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct CachedClientBuilder {
    layer: CacheLayer,
    redirects: usize,
    default_headers: HeaderMap,
}

impl fmt::Debug for CachedClientBuilder {
    /// Without the values of the default headers, which may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.default_headers.keys().collect();
        let mut shown = f.debug_struct("CachedClientBuilder");
        shown.field("layer", &self.layer).field("redirects", &self.redirects);
        shown.field("default_headers", &names).finish()
    }
}

impl CachedClientBuilder {
    pub(crate) fn new(layer: CacheLayer) -> Self {
        Self { layer, redirects: 10, default_headers: HeaderMap::new() }
    }

    /// How many redirects are followed for one request. Default: 10.
    pub const fn redirects(mut self, limit: usize) -> Self {
        self.redirects = limit;
        self
    }

    /// Fields that every request has, unless it has one of the same name. Credentials belong here, and not into the
    /// client below: the cache has to see them.
    pub fn default_headers(mut self, fields: HeaderMap) -> Self {
        self.default_headers = fields;
        self
    }

    /// Builds the client that goes to the origin, without redirects and decompression of its own, and the cache above
    /// it.
    ///
    /// # Errors
    ///
    /// [`BuildError::Refused`] when `client` has a cookie store, or credentials among its default headers;
    /// [`BuildError::Reqwest`] when reqwest cannot build it.
    pub fn build(self, client: reqwest::ClientBuilder) -> Result<CachedClient, BuildError> {
        refused::check(&client)?;
        let client = client.redirect(redirect::Policy::none());
        let client = client.no_gzip().no_brotli().no_zstd().no_deflate().build()?;
        self.build_over(client)
    }

    /// The cache above a client that is built already. Its decompression must be off.
    ///
    /// # Errors
    ///
    /// [`BuildError::Refused`] when `client` follows redirects, has a cookie store, or credentials among its default
    /// headers.
    pub fn build_over(self, client: reqwest::Client) -> Result<CachedClient, BuildError> {
        refused::check(&client)?;
        refused::check_redirects(&client)?;
        let following =
            self.layer.clone().follow_redirects(self.redirects).carry_extension::<RequestSettings>();
        let stack = ServiceBuilder::new();
        #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
        let stack = stack.layer(DecompressionLayer::new());
        let stack = stack.layer(self.layer.key_content()).layer(following);
        let stack = ServiceBuilder::new()
            .map_response(|response: http::Response<_>| {
                response.map(|body| reqwest::Body::wrap(Shareable::new(body)))
            })
            .service(stack.service(Origin::new(client.clone())));
        let stack = BoxCloneSyncService::new(stack);
        Ok(CachedClient::over(stack, client, self.layer, self.default_headers))
    }
}
