//! Writing one body: small ones wait for their head, larger ones go ahead of it in parts.

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::types::WriteRequest;
use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::Shared;
use super::calls::{delete_of, put_of};
use super::items::{Kept, MAX_ITEM, check_size, too_large};
use super::layout::{self, BODY, CHECKSUM, EXPIRES, KIND, PART, SIZE, WRITTEN};
use crate::clock::{Clock, SystemClock};
use crate::entry::{BodyEnd, BodySummary, EntryId, StoredHead};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// So much of a body is sent in one call.
const BATCH: usize = 1024 * 1024;

/// Writes one body into a [`DynamoStorage`](super::DynamoStorage).
pub struct DynamoWriter {
    parts: Parts,
    head: StoredHead,
    fence: Fence,
    waiting: BytesMut,
    hasher: Xxh3Default,
    len: u64,
}

impl DynamoWriter {
    pub(super) fn new(shared: Arc<Shared>, head: StoredHead, fence: Fence) -> Self {
        let parts = Parts {
            pk: shared.keys.entry(&head.key),
            id: head.id,
            generation: super::fences::Moment::from(fence).generation,
            expires: shared.parts_expire(head.usable_until),
            count: 0,
            pending: Vec::new(),
            pending_len: 0,
            publishing: false,
            keep: false,
            shared,
        };
        Self { parts, head, fence, waiting: BytesMut::new(), hasher: Xxh3Default::new(), len: 0 }
    }

    async fn cut(&mut self, piece: usize) -> Result<(), StorageError> {
        while self.waiting.len() >= piece.max(1) {
            let part = self.waiting.split_to(piece.min(self.waiting.len())).freeze();
            self.parts.push(&part).await?;
        }
        Ok(())
    }
}

impl BodyWriter for DynamoWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.len += data.len() as u64;
        let options = &self.parts.shared.options;
        let (threshold, chunk) = (options.inline_threshold, options.chunk_size);
        if let Some(limit) = options.max_body.filter(|limit| self.len > *limit) {
            return Err(too_large(format!("writing a body of more than {limit} bytes, the limit for one")));
        }
        self.hasher.update(&data);
        // Large pieces are taken in turn, so that no more than a chunk is ever copied ahead.
        for piece in pieces(data, chunk) {
            self.waiting.extend_from_slice(&piece);
            if self.parts.count > 0 || self.waiting.len() > threshold {
                self.cut(chunk).await?;
            }
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        self.head.finish(BodySummary { len: self.len, checksum: self.hasher.digest() }, end);
        let shared = Arc::clone(&self.parts.shared);
        let threshold = shared.options.inline_threshold;
        let mut item = None;
        if self.parts.count == 0 && self.waiting.len() <= threshold {
            let inline =
                shared.response_item(&self.head, Kept::Inline(Bytes::copy_from_slice(&self.waiting)));
            // Beside a large head even a small body can be too much for one item.
            item =
                Some(inline).filter(|item| layout::size(item) <= MAX_ITEM - 512 || self.waiting.is_empty());
        }
        let item = match item {
            Some(item) => item,
            None => {
                self.cut(shared.options.chunk_size).await?;
                self.cut(1.max(self.waiting.len())).await?;
                self.parts.flush().await?;
                shared.response_item(&self.head, Kept::Parts(self.parts.count, self.parts.expires))
            }
        };
        check_size(&item)?;
        self.parts.publishing = true;
        let published = shared.publish(&self.head, item, self.fence).await;
        self.parts.publishing = false;
        match &published {
            Ok(Published::Stored) => self.parts.keep = true,
            Ok(Published::Superseded) => self.parts.discard().await,
            Err(error) => {
                // The transaction may have been carried out, or be carried out yet, and its answer lost.
                let sk = layout::head_sk(&self.head);
                let withdrawn = shared.delete_if_id(&self.parts.pk, &sk, self.head.id).await.is_ok();
                if withdrawn && !is_undecided(error) {
                    self.parts.discard().await;
                } else {
                    self.parts.keep = true;
                }
            }
        }
        published
    }

    async fn abort(mut self) {
        self.parts.discard().await;
    }
}

impl fmt::Debug for DynamoWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoWriter")
            .field("id", &self.head.id)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The parts of a body that stand in the table already. Deletes them again unless they are kept.
struct Parts {
    shared: Arc<Shared>,
    pk: String,
    id: EntryId,
    generation: u32,
    expires: Option<i64>,
    count: u32,
    pending: Vec<WriteRequest>,
    pending_len: usize,
    publishing: bool,
    keep: bool,
}

impl Parts {
    async fn push(&mut self, part: &[u8]) -> Result<(), StorageError> {
        let mut item = layout::key_of(&self.pk, layout::part_sk(self.id, self.count));
        item.insert(KIND.to_owned(), layout::text(PART));
        item.insert(CHECKSUM.to_owned(), layout::number(xxh3_64(part)));
        item.insert(WRITTEN.to_owned(), layout::number(SystemClock.now().as_millis()));
        item.insert(SIZE.to_owned(), layout::number(part.len()));
        item.insert(BODY.to_owned(), layout::binary(part));
        if let Some(second) = self.expires {
            item.insert(EXPIRES.to_owned(), layout::number(second));
        }
        super::items::stamp(&mut item, self.generation);
        self.pending.push(put_of(item)?);
        self.pending_len += part.len();
        self.count = self
            .count
            .checked_add(1)
            .filter(|count| *count < layout::MOST_PARTS)
            .ok_or_else(|| too_large("writing a body of a hundred million parts".to_owned()))?;
        if self.pending_len + part.len() > BATCH { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        self.pending_len = 0;
        let pending = std::mem::take(&mut self.pending);
        self.shared.write_all("writing a body", pending).await
    }

    async fn discard(&mut self) {
        let count = std::mem::take(&mut self.count);
        self.keep = true;
        delete_parts(&self.shared, &self.pk, self.id, count).await;
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Given up in the middle of its publication, a body may have become visible: then it stays whole, and if not,
        // `maintain` comes by.
        if self.keep || self.publishing || self.count == 0 {
            return;
        }
        // Without a runtime the parts stay until they expire or `maintain` comes by.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shared, pk, id, count) =
            (Arc::clone(&self.shared), std::mem::take(&mut self.pk), self.id, self.count);
        runtime.spawn(async move { delete_parts(&shared, &pk, id, count).await });
    }
}

/// Whether what was asked for may have been done.
fn is_undecided(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Unavailable | StorageErrorKind::Timeout)
}

async fn delete_parts(shared: &Shared, pk: &str, id: EntryId, count: u32) {
    let keys = (0..count).map(|index| delete_of(layout::key_of(pk, layout::part_sk(id, index))));
    if let Ok(deletes) = keys.collect::<Result<Vec<_>, _>>() {
        // What cannot be deleted now is left to `maintain`.
        drop(shared.write_all("discarding a body", deletes).await);
    }
}

/// The data in pieces of at most this length.
fn pieces(mut data: Bytes, most: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = data.split_to(most.min(data.len()));
        (!piece.is_empty()).then_some(piece)
    })
}
