//! Bodies: written chunk by chunk through the writer's queue, read chunk by chunk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot::{self, error::TryRecvError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::Inner;
use super::error::{BACKEND, Fault};
use super::lookup;
use super::publish::{self, Body};
use super::queue::{self, Session};
use super::reclaim::{self, Writing};
use crate::entry::{BodyEnd, BodySummary, EntryId, StoredHead, codec};
use crate::storage::kit::backlog::Queued;
use crate::storage::kit::check_head;
use crate::storage::{BodyReader, BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// Bytes of a body in one row. Reading one takes some tens of microseconds.
pub(super) const CHUNK: usize = 128 << 10;

/// A piece of a body.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    seq: i64,
    data: Bytes,
}

impl Chunk {
    /// Stores the chunk.
    pub(super) fn insert(&self, connection: &Connection, body: i64) -> Result<(), Fault> {
        connection
            .prepare_cached("INSERT INTO chunks (body, seq, checksum, data) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![body, self.seq, checksum(&self.data, body, self.seq), self.data.as_ref()])?;
        Ok(())
    }

    /// Reads and verifies a chunk; `None` when there is none.
    fn read(connection: &Connection, body: i64, seq: i64) -> Result<Option<Bytes>, Fault> {
        let mut statement =
            connection.prepare_cached("SELECT checksum, data FROM chunks WHERE body = ?1 AND seq = ?2")?;
        let found = statement
            .query_row(params![body, seq], |row| {
                let data = Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?);
                Ok((row.get::<_, i64>(0)?, data))
            })
            .optional()?;
        match found {
            Some((sum, data)) if sum != checksum(&data, body, seq) => {
                Err(Fault::new(StorageErrorKind::Corrupt, format!("chunk {seq} is not what was written")))
            }
            found => Ok(found.map(|(_, data)| data)),
        }
    }
}

/// A chunk in another's place is as wrong as a changed one.
fn checksum(data: &[u8], body: i64, seq: i64) -> i64 {
    xxh3_64_with_seed(data, (body ^ seq.rotate_left(32)) as u64) as i64
}

/// Writes one body into a [`SqliteStorage`](super::SqliteStorage).
///
/// Data is accepted without waiting while less than 1 MiB of the body is queued, and a publication always is; a failure
/// shows with the next piece or when the response is published. What was accepted is written even if the
/// runtime ends.
pub struct SqliteWriter {
    inner: Arc<Inner>,
    head: StoredHead,
    fence: Fence,
    /// What is not yet a chunk.
    buffer: Vec<u8>,
    summary: Box<Xxh3>,
    len: u64,
    /// Chunks handed to the writing thread, and the outcomes of those it may not have written yet.
    chunks: i64,
    outcomes: VecDeque<oneshot::Receiver<Result<(), Fault>>>,
    queued: Queued,
    /// Once there are chunks.
    writing: Option<Arc<Writing>>,
    phase: Phase,
}

/// What may still be done with a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Writing,
    /// A piece was refused, failed, or its future was dropped half-way.
    Failed,
    /// Nothing has to be given up any more.
    Done,
}

impl SqliteWriter {
    pub(super) fn begin(inner: Arc<Inner>, head: StoredHead, fence: Fence) -> Result<Self, StorageError> {
        // Asked for what it cannot do, a read-only storage says so before the body comes.
        let queued = inner.writer(Self::ACTION)?.backlog.body();
        let announced = head.body.map(|body| body.len);
        let limit = inner.state.options.body_limit();
        if announced.is_some_and(|announced| announced > limit) {
            return Err(too_large(limit));
        }
        let room = announced.map_or(0, |announced| announced.min(CHUNK as u64) as usize);
        Ok(Self {
            inner,
            head,
            fence,
            buffer: Vec::with_capacity(room),
            summary: Box::default(),
            len: 0,
            chunks: 0,
            outcomes: VecDeque::new(),
            queued,
            writing: None,
            phase: Phase::Writing,
        })
    }

