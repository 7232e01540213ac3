//! Response bodies: passing through, stored while they pass, or coming from the store.

mod fill;
mod gather;
mod joined;
mod keyed;
mod pipe;
mod stored;
mod tee;
mod union;

pub(crate) use fill::{ALIAS_BODY, Fill};
use gather::Gathered;
pub(crate) use gather::gather;
use joined::Joined;
pub use keyed::KeyedBody;
pub(crate) use stored::StoredSlice;
use tee::Tee;
pub(crate) use union::{Join, Joining, Piece, open_piece, unite};

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::{BodyError, BoxError};

pin_project! {
    /// The body of every response that comes out of the cache.
    ///
    /// It is the inner service's body as it is, the inner body on its way through into the store, or a stored body.
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
        Passing { #[pin] inner: B },
        Recorded { tee: Tee<B> },
        Completed { tee: Tee<Joined<B>> },
        Stored { slice: StoredSlice },
        Gathered { gathered: Gathered<B> },
    }
}

impl<B> CacheBody<B> {
    /// The inner body as it is.
    pub(crate) fn passing(inner: B) -> Self {
        Self { kind: Kind::Passing { inner } }
    }

    /// The inner body, stored as it passes.
    pub(crate) fn recorded(inner: B, fill: Fill) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { kind: Kind::Recorded { tee: Tee::new(inner, fill) } }
    }

    fn gathered(gathered: Gathered<B>) -> Self {
        Self { kind: Kind::Gathered { gathered } }
    }

    /// Stored parts and the rest from the origin between them, stored as a whole while they pass.
    pub(crate) fn completed(before: Vec<StoredSlice>, inner: B, after: Vec<StoredSlice>, fill: Fill) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { kind: Kind::Completed { tee: Tee::new(Joined::new(before, inner, after), fill) } }
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

impl<B> Body for CacheBody<B>
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
        match self.project().kind.project() {
            KindProjection::Passing { inner } => inner.poll_frame(cx).map(|frame| frame.map(into_bytes)),
            KindProjection::Recorded { tee } => tee.poll_frame(cx),
            KindProjection::Completed { tee } => tee.poll_frame(cx),
            KindProjection::Stored { slice } => slice.poll_frame(cx),
            KindProjection::Gathered { gathered } => gathered.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { inner } => inner.is_end_stream(),
            Kind::Recorded { tee } => tee.inner().is_none_or(Body::is_end_stream),
            Kind::Completed { tee } => tee.inner().is_none_or(Body::is_end_stream),
            Kind::Stored { slice } => slice.is_end_stream(),
            Kind::Gathered { gathered } => gathered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { inner } => inner.size_hint(),
            Kind::Recorded { tee } => tee.inner().map_or_else(SizeHint::default, Body::size_hint),
            Kind::Completed { tee } => tee.inner().map_or_else(SizeHint::default, Body::size_hint),
            Kind::Stored { slice } => SizeHint::with_exact(slice.remaining()),
            Kind::Gathered { gathered } => gathered.size_hint(),
        }
    }
}

/// Reads a body to its end, so that all of it is stored. Returns whether it arrived whole.
async fn read_to_end<B>(mut tee: Tee<B>) -> bool
where
    B: Body,
    B::Error: Into<BoxError>,
{
    while let Some(frame) = std::future::poll_fn(|cx| tee.poll_frame(cx)).await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// For `Bytes`, and everything that hands itself out as `Bytes`, no byte is copied here.
fn into_bytes<D: Buf, E: Into<BoxError>>(frame: Result<Frame<D>, E>) -> Result<Frame<Bytes>, BodyError> {
    match frame {
        Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
        Err(error) => Err(BodyError::origin(error)),
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "passing",
            Kind::Recorded { .. } => "recorded",
            Kind::Completed { .. } => "completed",
            Kind::Stored { .. } => "stored",
            Kind::Gathered { .. } => "gathered",
        };
        f.debug_struct("CacheBody").field("kind", &kind).finish_non_exhaustive()
    }
}
