//! The usual layers, in the order that is right around a cache. `docs/order-of-layers.md` says why.
//!
//! ```text
//! cargo run -p larder-clients --example stack -- http://example.com/
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheStatus};
use tokio::time::Sleep;
use tower::retry::Policy;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_http::decompression::DecompressionLayer;
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

type Content = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Stack = BoxCloneService<Request<Empty<Bytes>>, Response<Content>, BoxError>;

pub(crate) struct Limits {
    /// For all that is done about one request.
    pub(crate) whole: Duration,
    /// For the origin, each time it is asked.
    pub(crate) one_try: Duration,
    /// How many times more it is asked after a failure.
    pub(crate) retries: u32,
    /// How many requests it may get in a second.
    pub(crate) per_second: u64,
}

pub(crate) fn stack(cache: CacheLayer, limits: &Limits) -> Stack {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let trace = TraceLayer::new_for_http().on_response(tell);
    ServiceBuilder::new()
        .boxed_clone()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
        // Above the cache: what every answer passes, stored or not.
        .layer(trace)
        .timeout(limits.whole)
        .layer(FollowRedirectLayer::new())
        .layer(DecompressionLayer::new())
        .layer(cache)
        // Below the cache: what only the requests to the origin pass.
        .retry(Again { left: limits.retries })
        .timeout(limits.one_try)
        .buffer(64)
        .rate_limit(limits.per_second, Duration::from_secs(1))
        .service(client)
}

/// One line for each answer, with what the cache did.
fn tell<B>(response: &Response<B>, latency: Duration, _: &Span) {
    let cache = response.extensions().get::<CacheStatus>().map(ToString::to_string).unwrap_or_default();
    tracing::info!(status = response.status().as_u16(), ?latency, cache, "answered");
}

/// Sends a safe request once more after an error and after a 5xx.
#[derive(Clone)]
struct Again {
    left: u32,
}

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for Again {
    type Future = Sleep;

    fn retry(&mut self, request: &mut Request<B>, result: &mut Result<Response<R>, E>) -> Option<Sleep> {
        let failed = result.as_ref().map_or(true, |response| response.status().is_server_error());
        if !failed || !request.method().is_safe() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        Some(tokio::time::sleep(Duration::from_millis(50)))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1).unwrap_or("http://example.com/".into());
    let limits = Limits {
        whole: Duration::from_secs(30),
        one_try: Duration::from_secs(5),
        retries: 2,
        per_second: 10,
    };
    let stack = stack(CacheLayer::new(MemoryStorage::new()), &limits);
    for _ in 0..2 {
        let response = stack.clone().oneshot(Request::get(&url).body(Empty::new())?).await?;
        let cache = response.extensions().get::<CacheStatus>().map(ToString::to_string);
        let content = response.into_body().collect().await?.to_bytes();
        println!("{} bytes, {}", content.len(), cache.unwrap_or_default());
    }
    Ok(())
}
