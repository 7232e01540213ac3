//! A body out, a page of chunks at a time, each verified.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::calls::Range;
use super::error::NAME;
use super::layout::{self, ALIAS_SK, BODY, CHECKSUM, CHUNKS, CHUNKS_SK, ID, SK};
use crate::entry::{EntryId, StoredHead};
use crate::storage::kit::Verified;
use crate::storage::{BodyReader, StorageError};

/// So much of a body is asked for at once: what DynamoDB gives in one page.
const PAGE: usize = 1024 * 1024;

/// Reads the first page as well, so that a body that is gone is known before anything is answered.
pub(super) async fn open(shared: &Arc<Shared>, head: &StoredHead) -> Result<DynamoReader, StorageError> {
    let mut reader = DynamoReader {
        shared: Arc::clone(shared),
        pk: shared.keys.entry(&head.key),
        id: head.id,
        body: Verified::new(NAME, head),
    };
    if head.body_len() == 0 {
        return Ok(reader);
    }
    // The head does not say where its body is. The length tells where to look first.
    let is_small = head.body_len() <= shared.options.inline_threshold as u64;
    if !(is_small && reader.take_inline().await?) {
        reader.fetch().await?;
        if !is_small && reader.body.is_missing() {
            reader.take_inline().await?;
        }
    }
    reader.body = reader.body.opened()?;
    Ok(reader)
}

/// Reads one body of a [`DynamoStorage`](super::DynamoStorage).
pub struct DynamoReader {
    shared: Arc<Shared>,
    pk: String,
    id: EntryId,
    body: Verified,
}

impl DynamoReader {
    /// Takes the body from the item of the head, if it is there.
    async fn take_inline(&mut self) -> Result<bool, StorageError> {
        let range = Range {
            pk: &self.pk,
            from: ALIAS_SK,
            to: CHUNKS_SK,
            only: &[ID, CHUNKS, BODY],
            consistent: self.shared.options.consistent_reads,
            ..Range::default()
        };
        let items = self.shared.query("reading a body", range).await?;
        let item = items.into_iter().find(|item| layout::get_id(item) == Some(self.id));
        let Some(body) = item.and_then(|mut item| layout::take_binary(&mut item, BODY)) else {
            return Ok(false);
        };
        self.body.add_inline(body);
        Ok(true)
    }

    /// Reads the next chunks.
    async fn fetch(&mut self) -> Result<(), StorageError> {
        let most = (PAGE / self.shared.options.chunk_size).clamp(1, 64);
        let first = u32::try_from(self.body.next_chunk()).unwrap_or(layout::MOST_CHUNKS);
        let range = Range {
            pk: &self.pk,
            from: &layout::chunk_sk(self.id, first),
            to: &layout::chunk_sk(self.id, layout::MOST_CHUNKS - 1),
            only: &[SK, CHECKSUM, BODY],
            limit: i32::try_from(most).ok(),
            consistent: self.shared.options.consistent_reads,
        };
        let items = self.shared.query("reading a body", range).await?;
        for (number, mut item) in (first..).zip(items) {
            if layout::get_text(&item, SK) != Some(&layout::chunk_sk(self.id, number)) {
                break;
            }
            let data = layout::take_binary(&mut item, BODY).unwrap_or_default();
            self.body.add(layout::get_number(&item, CHECKSUM), data);
        }
        if self.body.wants_more() {
            self.body.add_missing();
        }
        Ok(())
    }
}

impl BodyReader for DynamoReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.body.wants_more() {
            self.fetch().await?;
        }
        self.body.pop()
    }
}

impl fmt::Debug for DynamoReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoReader").field("body", &self.body).finish_non_exhaustive()
    }
}
