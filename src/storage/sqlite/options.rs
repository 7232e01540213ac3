//! What can be chosen when a database is opened, and the same options from a URL.

use std::time::Duration;

use super::chunks::CHUNK;
use super::error::NAME;
use crate::storage::StorageError;
use crate::storage::kit::options::{at_least_one, impossible, in_range};
use crate::storage::url::{OptionValue, Options, Schemes, open_blocking};

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("sqlite", "sqlite:cache.db")],
    open: |url| {
        Box::pin(async move {
            let path = url.path(NAME)?;
            let builder = SqliteStorageBuilder::from_url(url.options(NAME)?)?;
            // As other libraries name it. A file of this name can still be opened: `sqlite:./:memory:`.
            let in_memory = path.as_os_str().is_empty() || path.as_os_str() == ":memory:";
            open_blocking(NAME, move || if in_memory { builder.in_memory() } else { builder.open(path) })
                .await
        })
    },
};

/// SQLite keeps the time to wait as a number of milliseconds in 31 bits.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// SQLite maps no more of a file.
const MAX_MMAP_SIZE: u64 = 0x7fff_0000;
/// SQLite keeps the size of its page cache as a number of KiB in 31 bits.
const MAX_CACHE_SIZE: u64 = (i32::MAX as u64) << 10;

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

impl OptionValue for Synchronous {
    const EXPECTED: &'static str = "`off`, `normal` or `full`";

    fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Normal, Self::Full]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
    }
}

/// Options of a [`SqliteStorage`](super::SqliteStorage), with defaults that suit a client's cache on a local disk.
///
/// ```
/// use larder::storage::SqliteStorage;
///
/// let storage = SqliteStorage::builder().max_bytes(256 << 20).max_entries(100_000).in_memory()?;
/// # Ok::<_, larder::storage::StorageError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until a database is opened with it"]
pub struct SqliteStorageBuilder {
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
    pub(super) max_variants: usize,
    pub(super) inline_threshold: usize,
    pub(super) readers: usize,
}

impl Default for SqliteStorageBuilder {
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
            max_variants: 32,
            inline_threshold: 16 << 10,
            readers: 4,
        }
    }
}

impl SqliteStorageBuilder {
    /// Whether to use write-ahead logging (the default), by which reads never wait for writes. Without it SQLite keeps
    /// a rollback journal, which also works on network file systems; reads then wait while a write commits.
    pub const fn wal(mut self, wal: bool) -> Self {
        self.wal = wal;
        self
    }

    /// How long a write waits for another process's write before it fails as
    /// [unavailable](crate::storage::StorageErrorKind::Unavailable), at most 24 days. Default: 5 s.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// When writes reach the disk. Default: [`Synchronous::Normal`].
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How many bytes of the file to map into memory, at most 2047 MiB. Default: 0. Mapping makes reads of bodies
    /// from about 100 KiB on faster, but an I/O error then ends the process with a signal instead of ending the read
    /// with an error.
    pub const fn mmap_size(mut self, bytes: u64) -> Self {
        self.mmap_size = bytes;
        self
    }

    /// How many bytes of pages each connection may keep. Default: 4 MiB. There is one connection for
    /// writing and up to [`readers`](Self::readers) for reading.
    pub const fn cache_size(mut self, bytes: u64) -> Self {
        self.cache_size = bytes;
        self
    }

    /// The page size of a new file in bytes, a power of two from 512 to 65536. Default: 8192, with which the file is
    /// little larger than what it holds.
    pub const fn page_size(mut self, bytes: u32) -> Self {
        self.page_size = bytes;
        self
    }

    /// Whether to open an existing file for reading alone. Everything that would write fails with
    /// [`StorageErrorKind::ReadOnly`](crate::storage::StorageErrorKind::ReadOnly).
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether to open a file that others could have prepared: one that belongs to another user, that everyone may write
    /// to, or that a symbolic link leads to. Default: off. Such a file is refused with
    /// [`StorageErrorKind::Denied`](crate::storage::StorageErrorKind::Denied), because who can write to it decides what
    /// your requests are answered with.
    ///
    /// Has no effect where there are no such owners, as on Windows.
    pub const fn trust_file(mut self, trust: bool) -> Self {
        self.trust_file = trust;
        self
    }

