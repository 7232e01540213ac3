//! Large bodies as a row of values.
//!
//! A chunk is named by the key's digest, the second in which its body was begun, the body's id and its number. Its value
//! is its checksum followed by up to 256 KiB.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::layout::Variant;
use super::{ByteStore, Inner, Space};
use crate::clock::{Clock, SystemClock};
use crate::entry::{BodyEnd, EntryId, StoredBody, StoredHead, codec};
use crate::storage::kit::{Body, Chunk, Cutter, Rest, Sizes, Verified, check_head, settle};
use crate::storage::{BodyReader, BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// The length of every chunk but the last.
pub(super) const CHUNK: usize = 256 * 1024;

/// How many chunks a body of this length has.
pub(super) fn chunks(len: u64) -> u64 {
    len.div_ceil(CHUNK as u64)
}

pub(super) fn name(key: &str, started: u64, id: EntryId, chunk: u64) -> String {
    format!("{key}-{started:010x}-{id}-{chunk:08x}")
}

/// Key digest, time and id of a name.
pub(super) fn parse_name(name: &str) -> Option<(&str, u64, EntryId)> {
    let mut fields = name.split('-');
    let key = fields.next()?;
    let started = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some((key, started, EntryId::parse(fields.next()?)?))
}

pub(super) fn begin<T: ByteStore>(
    storage: &Arc<Inner<T>>,
    head: StoredHead,
    fence: Fence,
) -> Result<KeyValueWriter<T>, StorageError> {
    let sizes = Sizes { inline: storage.inline, chunk: CHUNK, max_body: storage.max_body };
    let cutter = Cutter::begin(storage.store.name(), &head, sizes)?;
    let started = u64::try_from(SystemClock.now().as_secs()).unwrap_or(0);
    let at_work = AtWork::new(&storage.writing, head.id);
    Ok(KeyValueWriter {
        key: head.key.hex_digest(),
        storage: Arc::clone(storage),
        head,
        fence,
        started,
        cutter,
        _at_work: at_work,
    })
}

/// Writes one body in chunks.
pub struct KeyValueWriter<T: ByteStore> {
    storage: Arc<Inner<T>>,
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
        let name = name(&self.key, self.started, self.head.id, chunk.number);
        self.storage.store.put(Space::Bodies, &name, chunk.framed()).await
    }

    /// Takes back what was written. A failure here leaves it for maintenance.
    async fn take_back(&self) {
        for chunk in 0..self.cutter.chunks() {
            let name = name(&self.key, self.started, self.head.id, chunk);
            if self.storage.store.remove(Space::Bodies, &name).await.is_err() {
                return;
            }
        }
    }

    async fn complete(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let (summary, rest) = self.cutter.finish();
        let mut head = self.head.clone();
        head.finish(summary, end);
        check_head(self.storage.store.name(), &head)?;
        let variant = match rest {
            Rest::Inline(body) => Variant::Inline(codec::encode_with_body(&head, &body).into()),
            Rest::Chunks(last) => {
                if let Some(last) = last {
                    self.write_chunk(&last).await?;
                }
                Variant::Streamed { started: self.started, head: codec::encode(&head).into() }
            }
        };
        self.storage.publish(head, variant, self.fence).await
    }

    async fn withdraw(&self) -> Result<(), StorageError> {
        self.storage.retain(&self.key, |head| head.id != self.head.id).await.map(drop)
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

pub(super) async fn open<T: ByteStore>(
    storage: &Arc<Inner<T>>,
    head: &StoredHead,
) -> Result<KeyValueReader<T>, StorageError> {
    let key = head.key.hex_digest();
    for variant in storage.record(&key).await?.variants {
        let Some(stored) = variant.response(&head.key) else { continue };
        if stored.head.id != head.id {
            continue;
        }
        let mut body = Verified::new(storage.store.name(), &stored.head);
        if let StoredBody::Inline(bytes) = stored.body {
            body.add_inline(bytes);
        }
        let started = if let Variant::Streamed { started, .. } = variant { started } else { 0 };
        return Ok(KeyValueReader { storage: Arc::clone(storage), key, started, id: head.id, body });
    }
    Err(storage.error(StorageErrorKind::Missing, format!("opening body {}", head.id)))
}

/// Reads one body in chunks.
pub struct KeyValueReader<T: ByteStore> {
    storage: Arc<Inner<T>>,
    key: String,
    started: u64,
    id: EntryId,
    body: Verified,
}

impl<T: ByteStore> BodyReader for KeyValueReader<T> {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.body.wants_more() {
            let name = name(&self.key, self.started, self.id, self.body.next_chunk());
            match self.storage.store.get(Space::Bodies, &name).await? {
                Some(value) => self.body.add_framed(value),
                None => self.body.add_missing(),
            }
        }
        self.body.pop()
    }
}

impl<T: ByteStore> fmt::Debug for KeyValueReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueReader").field("body", &self.body).finish_non_exhaustive()
    }
}
