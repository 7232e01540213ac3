//! Writing a body: counting, limiting, hashing and cutting it into chunks.

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use super::chunk::Chunk;
use crate::entry::{BodySummary, EntryId, StoredHead};
use crate::storage::{StorageError, StorageErrorKind};

/// The lengths that a backend was set up with, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Sizes {
    /// A body of up to this length is stored with its head.
    pub(in crate::storage) inline: usize,
    /// The length of every chunk but the last; at least 1.
    pub(in crate::storage) chunk: usize,
    /// A longer body is refused.
    pub(in crate::storage) max_body: u64,
}

/// Cuts one body. In memory are at most the inline threshold or one chunk of it, whichever is longer.
pub(in crate::storage) struct Cutter {
    backend: &'static str,
    id: EntryId,
    sizes: Sizes,
    /// What is not yet in a chunk; all of the body while it may be stored inline.
    pending: BytesMut,
    chunks: u64,
    len: u64,
    hasher: Xxh3Default,
}

/// What is left when a body is complete.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::storage) enum Rest {
    /// The whole body, to be stored with its head.
    Inline(Bytes),
    /// The last chunk, unless the chunks before it are all of the body.
    Chunks(Option<Chunk>),
}

impl Cutter {
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when the head announces a body over the limit.
    pub(in crate::storage) fn begin(
        backend: &'static str,
        head: &StoredHead,
        sizes: Sizes,
    ) -> Result<Self, StorageError> {
        let cutter = Self {
            backend,
            id: head.id,
            sizes,
            pending: BytesMut::new(),
            chunks: 0,
            len: 0,
            hasher: Xxh3Default::new(),
        };
        cutter.check(head.body_len())?;
        Ok(cutter)
    }

    /// Counts and hashes what is written next. [`cut`](Self::cut) must then be called until it returns `None`.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when the body passes the limit.
    pub(in crate::storage) fn take(&mut self, data: &[u8]) -> Result<(), StorageError> {
        let len = self.len.saturating_add(data.len() as u64);
        self.check(len)?;
        self.len = len;
        self.hasher.update(data);
        Ok(())
    }

    /// The next chunk that is full, if there is one. `data` shrinks by what was used, and is empty after `None`.
    pub(in crate::storage) fn cut(&mut self, data: &mut Bytes) -> Option<Chunk> {
        let chunk = self.sizes.chunk.max(1);
        // The first chunk is cut only when the body can no longer be stored with its head.
        let full = if self.chunks == 0 { chunk.max(self.sizes.inline.saturating_add(1)) } else { chunk };
        if self.chunks > 0 && self.pending.is_empty() && data.len() >= chunk {
            return Some(self.next(chunk_of(data, chunk)));
        }
        let missing = full.saturating_sub(self.pending.len()).min(data.len());
        self.pending.extend_from_slice(&data.split_to(missing));
        if self.pending.len() < full {
            return None;
        }
        let cut = self.pending.split_to(chunk).freeze();
        Some(self.next(cut))
    }

    /// How many chunks were cut.
    pub(in crate::storage) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// How long the body is, as far as it was written.
    pub(in crate::storage) fn len(&self) -> u64 {
        self.len
    }

    /// The summary of the whole body, and what was not yet cut.
    pub(in crate::storage) fn finish(&mut self) -> (BodySummary, Rest) {
        let summary = BodySummary { len: self.len, checksum: self.hasher.digest() };
        let pending = std::mem::take(&mut self.pending).freeze();
        let rest = if self.chunks == 0 && pending.len() <= self.sizes.inline {
            Rest::Inline(pending)
        } else {
            Rest::Chunks((!pending.is_empty()).then(|| self.next(pending)))
        };
        (summary, rest)
    }

    /// The chunks of a body that was meant for its head's record and does not fit there.
    #[allow(dead_code, reason = "for DynamoDB; not every set of features has it")]
    pub(in crate::storage) fn spill(&mut self, mut body: Bytes) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        while !body.is_empty() {
            let data = chunk_of(&mut body, self.sizes.chunk.max(1));
            chunks.push(self.next(data));
        }
        chunks
    }

    fn next(&mut self, data: Bytes) -> Chunk {
        let chunk = Chunk::new(self.id, self.chunks, data);
        self.chunks += 1;
        chunk
    }

    fn check(&self, len: u64) -> Result<(), StorageError> {
        let limit = self.sizes.max_body;
        if len <= limit {
            return Ok(());
        }
        let action = format!("storing a body of more than {limit} bytes");
        Err(StorageError::new(StorageErrorKind::TooLarge, self.backend, action))
    }
}

