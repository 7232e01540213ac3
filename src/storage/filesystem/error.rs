//! From the operating system's errors to the storage's.

use std::io;

use rustix::io::Errno;

use crate::storage::{StorageError, StorageErrorKind};

/// The backend's name in every error.
pub(super) const NAME: &str = "filesystem";

/// Says what was being done when an error of the operating system came up.
pub(super) trait Doing<T> {
    fn doing(self, action: &str) -> Result<T, StorageError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: &str) -> Result<T, StorageError> {
        self.map_err(|error| StorageError::new(kind(&error), NAME, action).with_source(error))
    }
}

impl<T> Doing<T> for Result<T, Errno> {
    fn doing(self, action: &str) -> Result<T, StorageError> {
        self.map_err(io::Error::from).doing(action)
    }
}

/// An error without a cause below it.
pub(super) fn error(kind: StorageErrorKind, action: impl Into<String>) -> StorageError {
    StorageError::new(kind, NAME, action)
}

fn kind(error: &io::Error) -> StorageErrorKind {
    if error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_none() {
        // Said by us: the record would be read as garbage.
        return StorageErrorKind::TooLarge;
    }
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => StorageErrorKind::Full,
        Some(Errno::ROFS) => StorageErrorKind::ReadOnly,
        // There is a symbolic link or a file in place of a directory of the cache: nothing is written through it.
        Some(Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::NOTDIR) => StorageErrorKind::Denied,
        Some(
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::BUSY
            | Errno::NOENT
            | Errno::STALE,
        ) => StorageErrorKind::Unavailable,
        _ => StorageErrorKind::Other,
    }
}

/// Whether the error says that a directory we rely on is not there any more.
pub(super) fn lost_directory(error: &StorageError) -> bool {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>()).is_some_and(
        |source| matches!(Errno::from_io_error(source), Some(Errno::NOENT | Errno::STALE | Errno::NOTDIR)),
    )
}

/// Whether opening failed because there is no regular file under the name: a miss, not an error.
pub(super) fn not_a_file(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO | Errno::NODEV)
}
