//! A body in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use super::Shared;
use super::chunks::{CHECKSUM, End, checksum};
use super::error::error;
use super::fence::Permit;
use super::layout::{Meta, Names, measured};
use super::managers::Lane;
use crate::entry::{BodyEnd, BodySummary, StoredHead, codec};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

pub(super) async fn begin(
    shared: &Arc<Shared>,
    mut head: StoredHead,
    fence: Fence,
) -> Result<RedisWriter, StorageError> {
    if head.body.is_some_and(|body| body.len > shared.options.max_body) {
        return Err(shared.too_large());
    }
    let record = shared.names.record(&head.key);
    let permit = shared.permit(&record, fence).await?;
    if let Some(permit) = &permit {
        head.as_of = permit.as_of(&head);
    }
    Ok(RedisWriter {
        shared: Arc::clone(shared),
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
    shared: Arc<Shared>,
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
        let kept = self.shared.options.fill_window + Duration::from_secs(60);
        cmd.arg(Names::chunk(&self.record, id, number)).arg(&value[..]).arg("PX");
        cmd.arg(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX / 4));
        self.shared.ask("writing a body", Lane::Bodies, false, cmd).await?;
        Ok(())
    }

    fn written_chunks(&self) -> Meta {
        Meta { generation: 0, id: self.head.id, variant: 0, usable_until: 0, chunks: self.written, bytes: 0 }
    }

    async fn take_back(&mut self) {
        let meta = self.written_chunks();
        self.shared.end_chunks(&self.record, [meta], End::Now).await;
        self.written = 0;
    }

    async fn complete(&mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let Some(permit) = self.permit.take().filter(Permit::in_time) else {
            return Ok(Published::Superseded);
        };
        let shared = Arc::clone(&self.shared);
        let body = BodySummary { len: self.len, checksum: self.hasher.digest() };
        let mut head = self.head.clone();
        head.finish(body, end);
        let inline =
            self.written == 0 && self.chunk.len() <= shared.options.inline_threshold.saturating_add(CHECKSUM);
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
        let displaced = shared.publish(&self.record, &permit, meta.id, &value).await?;
        let Some(displaced) = displaced else { return Ok(Published::Superseded) };
        if let Err(failed) = shared.keep_chunks(&self.record, meta.id, meta.chunks, meta.usable_until).await {
            // Its body would not last as long as the head.
            shared.remove_entry(&self.record, meta.id).await?;
            return Err(failed);
        }
        self.written = 0;
        shared.end_chunks(&self.record, displaced, End::Soon).await;
        Ok(Published::Stored)
    }
}

impl BodyWriter for RedisWriter {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        if self.len.saturating_add(data.len() as u64) > self.shared.options.max_body {
            return Err(self.shared.too_large());
        }
        if self.permit.is_none() {
            return Ok(());
        }
        self.hasher.update(&data);
        let full = self.shared.options.chunk_size.max(self.shared.options.inline_threshold) + CHECKSUM;
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
        let (shared, record, meta) = (Arc::clone(&self.shared), self.record.clone(), self.written_chunks());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { shared.end_chunks(&record, [meta], End::Now).await });
        }
    }
}

impl Shared {
    fn too_large(&self) -> StorageError {
        let limit = self.options.max_body;
        error(StorageErrorKind::TooLarge, format!("storing a body of more than {limit} bytes"))
    }
}
