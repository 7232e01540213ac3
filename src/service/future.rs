//! The response future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::body::CacheBody;

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
        Passing { #[pin] future: F },
        Exchange { exchange: Exchange<R, E> },
    }
}

impl<F, R, E> ResponseFuture<F, R, E> {
    /// The inner service's own future: nothing is boxed.
    pub(super) fn passing(future: F) -> Self {
        Self { kind: Kind::Passing { future } }
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
            KindProjection::Passing { future } => {
                Poll::Ready(ready!(future.poll(cx)).map(|response| response.map(CacheBody::passing)))
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
