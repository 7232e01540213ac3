//! Stored responses in one SQLite file, or in a database in memory.
//!
//! Choose [`SqliteStorage`] for programs on one machine that run again, alone or several at a time: one file, no
//! server, and plain SQL to look inside. Bodies of many megabytes are better off in files (`FileStorage`), and on a
//! network file system only with [`wal(false)`](SqliteBuilder::wal). SQLite itself is compiled in.
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
//! | `chunks` | piece of at most 128 KiB of a body over the inline threshold, with its checksum | |
//! | `invalidated` | slot of invalidated groups | `slot`, `number` |
//!
//! `head` holds a head in its exact form, which is what the cache reads; the columns beside it are copies for you. The
//! other tables count what is stored and keep fills apart from removals. Rows may be deleted by hand: triggers see to
//! the rest.
//!
//! ```text
//! sqlite3 cache.db "SELECT url, status, received FROM responses ORDER BY response_time DESC LIMIT 10"
//! sqlite3 cache.db "DELETE FROM responses WHERE url LIKE 'https://api.example/%'"
//! ```
//!
//! While the file is open, `-wal` and `-shm` files stand beside it; [`checkpoint`](SqliteStorage::checkpoint) makes the
//! one file a whole copy. Files are made for their owner only (0600), the log and the journal too. A file that belongs to
//! another user, that everyone may write to, or that is a symbolic link is refused, unless
//! [`trust_file`](SqliteBuilder::trust_file) says otherwise.
//!
//! # Limits
//!
//! [`max_bytes`](SqliteBuilder::max_bytes) (2 GiB) and [`max_entries`](SqliteBuilder::max_entries) (none) hold for all
//! processes together: what was not used of late goes first. A body may be half of `max_bytes` long, and 32 variants
//! stand under a key. The file keeps its size when entries go; [`vacuum`](SqliteStorage::vacuum) gives the room back.
//! What can never be used again goes with [`maintain`](Storage::maintain), or when room is needed.
//!
//! # What is promised
//!
//! What was accepted is written even if the runtime ends: a program that has read a response to its end can return from
//! `main`, which waits for it when the storage is dropped. A program that ends without dropping it (`exit`, a storage in a
//! `static`) has to [flush](crate::CacheLayer::flush) first. After a crash of a process everything published is there,
//! removals and invalidations as well, and what it was writing is reclaimed. After a power
//! failure the last responses and invalidations may be missing, depending on [`Synchronous`]. A damaged file is found out, emptied and used
//! on; one that is not ours, or of a newer version, is refused and left as it is.
//!
//! # Inside
//!
//! - `options` what can be chosen, `place` where the file is, `connect` opening it, `layout` the tables in it;
//! - `lookup` and `pool` find what is stored, on the caller's thread while that is quick;
//! - `publish` and `queue` change it, on one thread that commits together what is queued;
//! - `writer` streams bodies both ways;
//! - `evict` keeps the limits, `reclaim` takes back the room of bodies that nothing leads to any more;
//! - `error` says what went wrong.

mod connect;
mod error;
mod evict;
mod layout;
mod lookup;
mod options;
mod place;
mod pool;
mod publish;
mod queue;
mod reclaim;
mod url;
mod writer;

pub(crate) use options::SCHEMES;
pub use options::{SqliteBuilder, Synchronous};
pub use writer::{SqliteReader, SqliteWriter};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use self::error::{BACKEND, Fault};
use self::evict::Recency;
use self::lookup::Found;
use self::place::Place;
use self::pool::Readers;
use self::publish::{AliasRow, Sweep};
use self::queue::{Session, Writer};
use self::reclaim::Bodies;
use crate::clock::Timestamp;
use crate::entry::{Alias, BodySummary, EntryId, GroupId, StoredBody, StoredHead, codec};
use crate::key::CacheKey;
use crate::storage::kit::check_head;
use crate::storage::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, StorageErrorKind,
    Usage,
};

/// Keeps stored responses in one SQLite file: the storage for a program that runs again.
///
/// Any number of processes can share the file. Lookups do not wait for stores, and stores are committed together
/// under load. Every table can be read with plain SQL: `SELECT url, status, received FROM responses`.
///
/// A file that turns out to be damaged is emptied and goes on being used; a file that is not a cache of ours is never
/// touched. Clones share one database. The last one dropped waits until everything queued is written.
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
    inner: Arc<Inner>,
}

/// The fields are dropped in this order: the last connection closed is the writing one, because only that can take
/// away the log, and a temporary file goes when nobody has it open any more.
#[derive(Debug)]
struct Inner {
    readers: Arc<Readers>,
    writer: Option<Writer>,
    state: Arc<State>,
    place: Place,
}

