//! A body that can be shared between threads by reference, as reqwest wants its bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use sync_wrapper::SyncWrapper;

/// A boxed body with what can be said of it without touching it.
pub(crate) struct Shareable<B> {
    inner: SyncWrapper<Pin<Box<B>>>,
    ended: bool,
    hint: SizeHint,
}

impl<B: Body> Shareable<B> {
    pub(crate) fn new(inner: B) -> Self {
        let (ended, hint) = (inner.is_end_stream(), inner.size_hint());
        Self { inner: SyncWrapper::new(Box::pin(inner)), ended, hint }
    }
}

impl<B: Body> Body for Shareable<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let inner = self.inner.get_mut();
        let frame = ready!(inner.as_mut().poll_frame(cx));
        let (ended, hint) = (frame.is_none() || inner.is_end_stream(), inner.size_hint());
        (self.ended, self.hint) = (ended, hint);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
