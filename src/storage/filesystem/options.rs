//! What a user can choose when opening a directory.

use std::path::Path;

use super::FileStorage;
use super::error::BACKEND;
use super::url::from_url;
use crate::storage::StorageError;
use crate::storage::url::{Schemes, open_blocking};

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("file", "file:directory")],
    open: |url| {
        Box::pin(async move {
            let (path, options) = (url.path(BACKEND)?, url.options(BACKEND)?);
            open_blocking(BACKEND, move || from_url(&path, options)).await
        })
    },
};

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

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) format: Option<Format>,
    pub(super) max_bytes: u64,
    pub(super) max_entries: u64,
    pub(super) max_body: u64,
    pub(super) max_variants: usize,
    pub(super) inline: usize,
    pub(super) sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            max_bytes: 8 << 30,
            max_entries: u64::MAX,
            max_body: u64::MAX,
            max_variants: 32,
            inline: 16 << 10,
            sync: false,
        }
    }
}

/// Options for a [`FileStorage`]; made by [`FileStorage::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct FileStorageBuilder {
    pub(super) options: Options,
}

impl FileStorageBuilder {
    /// How heads and bodies are written. Without this, a directory keeps the format it has, and a new one
    /// becomes [`Format::Compact`].
    pub fn format(mut self, format: Format) -> Self {
        self.options.format = Some(format);
        self
    }

    /// The most bytes of heads and bodies together; 8 GiB unless set. What was not used for the longest goes first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.options.max_bytes = bytes;
        self
    }

    /// The most stored responses and aliases together; unlimited unless set.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.options.max_entries = entries;
        self
    }

    /// The longest body that is taken; [`max_bytes`](Self::max_bytes) unless set.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = bytes;
        self
    }

    /// The most variants under one key, at least 1; 32 unless set. Beyond it the least recently published go.
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants.clamp(1, usize::from(u16::MAX));
        self
    }

    /// Bodies of up to this many bytes stand in one file with their heads, at most 1 MiB; 16 KiB unless set.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline = bytes.min(1 << 20);
        self
    }

    /// Whether a publication or an invalidation waits until the disk has it. Off unless set: then a power failure may
    /// cost the responses and invalidations of the last seconds. Such responses are found missing, or broken by their
    /// checksums, and fetched again; without its invalidation an older response is a hit again.
    /// The death of a process never costs anything that was published.
    pub fn sync(mut self, sync: bool) -> Self {
        self.options.sync = sync;
        self
    }

    /// Opens the directory, creating it if it is missing. Blocks for a few system calls.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::storage::StorageErrorKind::Denied) when the directory belongs to another user, may be
    /// written by everyone, or is a symbolic link;
    /// [`Incompatible`](crate::storage::StorageErrorKind::Incompatible) when it holds something else than a cache of
    /// ours, or one of a newer version or of the other format; otherwise as the operating system says.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<FileStorage, StorageError> {
        FileStorage::with_options(dir.as_ref(), self.options)
    }
}
