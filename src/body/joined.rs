//! Stored parts of a representation and the rest of it from the origin, as one body (RFC 9111 section 3.4).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;

use super::exact::Exact;
use super::origin::FromOrigin;
use super::{PollFrame, StoredSlice};
use crate::error::{BodyError, BoxError};

pin_project! {
    pub(super) struct Joined<B> {
        before: VecDeque<StoredSlice>,
        #[pin]
        origin: Exact<FromOrigin<B>>,
        after: VecDeque<StoredSlice>,
        failed: bool,
    }
}

impl<B> Joined<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    /// The origin sends the bytes of `complete_len` that the slices do not have. No slice has trailers.
    pub(super) fn new(
        before: Vec<StoredSlice>,
        origin: B,
        after: Vec<StoredSlice>,
        complete_len: u64,
    ) -> Self {
        let stored: u64 = before.iter().chain(&after).map(StoredSlice::remaining).sum();
        let origin = Exact::new(FromOrigin::new(origin), complete_len.saturating_sub(stored));
        Self { before: before.into(), origin, after: after.into(), failed: false }
    }
}

impl<B: Body> Body for Joined<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        let mut this = self.project();
        let frame = if *this.failed {
            None
        } else if let Some(slice) = unread(this.before) {
            ready!(slice.poll_frame(cx))
        } else if let Some(frame) = ready!(this.origin.as_mut().poll_frame(cx)) {
            Some(frame)
        } else if let Some(slice) = unread(this.after) {
            ready!(slice.poll_frame(cx))
        } else {
            None
        };
        // What follows a hole would be shifted.
        *this.failed |= matches!(frame, Some(Err(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let stored_ended = self.before.iter().chain(&self.after).all(StoredSlice::is_end_stream);
        self.failed || self.origin.is_end_stream() && stored_ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.failed {
            return SizeHint::with_exact(0);
        }
        let stored: u64 = self.before.iter().chain(&self.after).map(StoredSlice::remaining).sum();
        SizeHint::with_exact(self.origin.size_hint().lower().saturating_add(stored))
    }
}

/// The first slice that has bytes left.
fn unread(slices: &mut VecDeque<StoredSlice>) -> Option<&mut StoredSlice> {
    while slices.front().is_some_and(StoredSlice::is_end_stream) {
        slices.pop_front();
    }
    slices.front_mut()
}
