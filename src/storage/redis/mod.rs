//! Stored responses in Redis or Valkey.
//!
//! [`RedisStorage`] keeps a cache on a server that many processes and machines share: one server, a cluster, or the
//! primary that sentinels watch over, with or without TLS. It runs on Redis from version 6 and on Valkey from version 7.2,
//! by the same code.
//!
//! ```no_run
//! # async fn open() -> Result<(), larder::storage::StorageError> {
//! use larder::storage::RedisStorage;
//!
//! let storage = RedisStorage::connect("redis://127.0.0.1:6379/").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When to choose it
//!
//! Several machines share one cache, answers come within a millisecond, and the cache fits into the server's memory. On
//! one machine SQLite and files need no server and hold more.
//!
//! # Layout
//!
//! All keys begin with the [namespace](RedisStorageBuilder::namespace). The text between braces decides the slot of a
//! cluster.
//!
//! | key | value |
//! |---|---|
//! | `larder:{DIGEST}` | a hash: heads, small bodies, alias and fence of one cache key; `DIGEST` is its BLAKE3 |
//! | `larder:{DIGEST}:c:ID:N` | chunk `N` of the body `ID`, behind its checksum |
//! | `larder:{larder:marks}` | a hash: version of this layout, generations, count of invalidations |
//! | `larder:{larder:marks}:groups` | a hash: number of the last invalidation of the groups of each slot |
//!
//! A lookup is one round trip: `HGETALL` of the record and `HGET` of the marks in one pipeline; on a cluster to two nodes
//! at the same time. Lookups that come while others are under way go together, up to 32 in one pipeline that reads the
//! marks once. A response that was stored before the last invalidation needs a second round trip. A larger body costs one
//! round trip per four chunks. An invalidation reads the marks and then makes one round trip, however many groups it has.
//! Storing takes one round trip before the body, one for each chunk and one to publish. Small scripts do what must be
//! atomic; each touches one slot and is called by its hash.
//!
//! # What removals guarantee
//!
//! Removing a key and publishing under it are atomic on the server. A fill that began before the removal is refused, in
//! every process, for the whole [fill window](RedisStorageBuilder::fill_window); a fill that takes longer is always
//! refused. Clearing starts a new generation: from that moment no node of a cluster finds what was stored before, nor what
//! a fill under way still writes.
//!
//! The server can weaken this in two ways. A replica that is promoted may lack the last writes, removals among them. A
//! server that evicts may forget a removal within the time between a lookup and the response's head, if its policy evicts
//! what was written moments ago.
//!
//! # Eviction and limits
//!
//! The cache does not limit how much it stores: `maxmemory` and `maxmemory-policy allkeys-lru` (or `allkeys-lfu`) do. The
//! server may evict any key at any time. An incomplete entry is a miss or, in the middle of a body, an error. If the marks
//! are evicted, every lookup is a miss once. Each lookup reads the marks, so LRU and LFU keep them. With `noeviction` and
//! no memory left, storing fails with [`Full`](crate::storage::StorageErrorKind::Full) and hits go on.
//!
//! The numbers of invalidated groups are kept in 65536 slots, at most some 6 MB. Groups whose ids fall into one slot are
//! invalidated together. If the numbers are evicted, everything stored before is validated once. On a cluster one node
//! serves a small read for each lookup. Listing and counting scan the namespace with `SCAN`, never `KEYS`.
//!
//! # Expiry
//!
//! Record and chunks expire a [margin](RedisStorageBuilder::ttl_margin) after the end of the usable time of the record's
//! last entry, stale uses included. With [`ttl(false)`](RedisStorageBuilder::ttl) only [`maintain`](Storage::maintain) and
//! eviction remove them. Chunks of writers that died expire after the fill window. Usable times are those of the clients'
//! clocks. A server whose clock differs by more than the margin deletes responses too early or too late; it never causes
//! a wrong answer. Removals are remembered by the server's clock alone.
//!
//! # Connections
//!
//! The driver keeps and shares connections and reconnects. A read is repeated once when its connection turns out to be
//! broken; a write is not. While the server is away, calls fail at once with
//! [`Unavailable`](crate::storage::StorageErrorKind::Unavailable) or after the timeout with
//! [`Timeout`](crate::storage::StorageErrorKind::Timeout).
//!
//! With ACLs the user needs `~larder:*` and
//! `+hgetall +hmget +hget +hset +hsetnx +hdel +hkeys +hexists +mget +set +unlink +del +exists +type +expire
//! +hincrby +pexpire +pexpireat +persist +pttl +scan +time +eval +evalsha +ping`, on clusters `+cluster|slots`. A user that
//! may only read gets hits and stores nothing.
//!
//! # The driver
//!
//! [`RedisStorageBuilder`] takes types of the crate `redis`, version 1. That major version is part of this crate's public
//! API: a change to another one is a breaking change here.