    /// How many bytes of heads and bodies to hold, at least 1, or `None` for no limit. Default: 2 GiB. The file is a
    /// little larger, and does not shrink before [`SqliteStorage::vacuum`](super::SqliteStorage::vacuum).
    pub fn max_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// How many responses and aliases to hold, at least 1, or `None` for no limit. Default: `None`.
    pub fn max_entries(mut self, entries: impl Into<Option<u64>>) -> Self {
        self.max_entries = entries.into();
        self
    }

    /// How long a single body may be, at most [`max_bytes`](Self::max_bytes). Default: `None`, which is half of
    /// `max_bytes`.
    pub fn max_body(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_body = bytes.into();
        self
    }

    /// How many variants to keep under one key, from 1 to 65535. Default: 32. Beyond it the least recently published
    /// ones are removed.
    pub const fn max_variants(mut self, variants: usize) -> Self {
        self.max_variants = variants;
        self
    }

    /// Up to which length a body is kept in the row of its head and read together with it, at most 128 KiB. Default:
    /// 16 KiB. Freshening a head rewrites its row, and costs more with a large threshold.
    pub const fn inline_threshold(mut self, bytes: usize) -> Self {
        self.inline_threshold = bytes;
        self
    }

    /// How many connections read at the same time, from 1 to 64. Default: 4.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// The length from which on a single body is refused.
    pub(super) fn body_limit(&self) -> u64 {
        self.max_body.unwrap_or_else(|| self.max_bytes.map_or(u64::MAX, |bytes| bytes / 2))
    }

    /// The builder with the options of a URL.
    fn from_url(mut options: Options) -> Result<Self, StorageError> {
        let builder = options.set(Self::default(), "max_bytes", |to, bytes: u64| to.max_bytes(bytes))?;
        let builder = options.set(builder, "max_entries", |to, entries: u64| to.max_entries(entries))?;
        let builder = options.set(builder, "max_body", |to, bytes: u64| to.max_body(bytes))?;
        let builder = options.set(builder, "max_variants", Self::max_variants)?;
        let builder = options.set(builder, "inline_threshold", Self::inline_threshold)?;
        let builder = options.set(builder, "wal", Self::wal)?;
        let builder = options.set(builder, "busy_timeout", Self::busy_timeout)?;
        let builder = options.set(builder, "synchronous", Self::synchronous)?;
        let builder = options.set(builder, "mmap_size", Self::mmap_size)?;
        let builder = options.set(builder, "cache_size", Self::cache_size)?;
        let builder = options.set(builder, "page_size", Self::page_size)?;
        let builder = options.set(builder, "read_only", Self::read_only)?;
        let builder = options.set(builder, "trust_file", Self::trust_file)?;
        let builder = options.set(builder, "readers", Self::readers)?;
        options.finish()?;
        Ok(builder)
    }

    /// Refuses impossible values.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        at_least_one(NAME, "max_bytes", self.max_bytes)?;
        at_least_one(NAME, "max_entries", self.max_entries)?;
        if let (Some(body), Some(bytes)) = (self.max_body, self.max_bytes)
            && body > bytes
        {
            let possible = format!("at most max_bytes, which is {bytes}");
            return Err(impossible(NAME, "max_body", body, possible));
        }
        in_range(NAME, "max_variants", self.max_variants, 1..=usize::from(u16::MAX))?;
        in_range(NAME, "inline_threshold", self.inline_threshold, 0..=CHUNK)?;
        in_range(NAME, "mmap_size", self.mmap_size, 0..=MAX_MMAP_SIZE)?;
        in_range(NAME, "cache_size", self.cache_size, 0..=MAX_CACHE_SIZE)?;
        in_range(NAME, "readers", self.readers, 1..=64)?;
        if self.busy_timeout > MAX_BUSY_TIMEOUT {
            let (value, most) = (self.busy_timeout.as_millis(), MAX_BUSY_TIMEOUT.as_millis());
            return Err(impossible(
                NAME,
                "busy_timeout",
                format!("{value} ms"),
                format!("at most {most} ms"),
            ));
        }
        if !(512..=65536).contains(&self.page_size) || !self.page_size.is_power_of_two() {
            return Err(impossible(NAME, "page_size", self.page_size, "powers of two from 512 to 65536"));
        }
        Ok(())
    }

    /// As [`check`](Self::check), for a database that does not exist yet.
    pub(super) fn check_new(&self) -> Result<(), StorageError> {
        if self.read_only {
            return Err(impossible(NAME, "read_only", true, "false for a new database"));
        }
        self.check()
    }
}
