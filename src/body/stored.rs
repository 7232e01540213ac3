//! A stored body, or a slice of one, on its way to the caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use sync_wrapper::SyncWrapper;

use crate::entry::{StoredBody, StoredResponse};
use crate::error::BodyError;
use crate::storage::{AnyReader, StorageError, StorageErrorKind};
use crate::store::Store;

/// Bytes `skip..skip + remaining` of a stored body, then its trailers.
pub(crate) struct StoredSlice {
    source: Source,
    skip: u64,
    remaining: u64,
    /// Boxed, because few have any.
    trailers: Option<Box<HeaderMap>>,
}

enum Source {
    Inline(Bytes),
    Shared { pieces: Arc<[Bytes]>, next: usize },
    Streamed { first: Bytes, reading: SyncWrapper<Reading>, store: Store },
}

/// A read under way owns the reader and hands it back with the result.
type Reading = Pin<Box<dyn Future<Output = (AnyReader, Result<Option<Bytes>, StorageError>)> + Send>>;

impl StoredSlice {
    pub(crate) fn empty() -> Self {
        Self::inline(Bytes::new())
    }

    fn inline(body: Bytes) -> Self {
        let remaining = body.len() as u64;
        Self { source: Source::Inline(body), skip: 0, remaining, trailers: None }
    }

    fn shared(pieces: Arc<[Bytes]>) -> Self {
        let remaining = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { source: Source::Shared { pieces, next: 0 }, skip: 0, remaining, trailers: None }
    }

    /// `first` was read from `reader` before the answer began, so that a storage that fails at once is still a miss.
    fn streamed(first: Bytes, reader: AnyReader, len: u64, store: Store) -> Self {
        let reading = SyncWrapper::new(read(reader, store.clone()));
        Self { source: Source::Streamed { first, reading, store }, skip: 0, remaining: len, trailers: None }
    }

    /// All of a body that came with its head, without its trailers.
    pub(crate) fn at_hand(stored: &StoredResponse) -> Option<Self> {
        match &stored.body {
            StoredBody::Inline(body) => Some(Self::inline(body.clone())),
            StoredBody::Shared(pieces) => Some(Self::shared(pieces.clone())),
            StoredBody::Streamed => None,
        }
    }

    /// All of a stored body, without its trailers.
    pub(crate) async fn open(store: &Store, stored: &StoredResponse) -> Result<Self, StorageError> {
        if let Some(body) = Self::at_hand(stored) {
            return Ok(body);
        }
        let mut reader = store.open(&stored.head).await?;
        let first = store.read(&mut reader).await?;
        Ok(Self::streamed(first.unwrap_or_default(), reader, stored.head.body_len(), store.clone()))
    }

    pub(crate) fn with_trailers(mut self, trailers: Option<HeaderMap>) -> Self {
        self.trailers = trailers.map(Box::new);
        self
    }

    /// Narrows the slice to `len` bytes from offset `first` on, without trailers.
    pub(crate) fn range(mut self, first: u64, len: u64) -> Self {
        self.skip = first;
        self.remaining = len.min(self.remaining.saturating_sub(first));
        self.trailers = None;
        self
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.remaining == 0 && self.trailers.is_none()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while self.remaining > 0 {
            match ready!(self.source.poll_piece(cx)) {
                Ok(piece) => {
                    if let Some(data) = self.cut(piece) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Err(error) => {
                    self.remaining = 0;
                    self.trailers = None;
                    return Poll::Ready(Some(Err(BodyError::storage(error))));
                }
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
    }

    /// What of the next piece lies inside the slice.
    fn cut(&mut self, mut piece: Bytes) -> Option<Bytes> {
        let len = piece.len() as u64;
        if self.skip >= len {
            self.skip -= len;
            return None;
        }
        let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
        piece = piece.slice(skip..);
        if let Ok(remaining) = usize::try_from(self.remaining) {
            piece.truncate(remaining);
        }
        self.remaining -= piece.len() as u64;
        Some(piece)
    }
}

impl Source {
    /// The next piece. The slice asks only while bytes are still due, so an end here is a hole in the body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, StorageError>> {
        let piece = match self {
            Self::Inline(body) => Some(std::mem::take(body)).filter(|body| !body.is_empty()),
            Self::Shared { pieces, next } => {
                let piece = pieces.get(*next).cloned();
                *next += 1;
                piece
            }
            Self::Streamed { first, .. } if !first.is_empty() => Some(std::mem::take(first)),
            Self::Streamed { reading, store, .. } => {
                let (reader, piece) = ready!(reading.get_mut().as_mut().poll(cx));
                *reading = SyncWrapper::new(read(reader, store.clone()));
                match piece {
                    Ok(piece) => piece,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        };
        Poll::Ready(piece.ok_or_else(|| {
            StorageError::new(StorageErrorKind::Missing, "any", "reading a body: it ended before its length")
        }))
    }
}

fn read(mut reader: AnyReader, store: Store) -> Reading {
    Box::pin(async move {
        let piece = store.read(&mut reader).await;
        (reader, piece)
    })
}
