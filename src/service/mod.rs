//! The service that answers requests.

mod answer;
mod background;
mod collapse;
mod combine_parts;
mod exchange;
mod exchanged;
mod follow;
mod forward;
mod future;
mod invalidate;
mod keep;
mod key_content;
mod lookup;
pub(crate) mod name;
mod no_vary_search;
mod opened;
mod origin;
pub(crate) mod purge;
mod report;
mod validate;

pub(crate) use follow::Rules;
pub use follow::{FollowFuture, FollowRedirects};
pub use future::ResponseFuture;
pub use key_content::{KeyContent, KeyContentFuture};

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use self::origin::{Content, Origin, take_ready};
use crate::body::CacheBody;
use crate::config::Config;
use crate::error::BoxError;
use crate::key::{CacheKey, Principal, RequestHead};
use crate::overrides::CacheOverride;
use crate::storage::{DynStorage, StorageError};
use crate::store::Counts;

/// An HTTP service behind a cache. Made by [`CacheLayer`](crate::CacheLayer).
///
/// A request has content if its body is not at its end ([`Body::is_end_stream`]). It is answered from the store only if
/// the content is part of its key: see [`CacheLayer::key_content`](crate::CacheLayer::key_content). If the cache
/// cannot use the answer to its preconditions, it sends the request again, with an empty body ([`Default`]).
///
/// # In a spawned task
///
/// The future of a request, the response and its body are [`Send`]. One limit of the compiler remains
/// ([rust-lang/rust#110338](https://github.com/rust-lang/rust/issues/110338)): it rejects a spawned task that awaits
/// `cache.oneshot(request)` where the *type* of the inner service names a body whose error is a boxed error, as a
/// `BoxCloneService` or a closure does ("implementation of `From` is not general enough"). There,
/// `cache.ready().await?.call(request).await` does the same and compiles.
#[derive(Clone, Debug)]
pub struct Cache<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Cache<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The service that is asked when the cache has no answer.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The storage, for reading or clearing it while the cache runs.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn DynStorage> {
        &self.config.store.storage
    }

    /// The key under which a response to this request is stored: [`CacheLayer::key_of`](crate::CacheLayer::key_of).
    #[must_use]
    pub fn key_of<'a>(&self, request: impl Into<RequestHead<'a>>) -> Option<CacheKey> {
        name::whole_key(&self.config, &request.into())
    }

    /// Removes everything that is stored for a URI: see [`CacheLayer::purge`](crate::CacheLayer::purge).
    ///
    /// # Errors
    ///
    /// Those of [`CacheLayer::purge`](crate::CacheLayer::purge).
    pub async fn purge(&self, uri: &Uri) -> Result<u64, StorageError> {
        purge::purge(&self.config, uri).await
    }

    /// The counts of what all services of this layer have done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.config.counters.snapshot()
    }

    /// Waits until everything that is under way to the store is written. See
    /// [`CacheLayer::flush`](crate::CacheLayer::flush).
    pub async fn flush(&self) {
        self.config.store.flush().await;
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body + Default + Send + 'static,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<CacheBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let principal = name::principal(&self.config, &request);
        self.call_as(principal, request)
    }
}

impl<S> Cache<S> {
    /// Answers a request of this principal. The service has been polled ready.
    fn call_as<B, R>(
        &mut self,
        principal: Principal,
        request: Request<B>,
    ) -> ResponseFuture<S::Future, R, S::Error>
    where
        S: Origin<B, R>,
        B: Body + Default + Send + 'static,
        R: Content,
    {
        if passes_by(&request) {
            self.config.counters.count(|counters| &counters.bypassed);
            return ResponseFuture::passing(self.inner.call(request));
        }
        let ready = take_ready(&mut self.inner);
        ResponseFuture::exchange(exchange::exchange(Arc::clone(&self.config), principal, ready, request))
    }
}

/// Whether the cache ignores this request: its method neither stores nor invalidates, and it has no
/// overrides.
fn passes_by<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::OPTIONS | Method::TRACE | Method::CONNECT)
        && request.extensions().get::<CacheOverride>().is_none()
}
