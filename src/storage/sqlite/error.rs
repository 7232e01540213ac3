//! What SQLite says, in the storage's words.

use std::path::Path;

use rusqlite::ffi;

use crate::storage::{StorageError, StorageErrorKind};

/// The backend's name.
pub(super) const BACKEND: &str = "sqlite";

/// A failure inside a statement or job, before it is known which call it belongs to.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: StorageErrorKind,
    detail: String,
    source: Option<rusqlite::Error>,
}

impl Fault {
    pub(super) fn new(kind: StorageErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// The same failure for another waiting call: an error of SQLite has one owner, its words can be repeated.
    pub(super) fn again(&self) -> Self {
        Self::new(self.kind, self.detail.clone())
    }

    /// Whether somebody else holds a lock: worth another try where waiting is allowed.
    pub(super) fn is_busy(&self) -> bool {
        use ffi::ErrorCode::{DatabaseBusy, DatabaseLocked};
        let code = self.source.as_ref().and_then(rusqlite::Error::sqlite_error_code);
        matches!(code, Some(DatabaseBusy | DatabaseLocked))
    }

    /// Whether SQLite itself stumbled over what is in the file, as opposed to a row that fails our own checks.
    pub(super) fn is_damage(&self) -> bool {
        self.kind == StorageErrorKind::Corrupt && self.source.is_some()
    }

    /// The failure in words.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The error of the call that was doing `action` with the database at `place`.
    pub(super) fn during(self, action: &str, place: &Path) -> StorageError {
        let message = format!("{action} {}: {}", place.display(), self.detail);
        let error = StorageError::new(self.kind, BACKEND, message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self { kind: kind(&error), detail: error.to_string(), source: Some(error) }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::PermissionDenied => StorageErrorKind::Denied,
            ErrorKind::ReadOnlyFilesystem => StorageErrorKind::ReadOnly,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageErrorKind::Full,
            _ => StorageErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

fn kind(error: &rusqlite::Error) -> StorageErrorKind {
    use ffi::ErrorCode;
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            // A value of a type that no statement of ours wrote.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows => StorageErrorKind::Corrupt,
            _ => StorageErrorKind::Other,
        };
    };
    // A read past the end of the file: it was cut short.
    if error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_SHORT_READ) {
        return StorageErrorKind::Corrupt;
    }
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::SchemaChanged
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted => StorageErrorKind::Unavailable,
        ErrorCode::DiskFull | ErrorCode::OutOfMemory => StorageErrorKind::Full,
        ErrorCode::ReadOnly => StorageErrorKind::ReadOnly,
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => StorageErrorKind::Denied,
        ErrorCode::TooBig => StorageErrorKind::TooLarge,
        ErrorCode::NotADatabase => StorageErrorKind::Incompatible,
        // `Unknown` is SQLITE_ERROR, "no such table": the statements are fixed and right, so the schema is not ours
        // any more. A constraint of ours can only fail on rows that we did not write.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::Unknown
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch => StorageErrorKind::Corrupt,
        _ => StorageErrorKind::Other,
    }
}