/// What the threads of one storage share beside the database.
#[derive(Debug)]
struct State {
    options: SqliteBuilder,
    recency: Recency,
    bodies: Bodies,
    /// A reader met damage: the writing thread should examine the database.
    damaged: AtomicBool,
}

impl SqliteStorage {
    /// Options beside the defaults.
    pub fn builder() -> SqliteBuilder {
        SqliteBuilder::default()
    }

    /// Opens or creates the database in this file. See [`SqliteBuilder::open`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::builder().open(path)
    }

    /// A database in memory. See [`SqliteBuilder::in_memory`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::builder().in_memory()
    }

    /// A database in a temporary file. See [`SqliteBuilder::temporary`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn temporary() -> Result<Self, StorageError> {
        Self::builder().temporary()
    }

    /// The database of the application `app_name` in the user's cache directory. See
    /// [`SqliteBuilder::in_user_cache_dir`].
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
        self.inner.place.path()
    }

    /// The bytes of the database and its log, as they stand on the disk (or in memory). More than
    /// [`usage`](Storage::usage) says, which counts heads and bodies alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be asked.
    pub async fn size(&self) -> Result<u64, StorageError> {
        const ACTION: &str = "measuring";
        let on_disk = self.inner.place.size().map_err(|error| self.inner.error(error.into(), ACTION))?;
        if let Some(bytes) = on_disk {
            return Ok(bytes);
        }
        let pages = self.inner.readers.elsewhere(|connection| {
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            Ok(pragma("page_count")?.saturating_mul(pragma("page_size")?))
        });
        let bytes = pages.await.map_err(|fault| self.inner.error(fault, ACTION))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Rewrites the database without the room of what was deleted, and gives that back to the system. Stores wait
    /// meanwhile, lookups do not.
    ///
    /// # Errors
    ///
    /// [`Full`](StorageErrorKind::Full) when there is no room for the copy; others when the storage cannot be asked.
    pub async fn vacuum(&self) -> Result<(), StorageError> {
        const ACTION: &str = "vacuuming";
        let vacuumed = self.inner.writer(ACTION)?.alone(|session| {
            session.connection.execute_batch("VACUUM")?;
            queue::checkpoint(session)
        });
        vacuumed.await.map_err(|fault| self.inner.error(fault, ACTION))
    }

    /// Returns once everything queued is written, and moved from the log into the database file: that one file is
    /// then a whole copy of the cache.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    pub async fn checkpoint(&self) -> Result<(), StorageError> {
        const ACTION: &str = "checkpointing";
        let done = self.inner.writer(ACTION)?.alone(queue::checkpoint);
        done.await.map_err(|fault| self.inner.error(fault, ACTION))
    }

    fn assemble(place: Place, options: SqliteBuilder) -> Result<Self, StorageError> {
        const ACTION: &str = "opening";
        let opened = if let Place::Temporary(path) = &place {
            place::create(path).map_err(Fault::from).and_then(|_| connect::open(&place, &options))
        } else {
            connect::open(&place, &options)
        };
        let connections = opened.map_err(|fault| fault.during(ACTION, place.shown()))?;
        let readers = Arc::new(Readers::new(connections.readers, options.busy_timeout));
        let state = Arc::new(State {
            options,
            recency: Recency::new(),
            bodies: Bodies::new(),
            damaged: AtomicBool::new(false),
        });
        let writer = connections
            .writer
            .map(|connection| Writer::start(connection, Arc::clone(&state)))
            .transpose()
            .map_err(|fault| fault.during(ACTION, place.shown()))?;
        Ok(Self { inner: Arc::new(Inner { writer, readers, state, place }) })
    }

    async fn read<T, F>(&self, action: &str, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.readers.elsewhere(work).await.map_err(|fault| self.inner.error(fault, action))
    }

    async fn write<T, F>(&self, action: &str, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer(action)?.write(work).await.map_err(|fault| self.inner.error(fault, action))
    }

    /// Sweeps through a keyspace, a transaction at a time, so that others can write in between.
    async fn sweep(&self, action: &str, sweep: Sweep) -> Result<u64, StorageError> {
        let (mut deleted, mut rest) = (0, Some(sweep));
        while let Some(sweep) = rest {
            let (step, next) = self.write(action, move |session| publish::sweep(session, sweep)).await?;
            deleted += step;
            rest = next;
        }
        Ok(deleted)
    }
}