fn chunk_of(data: &mut Bytes, chunk: usize) -> Bytes {
    data.split_to(chunk.min(data.len()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]
mod tests {
    use http::StatusCode;

    use super::{BodySummary, Bytes, Cutter, Rest, Sizes, StorageError, StorageErrorKind, StoredHead};
    use crate::key::CacheKey;

    fn head() -> StoredHead {
        StoredHead::new(CacheKey::builder().part(CacheKey::URI, "http://a/").build(), StatusCode::OK)
    }

    /// The lengths of the chunks of a body written in pieces of this length, and what is left.
    fn cut(body: &[u8], piece: usize, sizes: Sizes) -> Result<(Vec<usize>, Rest, Vec<u8>), StorageError> {
        let mut cutter = Cutter::begin("x", &head(), sizes)?;
        let (mut lens, mut all) = (Vec::new(), Vec::new());
        for data in body.chunks(piece) {
            let mut data = Bytes::copy_from_slice(data);
            cutter.take(&data)?;
            while let Some(chunk) = cutter.cut(&mut data) {
                assert_eq!(chunk.number, lens.len() as u64);
                lens.push(chunk.data.len());
                all.extend_from_slice(&chunk.data);
            }
            assert!(data.is_empty() && cutter.pending.len() <= sizes.inline.max(sizes.chunk));
        }
        let (summary, rest) = cutter.finish();
        assert_eq!(summary, BodySummary::of(body));
        match &rest {
            Rest::Inline(body) => all.extend_from_slice(body),
            Rest::Chunks(last) => all.extend(last.iter().flat_map(|last| last.data.iter().copied())),
        }
        Ok((lens, rest, all))
    }

    #[test]
    fn every_body_is_returned_unchanged_for_all_sizes() -> Result<(), StorageError> {
        let body: Vec<_> = (0..100).collect();
        for inline in [0, 1, 7, 8, 9, 30, 200] {
            for chunk in [1, 8, 50, 100] {
                for len in [0, 1, 7, 8, 9, 16, 29, 30, 31, 50, 99, 100] {
                    for piece in [1, 3, 8, 100] {
                        let body = body.get(..len).unwrap_or_default();
                        let (lens, rest, all) = cut(body, piece, Sizes { inline, chunk, max_body: 100 })?;
                        assert_eq!(all, body);
                        assert!(lens.iter().all(|len| *len == chunk), "all but the last are full");
                        assert_eq!(matches!(rest, Rest::Inline(_)), len <= inline, "{len} {inline}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> Result<(), StorageError> {
        let sizes = Sizes { inline: 4, chunk: 8, max_body: 20 };
        cut(&[1; 20], 7, sizes)?;
        let error = cut(&[1; 21], 7, sizes).err().map(|error| error.kind());
        assert_eq!(error, Some(StorageErrorKind::TooLarge));
        let mut announced = head();
        announced.body = Some(BodySummary { len: 21, checksum: 0 });
        assert!(Cutter::begin("x", &announced, sizes).is_err());
        Ok(())
    }

    #[test]
    fn an_inline_body_without_room_becomes_chunks() -> Result<(), StorageError> {
        let mut cutter = Cutter::begin("x", &head(), Sizes { inline: 20, chunk: 8, max_body: 20 })?;
        let mut data = Bytes::from_static(b"twenty bytes or less");
        cutter.take(&data)?;
        assert_eq!(cutter.cut(&mut data), None);
        let (_, Rest::Inline(body)) = cutter.finish() else { panic!("it is short enough") };
        let chunks = cutter.spill(body);
        assert_eq!(chunks.iter().map(|chunk| chunk.data.len()).collect::<Vec<_>>(), [8, 8, 4]);
        assert_eq!((chunks[2].number, cutter.chunks()), (2, 3));
        Ok(())
    }
}
