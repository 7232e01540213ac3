//! Large bodies as chunks: each a value of its own, its checksum before its bytes.
//!
//! Chunks are written with an expiry just beyond the fill window and get that of their head once it is published, so
//! that nothing of a dead writer stays.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use redis::Value;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64_with_seed};

use super::call::{Call, Calls};
use super::error::error;
use super::fence::Permit;
use super::link::{Lane, array, bytes};
use super::marks::Marks;
use super::names::Names;
use super::record::{FOREVER, Meta, Record, measured};
use super::{Inner, scripts};
use crate::entry::{BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, codec};
use crate::storage::{BodyReader, BodyWriter, Fence, Published, StorageError, StorageErrorKind};

const CHECKSUM: usize = size_of::<u64>();
/// Chunks asked for in one round trip.
const AHEAD: u64 = 4;
/// Commands in one pipeline.
const BATCH: u64 = 512;
/// How long readers of a replaced body may go on.
const GRACE_SECONDS: u64 = 60;

/// A chunk is not mistaken for another one, nor for one of another body.
fn checksum(id: EntryId, number: u64, data: &[u8]) -> u64 {
    xxh3_64_with_seed(data, (id.bits() as u64).wrapping_add(number))
}

/// What becomes of chunks whose head is gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Now,
    /// Their readers may finish.
    Soon,
}

/// Whether one of these commands found what it is about.
fn any_found(replies: &[Value]) -> bool {
    replies.iter().any(|reply| matches!(reply, Value::Int(found) if *found > 0))
}

impl Inner {
    /// Lets go of the chunks of these bodies. What cannot be removed now is left to maintenance, and so is what stands
    /// behind many that are gone: how many there are is not believed, as somebody else may have written it.
    pub(super) async fn end_chunks(&self, record: &str, bodies: impl IntoIterator<Item = Meta>, end: End) {
        for meta in bodies {
            for first in (0..meta.chunks).step_by(BATCH as usize) {
                let names = (first..meta.chunks.min(first + BATCH))
                    .map(|number| Names::chunk(record, meta.id, number));
                let calls: Calls = match end {
                    End::Now => {
                        let mut cmd = redis::cmd("UNLINK");
                        cmd.arg(names.collect::<Vec<_>>());
                        [cmd].into()
                    }
                    End::Soon => names
                        .map(|name| {
                            let mut cmd = redis::cmd("EXPIRE");
                            cmd.arg(name).arg(GRACE_SECONDS);
                            cmd
                        })
                        .collect(),
                };
                match self.ask_all("removing a body", Lane::Bodies, false, calls).await {
                    Ok(replies) if any_found(&replies) => {}
                    Ok(_) => break,
                    Err(_) => return,
                }
            }
        }
    }

    /// Gives a body's chunks the expiry of their head.
    pub(super) async fn keep_chunks(
        &self,
        record: &str,
        id: EntryId,
        chunks: u64,
        usable_until: i64,
    ) -> Result<(), StorageError> {
        let margin = self.options.margin();
        for first in (0..chunks).step_by(BATCH as usize) {
            let calls: Calls = (first..chunks.min(first + BATCH))
                .map(|number| {
                    let name = Names::chunk(record, id, number);
                    if margin < 0 || usable_until >= FOREVER {
                        let mut cmd = redis::cmd("PERSIST");
                        cmd.arg(name);
                        return cmd;
                    }
                    let mut cmd = redis::cmd("PEXPIREAT");
                    cmd.arg(name).arg(usable_until.saturating_add(margin));
                    cmd
                })
                .collect();
            let replies = self.ask_all("keeping a body", Lane::Bodies, false, calls).await?;
            // Here too the count is not believed: where nothing is, nothing follows.
            if !any_found(&replies) {
                break;
            }
        }
        Ok(())
    }

    fn too_large(&self) -> StorageError {
        let limit = self.options.max_body;
        error(StorageErrorKind::TooLarge, format!("storing a body of more than {limit} bytes"))
    }
}

pub(super) async fn begin(
    inner: &Arc<Inner>,
    mut head: StoredHead,
    fence: Fence,
) -> Result<RedisWriter, StorageError> {
    if head.body.is_some_and(|body| body.len > inner.options.max_body) {
        return Err(inner.too_large());
    }
    let record = inner.names.record(&head.key);
    let permit = inner.permit(&record, fence).await?;
    if let Some(permit) = &permit {
        head.as_of = permit.as_of(&head);
    }
    Ok(RedisWriter {
        inner: Arc::clone(inner),
        record,
        head,
        permit,
        chunk: BytesMut::new(),
        written: 0,
        len: 0,
        hasher: Xxh3Default::new(),
    })
}

/// Writes one body.
pub struct RedisWriter {
    inner: Arc<Inner>,
    record: String,
    head: StoredHead,
    /// `None` when something was removed since the lookup: then nothing is written any more.
    permit: Option<Permit>,
    /// What is not yet a chunk, behind room for its checksum.
    chunk: BytesMut,
    /// Chunks that were written and are not published.
    written: u64,
    len: u64,
    hasher: Xxh3Default,
}

