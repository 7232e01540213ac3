//! A storage from what a command line calls it.

use std::sync::Arc;

use larder::storage::{
    DynStorage, FileStorage, MemoryStorage, SqliteStorage, StorageError, StorageErrorKind,
};

/// `memory:`, `sqlite:PATH` or `file:DIR`.
pub(crate) fn open(url: &str) -> Result<Arc<dyn DynStorage>, StorageError> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryStorage::new())),
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStorage::open(path)?)),
        Some(("file", dir)) => Ok(Arc::new(FileStorage::open(dir)?)),
        _ => Err(StorageError::new(
            StorageErrorKind::Invalid,
            "example",
            format!("open {url}: it takes memory:, sqlite:PATH or file:DIR"),
        )),
    }
}