impl Inner {
    /// The error of a call. Damage is reported to the writing thread, which looks after it.
    fn error(&self, fault: Fault, action: &str) -> StorageError {
        if fault.is_damage() {
            self.report_damage();
        }
        fault.during(action, self.place.shown())
    }

    fn report_damage(&self) {
        self.state.damaged.store(true, Ordering::Relaxed);
        if let Some(writer) = &self.writer {
            writer.nudge(|_| Ok(()));
        }
    }

    fn writer(&self, action: &str) -> Result<&Writer, StorageError> {
        self.writer.as_ref().ok_or_else(|| {
            let fault = Fault::new(StorageErrorKind::ReadOnly, "the storage was opened for reading alone");
            fault.during(action, self.place.shown())
        })
    }

    /// What a lookup leads to: marks of use, and the removal of garbage.
    fn follow_up(&self, found: Found) -> Lookup {
        let Some(writer) = &self.writer else { return found.lookup };
        let limited = self.state.options.max_bytes.is_some() || self.state.options.max_entries.is_some();
        if limited && !found.used.is_empty() && self.state.recency.mark(&found.used) {
            writer.nudge(evict::remember);
        }
        if !found.garbage.is_empty() {
            let garbage = found.garbage;
            writer.nudge(move |session| {
                garbage.iter().try_for_each(|entry| publish::delete(session.connection, *entry))
            });
        }
        found.lookup
    }
}

impl Storage for SqliteStorage {
    type Writer = SqliteWriter;
    type Reader = SqliteReader;

    fn name(&self) -> &'static str {
        BACKEND
    }

    fn max_body(&self) -> u64 {
        self.inner.state.options.body_limit()
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let key = key.clone();
        match self.inner.readers.quick(move |connection| lookup::lookup(connection, &key)).await {
            Ok(found) => Ok(self.inner.follow_up(found)),
            // What is stored is damaged, which makes it a miss. The fence is one from which nothing is taken until the
            // damage is mended.
            Err(fault) if fault.kind == StorageErrorKind::Corrupt => {
                self.inner.report_damage();
                Ok(Lookup::default())
            }
            Err(fault) => Err(self.inner.error(fault, "looking up a response in")),
        }
    }

    async fn open(&self, head: &StoredHead) -> Result<SqliteReader, StorageError> {
        SqliteReader::open(Arc::clone(&self.inner), head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<SqliteWriter, StorageError> {
        check_head(BACKEND, &head)?;
        SqliteWriter::begin(Arc::clone(&self.inner), head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_head(BACKEND, &head)?;
        self.write("freshening a response in", move |session| publish::freshen(session, &head, fence)).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(BACKEND, &alias.response.head)?;
        let body = match &alias.response.body {
            StoredBody::Inline(body) => body.clone(),
            StoredBody::Shared(pieces) => Bytes::from(pieces.concat()),
            StoredBody::Streamed => {
                let action = "storing an alias whose body did not come with it";
                return Err(StorageError::new(StorageErrorKind::Invalid, BACKEND, action));
            }
        };
        let head =
            StoredHead { body: Some(BodySummary::of(&body)), ..StoredHead::clone(&alias.response.head) };
        let row = AliasRow { head: codec::encode(&head), body, alias };
        self.write("storing an alias in", move |session| publish::put_alias(session, &row, fence)).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let key = key.clone();
        self.write("removing a key from", move |session| publish::remove(session, &key)).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let key = key.clone();
        self.write("removing an entry from", move |session| publish::remove_entry(session, &key, id)).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        let groups = groups.to_vec();
        self.write("invalidating responses in", move |session| publish::invalidate(session, &groups)).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let after = lookup::after(after)?;
        self.read("listing", move |connection| lookup::responses(connection, after, limit)).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        let after = lookup::after(after)?;
        self.read("listing", move |connection| lookup::aliases(connection, after, limit)).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.read("measuring", lookup::usage).await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        const ACTION: &str = "clearing";
        let fenced = self.write(ACTION, move |session| publish::fence_off_all(session, keyspace)).await?;
        for (keyspace, last) in fenced {
            self.sweep(ACTION, Sweep { keyspace, done: i64::MIN, last, usable_by: None }).await?;
        }
        Ok(())
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        const ACTION: &str = "maintaining";
        let mut expired = 0;
        for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
            let last =
                self.write(ACTION, move |session| publish::last_row(session.connection, keyspace)).await?;
            let sweep = Sweep { keyspace, done: i64::MIN, last, usable_by: Some(now) };
            expired += self.sweep(ACTION, sweep).await?;
        }
        let orphans = self.write(ACTION, reclaim::condemn_orphans).await?;
        Ok(Maintained::new(expired, orphans))
    }
}
