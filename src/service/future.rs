//! The response future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::CacheBody;
use crate::error::BoxError;

type Exchange<R, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<R>>, E>> + Send>>;

pin_project! {
    /// The response of a [`Cache`](super::Cache), on its way.
    pub struct ResponseFuture<F, R, E> {
        #[pin]
        kind: Kind<F, R, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, R, E> {
        // `pass` is chosen where the bounds are known that it needs: see `FromOrigin`.
        Passing { #[pin] future: F, pass: fn(R) -> CacheBody<R> },
        Exchange { exchange: Exchange<R, E> },
    }
}

impl<F, R, E> ResponseFuture<F, R, E> {
    /// The inner service's own future: nothing is boxed.
    pub(super) fn passing(future: F) -> Self
    where
        R: Body,
        R::Error: Into<BoxError>,
    {
        Self { kind: Kind::Passing { future, pass: CacheBody::passing } }
    }

    pub(super) fn exchange(
        exchange: impl Future<Output = Result<Response<CacheBody<R>>, E>> + Send + 'static,
    ) -> Self {
        Self { kind: Kind::Exchange { exchange: Box::pin(exchange) } }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<CacheBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Passing { future, pass } => {
                Poll::Ready(ready!(future.poll(cx)).map(|response| response.map(*pass)))
            }
            KindProjection::Exchange { exchange } => exchange.as_mut().poll(cx),
        }
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
