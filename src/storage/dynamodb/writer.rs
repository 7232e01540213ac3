//! A body in: a small one waits for its head, a larger one goes ahead of it in chunks.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::chunks::Chunks;
use super::error::NAME;
use super::layout::{self, Item, Kept, MAX_ITEM, check_size};
use crate::entry::{BodyEnd, StoredHead};
use crate::storage::kit::{Body, Cutter, Rest, Sizes, settle};
use crate::storage::{BodyWriter, Fence, Published, StorageError};

/// What an item takes beside the attributes of a response: its keys, and its place in the order.
const KEYS: usize = 512;

/// Starts to write a body, unless it is announced as too long.
pub(super) fn begin(
    shared: &Arc<Shared>,
    head: StoredHead,
    fence: Fence,
) -> Result<DynamoWriter, StorageError> {
    let options = &shared.options;
    let sizes = Sizes {
        inline: options.inline_threshold,
        chunk: options.chunk_size,
        max_body: options.max_body.unwrap_or(u64::MAX),
    };
    let cutter = Cutter::begin(NAME, &head, sizes)?;
    let chunks = Chunks::new(Arc::clone(shared), &head, fence);
    Ok(DynamoWriter { shared: Arc::clone(shared), chunks, cutter, head, fence })
}

/// Writes one body into a [`DynamoStorage`](super::DynamoStorage).
pub struct DynamoWriter {
    shared: Arc<Shared>,
    chunks: Chunks,
    cutter: Cutter,
    head: StoredHead,
    fence: Fence,
}

impl DynamoWriter {
    /// The item to publish; a body that has no room in it is written in chunks.
    async fn item(&mut self, rest: Rest) -> Result<Item, StorageError> {
        let last = match rest {
            Rest::Inline(body) => {
                let item = self.shared.response_item(&self.head, Kept::Inline(body.clone()));
                // Beside a large head even a small body can be too much for one item.
                if body.is_empty() || layout::size(&item) <= MAX_ITEM - KEYS {
                    return Ok(item);
                }
                self.cutter.spill(body)
            }
            Rest::Chunks(last) => Vec::from_iter(last),
        };
        for chunk in &last {
            self.chunks.push(chunk).await?;
        }
        self.chunks.flush().await?;
        Ok(self.shared.response_item(&self.head, Kept::Chunks(self.chunks.count, self.chunks.expires)))
    }
}

impl BodyWriter for DynamoWriter {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        self.cutter.take(&data)?;
        while let Some(chunk) = self.cutter.cut(&mut data) {
            self.chunks.push(&chunk).await?;
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let (summary, rest) = self.cutter.finish();
        self.head.finish(summary, end);
        let item = self.item(rest).await?;
        check_size(&item)?;
        let shared = Arc::clone(&self.shared);
        self.chunks.publishing = true;
        let published = shared.publish(&self.head, item, self.fence).await;
        self.chunks.publishing = false;
        let sk = layout::head_sk(&self.head);
        let withdraw = async { shared.delete_if_id(&self.chunks.pk, &sk, self.head.id).await.map(drop) };
        match settle(&published, withdraw).await {
            Body::Keep => self.chunks.keep = true,
            Body::Discard => self.chunks.discard().await,
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
            .field("len", &self.cutter.len())
            .finish_non_exhaustive()
    }
}
