//! Which stored responses are the same variant, so that one replaces the other.

use super::{StoredHead, StoredRange, codec};

impl StoredHead {
    /// Whether publishing this response replaces `other`, which is stored under the same key: their
    /// [selecting fields](Self::selecting) and [ranges](Self::range) are equal.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.selecting == other.selecting && self.range == other.range
    }

    /// 256 bits that are equal for two responses of one key exactly if one [replaces](Self::replaces) the other: a name
    /// for the place of a variant.
    ///
    /// Another [version](codec::VERSION) of the format has other digests: neither version replaces what the other wrote.
    #[must_use]
    pub fn variant_digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[codec::VERSION]);
        hasher.update(&self.selecting.digest());
        if let Some(StoredRange { first, complete_len }) = self.range {
            hasher.update(&first.to_le_bytes());
            match complete_len {
                Some(len) => hasher.update(&[2]).update(&len.to_le_bytes()),
                None => hasher.update(&[1]),
            };
        }
        *hasher.finalize().as_bytes()
    }
}
