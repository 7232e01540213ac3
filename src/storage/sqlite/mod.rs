//! Stored responses in one SQLite file, or in a database in memory.
//!
//! Choose [`SqliteStorage`] for programs on one machine that run again, alone or several at a time: one file, no
//! server, and plain SQL to look inside. Bodies of many megabytes are better off in files (`FileStorage`), and on a
//! network file system only with [`wal(false)`](SqliteStorageBuilder::wal). SQLite itself is compiled in.
//!
//! ```
//! use larder::storage::SqliteStorage;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("cache.db");
//! let storage = SqliteStorage::builder().max_bytes(256 << 20).open(&path)?;
//! # drop(storage);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | table | one row for each | columns to look at |
//! |---|---|---|
//! | `responses` | stored response | `url`, `method`, `status`, `body_length`, `requested`, `received`, `usable` |
//! | `redirects` | redirect alias | the same, and `target` |
//! | `chunks` | chunk of at most 128 KiB of a body over the inline threshold, with its checksum | |
//! | `invalidated` | slot of invalidated groups | `slot`, `number` |
//!
//! `head` holds a head in its exact form, which is what the cache reads. The columns beside it are copies for you. The
//! other tables count what is stored and record removals. You may delete rows by hand: triggers delete what belongs to
//! them.
//!
//! ```text
//! sqlite3 cache.db "SELECT url, status, received FROM responses ORDER BY response_time DESC LIMIT 10"
//! sqlite3 cache.db "DELETE FROM responses WHERE url LIKE 'https://api.example/%'"
//! ```
//!
//! While the file is open, there are `-wal` and `-shm` files beside it. [`checkpoint`](SqliteStorage::checkpoint) makes
//! the one file a whole copy. Files are created for their owner only (0600), the log and the journal too. A file that belongs to
//! another user, that everyone may write to, or that is a symbolic link is refused, unless
//! [`trust_file`](SqliteStorageBuilder::trust_file) says otherwise.
//!
//! # Limits
//!
//! [`max_bytes`](SqliteStorageBuilder::max_bytes) (2 GiB) and [`max_entries`](SqliteStorageBuilder::max_entries) (none) hold for all
//! processes together. What was not used recently is removed first. A body may be half of `max_bytes` long, and a key
//! has up to 32 [variants](SqliteStorageBuilder::max_variants). The file keeps its size when entries are removed;
//! [`vacuum`](SqliteStorage::vacuum) makes it smaller. [`maintain`](Storage::maintain) removes what can never be used
//! again. An option with an impossible value is an error when the database is opened.
//!
//! # What is promised
//!
//! Accepted writes finish even if the runtime ends. A program that has read a response to its end can return from `main`:
//! dropping the storage waits for the writes. A program that ends without dropping it (`exit`, a storage in a
//! `static`) has to [flush](crate::CacheLayer::flush) first. A crash of a process loses nothing that was published,
//! removed or invalidated, and its unfinished writes are reclaimed. After a power
//! failure the last responses and invalidations may be missing, depending on [`Synchronous`]. A damaged file is detected,
//! emptied and used again. A file of another program or of a newer version is refused and not changed.
//!
//! # Inside
//!
//! - Opening: `options` what can be chosen, `place` where the file is, `connect` and `connections`, `layout` the tables.
//! - Reading: `lookup`, `list` and `reader` read `rows` and `chunks` through the connections of a `pool`, on the caller's
//!   thread while that is quick.
//! - Writing: `publish`, `freshen`, `alias`, `remove` and `writer` are jobs of a `queue`. One thread commits together what
//!   is queued. A job works with a `session`.
//! - `fence` is what a removal leaves, `groups` are invalidated together.
//! - Room: `recency` and `evict` keep the limits, `bodies` and `reclaim` delete chunks that nothing leads to, `sweep`
//!   goes through everything for `remove` and `maintain`.
//! - `error` is a failure in words, `repair` empties a damaged database.

mod alias;
mod bodies;
mod chunks;
mod connect;
mod connections;
mod error;
mod evict;
mod fence;
mod freshen;
mod groups;
mod handle;
mod layout;
mod list;
mod lookup;
mod maintain;
mod options;
mod place;
mod pool;
mod publish;
mod queue;
mod reader;
mod recency;
mod reclaim;
mod remove;
mod repair;
mod rows;
mod session;
mod sweep;
mod writer;

