//! Stored responses as files below one directory.
//!
//! Choose it if you want to inspect, copy or delete stored responses with the tools of the system, and for bodies that are
//! too large for a database. [`Format::Compact`] is made for speed, [`Format::Json`] for people.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("cache");
//! use larder::storage::filesystem::{FileStorage, Format};
//!
//! let storage = FileStorage::builder().format(Format::Json).max_bytes(100 << 20).open(&dir)?;
//! # drop(storage);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! ```text
//! larder.json               says that the directory is a cache: version, format; written again where it is damaged
//! state                     numbers all processes share: fences, how much is stored
//! responses/ab/abcd…        all responses under one key: heads, and bodies up to the inline threshold
//! aliases/ab/abcd…          the redirect alias under a key
//! bodies/ab/abcd….ID.body   one large body, a checksum for each chunk of 64 KiB behind it
//! invalidated               how often something was invalidated, and the last time for every few groups
//! temp/, locks/             files being written, lock files
//! ```
//!
//! `abcd…` is the key's digest, so no name comes from outside. One file holds all variants of a key: a hit is one
//! open and one read of known size without listing a directory, and a change is one rename, at the price of writing the
//! small bodies of the other variants again. In the JSON format a record is `abcd….json`, a large body is a plain
//! file with an extension of its media type, and its checksums are in a file beside it ending in `.sums`.
//!
//! # Several processes
//!
//! Writers of one fan-out directory wait for each other by `flock`. On a network file system this is as reliable as its
//! `flock`. Readers do not wait. If a process was stopped while it holds a lock, the others wait five seconds for it once.
//! After that, changes of those keys fail with [`Unavailable`](crate::storage::StorageErrorKind::Unavailable) until the
//! stopped process continues or ends.
//! While other processes take turns at a lock, a process waits up to a minute for its turn. `state` counts how much is
//! stored, so the limits hold for all processes together. The eviction skips what a stopped process holds.
//! A process that dies in the middle of a change leaves a mark in `state`, and the next writer counts that fan-out directory
//! again. [`maintain`](Storage::maintain) removes what the dead process was writing, or the next opening of the directory
//! does. The eviction removes whole keys, in the order of their access times.
//!
//! # What is promised
//!
//! Accepted writes finish even if the runtime ends. A program that has read a response to its end can return from `main`:
//! dropping the storage waits for the writes. A program that ends without dropping it (`exit`, a storage in a
//! `static`) has to [flush](crate::CacheLayer::flush) first. A crash of the process loses nothing that was published,
//! removed or invalidated. A power failure may lose the last seconds, invalidations included, unless
//! [`sync`](FileStorageBuilder::sync) is on. Every byte that is returned has passed a checksum: a damaged entry is a miss.
//! Only the owner can read the files (mode 0600, directories 0700). The storage opens nothing through a symbolic link and
//! changes nothing outside of the directory. If the directory disappears while it is in use, the next write creates it
//! again.
//!
//! The user who owns the files can read their contents. The storage needs Unix.
//!
//! # Inside
//!
//! - Opening: `options` what can be chosen, `connect`, `root` the open directory, `marker` whose it is, `layout` its names.
//! - Reading: `lookup`, `list` and `reader` read a `record` from its `record_file`, which is `compact` or `json`, and
//!   bodies from `chunks`, on the caller's thread while that is quick (`blocking`).
//! - Writing: `publish`, `freshen`, `alias`, `remove` and `writer` are jobs of a `queue`. They take a `lock`, announce a
//!   `change` and `rewrite` a record; `temp` and `new_file` make files appear whole.
//! - `fence` is what a removal leaves, `groups` are invalidated together; `state` and `invalidated` are their numbers.
//! - Room: `evict` keeps the limits, `count` counts a directory again, `maintain` does so for all of them.

