//! The options of a storage in memory: its builder, and `memory:?max_bytes=...`.

use super::{MemoryStorage, NAME};
use crate::storage::kit::options::{at_least_one, impossible};
use crate::storage::url::{Options as UrlOptions, Schemes, opened};
use crate::storage::{StorageError, StorageErrorKind};

pub(super) const DEFAULT_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Unless it is set, one body may take this part of all the room.
const BODY_SHARE: u64 = 32;

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("memory", "memory:?max_bytes=64MiB")],
    open: |url| {
        Box::pin(async move {
            if !url.place.is_empty() {
                let action = "opening `memory:`: it has no place; possible is `memory:?max_bytes=64MiB`";
                return Err(StorageError::new(StorageErrorKind::Invalid, NAME, action));
            }
            opened(from_url(url.options(NAME)?))
        })
    },
};

fn from_url(mut options: UrlOptions) -> Result<MemoryStorage, StorageError> {
    let builder = options.set(MemoryStorage::builder(), "max_bytes", MemoryStorageBuilder::max_bytes)?;
    let builder = options.set(builder, "max_entries", MemoryStorageBuilder::max_entries)?;
    let builder = options.set(builder, "max_body", MemoryStorageBuilder::max_body)?;
    options.finish()?;
    builder.build()
}

/// Options of a [`MemoryStorage`]. Every one has a default.
///
/// ```
/// use larder::storage::MemoryStorage;
///
/// let storage = MemoryStorage::builder().max_bytes(64 * 1024 * 1024).max_entries(10_000).build()?;
/// # let _ = storage;
/// # Ok::<_, larder::storage::StorageError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct MemoryStorageBuilder {
    max_bytes: u64,
    max_entries: Option<u64>,
    max_body: Option<u64>,
}

impl Default for MemoryStorageBuilder {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, max_entries: None, max_body: None }
    }
}

impl MemoryStorageBuilder {
    /// The most bytes that all entries together may take, at least 1. Default: 256 MiB.
    ///
    /// Bodies that are still being written are counted apart, up to as much again.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most keys that may be stored, at least 1. Default: no limit.
    ///
    /// An entry is then counted as at least the `max_entries`th part of [`max_bytes`](Self::max_bytes), so that
    /// a mix of small and large entries stays below both limits.
    pub const fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// The longest body that is stored, in bytes, at most half of [`max_bytes`](Self::max_bytes): a longer one could
    /// not be kept together with anything else. Default: a 32nd of `max_bytes`.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// An empty storage.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] for an option with a value that cannot be.
    pub fn build(self) -> Result<MemoryStorage, StorageError> {
        let half = self.max_bytes / 2;
        if self.max_bytes == 0 {
            return Err(impossible(NAME, "max_bytes", 0, "at least 1"));
        }
        at_least_one(NAME, "max_entries", self.max_entries)?;
        if let Some(bytes) = self.max_body.filter(|bytes| *bytes > half) {
            let possible = format!("at most {half}, half of max_bytes");
            return Err(impossible(NAME, "max_body", bytes, possible));
        }
        let max_body = self.max_body.unwrap_or(self.max_bytes / BODY_SHARE);
        Ok(MemoryStorage::with(Options {
            max_bytes: self.max_bytes,
            max_entries: self.max_entries,
            max_body,
        }))
    }
}

/// What a storage was built with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) max_bytes: u64,
    pub(super) max_entries: Option<u64>,
    pub(super) max_body: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, max_entries: None, max_body: DEFAULT_MAX_BYTES / BODY_SHARE }
    }
}
