//! A whole storage from a plain byte store.
//!
//! [`ByteStore`] is six operations on named values; [`KeyValueStorage`] makes a [`Storage`] of it. Choose it for a
//! storage of your own that nothing here speaks to; `examples/custom_storage.rs` shows one in under a hundred lines,
//! and the suite in `conformance` (feature `conformance`) proves it. Where your store can do more (transactions, one
//! query for all that a hit needs), a [`Storage`] of your own makes better use of it.
//!
//! # Layout
//!
//! Four keyspaces, see [`Space`]. A key's digest names the value with the heads of all its responses and their small
//! bodies; large bodies are chunks of 256 KiB under the id of their response, each with a checksum.
//!
//! # Limits
//!
//! 16 variants stand under a key, and a body may have [`max_body`](KeyValueStorageBuilder::max_body) bytes (1 GiB). Nothing
//! bounds the room but the store itself: it may drop any value at any time, or you call
//! [`maintain`](Storage::maintain), which removes what can never be used again.

mod byte_store;
mod fence;
mod freshen;
mod groups;
mod layout;
mod list;
mod lookup;
mod maintain;
mod options;
mod publish;
mod reader;
mod remove;
mod shared;
mod writer;

pub use byte_store::{ByteStore, Space};
pub use options::KeyValueStorageBuilder;
pub use reader::KeyValueReader;
pub use writer::KeyValueWriter;

use std::fmt;
use std::sync::Arc;

use self::options::Options;
use self::shared::Shared;
use super::{Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage};
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;

/// A [`Storage`] over a [`ByteStore`].
///
/// A small response is one value; a lookup reads that one and the alias's, and one per group of what it finds.
/// Larger bodies are streamed in values of 256 KiB that are verified before they are handed out. Values are written
/// before the head that names them, so that a response is visible with its whole body or not at all.
///
/// What it does not do:
///
/// * It does not bound the room: let the store do that. It may drop any value at any time.
/// * Several handles see each other's data, and fences hold between them, but only clones of one handle (or one
///   `Arc`) write to the same key one after the other. Between separate handles and processes the last writer wins:
///   a removal in the very moment in which another process publishes under the same key can be lost, as the
///   operations of [`ByteStore`] give no means to prevent it.
/// * [`usage`](Storage::usage) and [`maintain`](Storage::maintain) read all heads.
pub struct KeyValueStorage<T> {
    shared: Arc<Shared<T>>,
}

impl<T: ByteStore> KeyValueStorage<T> {
    /// A storage over this store, with what is in it.
    #[must_use]
    pub fn new(store: T) -> Self {
        Self::with(store, Options::default())
    }

    /// A storage over this store with other options.
    pub fn builder(store: T) -> KeyValueStorageBuilder<T> {
        KeyValueStorageBuilder::new(store)
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &T {
        &self.shared.store
    }

    fn with(store: T, options: Options) -> Self {
        Self { shared: Arc::new(Shared::new(store, options)) }
    }
}

impl<T> Clone for KeyValueStorage<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: ByteStore> fmt::Debug for KeyValueStorage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueStorage").field("store", &self.shared.store).finish_non_exhaustive()
    }
}

impl<T: ByteStore> Storage for KeyValueStorage<T> {
    type Writer = KeyValueWriter<T>;
    type Reader = KeyValueReader<T>;

    fn name(&self) -> &'static str {
        self.shared.store.name()
    }

    fn max_body(&self) -> u64 {
        self.shared.options.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.shared.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<KeyValueReader<T>, StorageError> {
        reader::open(&self.shared, head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<KeyValueWriter<T>, StorageError> {
        writer::begin(&self.shared, head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        self.shared.freshen(head, fence).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        self.shared.publish_alias(&alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.shared.remove(key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.shared.remove_entry(key, id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.shared.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.shared.responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.shared.aliases(after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.shared.usage().await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.shared.clear(keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.shared.maintain(now).await
    }
}
