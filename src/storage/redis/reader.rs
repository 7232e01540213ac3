//! A body out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::Shared;
use super::chunks::checksum;
use super::error::error;
use super::layout::{Names, Record};
use super::link::{array, bytes};
use super::managers::Lane;
use crate::entry::{EntryId, StoredBody, StoredHead};
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

/// Chunks asked for in one round trip.
const AHEAD: u64 = 4;

pub(super) async fn open(shared: &Arc<Shared>, head: &StoredHead) -> Result<RedisReader, StorageError> {
    let record = shared.names.record(&head.key);
    let rest = head.body_len();
    let mut reader = RedisReader {
        shared: Arc::clone(shared),
        record,
        id: head.id,
        next: 0,
        rest,
        ready: VecDeque::new(),
    };
    if rest == 0 {
        return Ok(reader);
    }
    match reader.fetch().await {
        Err(missing) if missing.kind() == StorageErrorKind::Missing => {
            let Some(body) = shared.inline_body(&reader.record, head).await? else { return Err(missing) };
            reader.ready = VecDeque::from([body]);
            Ok(reader)
        }
        fetched => fetched.map(|()| reader),
    }
}

impl Shared {
    async fn inline_body(&self, record: &str, head: &StoredHead) -> Result<Option<Bytes>, StorageError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(record);
        let found = Record::from_reply(self.ask("opening a body", Lane::Heads, true, cmd).await?);
        let of_id = found.variants.iter().filter(|variant| variant.meta.id == head.id);
        Ok(of_id.filter_map(|variant| variant.response(&head.key).ok()).find_map(
            |(stored, body)| match body {
                StoredBody::Inline(bytes) if stored.body == head.body => Some(bytes),
                _ => None,
            },
        ))
    }
}

/// Reads one body.
pub struct RedisReader {
    shared: Arc<Shared>,
    record: String,
    id: EntryId,
    /// The next chunk to be asked for.
    next: u64,
    /// Bytes not yet handed out.
    rest: u64,
    ready: VecDeque<Bytes>,
}

impl fmt::Debug for RedisReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReader").field("id", &self.id).field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl RedisReader {
    /// Asks for some more chunks; there is at least one afterwards.
    async fn fetch(&mut self) -> Result<(), StorageError> {
        let count = self.rest.div_ceil(self.shared.options.chunk_size as u64).clamp(1, AHEAD);
        let mut cmd = redis::cmd("MGET");
        for number in self.next..self.next + count {
            cmd.arg(Names::chunk(&self.record, self.id, number));
        }
        let reply = self.shared.ask("reading a body", Lane::Bodies, true, cmd).await?;
        let mut rest = self.rest;
        for value in array(reply) {
            let Some(value) = bytes(value) else { break };
            let mut value = Bytes::from(value);
            let number = self.next;
            let whole = value.try_get_u64_le().is_ok_and(|sum| sum == checksum(self.id, number, &value));
            match rest.checked_sub(value.len() as u64).filter(|_| whole && !value.is_empty()) {
                Some(left) => rest = left,
                // What was right before it can still be handed out.
                None if !self.ready.is_empty() => break,
                None => return Err(error(StorageErrorKind::Corrupt, self.action())),
            }
            self.next += 1;
            self.ready.push_back(value);
            if rest == 0 {
                break;
            }
        }
        if self.ready.is_empty() {
            return Err(error(StorageErrorKind::Missing, self.action()));
        }
        Ok(())
    }

    fn action(&self) -> String {
        format!("reading chunk {} of body {}", self.next, self.id)
    }
}

impl BodyReader for RedisReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.rest == 0 {
            return Ok(None);
        }
        if self.ready.is_empty() {
            self.fetch().await?;
        }
        let piece = self.ready.pop_front();
        self.rest = self.rest.saturating_sub(piece.as_ref().map_or(0, |piece| piece.len() as u64));
        Ok(piece)
    }
}