mod alias;
mod blocking;
mod change;
mod chunks;
mod compact;
mod connect;
mod count;
mod dir;
mod error;
mod evict;
mod fence;
mod freshen;
mod groups;
mod handle;
mod invalidated;
mod json;
mod layout;
mod list;
mod lock;
mod lookup;
mod maintain;
mod marker;
mod new_file;
mod options;
mod publish;
mod queue;
mod reader;
mod record;
mod record_file;
mod remove;
mod rewrite;
mod root;
mod shared;
mod state;
mod temp;
mod writer;

pub(crate) use options::SCHEMES;
pub use options::{FileStorageBuilder, Format};
pub use reader::FileReader;
pub use writer::FileWriter;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::kit::check_head;
use crate::storage::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage,
};

use error::{Doing, NAME};
use handle::Handle;
use layout::Name;

/// A [`Storage`] in a directory. See the [module](self) for the layout and what is promised.
///
/// Clones share everything. The last one dropped waits until everything queued is written.
#[derive(Clone, Debug)]
pub struct FileStorage {
    handle: Handle,
}

impl FileStorage {
    /// Opens the directory with the default options, creating it if it is missing. Blocks for a few system calls.
    ///
    /// # Errors
    ///
    /// As [`FileStorageBuilder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::builder().open(dir)
    }

    /// Options, then [`open`](FileStorageBuilder::open).
    pub fn builder() -> FileStorageBuilder {
        FileStorageBuilder::default()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.handle.shared.path
    }

    /// The format of what is stored.
    #[must_use]
    pub fn format(&self) -> Format {
        self.handle.shared.root().format
    }

    /// The files of everything stored.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn paths(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.handle.read(|root| list::paths(root).doing("listing files")).await
    }

    /// The files of what is stored under one key.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn paths_of(&self, key: &CacheKey) -> Result<Vec<PathBuf>, StorageError> {
        let name = Name::of(key);
        self.handle.read(move |root| list::paths_of(root, &name).doing("listing files")).await
    }

    /// Bytes of all files of stored responses and aliases.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn size(&self) -> Result<u64, StorageError> {
        Ok(self.usage().await?.bytes)
    }
}

impl Storage for FileStorage {
    type Writer = FileWriter;
    type Reader = FileReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.handle.shared.options.body_limit()
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.handle.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<Self::Reader, StorageError> {
        FileReader::open(self.handle.clone(), head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<Self::Writer, StorageError> {
        check_head(NAME, &head)?;
        self.handle.shared.options.check_len(head.body_len())?;
        Ok(FileWriter::new(self.handle.clone(), head, fence))
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        crate::storage::kit::check_freshened(NAME, &head)?;
        let lane = Name::of(&head.key).fan();
        self.handle.write(lane, move |shared, root| freshen::freshen(shared, root, head, fence)).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(NAME, &alias.response.head)?;
        let lane = Name::of(&alias.response.head.key).fan();
        self.handle.write(lane, move |shared, root| alias::put(shared, root, alias, fence)).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let key = key.clone();
        self.handle.write(Name::of(&key).fan(), move |shared, root| remove::remove(shared, root, &key)).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let key = key.clone();
        self.handle
            .write(Name::of(&key).fan(), move |shared, root| remove::remove_entry(shared, root, &key, id))
            .await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        let groups = groups.to_vec();
        self.handle.write(groups::LANE, move |shared, root| groups::invalidate(shared, root, &groups)).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let after = after.cloned();
        let page = self
            .handle
            .read(move |root| list::page(root, Keyspace::Responses, after.as_ref(), limit))
            .await?;
        let heads = page.items.into_iter().map(|variant| Arc::unwrap_or_clone(variant.head));
        Ok(Page { items: heads.collect(), next: page.next })
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        let after = after.cloned();
        self.handle
            .read(move |root| {
                let page = list::page(root, Keyspace::Aliases, after.as_ref(), limit)?;
                list::aliases(root, page).doing("listing")
            })
            .await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.handle.maintain(list::usage).await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.handle.maintain(move |shared, root| remove::clear(shared, root, keyspace)).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.handle.maintain(move |shared, root| maintain::maintain(shared, root, now)).await
    }
}
