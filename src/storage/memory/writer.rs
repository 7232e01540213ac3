//! Gathering a body as it is written, and handing it out again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use crate::entry::{BodySummary, StoredBody};

/// Pieces from this size on are kept as they come.
///
/// Smaller ones are copied together into chunks of this size: they are often slices of a connection's read
/// buffer, and would keep all of it alive while only their own length is counted. A large one fills most of
/// its buffer.
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
            let part = data.split_to(data.len().min(CHUNK - self.open.len()));
            self.open.extend_from_slice(&part);
            self.len += part.len() as u64;
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

/// A body's pieces, one after the other.
#[derive(Debug)]
pub(super) struct Chunks {
    body: StoredBody,
    next: usize,
}

impl Chunks {
    pub(super) fn new(body: StoredBody) -> Self {
        Self { body, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        let pieces = match &self.body {
            StoredBody::Inline(bytes) => std::slice::from_ref(bytes),
            StoredBody::Shared(pieces) => pieces,
            StoredBody::Streamed => &[],
        };
        let piece = pieces.get(self.next).filter(|piece| !piece.is_empty())?;
        self.next += 1;
        Some(piece.clone())
    }
}

/// The bytes of all bodies that are being written.
pub(super) struct InFlight {
    bytes: AtomicU64,
    limit: u64,
}

impl InFlight {
    pub(super) fn new(limit: u64) -> Self {
        Self { bytes: AtomicU64::new(0), limit }
    }

    /// Takes room for `more` bytes, if there is any.
    pub(super) fn reserve(&self, more: u64) -> bool {
        let add = |bytes: u64| bytes.checked_add(more).filter(|bytes| *bytes <= self.limit);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
