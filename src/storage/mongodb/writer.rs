//! Writing a body: an inline body is published with its head, a larger one is stored in chunks before it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mongodb::bson::Document;
use xxhash_rust::xxh3::Xxh3;

use super::store::Store;
use crate::entry::{BodyEnd, BodySummary, StoredHead};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// Chunks are sent when they have this many bytes together.
const SEND_AT: usize = 1024 * 1024;
/// Maintenance deletes chunks without a head when they are much older than this. A writer that took longer checks that
/// its chunks are still there.
const CHECKED_AFTER: Duration = Duration::from_secs(600);

/// Writes one body; at most about 1 MiB of it is in memory.
pub struct MongoWriter {
    writing: Option<Writing>,
}

struct Writing {
    store: Arc<Store>,
    head: StoredHead,
    entry: String,
    fence: Fence,
    /// What is not yet a whole chunk; all of the body while that may become inline.
    pending: Vec<u8>,
    /// Whole chunks that are not sent yet.
    chunks: Vec<Document>,
    /// How many chunks were cut.
    cut: i32,
    sum: Xxh3,
    len: u64,
    began: Instant,
    failed: bool,
    /// Publication has begun.
    publishing: bool,
}

impl MongoWriter {
    pub(super) fn new(store: Arc<Store>, head: StoredHead, fence: Fence) -> Result<Self, StorageError> {
        if let (Some(body), Some(limit)) = (head.body, store.options.max_body)
            && body.len > limit
        {
            return Err(too_large(&store, limit));
        }
        let writing = Writing {
            entry: head.id.to_string(),
            store,
            head,
            fence,
            pending: Vec::new(),
            chunks: Vec::new(),
            cut: 0,
            sum: Xxh3::new(),
            len: 0,
            began: Instant::now(),
            failed: false,
            publishing: false,
        };
        Ok(Self { writing: Some(writing) })
    }
}

impl BodyWriter for MongoWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        // It stays set when the future is dropped before its end: it is not known then what was sent.
        let failed_before = std::mem::replace(&mut writing.failed, true);
        writing.write(&data).await?;
        writing.failed = failed_before;
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        // The writer keeps it to the end, so that a dropped future does not leave chunks.
        let Some(writing) = &mut self.writing else { return Ok(Published::Superseded) };
        let published = writing.publish(end).await;
        match &published {
            Ok(Published::Stored) => drop(self.writing.take()),
            Ok(Published::Superseded) => self.discard().await,
            Err(error) => {
                let key = writing.head.key.hex_digest();
                let withdrawn = writing.store.withdraw(&key, &writing.entry).await.is_ok();
                if withdrawn && !is_undecided(error) {
                    self.discard().await;
                }
                self.writing = None;
            }
        }
        published
    }

    async fn abort(mut self) {
        self.discard().await;
    }
}

impl MongoWriter {
    async fn discard(&mut self) {
        if let Some(writing) = self.writing.take() {
            writing.discard().await;
        }
    }
}

impl fmt::Debug for MongoWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoWriter").finish_non_exhaustive()
    }
}

impl Drop for MongoWriter {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take()
            && writing.cut > 0
            && !writing.publishing
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(writing.discard());
        }
    }
}

impl Writing {
    async fn write(&mut self, data: &[u8]) -> Result<(), StorageError> {
        self.len += data.len() as u64;
        if let Some(limit) = self.store.options.max_body
            && self.len > limit
        {
            return Err(too_large(&self.store, limit));
        }
        self.sum.update(data);
        if self.cut == 0 && self.len <= self.store.options.inline_threshold as u64 {
            self.pending.extend_from_slice(data);
            return Ok(());
        }
        if self.cut == 0 {
            let small = std::mem::take(&mut self.pending);
            self.cut_chunks(&small).await?;
        }
        self.cut_chunks(data).await
    }

    async fn cut_chunks(&mut self, mut data: &[u8]) -> Result<(), StorageError> {
        let size = self.store.options.chunk_size;
        while !data.is_empty() {
            if self.pending.capacity() < size {
                self.pending.reserve_exact(size - self.pending.len());
            }
            let (taken, rest) = data.split_at(data.len().min(size - self.pending.len()));
            self.pending.extend_from_slice(taken);
            data = rest;
            if self.pending.len() == size {
                self.cut_chunk()?;
                if self.chunks.len() * size >= SEND_AT {
                    self.send().await?;
                }
            }
        }
        Ok(())
    }

    fn cut_chunk(&mut self) -> Result<(), StorageError> {
        let data = std::mem::take(&mut self.pending);
        self.chunks.push(self.store.chunk(&self.entry, self.cut, data, self.head.usable_until));
        self.cut = self
            .cut
            .checked_add(1)
            .ok_or_else(|| self.store.error(StorageErrorKind::TooLarge, "storing a body: too many chunks"))?;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), StorageError> {
        self.store.insert_chunks(&self.chunks).await?;
        self.chunks.clear();
        Ok(())
    }

    async fn publish(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        if self.failed {
            let what = "publishing: an earlier chunk of the body could not be stored";
            return Err(self.store.error(StorageErrorKind::Other, what));
        }
        self.publishing = true;
        self.head.finish(BodySummary { len: self.len, checksum: self.sum.digest() }, end);
        if self.cut == 0 && self.len <= self.store.options.inline_threshold as u64 {
            return self.store.publish(&self.head, Some(&self.pending), self.fence).await;
        }
        if !self.pending.is_empty() {
            self.cut_chunk()?;
        }
        self.send().await?;
        if self.began.elapsed() > CHECKED_AFTER
            && self.store.count_chunks(&self.entry).await? != u64::from(self.cut.unsigned_abs())
        {
            let what = "publishing: maintenance deleted the body, because the writer took too long";
            return Err(self.store.error(StorageErrorKind::Missing, what));
        }
        self.store.insert_file(&self.head).await?;
        self.store.publish(&self.head, None, self.fence).await
    }

    /// Deletes the chunks; maintenance deletes what cannot be deleted now.
    async fn discard(self) {
        if self.cut > 0 {
            self.store.delete_bodies(&[self.entry]).await.ok();
        }
    }
}

/// Whether the server may still carry out a request that failed here. A head may then appear later and needs its body;
/// otherwise maintenance deletes the body.
fn is_undecided(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Timeout | StorageErrorKind::Unavailable)
}

fn too_large(store: &Store, limit: u64) -> StorageError {
    store.error(
        StorageErrorKind::TooLarge,
        format!("storing a body: it is longer than the limit of {limit} bytes"),
    )
}
