//! Stored responses as documents in MongoDB that people can read and query.
//!
//! Choose [`MongoStorage`] when several machines share one cache and MongoDB is at hand, or when you want to ask the
//! cache questions. Redis answers faster; SQLite needs no server. `GridFsStorage` is the same with larger bodies as
//! files. MongoDB 4.4 or newer, stand-alone or as a replica set; no transactions are used.
//!
//! ```no_run
//! use larder::storage::MongoStorage;
//!
//! # async fn example() -> Result<(), larder::storage::StorageError> {
//! let storage = MongoStorage::connect("mongodb://localhost/web?collection=api_cache&decode=true").await?;
//! # let _ = storage;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! Everything but larger bodies stands in one collection (`larder` unless named otherwise), which is the namespace of
//! one cache. The field `kind` says what a document is:
//!
//! | `kind` | one for each | fields |
//! |---|---|---|
//! | `response` | stored response | below |
//! | `alias` | redirect alias | as a response, and `target` (a URL), `target_key` |
//! | `removal` | key removed in the last day | `removed`: the clock of removals then |
//! | `slot` | slot of invalidated groups, at most 65536 | `number` of the last invalidation |
//! | `namespace` | cache | `schema`, `clock`, `invalidations`, ... |
//!
//! A response has `key` (the digest of its key) and `variant` (the digest of its selecting fields), `entry` (its id),
//! `url`, `method`, `status`, `http_version`, `request_time`, `response_time` and `usable_until` as dates, `lifetime`
//! in seconds, `headers` and `trailers` as arrays of `{name, value}` that keep order and repeats (a value that is no
//! text is binary), `vary` (secret values as keyed hashes), `groups`, `range`, `body_length`, `body` (up to the inline
//! threshold), and `text` or `json` where the builder's `decode` is on. `exact` holds the head in its exact form: this
//! is what the cache reads, the other fields are copies for you.
//!
//! ```text
//! db.larder.find({kind: "response", status: 200, url: /^https:\/\/api\.example\//}, {exact: 0, body: 0})
//! db.larder.find({"headers": {$elemMatch: {name: "server", value: "nginx"}}})
//! ```
//!
//! Bodies over the threshold are chunks in `larder.chunks`, laid out as GridFS lays out its chunks, each with a
//! checksum. Indexes, made once: `key` and `variant` (unique), `usable_until` (TTL), `url`, `groups`, `entry`, and one
//! for listing and counting.
//!
//! # Removal without transactions
//!
//! The namespace's document has a clock that every removal and clearing moves on. A lookup reads it together with the
//! documents under the key, in one query; its value is the lookup's fence, and whatever is stored as a consequence
//! carries it. A removal writes the clock's new value into the key's `removal` document, a clearing into the
//! namespace's; from that single write on, no document under the key with an earlier fence is visible, *whenever it
//! was written*. So a fill that comes too late cannot show what was removed, not for a moment, and not when its process
//! dies between two writes. After its write a fill reads the removals again, from the primary; if there was one it takes
//! its document back and reports [`Superseded`](super::Published::Superseded). Removals are remembered for a day at
//! least; a fill that takes longer than that is refused.
//!
//! This holds on a stand-alone server and on a replica set as far as writes last: with `w=majority` over any failover,
//! with `w=1` unless the server that knew of the removal is lost before it told another.
//!
//! # Limits
//!
//! 16 variants under a key; heads of at most 1 MiB; inline bodies of at most 4 MiB; other bodies of any length up to
//! the builder's `max_body`. The number of entries is not limited: what is of no use is deleted by the server's TTL
//! (an hour after its usable time, off with `ttl(false)`), and by `maintain`, which also sweeps what dead writers
//! left. Lookups cost one trip; one more where something was invalidated since the response was stored, and it is in a
//! group. An invalidation costs two trips, however many groups it has: a count in the namespace's document, and its
//! number in the slots of the groups. Nothing of it is ever deleted, and it takes some 10 MB at most.

mod bodies;
mod chunks;
mod connect;
mod decode;
mod document;
mod error;
mod fence;
mod found;
mod freshen;
mod groups;
mod indexes;
mod layout;
mod list;
mod lookup;
mod maintain;
mod namespace;
mod opening;
mod options;
mod publish;
mod reader;
mod remove;
mod row;
mod store;
mod writer;

#[cfg(feature = "gridfs")]
pub(crate) use bodies::sealed::Sealed;
pub use bodies::{Bodies, Chunks};
pub use options::MongoStorageBuilder;
pub(crate) use options::SCHEMES;
pub use reader::MongoReader;
pub use writer::MongoWriter;

use std::marker::PhantomData;
use std::sync::Arc;

use self::store::Store;
use super::kit::check_head;
use super::{Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage};
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;

/// Keeps stored responses as documents in MongoDB. See the [module](self) for the layout and the guarantees.
pub type MongoStorage = DocumentStorage<Chunks>;

/// [`MongoStorage`] and `GridFsStorage`: what both have in common. `B` says where larger bodies live.
///
/// Clones are handles on the same connections.
#[derive(Clone, Debug)]
pub struct DocumentStorage<B> {
    store: Arc<Store>,
    bodies: PhantomData<B>,
}

impl<B: Bodies> DocumentStorage<B> {
    /// Connects to the server that a URL names: `mongodb://host/database?collection=...`, or `mongodb+srv://`. For a
    /// `GridFsStorage`, `gridfs+` may stand before either.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`](super::StorageErrorKind::Invalid) when the URL or an option in it is impossible;
    /// with `strict=true` in it also when the server cannot be used.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        Self::builder().url(url).connect().await
    }

    /// A builder with all options.
    pub fn builder() -> MongoStorageBuilder<Self> {
        MongoStorageBuilder::new()
    }
}

impl<B: Bodies> Storage for DocumentStorage<B> {
    type Writer = MongoWriter;
    type Reader = MongoReader;

    fn name(&self) -> &'static str {
        B::NAME
    }

    fn max_body(&self) -> u64 {
        self.store.options.max_body.unwrap_or(u64::MAX)
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.store.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<MongoReader, StorageError> {
        MongoReader::open(Arc::clone(&self.store), head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<MongoWriter, StorageError> {
        check_head(B::NAME, &head)?;
        MongoWriter::new(Arc::clone(&self.store), head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_head(B::NAME, &head)?;
        self.store.freshen(head, fence).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(B::NAME, &alias.response.head)?;
        self.store.put_alias(&alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.store.remove(key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.store.remove_entry(key, id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.store.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.store.responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.store.aliases(after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.store.usage().await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.store.clear(keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.store.maintain(now).await
    }
}
