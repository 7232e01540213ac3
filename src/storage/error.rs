//! What can go wrong in a storage.

use std::error::Error;
use std::fmt;

/// A storage's failure: what kind, in which backend, while doing what, and the cause.
///
/// The layer never hands it to a caller in place of a response: a storage that fails is a miss.
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
    /// The storage cannot be reached, is overloaded, or refuses for now: try again later.
    Unavailable,
    /// It did not answer in time.
    Timeout,
    /// The body that a head names is gone or has a hole.
    Missing,
    /// What is stored is not what was written.
    Corrupt,
    /// The body passes the storage's limit for one response, or the head its limit for heads.
    TooLarge,
    /// There is no room: disk, quota or memory.
    Full,
    /// The storage may be read, not written.
    ReadOnly,
    /// The storage denies access: permissions or credentials.
    Denied,
    /// The storage is not one of ours, or written by a newer version.
    Incompatible,
    /// An option, URL or argument makes no sense.
    Invalid,
    /// Anything else.
    Other,
}

impl StorageErrorKind {
    /// The kind in a word, as it is shown in `Cache-Status` details and logs.
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
    /// An error of this kind. `action` says what failed and where, and what to do if that is known:
    /// `opening /var/cache/x.db: the file is not a database; choose another path`.
    #[must_use]
    pub fn new(kind: StorageErrorKind, backend: &'static str, action: impl Into<String>) -> Self {
        Self { kind, backend, action: action.into(), source: None }
    }

    /// [`StorageErrorKind::Invalid`] for an option with a value that cannot be: `chunk_size is 0; possible is 1 to 4096`.
    pub(crate) fn impossible(
        backend: &'static str,
        option: &str,
        value: impl fmt::Display,
        possible: impl fmt::Display,
    ) -> Self {
        Self::new(StorageErrorKind::Invalid, backend, format!("{option} is {value}; possible is {possible}"))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> StorageErrorKind {
        self.kind
    }

    /// The backend's [name](super::Storage::name). Empty where there is none: [`open`](fn@super::open) was given a URL
    /// that names no backend.
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
