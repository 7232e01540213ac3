//! Reading a body: it is read ahead, and each chunk is verified before it is returned.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, Bytes};

use super::chunk::chunk_checksum;
use crate::entry::{BodySummary, EntryId, StoredHead};
use crate::storage::{StorageError, StorageErrorKind};

/// What was read of one body, and what is left of it.
///
/// An error is not reported at once: the correct bytes before it are returned first.
pub(in crate::storage) struct Verified {
    backend: &'static str,
    id: EntryId,
    summary: BodySummary,
    /// The number of the chunk to be read next.
    next: u64,
    /// Bytes that were not read yet.
    unread: u64,
    ready: VecDeque<Bytes>,
    failed: Option<StorageErrorKind>,
}

impl Verified {
    /// A body of which nothing was read. A head without a [summary](StoredHead::body) was never published: its body is
    /// missing.
    pub(in crate::storage) fn new(backend: &'static str, head: &StoredHead) -> Self {
        Self {
            backend,
            id: head.id,
            summary: head.body.unwrap_or_default(),
            next: 0,
            unread: head.body_len(),
            ready: VecDeque::new(),
            failed: head.body.is_none().then_some(StorageErrorKind::Missing),
        }
    }

    /// Whether something must be read before [`pop`](Self::pop) has an answer.
    pub(in crate::storage) fn wants_more(&self) -> bool {
        self.ready.is_empty() && self.unread > 0 && self.failed.is_none()
    }

    /// The number of the chunk to be read next.
    pub(in crate::storage) fn next_chunk(&self) -> u64 {
        self.next
    }

    /// How many bytes are still to be read.
    #[allow(dead_code, reason = "for backends that read several chunks at once")]
    pub(in crate::storage) fn unread(&self) -> u64 {
        self.unread
    }

    /// Whether nothing was found so far: the body may be elsewhere.
    #[allow(dead_code, reason = "for backends that do not know where a body stands")]
    pub(in crate::storage) fn is_missing(&self) -> bool {
        self.failed == Some(StorageErrorKind::Missing) && self.next == 0
    }

    /// Adds the next chunk, with the checksum that was stored with it.
    pub(in crate::storage) fn add(&mut self, checksum: Option<u64>, data: Bytes) {
        if self.failed.is_some() || self.unread == 0 {
            return;
        }
        let sound = checksum == Some(chunk_checksum(self.id, self.next, &data));
        match self.unread.checked_sub(data.len() as u64).filter(|_| sound && !data.is_empty()) {
            Some(unread) => self.unread = unread,
            None => return self.failed = Some(StorageErrorKind::Corrupt),
        }
        self.next += 1;
        self.ready.push_back(data);
    }

    /// Adds the next chunk as [`Chunk::framed`](super::Chunk::framed) made it.
    pub(in crate::storage) fn add_framed(&mut self, mut value: Bytes) {
        let checksum = value.try_get_u64_le().ok();
        self.add(checksum, value);
    }

    /// Adds the whole body, which was stored with its head. It replaces what was missing.
    pub(in crate::storage) fn add_inline(&mut self, body: Bytes) {
        if BodySummary::of(&body) != self.summary {
            self.failed = Some(StorageErrorKind::Corrupt);
            return;
        }
        (self.failed, self.unread) = (None, 0);
        self.ready.clear();
        self.ready.extend((!body.is_empty()).then_some(body));
    }

    /// Records that the next chunk is missing.
    pub(in crate::storage) fn add_missing(&mut self) {
        if self.unread > 0 {
            self.failed.get_or_insert(StorageErrorKind::Missing);
        }
    }

    /// The next chunk; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Missing`] or [`StorageErrorKind::Corrupt`] once everything before was handed out. Also
    /// `Missing` when nothing was added although something [was wanted](Self::wants_more).
    pub(in crate::storage) fn pop(&mut self) -> Result<Option<Bytes>, StorageError> {
        if let Some(data) = self.ready.pop_front() {
            return Ok(Some(data));
        }
        if self.wants_more() {
            self.add_missing();
        }
        match self.failed {
            Some(kind) => Err(self.error(kind)),
            None => Ok(None),
        }
    }

