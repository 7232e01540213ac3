//! The binary form of a stored head: bounded, code-free, versioned.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::entry::StoredHead;

/// Why bytes from a storage are not a stored head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early, carry impossible lengths or fail their checksum.
    Corrupt,
    /// Written by another version of the format.
    Version(u8),
}

/// Encodes a head.
#[must_use]
pub fn encode(head: &StoredHead) -> Vec<u8> {
    let _ = (head, Timestamp::EPOCH);
    todo!()
}

/// Decodes a head; header values are slices of `bytes`.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not a head of this version.
pub fn decode(bytes: &Bytes) -> Result<StoredHead, DecodeError> {
    let _ = bytes;
    todo!()
}
