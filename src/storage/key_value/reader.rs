//! A body out: every chunk is verified.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::byte_store::{ByteStore, Space};
use super::layout::{Variant, chunk_name};
use super::shared::Shared;
use crate::entry::{EntryId, StoredBody, StoredHead};
use crate::storage::kit::Verified;
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

pub(super) async fn open<T: ByteStore>(
    shared: &Arc<Shared<T>>,
    head: &StoredHead,
) -> Result<KeyValueReader<T>, StorageError> {
    let key = head.key.hex_digest();
    for variant in shared.record(&key).await?.variants {
        let Some(stored) = variant.response(&head.key) else { continue };
        if stored.head.id != head.id {
            continue;
        }
        let mut body = Verified::new(shared.store.name(), &stored.head);
        if let StoredBody::Inline(bytes) = stored.body {
            body.add_inline(bytes);
        }
        let started = if let Variant::Streamed { started, .. } = variant { started } else { 0 };
        return Ok(KeyValueReader { shared: Arc::clone(shared), key, started, id: head.id, body });
    }
    Err(shared.error(StorageErrorKind::Missing, format!("opening body {}", head.id)))
}

/// Reads one body in chunks.
pub struct KeyValueReader<T: ByteStore> {
    shared: Arc<Shared<T>>,
    key: String,
    started: u64,
    id: EntryId,
    body: Verified,
}

impl<T: ByteStore> BodyReader for KeyValueReader<T> {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.body.wants_more() {
            let name = chunk_name(&self.key, self.started, self.id, self.body.next_chunk());
            match self.shared.store.get(Space::Bodies, &name).await? {
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
