//! A stored body, or a slice of one, on its way to the caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use sync_wrapper::SyncWrapper;

use super::PollFrame;
use crate::entry::{StoredBody, StoredResponse};
use crate::error::BodyError;
use crate::storage::{AnyReader, StorageError, StorageErrorKind};
use crate::store::Store;

/// Bytes `skip..skip + remaining` of a stored body, then its trailers.
pub(crate) struct StoredSlice {
    source: Source,
    /// Of the storage, for errors.
    backend: &'static str,
    skip: u64,
    remaining: u64,
    /// Boxed, because few have any.
    trailers: Option<Box<HeaderMap>>,
}

enum Source {
    Inline(Bytes),
    Shared { chunks: Arc<[Bytes]>, next: usize },
    Streamed { first: Bytes, reading: SyncWrapper<Reading>, store: Store },
}

/// A read under way owns the reader and hands it back with the result.
type Reading = Pin<Box<dyn Future<Output = (AnyReader, Result<Option<Bytes>, StorageError>)> + Send>>;

impl StoredSlice {
    pub(crate) fn empty() -> Self {
        Self::new(Source::Inline(Bytes::new()), "none", 0)
    }

    fn new(source: Source, backend: &'static str, remaining: u64) -> Self {
        Self { source, backend, skip: 0, remaining, trailers: None }
    }

    /// `first` was read from `reader` before the answer began, so that a storage that fails at once is still a miss.
    fn streamed(first: Bytes, reader: AnyReader, len: u64, store: Store) -> Self {
        let (backend, reading) = (store.backend(), SyncWrapper::new(read(reader, store.clone())));
        Self::new(Source::Streamed { first, reading, store }, backend, len)
    }

    /// All of a body that came with its head, without its trailers.
    ///
    /// The answer has exactly as many bytes as the head says, or is an error.
    pub(crate) fn at_hand(store: &Store, stored: &StoredResponse) -> Result<Option<Self>, StorageError> {
        let (source, len) = match &stored.body {
            StoredBody::Inline(body) => (Source::Inline(body.clone()), body.len() as u64),
            StoredBody::Shared(chunks) => {
                let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
                (Source::Shared { chunks: Arc::clone(chunks), next: 0 }, len)
            }
            StoredBody::Streamed => return Ok(None),
        };
        if stored.head.body.is_some_and(|body| body.len == len) {
            Ok(Some(Self::new(source, store.backend(), len)))
        } else {
            Err(store.error(StorageErrorKind::Corrupt, "opening a body: it is not as long as its head says"))
        }
    }

    /// All of a stored body, without its trailers.
    pub(crate) async fn open(store: &Store, stored: &StoredResponse) -> Result<Self, StorageError> {
        if let Some(body) = Self::at_hand(store, stored)? {
            return Ok(body);
        }
        let Some(summary) = stored.head.body else {
            return Err(store.error(StorageErrorKind::Corrupt, "opening a body: its head does not know it"));
        };
        let mut reader = store.open(&stored.head).await?;
        let first = store.read(&mut reader).await?;
        if first.is_none() && summary.len > 0 {
            return Err(too_short(store.backend()));
        }
        Ok(Self::streamed(first.unwrap_or_default(), reader, summary.len, store.clone()))
    }

    pub(crate) fn with_trailers(mut self, trailers: Option<HeaderMap>) -> Self {
        self.trailers = trailers.map(Box::new);
        self
    }

