//! A stored part of a representation and the rest of it from the origin, as one body (RFC 9111 section 3.4).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{StoredSlice, into_bytes};
use crate::error::{BodyError, BoxError};

/// Which of the two comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    StoredFirst,
    OriginFirst,
}

pin_project! {
    pub(super) struct Joined<B> {
        stored: StoredSlice,
        #[pin]
        origin: B,
        order: Order,
        origin_ended: bool,
    }
}

impl<B> Joined<B> {
    pub(super) fn new(stored: StoredSlice, origin: B, order: Order) -> Self {
        Self { stored, origin, order, origin_ended: false }
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
        if *this.order == Order::StoredFirst && !this.stored.is_end_stream() {
            return this.stored.poll_frame(cx);
        }
        if !*this.origin_ended {
            if let Some(frame) = ready!(this.origin.poll_frame(cx)) {
                return Poll::Ready(Some(into_bytes(frame)));
            }
            *this.origin_ended = true;
        }
        this.stored.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        (self.origin_ended || self.origin.is_end_stream()) && self.stored.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (stored, mut hint) = (self.stored.remaining(), self.origin.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(stored));
        }
        hint.set_lower(hint.lower().saturating_add(stored));
        hint
    }
}
