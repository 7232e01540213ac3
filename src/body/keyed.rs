//! A request body that may have been read before it is sent, to make it a part of the key.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::chunks::{Chunks, MOST_EMPTY};
use super::prefetched::longer_by;

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
        Begun { front: Front<B::Error>, rest: Option<Pin<Box<B>>> },
    }
}

/// What has been read.
struct Front<E> {
    chunks: VecDeque<Bytes>,
    len: u64,
    /// What came after the data: trailer fields or an error.
    last: Option<Result<Frame<Bytes>, E>>,
}

impl<E> Front<E> {
    fn new(chunks: impl IntoIterator<Item = Bytes>, last: Option<Result<Frame<Bytes>, E>>) -> Self {
        let chunks: VecDeque<_> = chunks.into_iter().collect();
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks, len, last }
    }

    fn next(&mut self) -> Option<Result<Frame<Bytes>, E>> {
        match self.chunks.pop_front() {
            Some(data) => {
                self.len -= data.len() as u64;
                Some(Ok(Frame::data(data)))
            }
            None => self.last.take(),
        }
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.last.is_none()
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
        let (mut chunks, mut last, mut empty) = (Chunks::default(), None, 0);
        // What is announced to be too long is not even begun.
        while chunks.len() <= limit
            && rest.size_hint().lower() <= (limit - chunks.len()) as u64
            && empty < MOST_EMPTY
        {
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                None => {
                    let content = one_chunk(chunks.into_vec());
                    let front = Front::new(Some(content.clone()).filter(|content| !content.is_empty()), last);
                    return (Self { kind: Kind::Begun { front, rest: None } }, Some(content));
                }
                Some(Ok(frame)) => match into_bytes(frame).into_data() {
                    Ok(data) => {
                        empty += usize::from(data.is_empty());
                        chunks.push(data);
                    }
                    Err(trailers) => {
                        empty += usize::from(last.is_some());
                        last = Some(Ok(trailers));
                    }
                },
                Some(Err(error)) => {
                    last = Some(Err(error));
                    break;
                }
            }
        }
        (Self { kind: Kind::Begun { front: Front::new(chunks.into_vec(), last), rest: Some(rest) } }, None)
    }
}

/// Nearly always it is one already.
fn one_chunk(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 | 1 => chunks.pop().unwrap_or_default(),
        _ => chunks.concat().into(),
    }
}

fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
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
            KindProjection::Begun { front, rest } => match (front.next(), rest) {
                (Some(frame), _) => Poll::Ready(Some(frame)),
                (None, Some(rest)) => {
                    rest.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map(into_bytes)))
                }
                (None, None) => Poll::Ready(None),
            },
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
            Kind::Begun { front, rest } => {
                let rest = rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
                longer_by(front.len, &rest)
            }
        }
    }
}

/// No content: what follows a redirect that drops it.
impl<B: Body> Default for KeyedBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Begun { front: Front::new(None, None), rest: None } }
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
