//! Errors that the cache returns in addition to the inner service's own errors.

use std::error::Error;
use std::fmt;

/// Any error, boxed.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a response body ended too early: the origin's body failed, or the storage failed in the middle of a stored body.
///
/// [`source`](Error::source) returns the cause. It can be downcast to the error type of the origin's body.
#[derive(Debug)]
pub struct BodyError {
    from_storage: bool,
    source: BoxError,
}

impl BodyError {
    pub(crate) fn origin(source: impl Into<BoxError>) -> Self {
        Self { from_storage: false, source: source.into() }
    }

    pub(crate) fn storage(source: impl Into<BoxError>) -> Self {
        Self { from_storage: true, source: source.into() }
    }

    /// Whether the storage failed, and not the origin.
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        self.from_storage
    }

    /// The cause.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.source
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.from_storage {
            "the storage failed in the middle of a stored response body; ask again to reach the origin"
        } else {
            "the origin's response body failed"
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}
