//! Stored responses as files below one directory.
//!
//! For programs that want to look at, copy or delete what is stored with the tools of the system, and for bodies too
//! large for a database. [`Format::Compact`] is made for speed, [`Format::Json`] for people.
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
//! larder.json               marks the directory as ours: version, format; made anew where it is damaged
//! state                     numbers all processes share: fences, how much is stored
//! responses/ab/abcd…        all responses under one key: heads, and bodies up to the inline threshold
//! aliases/ab/abcd…          the redirect alias under a key
//! bodies/ab/abcd….ID.body   one large body, a checksum for each 64 KiB behind it
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
//! Writers of one fan-out directory wait for each other (`flock`; on network file systems only as good as theirs);
//! readers wait for nobody. For a process that was stopped while it holds a lock the others wait five seconds, and then
//! no more: changes of those keys fail with [`Unavailable`](StorageErrorKind::Unavailable) until it goes on or is ended.
//! While processes take turns at a lock, one of them waits up to a minute for its own. How much is stored is counted in
//! `state`, so the limits hold for all processes together; what a stopped process holds is passed over by the eviction. A process that dies in the middle of a change leaves a mark there, and the next writer counts that
//! fan-out directory again; what it was writing is removed by [`maintain`](Storage::maintain) or when the directory is
//! next opened. Access times order the eviction, which removes whole keys.
//!
//! # What is promised
//!
//! What was accepted is written even if the runtime ends: a program that has read a response to its end can return from
//! `main`, which waits for it when the storage is dropped. A program that ends without dropping it (`exit`, a storage in a
//! `static`) has to [flush](crate::CacheLayer::flush) first. After a crash of the process everything published is there,
//! removals and invalidations as well. After a power failure the last seconds may be missing, invalidations among them,
//! unless [`sync`](FileStorageBuilder::sync) is on, but every byte handed out has passed a checksum: what is torn is
//! a miss. Files are for their owner only (0600, directories 0700), nothing is opened through a symbolic link, and
//! nothing outside of the directory is touched. A directory that disappears while it is in use is made again by the
//! next write.
//!
//! It does not keep its files' contents secret from the user they belong to, and it is for Unix.

mod blocking;
mod chunks;
mod compact;
mod dir;
mod error;
mod evict;
mod groups;
mod json;
mod layout;
mod lock;
mod maintain;
mod marker;
mod options;
mod publish;
mod queue;
mod reader;
mod record;
mod root;
mod state;
mod temp;
mod url;
mod writer;

pub(crate) use options::SCHEMES;
pub use options::{FileStorageBuilder, Format};
pub use reader::FileReader;
pub use writer::FileWriter;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::kit::check_head;
use crate::storage::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, StorageErrorKind,
    Usage,
};

use blocking::Blocking;
use error::{BACKEND, Doing};
use layout::Name;
use lock::Lock;
use options::Options;
use queue::Writers;
use root::Root;

/// A [`Storage`] in a directory. See the [module](self) for the layout and what is promised.
///
/// Clones share everything. The last one dropped waits until everything queued is written.
#[derive(Clone, Debug)]
pub struct FileStorage {
    shared: Arc<Shared>,
    writers: Arc<Writers>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: Options,
    root: RwLock<Arc<Root>>,
    /// Something was not where it should be: look at the directory again before the next write.
    suspect: AtomicBool,
    /// One for each fan-out directory: threads wait here, processes at the lock files.
    stripes: Box<[Lock]>,
    /// As `stripes`, for the file of invalidations.
    invalidating: Lock,
    evicting: Mutex<()>,
    blocking: Blocking,
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

