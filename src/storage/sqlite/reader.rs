//! Reading a body, chunk by chunk.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::params;

use super::chunks::Chunk;
use super::error::Fault;
use super::handle::Handle;
use super::layout::{body_number, hash};
use super::{remove, rows};
use crate::entry::{EntryId, StoredHead};
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

/// Reads one body from a [`SqliteStorage`](super::SqliteStorage).
#[derive(Debug)]
pub struct SqliteReader {
    handle: Arc<Handle>,
    hash: i64,
    id: EntryId,
    body: i64,
    /// Chunks that were read already.
    ready: VecDeque<Bytes>,
    /// The next chunk, and how many bytes are still to come after what is ready.
    seq: i64,
    left: u64,
}

/// What is found where a body should be.
enum Opened {
    Inline(Bytes),
    Chunked(Bytes),
}

impl SqliteReader {
    const ACTION: &str = "reading a body from";

    pub(super) async fn open(handle: Arc<Handle>, head: &StoredHead) -> Result<Self, StorageError> {
        let body = body_number(head);
        // First, so that the chunks stay from here on.
        handle.state.bodies.begin_reading(body);
        let (hash, id, left) = (hash(&head.key), head.id, head.body_len());
        let mut reader = Self { handle, hash, id, body, ready: VecDeque::new(), seq: 0, left };
        let head = head.clone();
        let opened = reader.handle.pool.quick(move |connection| locate(connection, &head)).await;
        match opened.map_err(|fault| reader.failed(fault))? {
            Opened::Inline(body) => {
                reader.left = 0;
                reader.ready.extend((!body.is_empty()).then_some(body));
            }
            Opened::Chunked(first) => reader.accept(first)?,
        }
        Ok(reader)
    }

    /// Takes the next chunk, which must not be more than the head promised.
    fn accept(&mut self, chunk: Bytes) -> Result<(), StorageError> {
        match self.left.checked_sub(chunk.len() as u64) {
            Some(left) if !chunk.is_empty() => {
                self.seq += 1;
                self.left = left;
                self.ready.push_back(chunk);
                Ok(())
            }
            _ => {
                let detail = "the body has not the length of its head";
                Err(self.failed(Fault::new(StorageErrorKind::Corrupt, detail)))
            }
        }
    }

    /// The error of a read. The entry of an incomplete body is removed.
    fn failed(&self, fault: Fault) -> StorageError {
        let incomplete = matches!(fault.kind, StorageErrorKind::Corrupt | StorageErrorKind::Missing);
        if incomplete
            && !fault.is_damage()
            && let Ok(queue) = self.handle.queue(Self::ACTION)
        {
            let (hash, id) = (self.hash, self.id);
            queue.nudge(move |session| remove::discard(session.connection, hash, id));
        }
        self.handle.error(fault, Self::ACTION)
    }
}

impl BodyReader for SqliteReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.ready.is_empty() && self.left > 0 {
            let (body, seq) = (self.body, self.seq);
            let read = move |connection: &Connection| {
                Chunk::read(connection, body, seq)?.ok_or_else(|| missing("a chunk of the body is gone"))
            };
            let chunk = self.handle.pool.quick(read).await;
            let chunk = chunk.map_err(|fault| self.failed(fault))?;
            self.accept(chunk)?;
        }
        Ok(self.ready.pop_front())
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        if self.handle.state.bodies.end_reading(self.body)
            && let Ok(queue) = self.handle.queue(Self::ACTION)
        {
            // The thread reclaims after every batch, an empty one too.
            queue.nudge(|_| Ok(()));
        }
    }
}

/// Finds the body of a head that is still stored; of one in chunks the first.
fn locate(connection: &Connection, head: &StoredHead) -> Result<Opened, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT chunked, body FROM responses WHERE hash = ?1 AND id = ?2
         UNION ALL SELECT NULL, body FROM redirects WHERE hash = ?1 AND id = ?2",
    )?;
    let mut rows = statement.query(params![hash(&head.key), head.id.bits().to_be_bytes()])?;
    let Some(row) = rows.next()? else { return Err(missing("the body is gone")) };
    match row.get::<_, Option<i64>>(0)? {
        None => rows::inline(row, 1, head)
            .map(Opened::Inline)
            .ok_or_else(|| Fault::new(StorageErrorKind::Corrupt, "the body is not what was written")),
        Some(body) => {
            Chunk::read(connection, body, 0)?.map(Opened::Chunked).ok_or_else(|| missing("the body is gone"))
        }
    }
}

fn missing(detail: &str) -> Fault {
    Fault::new(StorageErrorKind::Missing, detail)
}
