//! Gathering the chunks of a body as it is written.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use crate::entry::{BodySummary, StoredBody};

/// What is written in lengths from this on is kept as it comes.
///
/// What is shorter is copied together into chunks of this length: such bytes are often slices of a connection's read
/// buffer, and would keep all of it alive while only their own length is counted. Long ones fill most of their
/// buffer.
const CHUNK: usize = 64 * 1024;

/// A body in the making.
pub(super) struct Gathered {
    chunks: Vec<Bytes>,
    open: BytesMut,
    announced: Option<u64>,
    len: u64,
    hasher: Xxh3Default,
}

impl Gathered {
    pub(super) fn new(announced: Option<u64>) -> Self {
        Self { chunks: Vec::new(), open: BytesMut::new(), announced, len: 0, hasher: Xxh3Default::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn push(&mut self, mut data: Bytes) {
        self.hasher.update(&data);
        if data.len() >= CHUNK {
            self.seal();
            self.len += data.len() as u64;
            self.chunks.push(data);
            return;
        }
        while !data.is_empty() {
            if self.open.capacity() == 0 {
                self.open.reserve(self.expected(data.len()));
            }
            let taken = data.split_to(data.len().min(CHUNK - self.open.len()));
            self.open.extend_from_slice(&taken);
            self.len += taken.len() as u64;
            if self.open.len() == CHUNK {
                self.seal();
            }
        }
    }

    pub(super) fn finish(&mut self) -> (BodySummary, StoredBody) {
        self.seal();
        let summary = BodySummary { len: self.len, checksum: self.hasher.digest() };
        let mut chunks = std::mem::take(&mut self.chunks);
        let body = match chunks.len() {
            0 | 1 => StoredBody::Inline(chunks.pop().unwrap_or_default()),
            _ => StoredBody::Shared(Arc::from(chunks)),
        };
        (summary, body)
    }

    /// How much the next chunk will hold at least, as far as that is known.
    fn expected(&self, at_hand: usize) -> usize {
        let rest = self.announced.map_or(0, |announced| announced.saturating_sub(self.len));
        usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK).max(at_hand)
    }

    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let spare = open.capacity() - open.len();
        // Room that was reserved in vain would not be counted.
        self.chunks.push(if spare > open.len() / 16 { Bytes::copy_from_slice(&open) } else { open.freeze() });
    }
}
