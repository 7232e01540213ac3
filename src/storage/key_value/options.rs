//! The options of a storage over a byte store.

use super::KeyValueStorage;
use super::byte_store::ByteStore;
use super::layout::CHUNK;
use crate::storage::StorageError;
#[cfg(doc)]
use crate::storage::StorageErrorKind;
use crate::storage::kit::options::in_range;

const DEFAULT_INLINE_THRESHOLD: usize = 32 * 1024;
const DEFAULT_MAX_BODY: u64 = 1024 * 1024 * 1024;

/// Options of a [`KeyValueStorage`]. Every one has a default.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct KeyValueStorageBuilder<T> {
    store: T,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) inline_threshold: usize,
    pub(super) max_body: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { inline_threshold: DEFAULT_INLINE_THRESHOLD, max_body: DEFAULT_MAX_BODY }
    }
}

impl<T: ByteStore> KeyValueStorageBuilder<T> {
    pub(super) fn new(store: T) -> Self {
        Self { store, options: Options::default() }
    }

    /// A body of up to so many bytes stands in one value with its head; at most 256 KiB. Default: 32 KiB.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline_threshold = bytes;
        self
    }

    /// The longest body that is stored, in bytes. Default: 1 GiB.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = bytes;
        self
    }

    /// A storage over the store, with what is in it.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] for an option with a value that cannot be.
    pub fn build(self) -> Result<KeyValueStorage<T>, StorageError> {
        let Self { store, options } = self;
        in_range(store.name(), "inline_threshold", options.inline_threshold, 0..=CHUNK)?;
        Ok(KeyValueStorage::with(store, options))
    }
}
