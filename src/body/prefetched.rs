//! Reading a short body ahead of the caller.
//!
//! Whoever follows a redirect drops its body unread; the alias must be stored all the same.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::CacheBody;
use super::chunks::{Chunks, MOST_EMPTY};
use crate::error::{BodyError, BoxError};

/// What was read ahead, and the rest.
pub(super) struct Gathered<B> {
    front: VecDeque<Bytes>,
    front_len: u64,
    /// What came after the data: trailer fields or an error.
    last: Option<Result<Frame<Bytes>, BodyError>>,
    /// `None` once the end has been read.
    rest: Option<Pin<Box<CacheBody<B>>>>,
}

/// Reads up to `limit` bytes of `body`, for no longer than `patience`.
pub(crate) async fn gather<B>(body: CacheBody<B>, limit: u64, patience: Duration) -> CacheBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut rest = Box::pin(body);
    let (mut chunks, mut last, mut ended, mut empty) = (Chunks::default(), None, false, 0);
    let reading = async {
        while chunks.len() as u64 <= limit && last.is_none() && empty < MOST_EMPTY {
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                None => {
                    ended = true;
                    break;
                }
                Some(frame) => match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => {
                        empty += usize::from(data.is_empty());
                        chunks.push(data);
                    }
                    Ok(Err(trailers)) => last = Some(Ok(trailers)),
                    Err(error) => last = Some(Err(error)),
                },
            }
        }
    };
    // Out of patience or not, what has been read is kept and the rest follows.
    let _ = tokio::time::timeout(patience, reading).await;
    let front_len = chunks.len() as u64;
    let front = chunks.into_vec().into();
    CacheBody::gathered(Gathered { front, front_len, last, rest: (!ended).then_some(rest) })
}

impl<B> Gathered<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(data) = self.front.pop_front() {
            self.front_len -= data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(last));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.last.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        longer_by(self.front_len, &rest)
    }
}

/// The hint for so many bytes before a body with this hint.
pub(super) fn longer_by(front_len: u64, rest: &SizeHint) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(front_len));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(front_len));
    }
    hint
}
