//! `memory:?max_bytes=...`

use super::MemoryStorage;
use crate::storage::StorageError;
use crate::storage::url::Options;

impl MemoryStorage {
    pub(crate) fn from_url(mut options: Options) -> Result<Self, StorageError> {
        let storage = options.set(Self::new(), "max_bytes", Self::max_bytes)?;
        let storage = options.set(storage, "max_entries", Self::max_entries)?;
        let storage = options.set(storage, "max_body", Self::max_body)?;
        options.finish()?;
        Ok(storage)
    }
}
