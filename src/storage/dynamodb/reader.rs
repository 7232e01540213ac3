//! A body out, a page of chunks at a time, each verified.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use super::Shared;
use super::calls::Range;
use super::chunks::checksum;
use super::error::NAME;
use super::layout::{self, ALIAS_SK, BODY, CHECKSUM, CHUNKS, CHUNKS_SK, ID, Item, SK};
use crate::entry::{BodySummary, EntryId, StoredHead};
use crate::storage::{BodyReader, StorageError, StorageErrorKind};

/// So much of a body is asked for at once: what DynamoDB gives in one page.
const PAGE: usize = 1024 * 1024;

/// Reads the first page as well, so that a body that is gone is known before anything is answered.
pub(super) async fn open(shared: &Arc<Shared>, head: &StoredHead) -> Result<DynamoReader, StorageError> {
    let summary = head.body.unwrap_or_default();
    let threshold = shared.options.inline_threshold as u64;
    let mut reader = DynamoReader {
        pk: shared.keys.entry(&head.key),
        id: head.id,
        summary,
        hasher: Xxh3Default::new(),
        read: 0,
        next_chunk: 0,
        page: VecDeque::new(),
        shared: Arc::clone(shared),
    };
    if summary.len == 0 {
        return Ok(reader);
    }
    // The head does not say how its body is kept; the length tells where to look first.
    let mut found = summary.len <= threshold && reader.inline().await?;
    if !found {
        found = reader.turn_page().await?;
    }
    if !found && summary.len > threshold {
        found = reader.inline().await?;
    }
    if found { Ok(reader) } else { Err(reader.missing()) }
}

/// Reads one body of a [`DynamoStorage`](super::DynamoStorage).
pub struct DynamoReader {
    shared: Arc<Shared>,
    pk: String,
    id: EntryId,
    summary: BodySummary,
    hasher: Xxh3Default,
    read: u64,
    next_chunk: u32,
    page: VecDeque<Bytes>,
}

impl DynamoReader {
    /// Takes the body from the item of the head, if it is there.
    async fn inline(&mut self) -> Result<bool, StorageError> {
        let range = Range {
            pk: &self.pk,
            from: ALIAS_SK,
            to: CHUNKS_SK,
            only: &[ID, CHUNKS, BODY],
            consistent: self.shared.options.consistent_reads,
            ..Range::default()
        };
        let items = self.shared.query("reading a body", range).await?;
        let Some(mut item) = items.into_iter().find(|item| layout::get_id(item) == Some(self.id)) else {
            return Ok(false);
        };
        let body = layout::take_binary(&mut item, BODY);
        self.page.extend(body);
        Ok(!self.page.is_empty())
    }

    /// Reads the next chunks; says whether there were any.
    async fn turn_page(&mut self) -> Result<bool, StorageError> {
        let most = (PAGE / self.shared.options.chunk_size).clamp(1, 64);
        let range = Range {
            pk: &self.pk,
            from: &layout::chunk_sk(self.id, self.next_chunk),
            to: &layout::chunk_sk(self.id, layout::MOST_CHUNKS - 1),
            only: &[SK, CHECKSUM, BODY],
            limit: i32::try_from(most).ok(),
            consistent: self.shared.options.consistent_reads,
        };
        for item in self.shared.query("reading a body", range).await? {
            let chunk = self.chunk(item)?;
            self.page.push_back(chunk);
            self.next_chunk += 1;
        }
        Ok(!self.page.is_empty())
    }

    fn chunk(&self, mut item: Item) -> Result<Bytes, StorageError> {
        if layout::get_text(&item, SK) != Some(&layout::chunk_sk(self.id, self.next_chunk)) {
            return Err(self.missing());
        }
        let found = layout::get_number::<u64>(&item, CHECKSUM);
        let chunk = layout::take_binary(&mut item, BODY).unwrap_or_default();
        if chunk.is_empty() || found != Some(checksum(self.id, self.next_chunk, &chunk)) {
            return Err(self.corrupt());
        }
        Ok(chunk)
    }

    fn missing(&self) -> StorageError {
        let Self { id, read, shared, .. } = self;
        let text = format!("reading body {id} from byte {read} on in {}: it is gone", shared.place);
        StorageError::new(StorageErrorKind::Missing, NAME, text)
    }

    fn corrupt(&self) -> StorageError {
        let Self { id, read, shared, .. } = self;
        let text =
            format!("reading body {id} from byte {read} on in {}: it is not what was written", shared.place);
        StorageError::new(StorageErrorKind::Corrupt, NAME, text)
    }
}

impl BodyReader for DynamoReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.read == self.summary.len {
            return Ok(None);
        }
        if self.page.is_empty() && !self.turn_page().await? {
            return Err(self.missing());
        }
        let Some(piece) = self.page.pop_front() else { return Err(self.missing()) };
        let read = self.read + piece.len() as u64;
        self.hasher.update(&piece);
        // The whole is checked as well, before its last piece leaves.
        let last = read == self.summary.len;
        if read > self.summary.len || (last && self.hasher.digest() != self.summary.checksum) {
            self.page.clear();
            return Err(self.corrupt());
        }
        self.read = read;
        Ok(Some(piece))
    }
}

impl fmt::Debug for DynamoReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoReader").field("id", &self.id).field("read", &self.read).finish_non_exhaustive()
    }
}
