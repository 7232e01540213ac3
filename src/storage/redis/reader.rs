//! A body out, some chunks at a time, each verified.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::error::NAME;
use super::layout::{Names, Record};
use super::link::{array, bytes};
use super::managers::Lane;
use crate::entry::{EntryId, StoredBody, StoredHead};
use crate::storage::kit::Verified;
use crate::storage::{BodyReader, StorageError};

/// Chunks asked for in one round trip.
const AHEAD: u64 = 4;

/// Reads the first chunks as well, so that a body that is gone is known before anything is answered.
pub(super) async fn open(shared: &Arc<Shared>, head: &StoredHead) -> Result<RedisReader, StorageError> {
    let mut reader = RedisReader {
        shared: Arc::clone(shared),
        record: shared.names.record(&head.key),
        id: head.id,
        body: Verified::new(NAME, head),
    };
    if head.body_len() == 0 {
        return Ok(reader);
    }
    reader.fetch().await?;
    if reader.body.is_missing()
        && let Some(body) = shared.inline_body(&reader.record, head).await?
    {
        reader.body.add_inline(body);
    }
    reader.body = reader.body.opened()?;
    Ok(reader)
}

impl Shared {
    async fn inline_body(&self, record: &str, head: &StoredHead) -> Result<Option<Bytes>, StorageError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(record);
        let found = Record::from_reply(self.ask("opening a body", Lane::Heads, true, cmd).await?);
        let of_id = found.variants.iter().filter(|variant| variant.meta.id == head.id);
        Ok(of_id.filter_map(|variant| variant.response(&head.key).found()).find_map(|stored| {
            match stored.body {
                StoredBody::Inline(bytes) if stored.head.body == head.body => Some(bytes),
                _ => None,
            }
        }))
    }
}

/// Reads one body of a [`RedisStorage`](super::RedisStorage).
pub struct RedisReader {
    shared: Arc<Shared>,
    record: String,
    id: EntryId,
    body: Verified,
}

impl fmt::Debug for RedisReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReader").field("body", &self.body).finish_non_exhaustive()
    }
}

impl RedisReader {
    async fn fetch(&mut self) -> Result<(), StorageError> {
        let first = self.body.next_chunk();
        let count = self.body.unread().div_ceil(self.shared.options.chunk_size as u64).clamp(1, AHEAD);
        let mut cmd = redis::cmd("MGET");
        for number in first..first + count {
            cmd.arg(Names::chunk(&self.record, self.id, number));
        }
        let reply = self.shared.ask("reading a body", Lane::Bodies, true, cmd).await?;
        for value in array(reply).into_iter().map_while(bytes) {
            self.body.add_framed(Bytes::from(value));
        }
        if self.body.wants_more() {
            self.body.add_missing();
        }
        Ok(())
    }
}

impl BodyReader for RedisReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.body.wants_more() {
            self.fetch().await?;
        }
        self.body.pop()
    }
}
