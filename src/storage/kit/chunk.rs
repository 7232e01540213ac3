//! One chunk of a body.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::entry::EntryId;

/// The length of the checksum before the bytes of a [framed](Chunk::framed) chunk.
pub(super) const CHECKSUM: usize = size_of::<u64>();

/// The checksum of a chunk in its place: a chunk is not mistaken for another one, nor for one of another body.
pub(in crate::storage) fn chunk_checksum(id: EntryId, number: u64, data: &[u8]) -> u64 {
    xxh3_64_with_seed(data, (id.bits() as u64).wrapping_add(number))
}

/// A chunk of a body, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Chunk {
    /// Its place in the body, from 0.
    pub(in crate::storage) number: u64,
    pub(in crate::storage) checksum: u64,
    /// Never empty.
    pub(in crate::storage) data: Bytes,
}

impl Chunk {
    pub(super) fn new(id: EntryId, number: u64, data: Bytes) -> Self {
        Self { number, checksum: chunk_checksum(id, number, &data), data }
    }

    /// As one value: the checksum in eight bytes, little-endian, and the chunk.
    pub(in crate::storage) fn framed(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(CHECKSUM + self.data.len());
        value.put_u64_le(self.checksum);
        value.extend_from_slice(&self.data);
        value.freeze()
    }
}
