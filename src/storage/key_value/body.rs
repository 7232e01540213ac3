//! Large bodies as a row of values.
//!
//! A piece is named by the key's digest, the second in which its body was begun, the body's id and its number, and
//! is its checksum followed by up to 256 KiB.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64_with_seed};

use super::record::Variant;
use super::{ByteStore, Inner, Space};
use crate::clock::{Clock, SystemClock};
use crate::entry::{BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, codec};
use crate::storage::kit::check_head;
use crate::storage::{BodyReader, BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// The length of every piece but the last.
pub(super) const PIECE: usize = 256 * 1024;
const CHECKSUM: usize = size_of::<u64>();

/// How many pieces a body of this length has.
pub(super) fn pieces(len: u64) -> u64 {
    len.div_ceil(PIECE as u64)
}

pub(super) fn name(key: &str, started: u64, id: EntryId, piece: u64) -> String {
    format!("{key}-{started:010x}-{id}-{piece:08x}")
}

/// Key digest, time and id of a name.
pub(super) fn parse_name(name: &str) -> Option<(&str, u64, EntryId)> {
    let mut parts = name.split('-');
    let key = parts.next()?;
    let started = u64::from_str_radix(parts.next()?, 16).ok()?;
    let id = u128::from_str_radix(parts.next()?, 16).ok()?;
    Some((key, started, EntryId::from_bits(id)))
}

/// A piece is not mistaken for another one, nor for one of another body.
fn checksum(id: EntryId, piece: u64, data: &[u8]) -> u64 {
    xxh3_64_with_seed(data, (id.bits() as u64).wrapping_add(piece))
}

pub(super) fn begin<T: ByteStore>(
    storage: &Arc<Inner<T>>,
    head: StoredHead,
    fence: Fence,
) -> Result<KeyValueWriter<T>, StorageError> {
    if head.body.is_some_and(|body| body.len > storage.max_body) {
        return Err(too_large(storage));
    }
    let started = u64::try_from(SystemClock.now().as_secs()).unwrap_or(0);
    let at_work = AtWork::new(&storage.writing, head.id);
    Ok(KeyValueWriter {
        key: head.key.hex_digest(),
        storage: Arc::clone(storage),
        head,
        fence,
        started,
        piece: BytesMut::new(),
        written: 0,
        len: 0,
        hasher: Xxh3Default::new(),
        _at_work: at_work,
    })
}

fn too_large<T: ByteStore>(storage: &Inner<T>) -> StorageError {
    let limit = storage.max_body;
    storage.error(StorageErrorKind::TooLarge, format!("storing a body of more than {limit} bytes"))
}

/// Writes one body in pieces.
pub struct KeyValueWriter<T: ByteStore> {
    storage: Arc<Inner<T>>,
    key: String,
    head: StoredHead,
    fence: Fence,
    started: u64,
    /// What is not yet a piece, behind room for its checksum.
    piece: BytesMut,
    /// The pieces that were written.
    written: u64,
    len: u64,
    hasher: Xxh3Default,
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
    async fn write_piece(&mut self) -> Result<(), StorageError> {
        let mut value = std::mem::take(&mut self.piece);
        let id = self.head.id;
        if let Some((room, data)) = value.split_first_chunk_mut::<CHECKSUM>() {
            *room = checksum(id, self.written, data).to_le_bytes();
        }
        let name = name(&self.key, self.started, id, self.written);
        self.written += 1;
        self.storage.store.put(Space::Bodies, &name, value.freeze()).await
    }

    /// Takes back what was written. A failure here leaves it for maintenance.
    async fn take_back(&self) {
        for piece in 0..self.written {
            let name = name(&self.key, self.started, self.head.id, piece);
            if self.storage.store.remove(Space::Bodies, &name).await.is_err() {
                return;
            }
        }
    }

    async fn complete(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let body = BodySummary { len: self.len, checksum: self.hasher.digest() };
        let mut head = self.head.clone();
        head.finish(body, end);
        check_head(self.storage.store.name(), &head)?;
        let variant = if self.written == 0 && self.piece.len() <= self.storage.inline + CHECKSUM {
            let inline = self.piece.get(CHECKSUM..).unwrap_or_default();
            Variant::Inline(codec::encode_with_body(&head, inline).into())
        } else {
            if self.piece.len() > CHECKSUM {
                self.write_piece().await?;
            }
            Variant::Streamed { started: self.started, head: codec::encode(&head).into() }
        };
        self.storage.publish(head, variant, self.fence).await
    }
}

impl<T: ByteStore> BodyWriter for KeyValueWriter<T> {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        if self.len.saturating_add(data.len() as u64) > self.storage.max_body {
            return Err(too_large(&self.storage));
        }
        self.hasher.update(&data);
        while data.has_remaining() {
            if self.piece.is_empty() {
                self.piece.put_bytes(0, CHECKSUM);
            }
            let part = data.split_to(data.len().min(PIECE + CHECKSUM - self.piece.len()));
            self.piece.extend_from_slice(&part);
            self.len += part.len() as u64;
            if self.piece.len() == PIECE + CHECKSUM {
                self.write_piece().await?;
            }
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let published = self.complete(end).await;
        // After an error it is not known whether the head was stored, so the body must stay for now.
        if matches!(published, Ok(Published::Superseded)) {
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
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

pub(super) async fn open<T: ByteStore>(
    storage: &Arc<Inner<T>>,
    head: &StoredHead,
) -> Result<KeyValueReader<T>, StorageError> {
    let key = head.key.hex_digest();
    for variant in storage.record(&key).await?.variants {
        let Some((stored, body)) = variant.response(&head.key) else { continue };
        if stored.id != head.id {
            continue;
        }
        let started = match &variant {
            Variant::Inline(_) => 0,
            Variant::Streamed { started, .. } => *started,
        };
        let inline = if let StoredBody::Inline(bytes) = body { Some(bytes) } else { None };
        let rest = stored.body_len();
        return Ok(KeyValueReader {
            storage: Arc::clone(storage),
            key,
            started,
            id: head.id,
            inline,
            next: 0,
            rest,
        });
    }
    Err(storage.error(StorageErrorKind::Missing, format!("opening body {}", head.id)))
}

/// Reads one body in pieces.
pub struct KeyValueReader<T: ByteStore> {
    storage: Arc<Inner<T>>,
    key: String,
    started: u64,
    id: EntryId,
    inline: Option<Bytes>,
    next: u64,
    rest: u64,
}

impl<T: ByteStore> BodyReader for KeyValueReader<T> {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.rest == 0 {
            return Ok(None);
        }
        if let Some(inline) = self.inline.take() {
            self.rest = 0;
            return Ok(Some(inline));
        }
        let (id, piece) = (self.id, self.next);
        let name = name(&self.key, self.started, id, piece);
        let Some(mut value) = self.storage.store.get(Space::Bodies, &name).await? else {
            return Err(self
                .storage
                .error(StorageErrorKind::Missing, format!("reading piece {piece} of body {id}")));
        };
        let wanted = self.rest.min(PIECE as u64);
        let whole = value.try_get_u64_le().is_ok_and(|sum| sum == checksum(id, piece, &value));
        if !whole || value.len() as u64 != wanted {
            return Err(self
                .storage
                .error(StorageErrorKind::Corrupt, format!("reading piece {piece} of body {id}")));
        }
        self.next += 1;
        self.rest -= wanted;
        Ok(Some(value))
    }
}

impl<T: ByteStore> fmt::Debug for KeyValueReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueReader")
            .field("id", &self.id)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
