//! The cache at the end of a reqwest-middleware stack.

use http::Extensions;
use larder::CacheOverride;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use crate::client::CachedClient;

/// Put it last: it answers, or sends the request with its own client. What stands after it, and the client that the stack
/// was built with, are not asked. A refresh in the background outlives the request, and `Next` does not.
///
/// A [`CacheOverride`] among the request's extensions is taken.
#[async_trait::async_trait]
impl Middleware for CachedClient {
    async fn handle(&self, request: Request, extensions: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let response = match extensions.remove::<CacheOverride>() {
            None => self.execute(request).await,
            Some(overrides) => self.execute_with(request, overrides).await,
        };
        Ok(response?)
    }
}