pub(crate) use options::SCHEMES;
pub use options::{SqliteStorageBuilder, Synchronous};
pub use reader::SqliteReader;
pub use writer::SqliteWriter;

use std::path::Path;
use std::sync::Arc;

use self::alias::AliasRow;
use self::error::NAME;
use self::handle::Handle;
use self::session::Session;
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::kit::check_head;
use crate::storage::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage,
};

/// Keeps stored responses in one SQLite file: the storage for a program that runs again.
///
/// Any number of processes can share the file. Lookups do not wait for stores, and stores are committed together
/// under load. Every table can be read with plain SQL: `SELECT url, status, received FROM responses`.
///
/// A file that is found damaged is emptied and used again. A file of another program is never changed. Clones share one
/// database. Dropping the last one waits until everything queued is written.
///
/// ```
/// use larder::storage::{SqliteStorage, Storage};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = SqliteStorage::temporary()?;
/// assert_eq!(storage.usage().await?.responses, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStorage {
    handle: Arc<Handle>,
}

impl SqliteStorage {
    /// Options beside the defaults.
    pub fn builder() -> SqliteStorageBuilder {
        SqliteStorageBuilder::default()
    }

    /// Opens or creates the database in this file. See [`SqliteStorageBuilder::open`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::builder().open(path)
    }

    /// A database in memory. See [`SqliteStorageBuilder::in_memory`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::builder().in_memory()
    }

    /// A database in a temporary file. See [`SqliteStorageBuilder::temporary`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn temporary() -> Result<Self, StorageError> {
        Self::builder().temporary()
    }

    /// The database of the application `app_name` in the user's cache directory. See
    /// [`SqliteStorageBuilder::in_user_cache_dir`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn in_user_cache_dir(app_name: &str) -> Result<Self, StorageError> {
        Self::builder().in_user_cache_dir(app_name)
    }

    /// The file, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.handle.place.path()
    }

    /// The bytes of the database and its log, on the disk or in memory. More than [`usage`](Storage::usage) says, which
    /// counts heads and bodies alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be measured.
    pub async fn size(&self) -> Result<u64, StorageError> {
        list::size(&self.handle).await
    }

    /// Rewrites the database without the room of what was deleted, and gives that back to the system. Stores wait
    /// meanwhile, lookups do not.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::storage::StorageErrorKind::Full) when there is no room for the copy; others when the database
    /// cannot be written.
    pub async fn vacuum(&self) -> Result<(), StorageError> {
        maintain::vacuum(&self.handle).await
    }

    /// Returns once everything queued is written, and moved from the log into the database file. That one file is
    /// then a whole copy of the cache.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn checkpoint(&self) -> Result<(), StorageError> {
        maintain::checkpoint(&self.handle).await
    }
}

impl Storage for SqliteStorage {
    type Writer = SqliteWriter;
    type Reader = SqliteReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.handle.state.options.body_limit()
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.handle.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<SqliteReader, StorageError> {
        SqliteReader::open(Arc::clone(&self.handle), head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<SqliteWriter, StorageError> {
        check_head(NAME, &head)?;
        SqliteWriter::begin(Arc::clone(&self.handle), head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        crate::storage::kit::check_freshened(NAME, &head)?;
        let work = move |session: &Session<'_>| freshen::freshen(session, &head, fence);
        self.handle.write("freshening a response in", work).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(NAME, &alias.response.head)?;
        let row = AliasRow::new(alias)?;
        self.handle.write("storing an alias in", move |session| alias::put(session, &row, fence)).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let key = key.clone();
        self.handle.write("removing a key from", move |session| remove::remove(session, &key)).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let key = key.clone();
        let work = move |session: &Session<'_>| remove::remove_entry(session, &key, id);
        self.handle.write("removing an entry from", work).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        let groups = groups.to_vec();
        let work = move |session: &Session<'_>| groups::invalidate(session, &groups);
        self.handle.write("invalidating responses in", work).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let after = list::after(after)?;
        self.handle.read("listing", move |connection| list::responses(connection, after, limit)).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        let after = list::after(after)?;
        self.handle.read("listing", move |connection| list::aliases(connection, after, limit)).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.handle.read("measuring", list::usage).await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        remove::clear(&self.handle, keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        maintain::maintain(&self.handle, now).await
    }
}
