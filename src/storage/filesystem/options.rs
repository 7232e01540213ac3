//! What can be chosen when a directory is opened, and the same options from a URL.

use super::error::{NAME, error};
use crate::storage::kit::options::{at_least_one, impossible, in_range};
use crate::storage::url::{OptionValue, Options, Schemes, open_blocking};
use crate::storage::{StorageError, StorageErrorKind};

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("file", "file:directory")],
    open: |url| {
        Box::pin(async move {
            let dir = url.path(NAME)?;
            let builder = FileStorageBuilder::from_url(url.options(NAME)?)?;
            if dir.as_os_str().is_empty() {
                return Err(error(StorageErrorKind::Invalid, "opening `file:` without a directory"));
            }
            open_blocking(NAME, move || builder.open(dir)).await
        })
    },
};

/// A larger body in the record of its key would be written again with every other response of the key.
const MAX_INLINE: usize = 1 << 20;

/// How the heads and bodies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Binary records, read in one go: for speed. The default.
    #[default]
    Compact,
    /// Indented JSON made for people; large bodies are plain files beside it.
    Json,
}

impl Format {
    /// The format's name in the marker file and in URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Json => "json",
        }
    }

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Compact, Self::Json].into_iter().find(|format| format.as_str() == name)
    }

    pub(super) const fn record_suffix(self) -> &'static str {
        match self {
            Self::Compact => "",
            Self::Json => ".json",
        }
    }
}

impl OptionValue for Format {
    const EXPECTED: &'static str = "`compact` or `json`";

    fn parse(text: &str) -> Option<Self> {
        Self::from_name(text)
    }
}

/// Options of a [`FileStorage`](super::FileStorage), with defaults that suit a client's cache on a local disk.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().join("cache");
/// use larder::storage::FileStorage;
///
/// let storage = FileStorage::builder().max_bytes(256 << 20).max_entries(100_000).open(&dir)?;
/// # drop(storage);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until a directory is opened with it"]
pub struct FileStorageBuilder {
    pub(super) format: Option<Format>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_entries: Option<u64>,
    pub(super) max_body: Option<u64>,
    pub(super) max_variants: usize,
    pub(super) inline_threshold: usize,
    pub(super) sync: bool,
}

impl Default for FileStorageBuilder {
    fn default() -> Self {
        Self {
            format: None,
            max_bytes: Some(8 << 30),
            max_entries: None,
            max_body: None,
            max_variants: 32,
            inline_threshold: 16 << 10,
            sync: false,
        }
    }
}

impl FileStorageBuilder {
    /// How heads and bodies are written. Default: the format that the directory has, and [`Format::Compact`] for a new
    /// one.
    pub const fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// How many bytes of heads and bodies to hold, `None` for no limit. Default: 8 GiB. What was not used for the
    /// longest time is removed first.
    pub fn max_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// How many responses and aliases to hold, `None` for no limit. Default: `None`.
    pub fn max_entries(mut self, entries: impl Into<Option<u64>>) -> Self {
        self.max_entries = entries.into();
        self
    }

    /// How long a single body may be, at most [`max_bytes`](Self::max_bytes). Default: `None`, which is `max_bytes`.
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

    /// Up to which length a body is kept in one file with its head, at most 1 MiB. Default: 16 KiB.
    pub const fn inline_threshold(mut self, bytes: usize) -> Self {
        self.inline_threshold = bytes;
        self
    }

    /// Whether a publication or an invalidation waits until the disk has it. Default: off. A power failure may then
    /// cost the responses and invalidations of the last seconds. Such responses are found missing, or broken by their
    /// checksums, and fetched again; without its invalidation an older response is a hit again.
    /// The death of a process never costs anything that was published.
    pub const fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// The builder with the options of a URL.
    fn from_url(mut options: Options) -> Result<Self, StorageError> {
        let builder = options.set(Self::default(), "format", Self::format)?;
        let builder = options.set(builder, "max_bytes", |to, bytes: u64| to.max_bytes(bytes))?;
        let builder = options.set(builder, "max_entries", |to, entries: u64| to.max_entries(entries))?;
        let builder = options.set(builder, "max_body", |to, bytes: u64| to.max_body(bytes))?;
        let builder = options.set(builder, "max_variants", Self::max_variants)?;
        let builder = options.set(builder, "inline_threshold", Self::inline_threshold)?;
        let builder = options.set(builder, "sync", Self::sync)?;
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
            return Err(impossible(NAME, "max_body", body, format!("at most max_bytes, which is {bytes}")));
        }
        in_range(NAME, "max_variants", self.max_variants, 1..=usize::from(u16::MAX))?;
        in_range(NAME, "inline_threshold", self.inline_threshold, 0..=MAX_INLINE)
    }

    /// The length from which on a single body is refused.
    pub(super) fn body_limit(&self) -> u64 {
        self.max_body.or(self.max_bytes).unwrap_or(u64::MAX)
    }

    pub(super) fn check_len(&self, len: u64) -> Result<(), StorageError> {
        if len > self.body_limit() {
            return Err(error(StorageErrorKind::TooLarge, "storing a body: it passes the limit"));
        }
        Ok(())
    }
}
