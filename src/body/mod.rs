//! Response bodies: passed through, stored while they pass, or read from the store.

mod chunks;
mod combined;
mod exact;
mod fill;
mod filling;
mod joined;
mod keyed;
mod origin;
mod pipe;
mod prefetched;
mod retraction;
mod stored;
mod tee;

pub(crate) use chunks::MOST_EMPTY;
pub(crate) use combined::combine;
pub(crate) use fill::{ALIAS_BODY, Counted, Fill, Stored};
use joined::Joined;
pub use keyed::KeyedBody;
use origin::FromOrigin;
use prefetched::Prefetched;
pub(crate) use stored::StoredSlice;
use tee::Tee;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::{BodyError, BoxError};

/// What polling a response body returns.
type PollFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

pin_project! {
    /// The body of every response that comes out of the cache.
    ///
    /// It is the inner service's body unchanged, the inner service's body while it is stored, or a stored body.
    /// Its data is always [`Bytes`] and is never copied on the way. For a stored body
    /// [`size_hint`](Body::size_hint) is exact.
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Passing { #[pin] inner: FromOrigin<B> },
        Recorded { tee: Tee<FromOrigin<B>> },
        Completed { #[pin] joined: Joined<B> },
        RecordedCompleted { tee: Tee<Joined<B>> },
        Stored { slice: StoredSlice },
        Prefetched { body: Prefetched<CacheBody<B>, BodyError> },
    }
}

impl<B> CacheBody<B> {
    /// The inner body, unchanged.
    pub(crate) fn passing(inner: B) -> Self
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        Self { kind: Kind::Passing { inner: FromOrigin::new(inner) } }
    }

    /// The inner body, stored as it passes.
    pub(crate) fn recorded(inner: B, fill: Fill) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { kind: Kind::Recorded { tee: Tee::new(FromOrigin::new(inner), fill) } }
    }

    /// Reads up to `limit` bytes ahead of the caller, for no longer than `patience`.
    ///
    /// A client that follows a redirect drops its body unread. The alias is stored anyway.
    pub(crate) async fn read_ahead(self, limit: u64, patience: Duration) -> Self
    where
        B: Body,
    {
        let mut body = Prefetched::new(self);
        // Also after `patience` has passed, the bytes that were read are kept, and the rest follows.
        let _ = tokio::time::timeout(patience, body.read(limit)).await;
        Self { kind: Kind::Prefetched { body } }
    }

    /// Stored parts and the rest of `complete_len` bytes from the origin between them, stored as a whole while they
    /// pass, if they are to be.
    pub(crate) fn completed(
        before: Vec<StoredSlice>,
        inner: B,
        after: Vec<StoredSlice>,
        complete_len: u64,
        fill: Option<Fill>,
    ) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let joined = Joined::new(before, inner, after, complete_len);
        let kind = match fill {
            Some(fill) => Kind::RecordedCompleted { tee: Tee::new(joined, fill) },
            None => Kind::Completed { joined },
        };
        Self { kind }
    }

    /// A stored body, or a part of one.
    pub(crate) fn stored(slice: StoredSlice) -> Self {
        Self { kind: Kind::Stored { slice } }
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::stored(StoredSlice::empty())
    }
}

impl<B: Body> Body for CacheBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        match self.project().kind.project() {
            KindProjection::Passing { inner } => inner.poll_frame(cx),
            KindProjection::Recorded { tee } => tee.poll_frame(cx),
            KindProjection::Completed { joined } => joined.poll_frame(cx),
            KindProjection::RecordedCompleted { tee } => tee.poll_frame(cx),
            KindProjection::Stored { slice } => slice.poll_frame(cx),
            KindProjection::Prefetched { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { inner } => inner.is_end_stream(),
            Kind::Recorded { tee } => tee.is_end_stream(),
            Kind::Completed { joined } => joined.is_end_stream(),
            Kind::RecordedCompleted { tee } => tee.is_end_stream(),
            Kind::Stored { slice } => slice.is_end_stream(),
            Kind::Prefetched { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { inner } => inner.size_hint(),
            Kind::Recorded { tee } => tee.size_hint(),
            Kind::Completed { joined } => joined.size_hint(),
            Kind::RecordedCompleted { tee } => tee.size_hint(),
            Kind::Stored { slice } => SizeHint::with_exact(slice.remaining()),
            Kind::Prefetched { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "passing",
            Kind::Recorded { .. } => "recorded",
            Kind::Completed { .. } | Kind::RecordedCompleted { .. } => "completed",
            Kind::Stored { .. } => "stored",
            Kind::Prefetched { .. } => "prefetched",
        };
        f.debug_struct("CacheBody").field("kind", &kind).finish_non_exhaustive()
    }
}