    fn with_options(dir: &Path, options: Options) -> Result<Self, StorageError> {
        // Absolute, so that a change of the working directory changes nothing; without a slash at the end, which
        // would follow a symbolic link.
        let absolute = std::path::absolute(dir).doing(&format!("opening {}", dir.display()))?;
        let path: PathBuf = absolute.components().collect();
        let root = Arc::new(Root::open(&path, options.format)?);
        // What dead writers left costs only space: failing here is no reason not to open.
        let _ = temp::sweep(&root);
        let stripes = std::iter::repeat_with(Lock::default).take(layout::FANS).collect();
        let shared = Shared {
            path,
            options,
            root: RwLock::new(root),
            suspect: AtomicBool::new(false),
            stripes,
            invalidating: Lock::default(),
            evicting: Mutex::default(),
            blocking: Blocking::new(),
        };
        Ok(Self { shared: Arc::new(shared), writers: Arc::new(Writers::start()?) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The format of what is stored.
    #[must_use]
    pub fn format(&self) -> Format {
        self.shared.root().format
    }

    /// The files of everything stored.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn paths(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.reading(|root| reader::paths(root).doing("listing files")).await
    }

    /// The files of what is stored under one key.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn paths_of(&self, key: &CacheKey) -> Result<Vec<PathBuf>, StorageError> {
        let name = Name::of(key);
        self.reading(move |root| reader::paths_of(root, &name).doing("listing files")).await
    }

    /// Bytes of all files of stored responses and aliases.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub async fn size(&self) -> Result<u64, StorageError> {
        Ok(self.usage().await?.bytes)
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        self.shared.blocking.read(move || work(&shared.root())).await?
    }

    /// Changes what stands under one key. All of it is queued when this is first polled.
    async fn changing<T: Send + 'static>(
        &self,
        lane: u8,
        work: impl FnOnce(&Shared, &Arc<Root>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let work = move || shared.writing(|| work(&shared, &shared.current()?));
        self.writers.submit(lane, work).get().await
    }

    /// Works on the directory as a whole, which may take its time.
    async fn keeping_house<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &Arc<Root>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let work = move || shared.writing(|| work(&shared, &shared.current()?));
        self.shared.blocking.keep_house(work).await?
    }
}

impl FileStorage {
    /// Removes a response whose body turned out to be broken or gone, if it still is the one.
    async fn drop_entry(&self, (key, id): (CacheKey, EntryId)) {
        let (lane, shared) = (Name::of(&key).fan(), Arc::clone(&self.shared));
        let work = move || publish::remove_entry(&shared, &shared.root(), &key, id);
        // Failing leaves it to the next who finds it.
        let _ = self.writers.submit(lane, work).get().await;
    }
}

/// The lane of all changes of the file of invalidations.
const INVALIDATIONS: u8 = 0;

impl Shared {
    fn root(&self) -> Arc<Root> {
        Arc::clone(&self.root.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The root, after making sure that the path still leads to it: if the directory was deleted, it is
    /// made again; if something else stands in its place, that is an error.
    fn current(&self) -> Result<Arc<Root>, StorageError> {
        let root = self.root();
        if !self.suspect.load(Ordering::Relaxed) && root.is_current() {
            return Ok(root);
        }
        let mut place = self.root.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&place, &root) {
            *place = Arc::new(Root::open(&self.path, Some(root.format))?);
            self.suspect.store(false, Ordering::Relaxed);
        }
        Ok(Arc::clone(&place))
    }

    /// Does work that writes, and draws the consequences where it fails, so that the next can succeed: a lost
    /// directory is made again, a full disk gets some room.
    fn writing<T>(&self, work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
        let result = work();
        if let Err(error) = &result {
            if error::lost_directory(error) {
                self.suspect.store(true, Ordering::Relaxed);
            }
            if error.kind() == StorageErrorKind::Full {
                // The error at hand says more than one of this.
                let _ = evict::shed(self, &self.root());
            }
        }
        result
    }

    fn lookup(&self, key: &CacheKey, name: &Name) -> Result<reader::Looked, StorageError> {
        let root = self.root();
        let looked = reader::lookup(&root, key, name);
        let found = looked
            .as_ref()
            .is_ok_and(|looked| !looked.lookup.responses.is_empty() || looked.lookup.alias.is_some());
        // Only a miss can afford to ask whether the directory is still the same, and only a miss has to. What is found
        // must have been judged by the file that others write to.
        if (found && root.invalidated.is_linked()) || root.is_current() {
            return looked.doing("looking up");
        }
        let root = self.current()?;
        reader::lookup(&root, key, name).doing("looking up")
    }
}

impl Options {
    fn body_limit(&self) -> u64 {
        self.max_body.min(self.max_bytes)
    }

