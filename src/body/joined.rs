//! Stored parts of a representation and the rest of it from the origin, as one body (RFC 9111 section 3.4).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{StoredSlice, into_bytes};
use crate::error::{BodyError, BoxError};

pin_project! {
    pub(super) struct Joined<B> {
        before: VecDeque<StoredSlice>,
        #[pin]
        origin: B,
        origin_ended: bool,
        after: VecDeque<StoredSlice>,
    }
}

impl<B> Joined<B> {
    /// No slice has trailers.
    pub(super) fn new(before: Vec<StoredSlice>, origin: B, after: Vec<StoredSlice>) -> Self {
        Self { before: before.into(), origin, origin_ended: false, after: after.into() }
    }
}

impl<B> Body for Joined<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        if let Some(slice) = unread(this.before) {
            return slice.poll_frame(cx);
        }
        if !*this.origin_ended {
            if let Some(frame) = ready!(this.origin.poll_frame(cx)) {
                return Poll::Ready(Some(into_bytes(frame)));
            }
            *this.origin_ended = true;
        }
        match unread(this.after) {
            Some(slice) => slice.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let stored_ended = self.before.iter().chain(&self.after).all(StoredSlice::is_end_stream);
        (self.origin_ended || self.origin.is_end_stream()) && stored_ended
    }

    fn size_hint(&self) -> SizeHint {
        let stored: u64 = self.before.iter().chain(&self.after).map(StoredSlice::remaining).sum();
        let mut hint = self.origin.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(stored));
        }
        hint.set_lower(hint.lower().saturating_add(stored));
        hint
    }
}

/// The first slice that has bytes left.
fn unread(slices: &mut VecDeque<StoredSlice>) -> Option<&mut StoredSlice> {
    while slices.front().is_some_and(StoredSlice::is_end_stream) {
        slices.pop_front();
    }
    slices.front_mut()
}
