//! Bytes of a body in memory.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Shorter frames are copied together, because each one kept costs about a hundred bytes of its own, and may keep a
/// much larger buffer alive that it is a slice of.
const SHORT: usize = 4 * 1024;
/// Length of the chunks that short frames are copied into.
const COPIED: usize = 16 * 1024;
/// At most this many frames without content are read from a body: it may consist only of such frames, without an end.
pub(crate) const MOST_EMPTY: usize = 256;

/// Chunks of a body in memory. Their cost is at most a small multiple of the body's length, for any sizes of frames.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    kept: VecDeque<Bytes>,
    /// Short frames, until they are a chunk.
    copied: BytesMut,
    len: usize,
}

impl Chunks {
    /// Appends the content of one frame. It is not copied if it is long, or all there is.
    pub(super) fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if data.len() >= SHORT || self.len == data.len() && !data.is_empty() {
            self.end_chunk();
            self.kept.push_back(data);
        } else {
            self.copied.extend_from_slice(&data);
            if self.copied.len() >= COPIED {
                self.end_chunk();
            }
        }
    }

    /// Takes the first chunk out.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.kept.is_empty() {
            self.end_chunk();
        }
        let chunk = self.kept.pop_front()?;
        self.len -= chunk.len();
        Some(chunk)
    }

    /// Length of the content.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn into_vec(mut self) -> Vec<Bytes> {
        self.end_chunk();
        self.kept.into()
    }

    fn end_chunk(&mut self) {
        if !self.copied.is_empty() {
            self.kept.push_back(self.copied.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_are_kept_together_and_empty_ones_not_at_all() {
        let mut chunks = Chunks::default();
        let mut expected = Vec::new();
        for round in 0..100_000_u32 {
            let data = [b"".as_slice(), b"a", b"bc"].get(round as usize % 3).copied().unwrap_or_default();
            expected.extend_from_slice(data);
            chunks.push(Bytes::copy_from_slice(data));
        }
        let long = Bytes::from(vec![7; SHORT]);
        chunks.push(long.clone());
        expected.extend_from_slice(&long);
        assert_eq!(chunks.len(), expected.len());
        let kept = chunks.into_vec();
        assert!(kept.len() <= 3 + expected.len() / COPIED, "{} chunks", kept.len());
        assert_eq!(kept.concat(), expected);
        assert_eq!(kept.last().map(|last| last.as_ptr()), Some(long.as_ptr()), "not copied");
    }

    #[test]
    fn a_single_frame_is_not_copied() {
        let data = Bytes::from_static(b"abc");
        let mut chunks = Chunks::default();
        chunks.push(Bytes::new());
        chunks.push(data.clone());
        assert_eq!(chunks.into_vec().first().map(|first| first.as_ptr()), Some(data.as_ptr()));
    }
}
