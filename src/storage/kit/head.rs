//! Heads that could be written and not be read again are refused before anything is written.

use crate::entry::{StoredHead, codec};
use crate::storage::{StorageError, StorageErrorKind};

/// [`StorageErrorKind::TooLarge`] for a head that the codec does not decode. The cache never makes one
/// ([`StoredHead::is_within_limits`]), but other code can use a storage too.
pub(in crate::storage) fn check_head(backend: &'static str, head: &StoredHead) -> Result<(), StorageError> {
    if codec::is_decodable(head) {
        return Ok(());
    }
    Err(StorageError::new(StorageErrorKind::TooLarge, backend, "storing a head over the limit"))
}

/// [`check_head`] for a head that replaces a published one. [`StorageErrorKind::Invalid`] where it does not know its body:
/// no lookup returned it.
pub(in crate::storage) fn check_freshened(
    backend: &'static str,
    head: &StoredHead,
) -> Result<(), StorageError> {
    check_head(backend, head)?;
    if head.body.is_some() {
        return Ok(());
    }
    let action = "freshening with a head that does not know its body";
    Err(StorageError::new(StorageErrorKind::Invalid, backend, action))
}