    fn check_len(&self, len: u64) -> Result<(), StorageError> {
        if len > self.body_limit() {
            return Err(error::error(StorageErrorKind::TooLarge, "storing a body: it passes the limit"));
        }
        Ok(())
    }
}

impl Storage for FileStorage {
    type Writer = FileWriter;
    type Reader = FileReader;

    fn name(&self) -> &'static str {
        BACKEND
    }

    fn max_body(&self) -> u64 {
        self.shared.options.body_limit()
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let name = Name::of(key);
        let (shared, owned, wanted) = (Arc::clone(&self.shared), key.clone(), name.clone());
        let looked = self.shared.blocking.quick(move || shared.lookup(&owned, &wanted)).await??;
        if looked.uncounted {
            let _ = self.changing(INVALIDATIONS, |shared, root| publish::repair(shared, root)).await;
        }
        let lane = name.fan();
        for keyspace in looked.broken {
            let name = name.clone();
            let discard =
                move |shared: &Shared, root: &Arc<Root>| publish::discard(shared, root, keyspace, &name);
            // Failing leaves it to the next who finds it.
            let _ = self.changing(lane, discard).await;
        }
        Ok(looked.lookup)
    }

    async fn open(&self, head: &StoredHead) -> Result<Self::Reader, StorageError> {
        let (shared, owned) = (Arc::clone(&self.shared), head.clone());
        match self.shared.blocking.quick(move || reader::open(&shared.root(), &owned)).await? {
            Ok(source) => Ok(FileReader::new(self.clone(), head, source)),
            Err(error) => {
                if matches!(error.kind(), StorageErrorKind::Missing | StorageErrorKind::Corrupt) {
                    self.drop_entry((head.key.clone(), head.id)).await;
                }
                Err(error)
            }
        }
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<Self::Writer, StorageError> {
        check_head(error::BACKEND, &head)?;
        self.shared.options.check_len(head.body_len())?;
        Ok(FileWriter::new(self.clone(), head, fence))
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_head(error::BACKEND, &head)?;
        let lane = Name::of(&head.key).fan();
        self.changing(lane, move |shared, root| publish::freshen(shared, root, head, fence)).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(error::BACKEND, &alias.response.head)?;
        let lane = Name::of(&alias.response.head.key).fan();
        self.changing(lane, move |shared, root| publish::put_alias(shared, root, alias, fence)).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let key = key.clone();
        self.changing(Name::of(&key).fan(), move |shared, root| publish::remove(shared, root, &key)).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let key = key.clone();
        self.changing(Name::of(&key).fan(), move |shared, root| publish::remove_entry(shared, root, &key, id))
            .await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        let groups = groups.to_vec();
        self.changing(INVALIDATIONS, move |shared, root| publish::invalidate(shared, root, &groups)).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let after = after.cloned();
        let page =
            self.reading(move |root| reader::page(root, Keyspace::Responses, after.as_ref(), limit)).await?;
        let heads = page.items.into_iter().map(|variant| Arc::unwrap_or_clone(variant.head));
        Ok(Page { items: heads.collect(), next: page.next })
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        let after = after.cloned();
        self.reading(move |root| {
            let page = reader::page(root, Keyspace::Aliases, after.as_ref(), limit)?;
            reader::aliases(root, page).doing("listing")
        })
        .await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.keeping_house(maintain::usage).await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.keeping_house(move |shared, root| maintain::clear(shared, root, keyspace)).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.keeping_house(move |shared, root| maintain::maintain(shared, root, now)).await
    }
}
