//! Bodies in chunks: items of their own, written before their head.

use std::sync::Arc;

use aws_sdk_dynamodb::types::WriteRequest;

use super::Shared;
use super::calls::{Range, delete_of, put_of};
use super::error::{condition_failed, too_large};
use super::fence::Moment;
use super::heads::HeadRef;
use super::layout::{self, BODY, CHECKSUM, CHUNK, EXPIRES, KIND, SIZE, SK, WRITTEN, stamp};
use crate::clock::{Clock, SystemClock};
use crate::entry::{EntryId, StoredHead};
use crate::storage::kit::Chunk;
use crate::storage::{Fence, StorageError};

/// So much of a body is sent in one call.
const BATCH: usize = 1024 * 1024;
/// Up to so many chunks are deleted by their number. Beyond it, it is read which ones there are: the number in an item may
/// be anything that somebody else wrote.
const COUNTED: u32 = 1000;

/// The chunks of a body that are in the table already. Deletes them again unless they are kept.
pub(super) struct Chunks {
    shared: Arc<Shared>,
    pub(super) pk: String,
    id: EntryId,
    generation: u32,
    pub(super) expires: Option<i64>,
    pub(super) count: u32,
    pending: Vec<WriteRequest>,
    pending_len: usize,
    pub(super) publishing: bool,
    pub(super) keep: bool,
}

impl Chunks {
    pub(super) fn new(shared: Arc<Shared>, head: &StoredHead, fence: Fence) -> Self {
        Self {
            pk: shared.keys.entry(&head.key),
            id: head.id,
            generation: Moment::from(fence).generation,
            expires: shared.chunks_expire(head.usable_until),
            count: 0,
            pending: Vec::new(),
            pending_len: 0,
            publishing: false,
            keep: false,
            shared,
        }
    }

    pub(super) async fn push(&mut self, chunk: &Chunk) -> Result<(), StorageError> {
        let data = &chunk.data;
        let mut item = layout::key_of(&self.pk, layout::chunk_sk(self.id, self.count));
        item.insert(KIND.to_owned(), layout::text(CHUNK));
        item.insert(CHECKSUM.to_owned(), layout::number(chunk.checksum));
        item.insert(WRITTEN.to_owned(), layout::number(SystemClock.now().as_millis()));
        item.insert(SIZE.to_owned(), layout::number(data.len()));
        item.insert(BODY.to_owned(), layout::binary(data.as_ref()));
        if let Some(second) = self.expires {
            item.insert(EXPIRES.to_owned(), layout::number(second));
        }
        stamp(&mut item, self.generation);
        self.pending.push(put_of(item)?);
        self.pending_len += data.len();
        self.count = self
            .count
            .checked_add(1)
            .filter(|count| *count < layout::MOST_CHUNKS)
            .ok_or_else(|| too_large("writing a body of a hundred million chunks".to_owned()))?;
        if self.pending_len + data.len() > BATCH { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Result<(), StorageError> {
        self.pending_len = 0;
        let pending = std::mem::take(&mut self.pending);
        self.shared.write_all("writing a body", pending).await
    }

    pub(super) async fn discard(&mut self) {
        let count = std::mem::take(&mut self.count);
        self.keep = true;
        delete_chunks(&self.shared, &self.pk, self.id, count).await;
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // Given up in the middle of its publication, a body may have become visible: then it stays whole, and if not,
        // `maintain` comes by.
        if self.keep || self.publishing || self.count == 0 {
            return;
        }
        // Without a runtime the chunks stay until they expire or `maintain` comes by.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shared, pk, id, count) =
            (Arc::clone(&self.shared), std::mem::take(&mut self.pk), self.id, self.count);
        runtime.spawn(async move { delete_chunks(&shared, &pk, id, count).await });
    }
}

async fn delete_chunks(shared: &Shared, pk: &str, id: EntryId, count: u32) {
    let keys = (0..count).map(|index| delete_of(layout::key_of(pk, layout::chunk_sk(id, index))));
    if let Ok(deletes) = keys.collect::<Result<Vec<_>, _>>() {
        // What cannot be deleted now is left to `maintain`.
        drop(shared.write_all("discarding a body", deletes).await);
    }
}

impl Shared {
    /// Gives all chunks of a body a later time to expire; says whether all were there.
    pub(super) async fn prolong_chunks(
        &self,
        pk: &str,
        head: &HeadRef,
        second: Option<i64>,
    ) -> Result<bool, StorageError> {
        for key in head.chunk_keys(pk) {
            let update = self
                .client
                .update_item()
                .table_name(&self.options.table)
                .set_key(Some(key))
                .condition_expression("attribute_exists(#pk)")
                .set_expression_attribute_names(layout::names(&[layout::PK, EXPIRES]));
            let update = match second {
                Some(second) => update
                    .update_expression("SET #expires = :expires")
                    .expression_attribute_values(":expires", layout::number(second)),
                None => update.update_expression("REMOVE #expires"),
            };
            match update.send().await {
                Ok(_) => {}
                Err(error) if condition_failed(&error) => return Ok(false),
                Err(error) => return Err(self.failed("keeping a body longer")(error)),
            }
        }
        Ok(true)
    }

    pub(super) async fn delete_chunks<'a>(
        &self,
        pk: &str,
        heads: impl IntoIterator<Item = &'a HeadRef> + Send,
    ) -> Result<(), StorageError> {
        let doing = "removing a body";
        let (many, few): (Vec<_>, Vec<_>) = heads.into_iter().partition(|head| head.chunks > COUNTED);
        let chunks = few.into_iter().flat_map(|head| head.chunk_keys(pk)).map(delete_of);
        self.write_all(doing, chunks.collect::<Result<_, _>>()?).await?;
        for id in many.into_iter().filter_map(|head| head.id) {
            let (from, to) = (layout::chunk_sk(id, 0), layout::chunk_sk(id, layout::MOST_CHUNKS - 1));
            loop {
                let limit = Some(100);
                let range = Range { pk, from: &from, to: &to, only: &[SK], limit, consistent: true };
                let found = self.query(doing, range).await?;
                if found.is_empty() {
                    break;
                }
                let found = found.iter().filter_map(|item| layout::get_text(item, SK));
                let deletes = found.map(|sk| delete_of(layout::key_of(pk, sk)));
                self.write_all(doing, deletes.collect::<Result<_, _>>()?).await?;
            }
        }
        Ok(())
    }
}

/// Whether chunks that expire then are there as long as their head.
pub(super) fn covers(chunks_expire: Option<i64>, head_expires: Option<i64>) -> bool {
    match (chunks_expire, head_expires) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(chunks), Some(head)) => chunks >= head,
    }
}
