//! Failures of a storage.

use std::error::Error;
use std::fmt;

/// A failure of a storage: its kind, its backend, the failed action, and the cause.
///
/// The layer never returns it in place of a response: a failing storage is a miss.
#[derive(Debug)]
pub struct StorageError {
    kind: StorageErrorKind,
    backend: &'static str,
    action: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of storage failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The storage is unreachable or overloaded, or refuses temporarily. Try again later.
    Unavailable,
    /// The storage did not answer in time.
    Timeout,
    /// The body that a head names is missing, or a chunk of it is.
    Missing,
    /// The stored bytes are not the bytes that were written.
    Corrupt,
    /// The body is longer than the storage's limit for one response, or the head is longer than the limit for heads.
    TooLarge,
    /// There is no room left: disk, quota or memory.
    Full,
    /// The storage can be read but not written.
    ReadOnly,
    /// The storage denies access: permissions or credentials.
    Denied,
    /// The storage was not made by this crate, or a newer version wrote it.
    Incompatible,
    /// An option, URL or argument is invalid.
    Invalid,
    /// Any other failure.
    Other,
}

impl StorageErrorKind {
    /// The kind as one word, for `Cache-Status` details and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too-large",
            Self::Full => "full",
            Self::ReadOnly => "read-only",
            Self::Denied => "denied",
            Self::Incompatible => "incompatible",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}

impl StorageError {
    /// An error of this kind. `action` says what failed and where, and what to do, if known:
    /// `opening /var/cache/x.db: the file is not a database; choose another path`.
    #[must_use]
    pub fn new(kind: StorageErrorKind, backend: &'static str, action: impl Into<String>) -> Self {
        Self { kind, backend, action: action.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StorageErrorKind {
        self.kind
    }

    /// The backend's [name](super::Storage::name). It is empty if the URL for [`open`](fn@super::open) names no backend.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.backend
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.backend.is_empty() {
            write!(f, "{} ", self.backend)?;
        }
        write!(f, "storage: {} ({})", self.action, self.kind.as_str())
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}
