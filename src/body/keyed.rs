//! A request body that may have been read before it is sent, to make it a part of the key.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::origin::into_bytes;
use super::prefetched::Prefetched;

pin_project! {
    /// The request body below a [`KeyContentLayer`](crate::KeyContentLayer): the caller's own body. Its
    /// beginning may have been read already.
    pub struct KeyedBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B>
    where
        B: Body,
    {
        Passing { #[pin] inner: B },
        Begun { body: Prefetched<B, B::Error> },
    }
}

impl<B: Body> KeyedBody<B> {
    /// The unread body.
    pub(crate) fn passing(inner: B) -> Self {
        Self { kind: Kind::Passing { inner } }
    }

    /// Reads up to `limit` bytes. With the body comes the content, if this was all of it.
    pub(crate) async fn read(body: B, limit: usize) -> (Self, Option<Bytes>) {
        let limit = limit as u64;
        // What is announced to be too long is not even begun.
        let fits = body.size_hint().lower() <= limit;
        let mut body = Prefetched::new(body);
        if fits {
            body.read(limit).await;
        }
        let content = body.content();
        (Self { kind: Kind::Begun { body } }, content)
    }
}

impl<B: Body> Body for KeyedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Passing { inner } => {
                inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map(into_bytes)))
            }
            KindProjection::Begun { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { inner } => inner.is_end_stream(),
            Kind::Begun { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { inner } => inner.size_hint(),
            Kind::Begun { body } => body.size_hint(),
        }
    }
}

/// No content: what follows a redirect that drops it.
impl<B: Body> Default for KeyedBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Begun { body: Prefetched::empty() } }
    }
}

impl<B: Body> fmt::Debug for KeyedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "passing",
            Kind::Begun { .. } => "begun",
        };
        f.debug_struct("KeyedBody").field("kind", &kind).finish_non_exhaustive()
    }
}
