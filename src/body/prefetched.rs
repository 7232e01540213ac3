//! A body whose beginning has been read ahead.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::chunks::{Chunks, MOST_EMPTY};
use super::origin::into_bytes;

/// What was read of a body, and the rest of it.
pub(super) struct Prefetched<B, E> {
    front: Chunks,
    /// What came after the data: trailer fields or an error.
    last: Option<Result<Frame<Bytes>, E>>,
    /// `None` once the end has been read.
    rest: Option<Pin<Box<B>>>,
}

impl<B, E> Prefetched<B, E> {
    pub(super) fn new(body: B) -> Self {
        Self { front: Chunks::default(), last: None, rest: Some(Box::pin(body)) }
    }

    pub(super) fn empty() -> Self {
        Self { front: Chunks::default(), last: None, rest: None }
    }

    /// All of the content, if the body has been read to its end.
    pub(super) fn content(&mut self) -> Option<Bytes> {
        if self.rest.is_some() {
            return None;
        }
        let content = one_chunk(std::mem::take(&mut self.front).into_vec());
        self.front.push(content.clone());
        Some(content)
    }
}

impl<B, E> Prefetched<B, E>
where
    B: Body<Error = E>,
{
    /// Reads until the body is over, or more than `limit` bytes have come. Nothing that was read is lost if the future is dropped.
    pub(super) async fn read(&mut self, limit: u64) {
        let mut empty = 0;
        while self.front.len() as u64 <= limit && empty < MOST_EMPTY {
            let Some(rest) = &mut self.rest else { return };
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                None => self.rest = None,
                Some(Ok(frame)) => match into_bytes(frame).into_data() {
                    Ok(data) => {
                        empty += usize::from(data.is_empty());
                        self.front.push(data);
                    }
                    Err(trailers) => {
                        empty += usize::from(self.last.is_some());
                        self.last = Some(Ok(trailers));
                    }
                },
                Some(Err(error)) => {
                    self.last = Some(Err(error));
                    return;
                }
            }
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if let Some(data) = self.front.pop() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(last));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map(into_bytes))),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.front.len() == 0 && self.last.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        longer_by(self.front.len() as u64, &rest)
    }
}

/// Nearly always it is one already.
fn one_chunk(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 | 1 => chunks.pop().unwrap_or_default(),
        _ => chunks.concat().into(),
    }
}

/// The hint for `len` bytes in front of a body with this hint.
pub(super) fn longer_by(len: u64, rest: &SizeHint) -> SizeHint {
    let mut hint = SizeHint::new();
    // The upper limit first: a lower one above it would panic.
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(len));
    }
    hint.set_lower(rest.lower().saturating_add(len));
    hint
}
