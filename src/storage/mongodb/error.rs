//! The driver's errors as storage errors.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::storage::StorageErrorKind;

pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// The kind of a driver's error.
pub(super) fn kind_of(error: &Error) -> StorageErrorKind {
    if let Some(code) = code_of(error) {
        return kind_of_code(code);
    }
    match &*error.kind {
        ErrorKind::Authentication { .. } => StorageErrorKind::Denied,
        ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::TimedOut => StorageErrorKind::Timeout,
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown => StorageErrorKind::Unavailable,
        ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => StorageErrorKind::Invalid,
        ErrorKind::IncompatibleServer { .. } => StorageErrorKind::Incompatible,
        ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => StorageErrorKind::Corrupt,
        _ => StorageErrorKind::Other,
    }
}

/// Whether a unique index refused a document.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code_of(error) == Some(DUPLICATE_KEY)
}

/// Whether a unique index refused a write because another writer was faster.
pub(super) fn lost_race<T>(result: &Result<T, Error>) -> bool {
    result.as_ref().is_err_and(is_duplicate)
}

/// Whether an index of this name exists with other options.
pub(super) fn is_other_index(error: &Error) -> bool {
    matches!(code_of(error), Some(85 | 86))
}

/// The server's code of an error.
fn code_of(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let write = many.write_errors.as_ref().and_then(|errors| errors.first()).map(|error| error.code);
            write.or_else(|| many.write_concern_error.as_ref().map(|concern| concern.code))
        }
        _ => None,
    }
}

/// The kind of an error code in the server's `error_codes.yml`.
pub(super) fn kind_of_code(code: i32) -> StorageErrorKind {
    match code {
        // Unauthorized, AuthenticationFailed, and the code that Atlas has for both.
        13 | 18 | 8000 => StorageErrorKind::Denied,
        // ExceededTimeLimit, MaxTimeMSExpired, WriteConcernFailed (in time), NetworkTimeout.
        50 | 64 | 89 | 202 | 262 => StorageErrorKind::Timeout,
        // HostUnreachable, HostNotFound, ShutdownInProgress, PrimarySteppedDown, SocketException, the Interrupted ones,
        // NotPrimaryOrSecondary, FailedToSatisfyReadPreference, too few members for the write concern.
        6 | 7 | 91 | 100 | 133 | 134 | 189 | 9001 | 11_600 | 11_602 | 13_436 => StorageErrorKind::Unavailable,
        // NotWritablePrimary, NotPrimaryNoSecondaryOk: a member that can only be read.
        10_107 | 10_058 | 13_435 => StorageErrorKind::ReadOnly,
        // OutOfDiskSpace, ExceededMemoryLimit, quotas.
        14_031 | 146 | 12_501 | 8001 => StorageErrorKind::Full,
        // BSONObjectTooLarge.
        10_334 | 17_419 | 17_420 => StorageErrorKind::TooLarge,
        // CannotCreateIndex, DocumentValidationFailure, IncompatibleServerVersion, a duplicate key where there must be none.
        67 | 121 | 188 | DUPLICATE_KEY => StorageErrorKind::Incompatible,
        _ => StorageErrorKind::Other,
    }
}
