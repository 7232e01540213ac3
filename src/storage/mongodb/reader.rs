//! Reading a body; every chunk is verified.

use std::sync::Arc;

use bytes::Bytes;

use super::store::Store;
use crate::entry::StoredHead;
use crate::storage::kit::Verified;
use crate::storage::{BodyReader, StorageError};

/// Reads one body; at most about 1 MiB of it is in memory.
#[derive(Debug)]
pub struct MongoReader {
    store: Arc<Store>,
    entry: String,
    body: Verified,
}

impl MongoReader {
    pub(super) async fn open(store: Arc<Store>, head: &StoredHead) -> Result<Self, StorageError> {
        store.ready().await?;
        let body = Verified::new(store.name, head).opened()?;
        let mut reader = Self { store, entry: head.id.to_string(), body };
        // The threshold may have been different when the body was stored, so it only says where to look first.
        if head.body_len() <= reader.store.options.inline_threshold as u64 {
            reader.take_inline(head).await?;
        }
        if reader.body.wants_more() {
            reader.fetch().await?;
        }
        if reader.body.is_missing() {
            reader.take_inline(head).await?;
        }
        let body = reader.body.opened()?;
        Ok(Self { body, ..reader })
    }

    async fn take_inline(&mut self, head: &StoredHead) -> Result<(), StorageError> {
        if let Some(body) = self.store.read_inline(head).await? {
            self.body.add_inline(body);
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), StorageError> {
        let chunks = self.store.read_chunks(&self.entry, self.body.next_chunk()).await?;
        if chunks.is_empty() {
            self.body.add_missing();
        }
        for (checksum, data) in chunks {
            self.body.add(checksum, data);
        }
        Ok(())
    }
}

impl BodyReader for MongoReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.body.wants_more() {
            self.fetch().await?;
        }
        self.body.pop()
    }
}
