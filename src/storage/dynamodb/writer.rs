//! A body in: a small one waits for its head, a larger one goes ahead of it in chunks.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use super::Shared;
use super::chunks::Chunks;
use super::error::too_large;
use super::fence::Moment;
use super::layout::{self, Kept, MAX_ITEM, check_size};
use crate::entry::{BodyEnd, BodySummary, StoredHead};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// Starts to write a body, if it is not announced as too long.
pub(super) fn begin(
    shared: &Arc<Shared>,
    head: StoredHead,
    fence: Fence,
) -> Result<DynamoWriter, StorageError> {
    if let Some(limit) = shared.options.max_body.filter(|limit| head.body_len() > *limit) {
        let len = head.body_len();
        return Err(too_large(format!("storing a body of {len} bytes, where {limit} are the limit")));
    }
    Ok(DynamoWriter::new(Arc::clone(shared), head, fence))
}

/// Writes one body into a [`DynamoStorage`](super::DynamoStorage).
pub struct DynamoWriter {
    chunks: Chunks,
    head: StoredHead,
    fence: Fence,
    waiting: BytesMut,
    hasher: Xxh3Default,
    len: u64,
}

impl DynamoWriter {
    fn new(shared: Arc<Shared>, head: StoredHead, fence: Fence) -> Self {
        let chunks = Chunks {
            pk: shared.keys.entry(&head.key),
            id: head.id,
            generation: Moment::from(fence).generation,
            expires: shared.chunks_expire(head.usable_until),
            count: 0,
            pending: Vec::new(),
            pending_len: 0,
            publishing: false,
            keep: false,
            shared,
        };
        Self { chunks, head, fence, waiting: BytesMut::new(), hasher: Xxh3Default::new(), len: 0 }
    }

    async fn cut(&mut self, piece: usize) -> Result<(), StorageError> {
        while self.waiting.len() >= piece.max(1) {
            let chunk = self.waiting.split_to(piece.min(self.waiting.len())).freeze();
            self.chunks.push(&chunk).await?;
        }
        Ok(())
    }
}

impl BodyWriter for DynamoWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.len += data.len() as u64;
        let options = &self.chunks.shared.options;
        let (threshold, chunk) = (options.inline_threshold, options.chunk_size);
        if let Some(limit) = options.max_body.filter(|limit| self.len > *limit) {
            return Err(too_large(format!("writing a body of more than {limit} bytes, the limit for one")));
        }
        self.hasher.update(&data);
        // Large pieces are taken in turn, so that no more than a chunk is ever copied ahead.
        for piece in pieces(data, chunk) {
            self.waiting.extend_from_slice(&piece);
            if self.chunks.count > 0 || self.waiting.len() > threshold {
                self.cut(chunk).await?;
            }
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        self.head.finish(BodySummary { len: self.len, checksum: self.hasher.digest() }, end);
        let shared = Arc::clone(&self.chunks.shared);
        let threshold = shared.options.inline_threshold;
        let mut item = None;
        if self.chunks.count == 0 && self.waiting.len() <= threshold {
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
                self.chunks.flush().await?;
                shared.response_item(&self.head, Kept::Chunks(self.chunks.count, self.chunks.expires))
            }
        };
        check_size(&item)?;
        self.chunks.publishing = true;
        let published = shared.publish(&self.head, item, self.fence).await;
        self.chunks.publishing = false;
        match &published {
            Ok(Published::Stored) => self.chunks.keep = true,
            Ok(Published::Superseded) => self.chunks.discard().await,
            Err(error) => {
                // The transaction may have been carried out, or be carried out yet, and its answer lost.
                let sk = layout::head_sk(&self.head);
                let withdrawn = shared.delete_if_id(&self.chunks.pk, &sk, self.head.id).await.is_ok();
                if withdrawn && !is_undecided(error) {
                    self.chunks.discard().await;
                } else {
                    self.chunks.keep = true;
                }
            }
        }
        published
    }

    async fn abort(mut self) {
        self.chunks.discard().await;
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

/// Whether what was asked for may have been done.
fn is_undecided(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Unavailable | StorageErrorKind::Timeout)
}

/// The data in pieces of at most this length.
fn pieces(mut data: Bytes, most: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = data.split_to(most.min(data.len()));
        (!piece.is_empty()).then_some(piece)
    })
}
