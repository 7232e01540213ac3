//! A body in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::NAME;
use super::chunks::Gathered;
use super::shared::Shared;
use super::size::own_head;
use crate::entry::{BodyEnd, StoredHead};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

pub(super) fn begin(
    shared: &Arc<Shared>,
    head: StoredHead,
    fence: Fence,
) -> Result<MemoryWriter, StorageError> {
    let announced = head.body.map(|body| body.len);
    if announced.is_some_and(|len| len > shared.options.max_body) {
        return Err(shared.too_large());
    }
    let body = Gathered::new(announced);
    Ok(MemoryWriter { shared: Arc::clone(shared), head: Some(head), fence, body })
}

/// Writes one body into memory.
pub struct MemoryWriter {
    shared: Arc<Shared>,
    /// Taken when it is published.
    head: Option<StoredHead>,
    fence: Fence,
    body: Gathered,
}

impl fmt::Debug for MemoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWriter").field("written", &self.body.len()).finish_non_exhaustive()
    }
}

impl BodyWriter for MemoryWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let more = data.len() as u64;
        if self.body.len().saturating_add(more) > self.shared.options.max_body {
            return Err(self.shared.too_large());
        }
        if !self.shared.in_flight.reserve(more) {
            let action = "writing a body while others being written take all the room";
            return Err(StorageError::new(StorageErrorKind::Full, NAME, action));
        }
        self.body.push(data);
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let Some(mut head) = self.head.take() else { return Ok(Published::Superseded) };
        let (summary, body) = self.body.finish();
        head.finish(summary, end);
        own_head(&mut head);
        self.shared.publish(head, body, self.fence)
    }

    async fn abort(self) {}
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.shared.in_flight.release(self.body.len());
    }
}
