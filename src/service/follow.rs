//! Following redirects inside the cache, hop by stored hop.
//!
//! tower-http's `FollowRedirect` walks the chain, and the cache below it answers each hop that it may. What is added
//! here is the history and the end of loops.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_http::follow_redirect::policy::{Action, Attempt, FilterCredentials, Policy};
use tower_http::follow_redirect::{FollowRedirect, ResponseFuture as Following};
use tower_service::Service;

use super::Cache;
use crate::body::CacheBody;
use crate::error::BoxError;
use crate::redirect::RedirectHistory;

/// A [`Cache`] that follows redirects by itself. Made by
/// [`CacheLayer::follow_redirects`](crate::CacheLayer::follow_redirects).
#[derive(Clone, Debug)]
pub struct FollowRedirects<S> {
    cache: Cache<S>,
    limit: usize,
}

impl<S> FollowRedirects<S> {
    pub(crate) fn new(cache: Cache<S>, limit: usize) -> Self {
        Self { cache, limit }
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
    type Future = FollowFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.cache, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let next = self.cache.clone();
        let ready = std::mem::replace(&mut self.cache, next);
        let history = History::default();
        let policy = Recorded {
            left: self.limit,
            seen: HashSet::new(),
            history: history.clone(),
            credentials: FilterCredentials::new(),
        };
        FollowFuture { following: FollowRedirect::with_policy(ready, policy).call(request), history }
    }
}

pin_project! {
    /// The response of [`FollowRedirects`], on its way.
    pub struct FollowFuture<S, B>
    where
        Cache<S>: Service<Request<B>>,
    {
        #[pin]
        following: Following<Cache<S>, B, Recorded>,
        history: History,
    }
}

impl<S, B, R, E> Future for FollowFuture<S, B>
where
    Cache<S>: Service<Request<B>, Response = Response<CacheBody<R>>, Error = E> + Clone,
    B: Body + Default,
{
    type Output = Result<Response<CacheBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.following.poll(cx)?);
        response.extensions_mut().insert(this.history.take());
        Poll::Ready(Ok(response))
    }
}

impl<S, B> fmt::Debug for FollowFuture<S, B>
where
    Cache<S>: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowFuture").finish_non_exhaustive()
    }
}

/// The history of one call, which the walk writes and the future hands out.
#[derive(Clone, Debug, Default)]
struct History(Arc<Mutex<RedirectHistory>>);

impl History {
    fn take(&self) -> RedirectHistory {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Follows until the limit or a loop, drops credentials between origins, and writes the history.
#[derive(Clone, Debug)]
struct Recorded {
    left: usize,
    seen: HashSet<(Method, Uri)>,
    history: History,
    credentials: FilterCredentials,
}

impl<B, E> Policy<B, E> for Recorded {
    fn redirect(&mut self, attempt: &Attempt<'_>) -> Result<Action, E> {
        self.seen.insert((attempt.previous_method().clone(), attempt.previous().clone()));
        let again = self.seen.contains(&(attempt.method().clone(), attempt.location().clone()));
        if again || self.left == 0 {
            return Ok(Action::Stop);
        }
        self.left -= 1;
        let mut history = self.history.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.push(attempt.previous().clone(), attempt.status());
        drop(history);
        Policy::<B, E>::redirect(&mut self.credentials, attempt)
    }

    fn on_request(&mut self, request: &mut Request<B>) {
        Policy::<B, E>::on_request(&mut self.credentials, request);
    }
}
