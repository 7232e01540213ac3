//! `memory:?max_bytes=...`

use super::{MemoryStorage, NAME};
use crate::storage::url::{Options, Schemes, opened};
use crate::storage::{StorageError, StorageErrorKind};

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("memory", "memory:?max_bytes=64MiB")],
    open: |url| {
        Box::pin(async move {
            if !url.place.is_empty() {
                let action = "opening `memory:`: it has no place; possible is `memory:?max_bytes=64MiB`";
                return Err(StorageError::new(StorageErrorKind::Invalid, NAME, action));
            }
            opened(MemoryStorage::from_url(url.options(NAME)?))
        })
    },
};

impl MemoryStorage {
    fn from_url(mut options: Options) -> Result<Self, StorageError> {
        let storage = options.set(Self::new(), "max_bytes", Self::max_bytes)?;
        let storage = options.set(storage, "max_entries", Self::max_entries)?;
        let storage = options.set(storage, "max_body", Self::max_body)?;
        options.finish()?;
        Ok(storage)
    }
}