    const ACTION: &str = "storing a response in";

    fn number(&self) -> i64 {
        lookup::body_number(&self.head)
    }

    fn append(&mut self, mut data: &[u8]) -> Result<(), StorageError> {
        while !data.is_empty() {
            if self.buffer.len() == CHUNK {
                self.flush()?;
            }
            let (now, later) = data.split_at(data.len().min(CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            data = later;
        }
        Ok(())
    }

    /// Hands the buffer to the writing thread.
    fn flush(&mut self) -> Result<(), StorageError> {
        let body = self.number();
        let writing = self.writing.get_or_insert_with(|| Writing::new(&self.inner.state, body));
        let writing = Arc::clone(writing);
        let chunk = self.take_chunk();
        let ticket = self.queued.add(chunk.data.len());
        let store = move |session: &Session<'_>| {
            let _until_stored = (&writing, &ticket);
            if !reclaim::record(session, body, chunk.seq == 0)? {
                return Err(publish::given_up());
            }
            chunk.insert(session.connection, body)
        };
        let outcome = self.inner.writer(Self::ACTION)?.submit(store);
        self.outcomes.push_back(outcome.map_err(|fault| self.inner.error(fault, Self::ACTION))?);
        Ok(())
    }

    fn take_chunk(&mut self) -> Chunk {
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let chunk = Chunk { seq: self.chunks, data: data.into() };
        self.chunks += 1;
        chunk
    }

    /// What went wrong with the chunks that the thread is through with.
    fn failure(&mut self) -> Option<StorageError> {
        while let Some(outcome) = self.outcomes.front_mut() {
            let outcome = match outcome.try_recv() {
                Ok(outcome) => outcome,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Closed) => Err(queue::ended()),
            };
            self.outcomes.pop_front();
            if let Err(fault) = outcome {
                return Some(self.inner.error(fault, Self::ACTION));
            }
        }
        None
    }

    /// What is to be given up, if anything was written.
    fn remains(&mut self) -> Option<i64> {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        let written = self.chunks > 0 && phase != Phase::Done;
        written.then(|| self.number())
    }
}

impl fmt::Debug for SqliteWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteWriter")
            .field("id", &self.head.id)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl BodyWriter for SqliteWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        if self.phase != Phase::Writing {
            return Err(failed_before());
        }
        self.phase = Phase::Failed;
        let limit = self.inner.state.options.body_limit();
        let len = self.len.saturating_add(data.len() as u64);
        if len > limit {
            return Err(too_large(limit));
        }
        self.queued.room().await;
        if let Some(error) = self.failure() {
            return Err(error);
        }
        self.summary.update(&data);
        self.append(&data)?;
        self.len = len;
        self.phase = Phase::Writing;
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        if self.phase != Phase::Writing {
            return Err(failed_before());
        }
        let summary = BodySummary { len: self.len, checksum: self.summary.digest() };
        let body = if self.chunks == 0 && self.buffer.len() <= self.inner.state.options.inline {
            Body::Inline(std::mem::take(&mut self.buffer).into())
        } else {
            let written = self.chunks;
            let last = (!self.buffer.is_empty()).then(|| self.take_chunk());
            Body::Chunked { written, last }
        };
        let mut head = self.head.clone();
        head.finish(summary, end);
        check_head(BACKEND, &head)?;
        let head = Arc::new(head);
        let encoded = codec::encode(&head);
        let (fence, writing) = (self.fence, self.writing.clone());
        let work = move |session: &Session<'_>| {
            let _until_stored = &writing;
            publish::publish(session, &head, &encoded, &body, fence)
        };
        let published = match self.inner.writer(Self::ACTION)?.write(work).await {
            Ok(published) => published,
            // That a chunk is missing says less than why.
            Err(fault) => {
                let error = self.inner.error(fault, Self::ACTION);
                return Err(self.failure().unwrap_or(error));
            }
        };
        // From here on the chunks belong to the response, or were given up for it.
        self.phase = Phase::Done;
        Ok(published)
    }

    async fn abort(mut self) {
        if let Some(body) = self.remains()
            && let Ok(writer) = self.inner.writer(Self::ACTION)
        {
            let _ = writer.write(move |session| reclaim::condemn(session.connection, body)).await;
        }
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        // When the future of `publish` was dropped and its job is still queued, this comes after it and finds nothing
        // pending. When the queue is long, `maintain` finds what is left.
        if let Some(body) = self.remains()
            && let Ok(writer) = self.inner.writer(Self::ACTION)
        {
            writer.nudge(move |session| reclaim::condemn(session.connection, body));
        }
    }
}

