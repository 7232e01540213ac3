//! Following redirects inside the cache, hop by stored hop (RFC 9110 section 15.4).
//!
//! Each hop is a separate request to the cache. The cache answers it from the store if it may.
//! [`redirect`](crate::redirect) builds the next request.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, Method, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use super::origin::{Content, Origin, take_ready};
use super::{Cache, name, passes_by};
use crate::body::{ALIAS_BODY, CacheBody};
use crate::config::Config;
use crate::error::BoxError;
use crate::key::{RequestContent, has_content};
use crate::overrides::CacheOverride;
use crate::redirect::{AnsweredBy, Crossing, RedirectHistory, answered_by, next};

/// A [`Cache`] that follows redirects. Made by
/// [`CacheLayer::follow_redirects`](crate::CacheLayer::follow_redirects).
#[derive(Clone, Debug)]
pub struct FollowRedirects<S> {
    cache: Cache<S>,
    rules: Arc<Rules>,
}

/// How many redirects to follow, and which fields and extensions the next request carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) limit: usize,
    pub(crate) crossing: Crossing,
}

impl<S> FollowRedirects<S> {
    pub(crate) fn new(cache: Cache<S>, rules: Arc<Rules>) -> Self {
        Self { cache, rules }
    }

    /// The cache that answers each hop.
    pub fn cache(&self) -> &Cache<S> {
        &self.cache
    }
}

impl<S, B, R> Service<Request<B>> for FollowRedirects<S>
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
    type Future = FollowFuture<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.cache, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ready = take_ready(&mut self.cache);
        FollowFuture { walk: Box::pin(walk(ready, request, Arc::clone(&self.rules))) }
    }
}

/// Sends the request, and follows redirects until there is none or the rules end the chain.
async fn walk<S, B, R>(
    mut cache: Cache<S>,
    request: Request<B>,
    rules: Arc<Rules>,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Origin<B, R>,
    B: Body + Default + Send + 'static,
    R: Content,
{
    let mut principal = name::principal(&cache.config, &request);
    let mut content = has_content(request.body());
    let mut way = Way::default();
    let mut asked = sent(&cache.config, &request);
    let mut response = cache.call_as(principal.clone(), request).await?;
    while let Some(following) = next(&asked, content, &response, &rules.crossing) {
        if !way.goes_on(&asked, &following, rules.limit) {
            break;
        }
        if way.history.hops().is_empty() {
            principal = principal.with_extensions(naming(asked.extensions));
        }
        way.history.push(asked.uri, response.status());
        drain(response.into_body(), cache.config.store.patience).await;
        let request = Request::from_parts(following, B::default());
        content = false;
        asked = sent(&cache.config, &request);
        // Only the first call had a service that was polled ready.
        poll_fn(|cx| Service::<Request<B>>::poll_ready(&mut cache, cx)).await?;
        response = cache.call_as(principal.clone(), request).await?;
    }
    Ok(way.arrived(response, asked.uri))
}

/// The head of a request with the target that it is sent with: redirects are relative to that one.
fn sent<B>(config: &Config, request: &Request<B>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.version = request.version();
    parts.headers = request.headers().clone();
    parts.extensions = request.extensions().clone();
    if !passes_by(request) {
        let computed = CacheOverride::default();
        let overrides = request.extensions().get().unwrap_or(&computed);
        name::rewrite(config, &mut parts, overrides);
    }
    parts
}

/// The caller's extensions that identify the principal. Overrides and content belong to a single request.
fn naming(mut extensions: Extensions) -> Extensions {
    extensions.remove::<CacheOverride>();
    extensions.remove::<RequestContent>();
    extensions
}

/// The hops so far.
#[derive(Default)]
struct Way {
    history: RedirectHistory,
    seen: Vec<(Method, Uri)>,
}

impl Way {
    /// Whether the next request is still allowed, and was not made before.
    fn goes_on(&mut self, asked: &Parts, following: &Parts, limit: usize) -> bool {
        self.seen.push((asked.method.clone(), asked.uri.clone()));
        let again =
            self.seen.iter().any(|(method, uri)| *method == following.method && *uri == following.uri);
        !again && self.history.hops().len() < limit
    }

    /// Adds the hops to the last response.
    fn arrived<R>(self, mut response: Response<R>, uri: Uri) -> Response<R> {
        let extensions = response.extensions_mut();
        if !self.history.hops().is_empty() && answered_by(extensions).is_none() {
            extensions.insert(AnsweredBy(uri));
        }
        extensions.insert(self.history);
        response
    }
}

/// Every frame counts as at least this many bytes, so that a body of empty frames reaches the limit too.
const LEAST_FRAME: u64 = 64;

/// Reads the body of a redirect to its end, so that it is stored and its connection can be reused. Stops at a long or a
/// slow one.
async fn drain<R: Body>(body: CacheBody<R>, patience: Duration) {
    let mut body = pin!(body);
    let reading = async {
        let mut read = 0;
        while read <= ALIAS_BODY && !body.is_end_stream() {
            match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    read += frame.data_ref().map_or(0, |data| data.len() as u64).max(LEAST_FRAME);
                }
                Some(Err(_)) | None => break,
            }
        }
    };
    let _ = tokio::time::timeout(patience, reading).await;
}

type Walk<R, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<R>>, E>> + Send>>;

/// The response of [`FollowRedirects`], on its way.
pub struct FollowFuture<R, E> {
    walk: Walk<R, E>,
}

impl<R, E> Future for FollowFuture<R, E> {
    type Output = Result<Response<CacheBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.walk.as_mut().poll(cx)
    }
}

impl<R, E> fmt::Debug for FollowFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowFuture").finish_non_exhaustive()
    }
}
