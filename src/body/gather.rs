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
use crate::error::{BodyError, BoxError};

/// What was read ahead, and the rest.
pub(super) struct Gathered<B> {
    front: VecDeque<Result<Frame<Bytes>, BodyError>>,
    front_len: u64,
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
    let (mut front, mut front_len, mut ended) = (VecDeque::new(), 0, false);
    let reading = async {
        while front_len <= limit {
            let Some(frame) = poll_fn(|cx| rest.as_mut().poll_frame(cx)).await else {
                ended = true;
                break;
            };
            front_len += frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
            front.push_back(frame);
        }
    };
    // Out of patience or not, what has been read is kept and the rest follows.
    let _ = tokio::time::timeout(patience, reading).await;
    CacheBody::gathered(Gathered { front, front_len, rest: (!ended).then_some(rest) })
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
        if let Some(frame) = self.front.pop_front() {
            let len = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            self.front_len -= len as u64;
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + self.front_len);
        }
        hint.set_lower(hint.lower() + self.front_len);
        hint
    }
}