fn too_large(limit: u64) -> StorageError {
    let message = format!("storing a response: the body is longer than {limit} bytes");
    StorageError::new(StorageErrorKind::TooLarge, BACKEND, message)
}

fn failed_before() -> StorageError {
    StorageError::new(
        StorageErrorKind::Other,
        BACKEND,
        "storing a response: an earlier piece was not written",
    )
}

/// Reads one body from a [`SqliteStorage`](super::SqliteStorage).
#[derive(Debug)]
pub struct SqliteReader {
    inner: Arc<Inner>,
    hash: i64,
    id: EntryId,
    body: i64,
    /// Pieces read already.
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

    pub(super) async fn open(inner: Arc<Inner>, head: &StoredHead) -> Result<Self, StorageError> {
        let body = lookup::body_number(head);
        // First, so that the chunks stay from here on.
        inner.state.bodies.begin_reading(body);
        let (hash, id, left) = (lookup::hash(&head.key), head.id, head.body_len());
        let mut reader = Self { inner, hash, id, body, ready: VecDeque::new(), seq: 0, left };
        let head = head.clone();
        let opened = reader.inner.readers.quick(move |connection| locate(connection, &head)).await;
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

    /// The error of a read. A body that is not whole is of no use to anybody: its entry goes.
    fn failed(&self, fault: Fault) -> StorageError {
        let incomplete = matches!(fault.kind, StorageErrorKind::Corrupt | StorageErrorKind::Missing);
        if incomplete
            && !fault.is_damage()
            && let Ok(writer) = self.inner.writer(Self::ACTION)
        {
            let (hash, id) = (self.hash, self.id);
            writer.nudge(move |session| publish::discard(session.connection, hash, id));
        }
        self.inner.error(fault, Self::ACTION)
    }
}

impl BodyReader for SqliteReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.ready.is_empty() && self.left > 0 {
            let (body, seq) = (self.body, self.seq);
            let read = move |connection: &Connection| {
                Chunk::read(connection, body, seq)?.ok_or_else(|| missing("a part of the body is gone"))
            };
            let chunk = self.inner.readers.quick(read).await;
            let chunk = chunk.map_err(|fault| self.failed(fault))?;
            self.accept(chunk)?;
        }
        Ok(self.ready.pop_front())
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        if self.inner.state.bodies.end_reading(self.body)
            && let Ok(writer) = self.inner.writer(Self::ACTION)
        {
            // The thread reclaims after every batch, an empty one too.
            writer.nudge(|_| Ok(()));
        }
    }
}

/// Finds the body of a head that is still stored; of one in chunks the first.
fn locate(connection: &Connection, head: &StoredHead) -> Result<Opened, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT chunked, body FROM responses WHERE hash = ?1 AND id = ?2
         UNION ALL SELECT NULL, body FROM redirects WHERE hash = ?1 AND id = ?2",
    )?;
    let mut rows = statement.query(params![lookup::hash(&head.key), head.id.bits().to_be_bytes()])?;
    let Some(row) = rows.next()? else { return Err(missing("the body is gone")) };
    match row.get::<_, Option<i64>>(0)? {
        None => lookup::inline(row, 1, head)
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
