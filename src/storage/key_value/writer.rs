//! A body in: small ones stand with their heads, large ones are a row of values.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::byte_store::{ByteStore, Space};
use super::layout::{CHUNK, Variant, chunk_name};
use super::options::Options;
use super::shared::Shared;
use crate::clock::{Clock, SystemClock};
use crate::entry::{BodyEnd, EntryId, StoredHead, codec};
use crate::storage::kit::{Body, Chunk, Cutter, Rest, Sizes, check_head, settle};
use crate::storage::{BodyWriter, Fence, Published, StorageError};

pub(super) fn begin<T: ByteStore>(
    shared: &Arc<Shared<T>>,
    head: StoredHead,
    fence: Fence,
) -> Result<KeyValueWriter<T>, StorageError> {
    check_head(shared.store.name(), &head)?;
    let Options { inline_threshold, max_body } = shared.options;
    let sizes = Sizes { inline: inline_threshold, chunk: CHUNK, max_body };
    let cutter = Cutter::begin(shared.store.name(), &head, sizes)?;
    let started = u64::try_from(SystemClock.now().as_secs()).unwrap_or(0);
    let at_work = AtWork::new(&shared.writing, head.id);
    Ok(KeyValueWriter {
        key: head.key.hex_digest(),
        shared: Arc::clone(shared),
        head,
        fence,
        started,
        cutter,
        _at_work: at_work,
    })
}

/// Writes one body in chunks.
pub struct KeyValueWriter<T: ByteStore> {
    shared: Arc<Shared<T>>,
    key: String,
    head: StoredHead,
    fence: Fence,
    started: u64,
    cutter: Cutter,
    _at_work: AtWork,
}

/// Keeps maintenance away from a body as long as its writer lives.
struct AtWork {
    writing: Arc<Mutex<HashSet<EntryId>>>,
    id: EntryId,
}

impl AtWork {
    fn new(writing: &Arc<Mutex<HashSet<EntryId>>>, id: EntryId) -> Self {
        let this = Self { writing: Arc::clone(writing), id };
        this.writing.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        this
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl<T: ByteStore> KeyValueWriter<T> {
    async fn write_chunk(&self, chunk: &Chunk) -> Result<(), StorageError> {
        let name = chunk_name(&self.key, self.started, self.head.id, chunk.number);
        self.shared.store.put(Space::Bodies, &name, chunk.framed()).await
    }

    /// Takes back what was written. A failure here leaves it for maintenance.
    async fn take_back(&self) {
        for chunk in 0..self.cutter.chunks() {
            let name = chunk_name(&self.key, self.started, self.head.id, chunk);
            if self.shared.store.remove(Space::Bodies, &name).await.is_err() {
                return;
            }
        }
    }

    async fn complete(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let (summary, rest) = self.cutter.finish();
        let mut head = self.head.clone();
        head.finish(summary, end);
        check_head(self.shared.store.name(), &head)?;
        let variant = match rest {
            Rest::Inline(body) => Variant::Inline(codec::encode_with_body(&head, &body).into()),
            Rest::Chunks(last) => {
                if let Some(last) = last {
                    self.write_chunk(&last).await?;
                }
                Variant::Streamed { started: self.started, head: codec::encode(&head).into() }
            }
        };
        self.shared.publish(head, variant, self.fence).await
    }

    async fn withdraw(&self) -> Result<(), StorageError> {
        self.shared.retain(&self.key, |head| head.id != self.head.id).await.map(drop)
    }
}

impl<T: ByteStore> BodyWriter for KeyValueWriter<T> {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        self.cutter.take(&data)?;
        while let Some(chunk) = self.cutter.cut(&mut data) {
            self.write_chunk(&chunk).await?;
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let published = self.complete(end).await;
        if settle(&published, self.withdraw()).await == Body::Discard {
            self.take_back().await;
        }
        published
    }

    async fn abort(self) {
        self.take_back().await;
    }
}

impl<T: ByteStore> fmt::Debug for KeyValueWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueWriter")
            .field("id", &self.head.id)
            .field("len", &self.cutter.len())
            .finish_non_exhaustive()
    }
}
