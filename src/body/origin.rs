//! The inner service's body, with the data and the errors of a [`CacheBody`](super::CacheBody).

use std::pin::Pin;
use std::task::Context;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::PollFrame;
use crate::error::{BodyError, BoxError};

pin_project! {
    pub(super) struct FromOrigin<B> {
        #[pin]
        inner: B,
        // Chosen where the body's error is known to become a `BoxError`, so that `impl Body` needs no such bound: with
        // one, no future that holds the body would be `Send` for rustc where that error is a `BoxError` itself, since
        // it would have to become one for every lifetime inside of it (rust-lang/rust#110338).
        poll: for<'a, 'b, 'c> fn(Pin<&'a mut B>, &'b mut Context<'c>) -> PollFrame,
    }
}

impl<B> FromOrigin<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(inner: B) -> Self {
        Self { inner, poll: poll_inner }
    }
}

fn poll_inner<B>(inner: Pin<&mut B>, cx: &mut Context<'_>) -> PollFrame
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let frame = inner.poll_frame(cx);
    frame.map(|frame| frame.map(|frame| frame.map(into_bytes).map_err(BodyError::origin)))
}

/// Copies nothing if the data is `Bytes`, or returns `Bytes` from `copy_to_bytes`.
pub(super) fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<B: Body> Body for FromOrigin<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        let this = self.project();
        (this.poll)(this.inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