    /// The error of a body that cannot be opened.
    ///
    /// # Errors
    ///
    /// When the first chunk is not there or not right.
    #[allow(dead_code, reason = "for backends that read the first chunk when they open a body")]
    pub(in crate::storage) fn opened(self) -> Result<Self, StorageError> {
        match self.failed {
            Some(kind) if self.ready.is_empty() => Err(self.error(kind)),
            _ => Ok(self),
        }
    }

    fn error(&self, kind: StorageErrorKind) -> StorageError {
        let action = format!("reading chunk {} of body {}", self.next, self.id);
        StorageError::new(kind, self.backend, action)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("id", &self.id).field("unread", &self.unread).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]
mod tests {
    use http::StatusCode;

    use super::super::chunk::Chunk;
    use super::{BodySummary, Bytes, StorageError, StorageErrorKind, StoredHead, Verified};
    use crate::key::CacheKey;

    const BODY: &[u8] = b"a body in three chunks";

    fn head() -> StoredHead {
        let key = CacheKey::builder().part(CacheKey::URI, "http://a/").build();
        let mut head = StoredHead::new(key, StatusCode::OK);
        head.body = Some(BodySummary::of(BODY));
        head
    }

    fn chunks(head: &StoredHead) -> Vec<Chunk> {
        let chunks = BODY.chunks(8).map(Bytes::from_static);
        (0..).zip(chunks).map(|(number, data)| Chunk::new(head.id, number, data)).collect()
    }

    fn kind(body: &mut Verified) -> Option<StorageErrorKind> {
        body.pop().err().map(|error| error.kind())
    }

    #[test]
    fn a_body_comes_out_to_its_end_and_no_further() -> Result<(), StorageError> {
        let head = head();
        let mut body = Verified::new("x", &head);
        let mut all = Vec::new();
        for chunk in chunks(&head) {
            assert!(body.wants_more());
            assert_eq!(body.next_chunk(), chunk.number);
            body.add_framed(chunk.framed());
            all.extend(body.pop()?.unwrap_or_default());
        }
        assert_eq!(all, BODY);
        body.add(Some(0), Bytes::from_static(b"more"));
        assert!(!body.wants_more());
        assert_eq!(body.pop()?, None);
        Ok(())
    }

    #[test]
    fn what_is_right_comes_before_the_error() -> Result<(), StorageError> {
        let head = head();
        for damage in 0..5 {
            let mut body = Verified::new("x", &head);
            let chunks = chunks(&head);
            body.add_framed(chunks[0].framed());
            match damage {
                0 => body.add_framed(chunks[2].framed()),
                1 => body.add_framed(chunks[1].framed().slice(..9)),
                2 => body.add_framed(Bytes::new()),
                3 => body.add(None, chunks[1].data.clone()),
                _ => body.add_missing(),
            }
            body.add_framed(chunks[1].framed());
            assert!(!body.wants_more());
            assert_eq!(body.pop()?, Some(chunks[0].data.clone()));
            let expected = if damage == 4 { StorageErrorKind::Missing } else { StorageErrorKind::Corrupt };
            assert_eq!(kind(&mut body), Some(expected), "{damage}");
            assert_eq!(kind(&mut body), Some(expected), "an error stays an error");
        }
        Ok(())
    }

    #[test]
    fn a_body_that_is_not_where_it_was_looked_for_can_stand_with_its_head() -> Result<(), StorageError> {
        let mut body = Verified::new("x", &head());
        body.add_missing();
        assert!(body.is_missing());
        body.add_inline(Bytes::from_static(BODY));
        assert_eq!(body.pop()?, Some(Bytes::from_static(BODY)));
        assert_eq!(body.pop()?, None);
        let mut body = Verified::new("x", &head());
        body.add_inline(Bytes::from_static(b"another body"));
        assert_eq!(kind(&mut body), Some(StorageErrorKind::Corrupt));
        Ok(())
    }

    #[test]
    fn reading_always_ends() {
        let mut body = Verified::new("x", &head());
        assert_eq!(kind(&mut body), Some(StorageErrorKind::Missing));
        let mut unpublished = Verified::new("x", &StoredHead { body: None, ..head() });
        assert_eq!(kind(&mut unpublished), Some(StorageErrorKind::Missing));
    }
}
