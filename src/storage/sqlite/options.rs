//! How a database is opened and how much it may hold.

use std::path::Path;
use std::time::Duration;

use super::error::BACKEND;
use super::url::from_url;
use super::{SqliteStorage, place};
use crate::storage::url::{Schemes, open_blocking};
use crate::storage::{StorageError, StorageErrorKind};

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("sqlite", "sqlite:cache.db")],
    open: |url| {
        Box::pin(async move {
            let (path, options) = (url.path(BACKEND)?, url.options(BACKEND)?);
            open_blocking(BACKEND, move || from_url(&path, options)).await
        })
    },
};

/// How soon SQLite asks the operating system to bring what it wrote to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// Never: a power failure can damage the file, which is then found out and emptied.
    Off,
    /// At checkpoints: a power failure can lose what was stored and invalidated last, and damages nothing.
    #[default]
    Normal,
    /// At every commit: nothing acknowledged is lost, and every store waits for the disk.
    Full,
}

impl Synchronous {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// Options of a [`SqliteStorage`], with defaults that suit a client's cache on a local disk.
///
/// ```
/// use larder::storage::SqliteStorage;
///
/// let storage = SqliteStorage::builder().max_bytes(256 << 20).max_entries(100_000).in_memory()?;
/// # Ok::<_, larder::storage::StorageError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until a database is opened with it"]
pub struct SqliteBuilder {
    pub(super) wal: bool,
    pub(super) busy_timeout: Duration,
    pub(super) synchronous: Synchronous,
    pub(super) mmap_size: u64,
    pub(super) cache_size: u64,
    pub(super) page_size: u32,
    pub(super) read_only: bool,
    pub(super) trust_file: bool,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_entries: Option<u64>,
    pub(super) max_body: Option<u64>,
    pub(super) inline: usize,
    pub(super) readers: usize,
}

impl Default for SqliteBuilder {
    fn default() -> Self {
        Self {
            wal: true,
            busy_timeout: Duration::from_secs(5),
            synchronous: Synchronous::Normal,
            mmap_size: 0,
            cache_size: 4 << 20,
            page_size: 8192,
            read_only: false,
            trust_file: false,
            max_bytes: Some(2 << 30),
            max_entries: None,
            max_body: None,
            inline: 16 << 10,
            readers: 4,
        }
    }
}

impl SqliteBuilder {
    /// Whether to use write-ahead logging (the default), by which reads never wait for writes. Without it SQLite keeps
    /// a rollback journal, which also works on network file systems; reads then wait while a write commits.
    pub const fn wal(mut self, wal: bool) -> Self {
        self.wal = wal;
        self
    }

    /// How long a write waits for another process's write before it fails as
    /// [unavailable](StorageErrorKind::Unavailable): 5 s unless told otherwise.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// When writes reach the disk: [`Synchronous::Normal`] unless told otherwise.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How many bytes of the file to map into memory: 0, none, unless told otherwise. Mapping makes reads of bodies
    /// from some 100 KiB on faster, but an I/O error then ends the process with a signal instead of ending the read
    /// with an error.
    pub const fn mmap_size(mut self, bytes: u64) -> Self {
        self.mmap_size = bytes;
        self
    }

    /// How many bytes of pages each connection may keep: 4 MiB unless told otherwise. There is one connection for
    /// writing and up to [`readers`](Self::readers) for reading.
    pub const fn cache_size(mut self, bytes: u64) -> Self {
        self.cache_size = bytes;
        self
    }

    /// The page size of a newly created file, a power of two from 512 to 65536: 8192 unless told otherwise, which keeps
    /// the file close to its payload.
    pub const fn page_size(mut self, bytes: u32) -> Self {
        self.page_size = bytes;
        self
    }

    /// Whether to open an existing file for reading alone. Everything that would write fails with
    /// [`StorageErrorKind::ReadOnly`].
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether to open a file that others could have prepared: one that belongs to another user, that everyone may write
    /// to, or that a symbolic link leads to. Off unless told otherwise: such a file is refused with
    /// [`StorageErrorKind::Denied`], because whoever can write to it decides what your requests are answered with.
    ///
    /// Has no effect where there are no such owners, as on Windows.
    pub const fn trust_file(mut self, trust: bool) -> Self {
        self.trust_file = trust;
        self
    }