    /// Narrows the slice to `len` bytes from offset `first` on, without trailers. Bytes that the body does not have
    /// are an error when they are due.
    pub(crate) fn range(mut self, first: u64, len: u64) -> Self {
        self.skip = first;
        self.remaining = len;
        self.trailers = None;
        self
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.remaining == 0 && self.trailers.is_none()
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        while self.remaining > 0 {
            match ready!(self.source.poll_chunk(cx))
                .and_then(|chunk| chunk.ok_or_else(|| too_short(self.backend)))
            {
                Ok(chunk) if chunk.is_empty() => {
                    // Lets other tasks run: the storage may never stop returning empty chunks.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(chunk) => {
                    if let Some(data) = self.cut(chunk) {
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

    /// What of the next chunk lies inside the slice.
    fn cut(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let len = chunk.len() as u64;
        if self.skip >= len {
            self.skip -= len;
            return None;
        }
        let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
        chunk = chunk.slice(skip..);
        if let Ok(remaining) = usize::try_from(self.remaining) {
            chunk.truncate(remaining);
        }
        self.remaining -= chunk.len() as u64;
        Some(chunk)
    }
}

impl Source {
    /// The next chunk. The slice asks only while bytes are still due, so an end here is a hole in the body.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StorageError>> {
        let chunk = match self {
            Self::Inline(body) => Some(std::mem::take(body)).filter(|body| !body.is_empty()),
            Self::Shared { chunks, next } => {
                let chunk = chunks.get(*next).cloned();
                *next += 1;
                chunk
            }
            Self::Streamed { first, .. } if !first.is_empty() => Some(std::mem::take(first)),
            Self::Streamed { reading, store, .. } => {
                let (reader, chunk) = ready!(reading.get_mut().as_mut().poll(cx));
                *reading = SyncWrapper::new(read(reader, store.clone()));
                return Poll::Ready(chunk);
            }
        };
        Poll::Ready(Ok(chunk))
    }
}

fn too_short(backend: &'static str) -> StorageError {
    StorageError::new(StorageErrorKind::Missing, backend, "reading a body: it ended before its length")
}

fn read(mut reader: AnyReader, store: Store) -> Reading {
    Box::pin(async move {
        let chunk = store.read(&mut reader).await;
        (reader, chunk)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;
    use crate::body::CacheBody;
    use crate::entry::{BodySummary, StoredHead};
    use crate::key::CacheKey;
    use crate::storage::BodyReader;

    /// A storage's body that is not what its head says.
    struct Chunks(Vec<&'static str>);

    impl BodyReader for Chunks {
        async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
            Ok((!self.0.is_empty()).then(|| Bytes::from_static(self.0.remove(0).as_bytes())))
        }
    }

    fn stored(body: StoredBody, len: Option<u64>) -> StoredResponse {
        let mut head = StoredHead::new(CacheKey::builder().part("u", "x").build(), StatusCode::OK);
        head.body = len.map(|len| BodySummary { len, checksum: 0 });
        StoredResponse { head: Arc::new(head), body, invalidated: false }
    }

    fn memory() -> Store {
        Store::new(Arc::new(crate::storage::MemoryStorage::new()))
    }

    async fn read_all(slice: StoredSlice) -> Result<Bytes, BodyError> {
        let body = CacheBody::<http_body_util::Empty<Bytes>>::stored(slice);
        Ok(body.collect().await?.to_bytes())
    }

    #[test]
    fn a_body_at_hand_that_is_not_as_long_as_its_head_says_is_not_served() {
        let chunks: Arc<[Bytes]> = Arc::new([Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        for body in [StoredBody::Inline(Bytes::from_static(b"abc")), StoredBody::Shared(chunks)] {
            assert!(StoredSlice::at_hand(&memory(), &stored(body.clone(), Some(3))).unwrap().is_some());
            for len in [Some(0), Some(2), Some(4), Some(u64::MAX), None] {
                let refused = StoredSlice::at_hand(&memory(), &stored(body.clone(), len)).err();
                let refused = refused.unwrap();
                let told = (refused.kind(), refused.backend());
                assert_eq!(told, (StorageErrorKind::Corrupt, "memory"), "{len:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_streamed_body_that_ends_before_its_length_is_an_error() {
        let streamed = |first: &'static str, rest: &[&'static str], len| {
            let reader = AnyReader::new(Chunks(rest.to_vec()));
            StoredSlice::streamed(Bytes::from_static(first.as_bytes()), reader, len, memory())
        };
        assert_eq!(read_all(streamed("ab", &["", "c"], 3)).await.unwrap(), "abc");
        assert!(read_all(streamed("ab", &["c"], 4)).await.unwrap_err().is_storage());
        assert!(read_all(streamed("", &[], 1)).await.unwrap_err().is_storage());
        assert_eq!(read_all(streamed("ab", &["cd"], 4).range(1, 2)).await.unwrap(), "bc");
        assert!(read_all(streamed("ab", &["cd"], 9).range(1, 7)).await.is_err());
    }

    #[tokio::test]
    async fn a_range_beyond_the_body_is_an_error() {
        let whole = || {
            let stored = stored(StoredBody::Inline(Bytes::from_static(b"abc")), Some(3));
            StoredSlice::at_hand(&memory(), &stored).unwrap().unwrap()
        };
        assert_eq!(read_all(whole().range(1, 2)).await.unwrap(), "bc");
        let error = read_all(whole().range(1, 3)).await.unwrap_err();
        let reason = error.into_inner().downcast::<StorageError>().unwrap();
        assert_eq!((reason.kind(), reason.backend()), (StorageErrorKind::Missing, "memory"));
        assert!(read_all(whole().range(3, 1)).await.unwrap_err().is_storage());
    }
}
