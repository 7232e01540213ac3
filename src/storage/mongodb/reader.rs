//! Reading a body; every chunk is verified.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::store::Store;
use crate::entry::{BodySummary, StoredHead};
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

/// Reads one body; at most about 1 MiB of it is in memory.
#[derive(Debug)]
pub struct MongoReader {
    store: Arc<Store>,
    entry: String,
    expected: u64,
    /// Verified and not yet handed out.
    chunks: VecDeque<Bytes>,
    /// The number of the next chunk to read from the server.
    next: i32,
    seen: u64,
}

impl MongoReader {
    pub(super) async fn open(store: Arc<Store>, head: &StoredHead) -> Result<Self, StorageError> {
        store.ready().await?;
        let Some(body) = head.body else {
            return Err(store.error(StorageErrorKind::Missing, "opening a body: it was never published"));
        };
        let entry = head.id.to_string();
        let mut reader = Self { store, entry, expected: body.len, chunks: VecDeque::new(), next: 0, seen: 0 };
        // The threshold may have been different when the body was stored, so it only says where to look first.
        let small = body.len <= reader.store.options.inline_threshold as u64;
        if small && reader.take_inline(head, body).await? {
            return Ok(reader);
        }
        match reader.fetch().await {
            Err(error) if error.kind() == StorageErrorKind::Missing && !small => {
                if reader.take_inline(head, body).await? { Ok(reader) } else { Err(error) }
            }
            fetched => fetched.map(|()| reader),
        }
    }

    async fn take_inline(&mut self, head: &StoredHead, expected: BodySummary) -> Result<bool, StorageError> {
        let Some(body) = self.store.read_inline(head).await? else { return Ok(false) };
        if BodySummary::of(&body) != expected {
            let what = format!("reading a body: {} is not what was written", self.entry);
            return Err(self.store.error(StorageErrorKind::Corrupt, what));
        }
        if !body.is_empty() {
            self.chunks.push_back(body);
        }
        Ok(true)
    }

    async fn fetch(&mut self) -> Result<(), StorageError> {
        let chunks = self.store.read_chunks(&self.entry, self.next).await?;
        self.next = self.next.saturating_add(i32::try_from(chunks.len()).unwrap_or(i32::MAX));
        self.chunks.extend(chunks);
        Ok(())
    }
}

impl BodyReader for MongoReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.seen == self.expected {
            return Ok(None);
        }
        if self.chunks.is_empty() {
            self.fetch().await?;
        }
        let chunk = self.chunks.pop_front().unwrap_or_default();
        self.seen += chunk.len() as u64;
        if chunk.is_empty() || self.seen > self.expected {
            let what = format!("reading a body: {} is longer or shorter than its head says", self.entry);
            return Err(self.store.error(StorageErrorKind::Corrupt, what));
        }
        Ok(Some(chunk))
    }
}
