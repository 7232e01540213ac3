//! Stored responses as documents in MongoDB that people can read and query.
//!
//! Choose [`MongoStorage`] when several machines share one cache and MongoDB is already there, or when you want to
//! query the cache. Redis answers faster; SQLite needs no server. `GridFsStorage` is the same with larger bodies as
//! GridFS files. It needs MongoDB 4.4 or newer, stand-alone or as a replica set, and uses no transactions.
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
//! # The driver
//!
//! [`MongoStorageBuilder`] takes `Client`, `ClientOptions`, `WriteConcern` and `ReadPreference` of the crate `mongodb`,
//! version 3. That major version is part of this crate's public API: a change to another one is a breaking change here.
//!
//! # Layout
//!
//! Everything except larger bodies is in one collection (default: `larder`), which is the namespace of one cache. The
//! field `kind` says what a document is:
//!
//! | `kind` | one document for each | fields |
//! |---|---|---|
//! | `response` | stored response | below |
//! | `alias` | redirect alias | as a response, and `target` (a URL), `target_key` |
//! | `removal` | key removed in the last day: its fence | `removed`: the clock's value at the removal |
//! | `slot` | slot of invalidated groups, at most 65536 | `number` of the last invalidation |
//! | `namespace` | cache | `schema`, `clock`, `invalidations`, ... |
//!
//! A response has these fields:
//!
//! * `key` (digest of its key), `variant` (digest of its selecting fields) and `entry` (its id),
//! * `url`, `method`, `status` and `http_version`,
//! * `request_time`, `response_time` and `usable_until` as dates, `lifetime` in seconds,
//! * `headers` and `trailers` as arrays of `{name, value}` in order and with repeats; a value that is not text is
//!   binary,
//! * `vary` (secret values as keyed hashes), `groups` and `range`,
//! * `body_length`, and `body` for a body up to the inline threshold,
//! * `text` or `json` where the builder's [`decode`](MongoStorageBuilder::decode) is on,
//! * `exact`: the head in its exact form. The cache reads this field; the others are copies for people.
//!
//! ```text
//! db.larder.find({kind: "response", status: 200, url: /^https:\/\/api\.example\//}, {exact: 0, body: 0})
//! db.larder.find({"headers": {$elemMatch: {name: "server", value: "nginx"}}})
//! ```
//!
//! Bodies over the threshold are in `larder.chunks`, in the layout of GridFS chunks, each chunk with a checksum.
//! Indexes, created once: `key` and `variant` (unique), `usable_until` (TTL), `url`, `groups`, `entry`, and one for
//! listing and counting.
//!
//! # Removal without transactions
//!
//! The namespace's document has a clock: a number that every removal and clearing increments. A lookup reads it
//! together with the documents under the key, in one query. Its value is the lookup's fence, and everything stored as
//! a consequence carries it. A removal writes the clock's new value into the key's `removal` document, a clearing into
//! the namespace's document. From that single write on, no document under the key with an earlier fence is visible,
//! *whenever it was written*. A fill that comes too late therefore cannot show what was removed, not even when its
//! process dies between two writes. After its write a fill reads the removals again, from the primary. If there was
//! one, it takes its document back and reports [`Superseded`](super::Published::Superseded). Removals are remembered
//! for at least a day; a fill that takes longer is refused.
//!
//! This holds on a stand-alone server, and on a replica set as long as its writes last: with `w=majority` over every
//! failover; with `w=1` unless the server that knew of the removal is lost before another member did.
//!
//! # Limits
//!
//! * 16 variants under a key ([`max_variants`](MongoStorageBuilder::max_variants)), heads of at most 1 MiB, inline
//!   bodies of at most 4 MiB, other bodies of any length up to [`max_body`](MongoStorageBuilder::max_body).
//! * The number of entries is not limited. The server's TTL deletes responses an hour after their usable time (off
//!   with `ttl(false)`). [`maintain`](super::Storage::maintain) deletes them too, and what dead writers left.
//! * A lookup costs one round trip, and a second one if something was invalidated since the response was stored and
//!   the response is in a group.
//! * An invalidation costs two round trips for any number of groups: a count in the namespace's document, and its
//!   number in the slots of the groups. Slots are never deleted; all of them take about 10 MB.

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
mod record;
mod remove;
mod store;
mod writer;

#[cfg(feature = "gridfs")]
pub(crate) use bodies::sealed::Sealed;
pub use bodies::{Bodies, Chunks};
pub use options::MongoStorageBuilder;
pub(crate) use options::SCHEMES;
pub use reader::MongoReader;
pub use writer::MongoWriter;

use std::fmt;
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
#[derive(Clone)]
pub struct DocumentStorage<B> {
    store: Arc<Store>,
    bodies: PhantomData<B>,
}

impl<B: Bodies> fmt::Debug for DocumentStorage<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentStorage").field("backend", &B::NAME).field("store", &self.store).finish()
    }
}

impl<B: Bodies> DocumentStorage<B> {
    /// Connects to the server that a URL names: `mongodb://host/database?collection=...`, or `mongodb+srv://`. For a
    /// `GridFsStorage`, either may begin with `gridfs+`.
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
        crate::storage::kit::check_freshened(B::NAME, &head)?;
        self.store.freshen(head, fence).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(B::NAME, &alias.response.head)?;
        self.store.publish_alias(&alias, fence).await
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