    /// How many bytes of heads and bodies to hold, `None` for no limit: 2 GiB unless told otherwise. The file is a
    /// little larger, and does not shrink before [`SqliteStorage::vacuum`].
    pub fn max_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// How many responses and aliases to hold, `None` (the default) for no limit.
    pub fn max_entries(mut self, entries: impl Into<Option<u64>>) -> Self {
        self.max_entries = entries.into();
        self
    }

    /// How long a single body may be; `None` (the default) for half of [`max_bytes`](Self::max_bytes).
    pub fn max_body(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_body = bytes.into();
        self
    }

    /// Up to which length a body is kept in the row of its head and read together with it: 16 KiB unless told
    /// otherwise, at most 128 KiB. A freshened head rewrites its row, so a large threshold makes that dearer.
    pub const fn inline_threshold(mut self, bytes: usize) -> Self {
        self.inline = bytes;
        self
    }

    /// How many connections read at the same time: 4 unless told otherwise.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Opens the database in this file; a file that does not exist is created, readable and writable for its owner
    /// alone. Blocks while it does.
    ///
    /// # Errors
    ///
    /// [`Incompatible`](StorageErrorKind::Incompatible) when the file is not a database, somebody else's or written by
    /// a newer version: it is left as it is. [`Denied`](StorageErrorKind::Denied) when the file belongs to another user,
    /// everyone may write to it, or it is a symbolic link, unless [`trust_file`](Self::trust_file) allows it. [`ReadOnly`](StorageErrorKind::ReadOnly) when it cannot be written but
    /// [`read_only`](Self::read_only) was not asked for. [`Invalid`](StorageErrorKind::Invalid) for options that make
    /// no sense. Others when the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStorage, StorageError> {
        self.check()?;
        SqliteStorage::assemble(place::Place::file(path.as_ref())?, self)
    }

    /// A database in memory: private to this storage and its clones, and gone with the last of them.
    ///
    /// # Errors
    ///
    /// [`Invalid`](StorageErrorKind::Invalid) for options that make no sense.
    pub fn in_memory(mut self) -> Result<SqliteStorage, StorageError> {
        // A read-only database in memory would be empty for ever.
        self.read_only = false;
        self.check()?;
        SqliteStorage::assemble(place::Place::Memory, self)
    }

    /// A database in a file of its own in the system's temporary directory, deleted with the last clone.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn temporary(mut self) -> Result<SqliteStorage, StorageError> {
        self.read_only = false;
        self.check()?;
        SqliteStorage::assemble(place::Place::temporary(), self)
    }

    /// Opens `larder.db` in the directory `app_name` of the user's cache directory: `$XDG_CACHE_HOME` or `~/.cache`,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. The directory is created where it is missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Invalid`](StorageErrorKind::Invalid) when `app_name` is not the name of a single
    /// directory, or the user has no cache directory.
    pub fn in_user_cache_dir(self, app_name: &str) -> Result<SqliteStorage, StorageError> {
        let path = place::user_cache_file(app_name)?;
        self.open(path)
    }

    /// The length from which on a single body is refused.
    pub(super) fn body_limit(&self) -> u64 {
        self.max_body.unwrap_or_else(|| self.max_bytes.map_or(u64::MAX, |bytes| bytes / 2))
    }

    fn check(&self) -> Result<(), StorageError> {
        let wrong = if !(512..=65536).contains(&self.page_size) || !self.page_size.is_power_of_two() {
            "page_size must be a power of two from 512 to 65536"
        } else if self.inline > super::writer::CHUNK {
            "inline_threshold must be at most 131072"
        } else if !(1..=64).contains(&self.readers) {
            "readers must be from 1 to 64"
        } else {
            return Ok(());
        };
        Err(StorageError::new(StorageErrorKind::Invalid, BACKEND, wrong))
    }
}
