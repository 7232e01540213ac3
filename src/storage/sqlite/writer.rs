//! A body in: written chunk by chunk through the queue.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};
use xxhash_rust::xxh3::Xxh3;

use super::bodies::Writing;
use super::chunks::{CHUNK, Chunk};
use super::error::{Fault, NAME};
use super::handle::Handle;
use super::layout::body_number;
use super::publish::{self, Body};
use super::session::Session;
use super::{queue, reclaim};
use crate::entry::{BodyEnd, BodySummary, StoredHead, codec};
use crate::storage::kit::backlog::Queued;
use crate::storage::kit::check_head;
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// Writes one body into a [`SqliteStorage`](super::SqliteStorage).
///
/// Data is accepted without waiting while less than 1 MiB of the body is queued, and a publication always is; a failure
/// shows with the next chunk or when the response is published. What was accepted is written even if the
/// runtime ends.
pub struct SqliteWriter {
    handle: Arc<Handle>,
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
    /// A chunk was refused, failed, or its future was dropped half-way.
    Failed,
    /// Nothing has to be given up any more.
    Done,
}

impl SqliteWriter {
    pub(super) fn begin(handle: Arc<Handle>, head: StoredHead, fence: Fence) -> Result<Self, StorageError> {
        // Asked for what it cannot do, a read-only storage says so before the body comes.
        let queued = handle.queue(Self::ACTION)?.backlog.body();
        let announced = head.body.map(|body| body.len);
        let limit = handle.state.options.body_limit();
        if announced.is_some_and(|announced| announced > limit) {
            return Err(too_large(limit));
        }
        let room = announced.map_or(0, |announced| announced.min(CHUNK as u64) as usize);
        Ok(Self {
            handle,
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
        body_number(&self.head)
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
        let writing = self.writing.get_or_insert_with(|| Writing::new(&self.handle.state.bodies, body));
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
        let outcome = self.handle.queue(Self::ACTION)?.submit(store);
        self.outcomes.push_back(outcome.map_err(|fault| self.handle.error(fault, Self::ACTION))?);
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
                return Some(self.handle.error(fault, Self::ACTION));
            }
        }
        None
    }

    /// What to give up, if anything was written.
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
        let limit = self.handle.state.options.body_limit();
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
        let body = if self.chunks == 0 && self.buffer.len() <= self.handle.state.options.inline_threshold {
            Body::Inline(std::mem::take(&mut self.buffer).into())
        } else {
            let written = self.chunks;
            let last = (!self.buffer.is_empty()).then(|| self.take_chunk());
            Body::Chunked { written, last }
        };
        let mut head = self.head.clone();
        head.finish(summary, end);
        check_head(NAME, &head)?;
        let head = Arc::new(head);
        let encoded = codec::encode(&head);
        let (fence, writing) = (self.fence, self.writing.clone());
        let work = move |session: &Session<'_>| {
            let _until_stored = &writing;
            publish::publish(session, &head, &encoded, &body, fence)
        };
        let published = match self.handle.queue(Self::ACTION)?.write(work).await {
            Ok(published) => published,
            // That a chunk is missing says less than why.
            Err(fault) => {
                let error = self.handle.error(fault, Self::ACTION);
                return Err(self.failure().unwrap_or(error));
            }
        };
        // From here on the chunks belong to the response, or were given up for it.
        self.phase = Phase::Done;
        Ok(published)
    }

    async fn abort(mut self) {
        if let Some(body) = self.remains()
            && let Ok(queue) = self.handle.queue(Self::ACTION)
        {
            let _ = queue.write(move |session| reclaim::condemn(session.connection, body)).await;
        }
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        // When the future of `publish` was dropped and its job is still queued, this comes after it and finds nothing
        // pending. When the queue is long, `maintain` finds what is left.
        if let Some(body) = self.remains()
            && let Ok(queue) = self.handle.queue(Self::ACTION)
        {
            queue.nudge(move |session| reclaim::condemn(session.connection, body));
        }
    }
}

fn too_large(limit: u64) -> StorageError {
    let message = format!("storing a response: the body is longer than {limit} bytes");
    StorageError::new(StorageErrorKind::TooLarge, NAME, message)
}

fn failed_before() -> StorageError {
    StorageError::new(StorageErrorKind::Other, NAME, "storing a response: an earlier chunk was not written")
}