impl fmt::Debug for RedisWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWriter")
            .field("id", &self.head.id)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl RedisWriter {
    async fn write_chunk(&mut self) -> Result<(), StorageError> {
        let mut value = std::mem::take(&mut self.chunk);
        let (id, number) = (self.head.id, self.written);
        if let Some((room, data)) = value.split_first_chunk_mut::<CHECKSUM>() {
            *room = checksum(id, number, data).to_le_bytes();
        }
        // Before it is sent: what arrives although the reply does not is taken back too.
        self.written += 1;
        let mut cmd = redis::cmd("SET");
        let kept = self.inner.options.fill_window + Duration::from_secs(60);
        cmd.arg(Names::chunk(&self.record, id, number)).arg(&value[..]).arg("PX");
        cmd.arg(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX / 4));
        self.inner.ask("writing a body", Lane::Bodies, false, cmd).await?;
        Ok(())
    }

    fn written_chunks(&self) -> Meta {
        Meta { generation: 0, id: self.head.id, variant: 0, usable_until: 0, chunks: self.written, bytes: 0 }
    }

    async fn take_back(&mut self) {
        let meta = self.written_chunks();
        self.inner.end_chunks(&self.record, [meta], End::Now).await;
        self.written = 0;
    }

    async fn complete(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let Some(permit) = self.permit.take().filter(Permit::in_time) else {
            return Ok(Published::Superseded);
        };
        let inner = Arc::clone(&self.inner);
        let body = BodySummary { len: self.len, checksum: self.hasher.digest() };
        let mut head = self.head.clone();
        head.finish(body, end);
        let inline = self.written == 0 && self.chunk.len() <= inner.options.inline.saturating_add(CHECKSUM);
        if !inline && self.chunk.len() > CHECKSUM {
            self.write_chunk().await?;
        }
        let encoded = codec::encode(&head);
        if encoded.len() > codec::MAX_HEAD_LEN {
            return Err(error(StorageErrorKind::TooLarge, "storing a head over the limit"));
        }
        let meta = Meta::new(permit.marks.responses, &head, encoded.len(), self.written);
        let body = self.chunk.get(CHECKSUM..).filter(|_| inline).unwrap_or_default();
        let value = [meta.encode().as_bytes(), &measured(&encoded), body].concat();
        let displaced = inner.publish(&self.record, &permit, meta.id, &value).await?;
        let Some(displaced) = displaced else { return Ok(Published::Superseded) };
        if let Err(failed) = inner.keep_chunks(&self.record, meta.id, meta.chunks, meta.usable_until).await {
            // Its body would not last as long as the head.
            inner.remove_entry(&self.record, meta.id).await?;
            return Err(failed);
        }
        self.written = 0;
        inner.end_chunks(&self.record, displaced, End::Soon).await;
        Ok(Published::Stored)
    }
}

impl BodyWriter for RedisWriter {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        if self.len.saturating_add(data.len() as u64) > self.inner.options.max_body {
            return Err(self.inner.too_large());
        }
        if self.permit.is_none() {
            return Ok(());
        }
        self.hasher.update(&data);
        let full = self.inner.options.chunk.max(self.inner.options.inline.min(super::MAX_INLINE)) + CHECKSUM;
        while data.has_remaining() {
            if self.chunk.is_empty() {
                self.chunk.put_bytes(0, CHECKSUM);
            }
            let part = data.split_to(data.len().min(full - self.chunk.len()));
            self.chunk.extend_from_slice(&part);
            self.len += part.len() as u64;
            if self.chunk.len() == full {
                self.write_chunk().await?;
            }
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let published = self.complete(end).await;
        match published {
            Ok(Published::Superseded) => self.take_back().await,
            // It is not known whether the head was stored, so the body must stay for now.
            Err(_) => self.written = 0,
            Ok(Published::Stored) => {}
        }
        published
    }

    async fn abort(mut self) {
        self.take_back().await;
    }
}

impl Drop for RedisWriter {
    fn drop(&mut self) {
        if self.written == 0 {
            return;
        }
        let (inner, record, meta) = (Arc::clone(&self.inner), self.record.clone(), self.written_chunks());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { inner.end_chunks(&record, [meta], End::Now).await });
        }
    }
}

pub(super) async fn open(inner: &Arc<Inner>, head: &StoredHead) -> Result<RedisReader, StorageError> {
    let record = inner.names.record(&head.key);
    let rest = head.body_len();
    let mut reader =
        RedisReader { inner: Arc::clone(inner), record, id: head.id, next: 0, rest, ready: VecDeque::new() };
    if rest == 0 {
        return Ok(reader);
    }
    match reader.fetch().await {
        Err(missing) if missing.kind() == StorageErrorKind::Missing => {
            let Some(body) = inner.inline_body(&reader.record, head).await? else { return Err(missing) };
            reader.ready = VecDeque::from([body]);
            Ok(reader)
        }
        fetched => fetched.map(|()| reader),
    }
}

impl Inner {
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

    async fn publish(
        &self,
        record: &str,
        permit: &Permit,
        id: EntryId,
        value: &[u8],
    ) -> Result<Option<Vec<Meta>>, StorageError> {
        let script = Call::script(
            &scripts::PUBLISH,
            &[record],
            &[
                &permit.fence,
                &permit.token,
                value,
                self.options.max_variants.to_string().as_bytes(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("publishing", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let displaced = match replies.next() {
            Some(Value::Array(metas)) => metas,
            _ => return Ok(None),
        };
        if !self.still_in(permit, replies.next(), |marks| marks.responses)? {
            // Nobody can see it; it only takes room.
            self.remove_entry(record, id).await?;
            return Ok(None);
        }
        Ok(Some(displaced.into_iter().filter_map(bytes).filter_map(|meta| Meta::decode(&meta)).collect()))
    }
}

/// Reads one body.
pub struct RedisReader {
    inner: Arc<Inner>,
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
        let count = self.rest.div_ceil(self.inner.options.chunk as u64).clamp(1, AHEAD);
        let mut cmd = redis::cmd("MGET");
        for number in self.next..self.next + count {
            cmd.arg(Names::chunk(&self.record, self.id, number));
        }
        let reply = self.inner.ask("reading a body", Lane::Bodies, true, cmd).await?;
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
