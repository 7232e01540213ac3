//! A request body that may have been read before it is sent, to make it a part of the key.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The request body below a [`KeyContentLayer`](crate::KeyContentLayer): the caller's own, of which a beginning
    /// may have been read already.
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
        Begun { front: VecDeque<Result<Frame<Bytes>, B::Error>>, front_len: u64, rest: Option<Pin<Box<B>>> },
    }
}

impl<B: Body> KeyedBody<B> {
    /// The body as it is.
    pub(crate) fn passing(inner: B) -> Self {
        Self { kind: Kind::Passing { inner } }
    }

    /// Reads up to `limit` bytes. With the body comes the content, if this was all of it.
    pub(crate) async fn read(body: B, limit: usize) -> (Self, Option<Bytes>) {
        let mut rest = Box::pin(body);
        let (mut front, mut content, mut front_len) = (VecDeque::new(), BytesMut::new(), 0);
        // What is announced to be too long is not even begun.
        while rest.size_hint().lower() <= limit.saturating_sub(content.len()) as u64 {
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                None => {
                    let body = Self { kind: Kind::Begun { front, front_len, rest: None } };
                    return (body, Some(content.freeze()));
                }
                Some(frame) => {
                    let frame =
                        frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
                    let data = frame.as_ref().ok().and_then(Frame::data_ref);
                    let failed = frame.is_err();
                    if let Some(data) = data {
                        content.extend_from_slice(data);
                        front_len += data.len() as u64;
                    }
                    front.push_back(frame);
                    if failed || content.len() > limit {
                        break;
                    }
                }
            }
        }
        (Self { kind: Kind::Begun { front, front_len, rest: Some(rest) } }, None)
    }
}

impl<B: Body> Body for KeyedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let into_bytes =
            |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        match self.project().kind.project() {
            KindProjection::Passing { inner } => {
                inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map(into_bytes)))
            }
            KindProjection::Begun { front, front_len, rest } => {
                if let Some(frame) = front.pop_front() {
                    let data = frame.as_ref().ok().and_then(Frame::data_ref);
                    *front_len -= data.map_or(0, |data| data.len() as u64);
                    return Poll::Ready(Some(frame));
                }
                match rest {
                    Some(rest) => {
                        rest.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map(into_bytes)))
                    }
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { inner } => inner.is_end_stream(),
            Kind::Begun { front, rest, .. } => {
                front.is_empty() && rest.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { inner } => inner.size_hint(),
            Kind::Begun { front_len, rest, .. } => {
                let mut hint = rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper.saturating_add(*front_len));
                }
                hint.set_lower(hint.lower().saturating_add(*front_len));
                hint
            }
        }
    }
}

/// No content: what follows a redirect that drops it.
impl<B: Body> Default for KeyedBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Begun { front: VecDeque::new(), front_len: 0, rest: None } }
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