mod batch;
mod call;
mod chunks;
mod connect;
mod error;
mod fence;
mod groups;
mod layout;
mod link;
mod list;
mod lookup;
mod maintain;
mod managers;
mod marks;
mod options;
mod publish;
mod reader;
mod remove;
mod scan;
mod scripts;
mod servers;
mod writer;

pub use options::RedisStorageBuilder;
pub(crate) use options::SCHEMES;
pub use reader::RedisReader;
pub use writer::RedisWriter;

use std::fmt;
use std::sync::{Arc, Mutex};

use redis::Value;

use self::batch::Lookups;
use self::call::{Call, Calls};
use self::error::NAME;
use self::layout::Names;
use self::link::Link;
use self::list::Ahead;
use self::managers::Lane;
use self::options::Options;
use super::kit::check_head;
use super::{Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage};
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;

/// A [`Storage`] in Redis or Valkey. See the [module](self).
///
/// Clones share connections.
#[derive(Clone)]
pub struct RedisStorage {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link,
    names: Names,
    options: Options,
    lookups: Lookups,
    ahead: Mutex<Ahead>,
}

impl fmt::Debug for RedisStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStorage").field("at", &self.shared.link).finish_non_exhaustive()
    }
}

impl From<Shared> for RedisStorage {
    fn from(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }
}

impl RedisStorage {
    /// The storage that a [URL](RedisStorageBuilder::url) names, with its options as the query:
    /// `redis://host/0?namespace=shop&strict=true`.
    ///
    /// # Errors
    ///
    /// As [`RedisStorageBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        Self::builder().url(url).connect().await
    }

    /// Sets up a storage.
    pub fn builder() -> RedisStorageBuilder {
        RedisStorageBuilder::default()
    }
}

impl Storage for RedisStorage {
    type Writer = RedisWriter;
    type Reader = RedisReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.shared.options.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.shared.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<RedisReader, StorageError> {
        reader::open(&self.shared, head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<RedisWriter, StorageError> {
        check_head(NAME, &head)?;
        writer::begin(&self.shared, head, fence).await
    }

    async fn freshen(&self, head: StoredHead, _fence: Fence) -> Result<bool, StorageError> {
        // What is removed is gone with its id, and what is cleared with its generation: neither comes back.
        crate::storage::kit::check_freshened(NAME, &head)?;
        self.shared.freshen(head).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(NAME, &alias.response.head)?;
        self.shared.publish_alias(alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.shared.remove(key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.shared.remove_entry(&self.shared.names.record(key), id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.shared.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.shared.list_responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.shared.list_aliases(after, limit).await
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

impl Shared {
    async fn ask(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        call: impl Into<Call>,
    ) -> Result<Value, StorageError> {
        self.link.ask(action, lane, reads, call).await
    }

    async fn ask_all(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        calls: Calls,
    ) -> Result<Vec<Value>, StorageError> {
        self.link.ask_all(action, lane, reads, calls).await
    }
}
