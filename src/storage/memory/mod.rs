//! Stored responses in this process's memory.
//!
//! Choose [`MemoryStorage`] where one process asks again and again and a restart may begin from nothing: its hits are
//! the fastest, and there is nothing to clean up. By URL it is `memory:?max_bytes=64MiB`.
//!
//! # Limits
//!
//! [`max_bytes`](MemoryStorageBuilder::max_bytes) (256 MiB) counts heads, keys and the map beside the bodies;
//! [`max_entries`](MemoryStorageBuilder::max_entries) is unlimited unless set; a body may take a 32nd part of all the room, and
//! 16 variants stand under a key. What is of little use goes when room is needed, and what can never be used again also
//! with [`maintain`](Storage::maintain).

mod chunks;
mod fence;
mod freshen;
mod groups;
mod in_flight;
mod list;
mod lookup;
mod maintain;
mod map;
mod options;
mod publish;
mod reader;
mod remove;
mod shared;
mod size;
mod writer;

pub use options::MemoryStorageBuilder;
pub(crate) use options::SCHEMES;
pub use reader::MemoryReader;
pub use writer::MemoryWriter;

use std::fmt;
use std::sync::Arc;

use self::options::Options;
use self::shared::Shared;
use super::{Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage};
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;

const NAME: &str = "memory";

/// Keeps stored responses in memory, for as long as the process lives.
///
/// The room is bounded by bytes and, where wanted, by entries; both limits hold at every moment. Heads, keys and
/// the map itself are counted as well as bodies. What goes first when room is needed is decided by a CLOCK-Pro
/// policy (of the `quick_cache` crate) that a scan over many URLs does not flush. All variants of a key, and its
/// alias, are evicted together.
///
/// Clones are handles on the same data. A hit copies neither head nor body.
///
/// ```
/// use larder::storage::MemoryStorage;
///
/// let storage = MemoryStorage::builder().max_bytes(64 * 1024 * 1024).max_entries(10_000).build()?;
/// # let _ = storage;
/// # Ok::<_, larder::storage::StorageError>(())
/// ```
///
/// Listing goes through everything stored for each page; ask for large pages.
#[derive(Clone)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

impl MemoryStorage {
    /// An empty storage for at most 256 MiB, with bodies of at most 8 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A storage with other limits.
    pub fn builder() -> MemoryStorageBuilder {
        MemoryStorageBuilder::default()
    }

    fn with(options: Options) -> Self {
        Self { shared: Arc::new(Shared::new(options)) }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Storage for MemoryStorage {
    type Writer = MemoryWriter;
    type Reader = MemoryReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.shared.options.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        Ok(self.shared.lookup(key))
    }

    async fn open(&self, head: &StoredHead) -> Result<MemoryReader, StorageError> {
        reader::open(&self.shared, head)
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<MemoryWriter, StorageError> {
        writer::begin(&self.shared, head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        self.shared.freshen(head, fence)
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        self.shared.publish_alias(alias, fence)
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        Ok(self.shared.remove(key))
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        Ok(self.shared.retain(key, |head| head.id != id) > 0)
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.shared.invalidations.add(groups);
        Ok(())
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.shared.responses(after, limit)
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.shared.aliases(after, limit)
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Ok(self.shared.map.usage())
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.shared.clear(keyspace);
        Ok(())
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        Ok(self.shared.maintain(now))
    }
}
