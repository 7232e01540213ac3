//! From an error of SQLite to a `StorageError`.

use std::path::Path;

use rusqlite::ffi;

use crate::storage::{StorageError, StorageErrorKind};

/// The backend's name.
pub(super) const NAME: &str = "sqlite";

/// A failure inside a statement or job, before it is known which call it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: StorageErrorKind,
    detail: String,
    /// What SQLite said, if it was SQLite.
    code: Option<Code>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// Another process holds a lock.
    Busy,
    Other,
}

impl Fault {
    pub(super) fn new(kind: StorageErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), code: None }
    }

    /// Whether another process holds a lock. If waiting is allowed, the call is tried again.
    pub(super) fn is_busy(&self) -> bool {
        self.code == Some(Code::Busy)
    }

    /// Whether SQLite itself found damage in the file, as opposed to a row that fails this backend's checks.
    pub(super) fn is_damage(&self) -> bool {
        self.kind == StorageErrorKind::Corrupt && self.code.is_some()
    }

    /// The failure in words.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The error of the call that was doing `action` with the database at `place`.
    ///
    /// The message contains everything, so the error has no source: SQLite's error would repeat it.
    pub(super) fn during(self, action: &str, place: &Path) -> StorageError {
        let place = place.display();
        // SQLite also names the file that it cannot open.
        let named = format!(": {place}");
        let detail = self.detail.strip_suffix(&named).unwrap_or(&self.detail);
        StorageError::new(self.kind, NAME, format!("{action} {place}: {detail}"))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use ffi::ErrorCode::{DatabaseBusy, DatabaseLocked};
        let busy = matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked));
        let code = if busy { Code::Busy } else { Code::Other };
        Self { kind: kind(&error), detail: words(&error), code: Some(code) }
    }
}

/// What SQLite says, with the number to look it up by.
fn words(error: &rusqlite::Error) -> String {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(code, message) => (code, message.as_deref()),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error, Some(msg.as_str())),
        other => return other.to_string(),
    };
    let message = message.unwrap_or_else(|| ffi::code_to_str(code.extended_code));
    format!("SQLite error {}: {message}", code.extended_code)
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
            // A value of a type that no statement of this backend writes.
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
        // `Unknown` is SQLITE_ERROR, "no such table": the statements are fixed and right, so somebody
        // changed the schema. A constraint can only fail on rows that another program wrote.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::Unknown
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch => StorageErrorKind::Corrupt,
        _ => StorageErrorKind::Other,
    }
}
