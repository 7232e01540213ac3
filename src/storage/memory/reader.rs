//! A body out, chunk by chunk.

use bytes::Bytes;

use super::NAME;
use super::shared::Shared;
use crate::entry::{StoredBody, StoredHead};
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

pub(super) fn open(shared: &Shared, head: &StoredHead) -> Result<MemoryReader, StorageError> {
    let slot = shared.map.peek(head.key.hash128(), &head.key);
    let response = slot.as_ref().and_then(|slot| slot.response(head.id)).ok_or_else(|| {
        StorageError::new(StorageErrorKind::Missing, NAME, format!("opening body {}", head.id))
    })?;
    Ok(MemoryReader { body: response.body.clone(), next: 0 })
}

/// Hands out one body's chunks.
#[derive(Debug)]
pub struct MemoryReader {
    body: StoredBody,
    /// The number of the next chunk.
    next: usize,
}

impl BodyReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let chunks = match &self.body {
            StoredBody::Inline(bytes) => std::slice::from_ref(bytes),
            StoredBody::Shared(chunks) => chunks,
            StoredBody::Streamed => &[],
        };
        let Some(chunk) = chunks.get(self.next).filter(|chunk| !chunk.is_empty()) else { return Ok(None) };
        self.next += 1;
        Ok(Some(chunk.clone()))
    }
}
