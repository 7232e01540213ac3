//! Writing a body: an inline body is published with its head, a larger one is stored in chunks before it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mongodb::bson::Document;

use super::store::Store;
use crate::entry::{BodyEnd, StoredHead};
use crate::storage::kit::{Body, Chunk, Cutter, Rest, settle};
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
    cutter: Cutter,
    /// Chunks that are not sent yet.
    chunks: Vec<Document>,
    began: Instant,
    failed: bool,
    /// Publication has begun.
    publishing: bool,
}

impl MongoWriter {
    pub(super) fn new(store: Arc<Store>, head: StoredHead, fence: Fence) -> Result<Self, StorageError> {
        let cutter = Cutter::begin(store.name, &head, store.options.sizes())?;
        let writing = Writing {
            entry: head.id.to_string(),
            store,
            head,
            fence,
            cutter,
            chunks: Vec::new(),
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
        writing.write(data).await?;
        writing.failed = failed_before;
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        // The writer keeps it to the end, so that a dropped future does not leave chunks.
        let Some(writing) = &mut self.writing else { return Ok(Published::Superseded) };
        let published = writing.publish(end).await;
        let key = writing.head.key.hex_digest();
        match settle(&published, writing.store.withdraw(&key, &writing.entry)).await {
            Body::Discard => self.discard().await,
            Body::Keep => self.writing = None,
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
            && writing.cutter.chunks() > 0
            && !writing.publishing
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(writing.discard());
        }
    }
}

impl Writing {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        self.cutter.take(&data)?;
        while let Some(chunk) = self.cutter.cut(&mut data) {
            self.add(chunk)?;
            if self.chunks.len() * self.store.options.chunk_size >= SEND_AT {
                self.send().await?;
            }
        }
        Ok(())
    }

    fn add(&mut self, chunk: Chunk) -> Result<(), StorageError> {
        let document = self.store.chunk(&self.entry, chunk, self.head.usable_until)?;
        self.chunks.push(document);
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
        let (summary, rest) = self.cutter.finish();
        self.head.finish(summary, end);
        match rest {
            Rest::Inline(body) => return self.store.publish(&self.head, Some(&body), self.fence).await,
            Rest::Chunks(last) => last.map_or(Ok(()), |last| self.add(last))?,
        }
        self.send().await?;
        if self.began.elapsed() > CHECKED_AFTER
            && self.store.count_chunks(&self.entry).await? != self.cutter.chunks()
        {
            let what = "publishing: maintenance deleted the body, because the writer took too long";
            return Err(self.store.error(StorageErrorKind::Missing, what));
        }
        self.store.insert_file(&self.head).await?;
        self.store.publish(&self.head, None, self.fence).await
    }

    /// Deletes the chunks; maintenance deletes what cannot be deleted now.
    async fn discard(self) {
        if self.cutter.chunks() > 0 {
            self.store.delete_bodies(&[self.entry]).await.ok();
        }
    }
}
