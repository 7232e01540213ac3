//! The driver's errors in the contract's words.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::storage::{StorageError, StorageErrorKind};

/// See [`Storage::name`](crate::storage::Storage::name).
pub(super) const NAME: &str = "redis";

pub(super) fn error(kind: StorageErrorKind, action: impl Into<String>) -> StorageError {
    StorageError::new(kind, NAME, action)
}

/// What no option can be.
pub(super) fn invalid(action: impl Into<String>) -> StorageError {
    error(StorageErrorKind::Invalid, action)
}

/// `place` names the server, never credentials.
pub(super) fn from_driver(action: &str, place: &str, cause: RedisError) -> StorageError {
    let kind = kind(&cause);
    let advice = match kind {
        StorageErrorKind::Full => "; raise maxmemory, or set maxmemory-policy allkeys-lru",
        StorageErrorKind::Denied => "; check user, password and the user's ACL",
        StorageErrorKind::Timeout => "; a longer `timeout` may help",
        _ => "",
    };
    error(kind, format!("{action} at {place}{advice}")).with_source(cause)
}

/// Whether asking once more over a new connection can help.
pub(super) fn is_broken(cause: &RedisError) -> bool {
    !cause.is_timeout() && (cause.is_connection_dropped() || cause.is_io_error())
}

/// Whether the server at the other end is not the one to talk to any more.
pub(super) fn is_elsewhere(cause: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    let kind = cause.kind();
    is_broken(cause)
        || cause.is_timeout()
        || matches!(kind, ErrorKind::AuthenticationFailed | ErrorKind::Server(ReadOnly | MasterDown))
}

pub(super) fn kind(cause: &RedisError) -> StorageErrorKind {
    use ServerErrorKind as Server;
    if cause.is_timeout() {
        return StorageErrorKind::Timeout;
    }
    let said = |word: &str| {
        cause.code() == Some(word)
            || cause.detail().is_some_and(|detail| detail.contains(&format!("-{word} ")))
    };
    match cause.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(Server::NoPerm) => StorageErrorKind::Denied,
        ErrorKind::Server(Server::ReadOnly) => StorageErrorKind::ReadOnly,
        ErrorKind::Server(
            Server::BusyLoading
            | Server::ClusterDown
            | Server::MasterDown
            | Server::TryAgain
            | Server::Moved
            | Server::Ask,
        )
        | ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel => StorageErrorKind::Unavailable,
        ErrorKind::InvalidClientConfig => StorageErrorKind::Invalid,
        // Servers before version 7 wrap what a script ran into.
        _ if said("OOM") || said("MISCONF") => StorageErrorKind::Full,
        _ if said("READONLY") => StorageErrorKind::ReadOnly,
        _ if said("NOPERM") || said("NOAUTH") || said("WRONGPASS") => StorageErrorKind::Denied,
        _ if said("BUSY") || said("NOREPLICAS") || said("UNBLOCKED") => StorageErrorKind::Unavailable,
        _ if said("FOREIGN") || said("WRONGTYPE") => StorageErrorKind::Incompatible,
        _ => StorageErrorKind::Other,
    }
}
