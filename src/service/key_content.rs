//! Reading request content in advance, so that it can be a part of the key (RFC 10008 section 2.7).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::origin::take_ready;
use crate::body::KeyedBody;
use crate::key::RequestContent;
use crate::policy::Policy;

/// A service that reads the content of requests before it passes them down. Made by
/// [`KeyContentLayer`](crate::KeyContentLayer).
#[derive(Clone, Debug)]
pub struct KeyContent<S> {
    inner: S,
    policy: Policy,
    limit: usize,
}

impl<S> KeyContent<S> {
    pub(crate) fn new(inner: S, policy: Policy, limit: usize) -> Self {
        Self { inner, policy, limit }
    }

    /// The service that gets the requests.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Whether this request could be answered from the store, once its content is known.
    fn reads<B: Body>(&self, request: &Request<B>) -> bool {
        let method = request.method();
        let usually_without = matches!(*method, Method::GET | Method::HEAD);
        self.policy.handles(method) && !(usually_without && request.body().is_end_stream())
    }
}

type Reading<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B> Service<Request<B>> for KeyContent<S>
where
    S: Service<Request<KeyedBody<B>>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = KeyContentFuture<S::Future, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.reads(&request) {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                let unknown = RequestContent::unknown(request.method());
                request.extensions_mut().insert(unknown);
            }
            let kind = Kind::Passing { future: self.inner.call(request.map(KeyedBody::passing)) };
            return KeyContentFuture { kind };
        }
        let mut ready = take_ready(&mut self.inner);
        let limit = self.limit;
        let reading = Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (body, content) = KeyedBody::read(body, limit).await;
            let content = match content {
                Some(content) => RequestContent::new(&parts.method, &parts.headers, &content),
                None => RequestContent::unknown(&parts.method),
            };
            parts.extensions.insert(content);
            ready.call(Request::from_parts(parts, body)).await
        });
        KeyContentFuture { kind: Kind::Reading { reading } }
    }
}

pin_project! {
    /// The response of a [`KeyContent`], on its way.
    pub struct KeyContentFuture<F, T> {
        #[pin]
        kind: Kind<F, T>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, T> {
        Passing { #[pin] future: F },
        Reading { reading: Reading<T> },
    }
}

impl<F: Future> Future for KeyContentFuture<F, F::Output> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().kind.project() {
            KindProjection::Passing { future } => future.poll(cx),
            KindProjection::Reading { reading } => reading.as_mut().poll(cx),
        }
    }
}

impl<F, T> fmt::Debug for KeyContentFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyContentFuture").finish_non_exhaustive()
    }
}
