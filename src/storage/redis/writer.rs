//! A body in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Shared;
use super::chunks::End;
use super::error::{NAME, error};
use super::fence::Permit;
use super::layout::{Meta, Names, measured};
use super::managers::Lane;
use crate::entry::{BodyEnd, StoredHead, codec};
use crate::storage::kit::{Body, Chunk, Cutter, Rest, Sizes, settle};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

/// Starts to write a body, unless it is announced as too long.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    mut head: StoredHead,
    fence: Fence,
) -> Result<RedisWriter, StorageError> {
    let options = &shared.options;
    let sizes =
        Sizes { inline: options.inline_threshold, chunk: options.chunk_size, max_body: options.max_body };
    let cutter = Cutter::begin(NAME, &head, sizes)?;
    let record = shared.names.record(&head.key);
    let permit = shared.permit(&record, fence).await?;
    if let Some(permit) = &permit {
        head.as_of = permit.as_of(&head);
    }
    Ok(RedisWriter { shared: Arc::clone(shared), record, head, permit, cutter, written: 0 })
}

/// Writes one body into a [`RedisStorage`](super::RedisStorage).
pub struct RedisWriter {
    shared: Arc<Shared>,
    record: String,
    head: StoredHead,
    /// `None` when something was removed since the lookup: then nothing is written any more.
    permit: Option<Permit>,
    cutter: Cutter,
    /// Chunks that were written and are not published.
    written: u64,
}

impl fmt::Debug for RedisWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWriter")
            .field("id", &self.head.id)
            .field("len", &self.cutter.len())
            .finish_non_exhaustive()
    }
}

impl RedisWriter {
    async fn write_chunk(&mut self, chunk: &Chunk) -> Result<(), StorageError> {
        // Before it is sent: what arrives although the reply does not is taken back too.
        self.written = chunk.number + 1;
        let mut cmd = redis::cmd("SET");
        let kept = self.shared.options.fill_window + Duration::from_secs(60);
        cmd.arg(Names::chunk(&self.record, self.head.id, chunk.number)).arg(&chunk.framed()[..]).arg("PX");
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
        let (summary, rest) = self.cutter.finish();
        let inline = match rest {
            Rest::Inline(body) => body,
            Rest::Chunks(last) => {
                if let Some(chunk) = last {
                    self.write_chunk(&chunk).await?;
                }
                Bytes::new()
            }
        };
        self.head.finish(summary, end);
        let encoded = codec::encode(&self.head);
        if encoded.len() > codec::MAX_HEAD_LEN {
            return Err(error(StorageErrorKind::TooLarge, "storing a head over the limit"));
        }
        let meta = Meta::new(permit.marks.responses, &self.head, encoded.len(), self.written);
        let value = [meta.encode().as_bytes(), &measured(&encoded), &inline].concat();
        let displaced = shared.publish(&self.record, &permit, meta.id, &value).await?;
        let Some(displaced) = displaced else { return Ok(Published::Superseded) };
        // Its body must last as long as the head.
        shared.keep_chunks(&self.record, meta.id, meta.chunks, meta.usable_until).await?;
        shared.end_chunks(&self.record, displaced, End::Soon).await;
        Ok(Published::Stored)
    }
}

impl BodyWriter for RedisWriter {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        self.cutter.take(&data)?;
        if self.permit.is_none() {
            return Ok(());
        }
        while let Some(chunk) = self.cutter.cut(&mut data) {
            self.write_chunk(&chunk).await?;
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let published = self.complete(end).await;
        let withdraw = async { self.shared.remove_entry(&self.record, self.head.id).await.map(drop) };
        match settle(&published, withdraw).await {
            Body::Keep => self.written = 0,
            Body::Discard => self.take_back().await,
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
