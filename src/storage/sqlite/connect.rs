//! From options to an open storage.

use std::path::Path;
use std::sync::Arc;

use super::SqliteStorage;
use super::error::Fault;
use super::handle::Handle;
use super::options::SqliteStorageBuilder;
use super::place::{self, Place};
use crate::storage::StorageError;

impl SqliteStorageBuilder {
    /// Opens the database in this file. A file that does not exist is created, readable and writable for its owner
    /// alone. Blocks for some disk accesses.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::storage::StorageErrorKind::Invalid) for an option with an impossible value.
    /// - [`Incompatible`](crate::storage::StorageErrorKind::Incompatible) when the file is not a database, belongs to
    ///   another program, or was written by a newer version. The file is not changed.
    /// - [`Denied`](crate::storage::StorageErrorKind::Denied) when the file belongs to another user, everyone may write
    ///   to it, or it is a symbolic link, unless [`trust_file`](Self::trust_file) allows it.
    /// - [`ReadOnly`](crate::storage::StorageErrorKind::ReadOnly) when the file cannot be written and
    ///   [`read_only`](Self::read_only) is off.
    /// - Others when the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStorage, StorageError> {
        self.check()?;
        self.connect(Place::file(path.as_ref())?)
    }

    /// A database in memory: private to this storage and its clones, and gone with the last of them.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::storage::StorageErrorKind::Invalid) for an option with an impossible value, and for
    /// [`read_only`](Self::read_only): a new database is empty.
    pub fn in_memory(self) -> Result<SqliteStorage, StorageError> {
        self.check_new()?;
        self.connect(Place::Memory)
    }

    /// A database in a new file in the system's temporary directory. It is deleted with the last clone.
    ///
    /// # Errors
    ///
    /// As [`in_memory`](Self::in_memory), and when the file cannot be created.
    pub fn temporary(self) -> Result<SqliteStorage, StorageError> {
        self.check_new()?;
        let place = Place::temporary();
        if let Some(path) = place.path() {
            place::create(path).map_err(|error| Fault::from(error).during("creating", path))?;
        }
        self.connect(place)
    }

    /// Opens `larder.db` in the directory `app_name` of the user's cache directory: `$XDG_CACHE_HOME` or `~/.cache`,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. The directory is created where it is missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Invalid`](crate::storage::StorageErrorKind::Invalid) when `app_name` is not the name of
    /// a single directory, or the user has no cache directory.
    pub fn in_user_cache_dir(self, app_name: &str) -> Result<SqliteStorage, StorageError> {
        self.check()?;
        self.open(place::user_cache_file(app_name)?)
    }

    fn connect(self, place: Place) -> Result<SqliteStorage, StorageError> {
        Ok(SqliteStorage { handle: Arc::new(Handle::open(place, self)?) })
    }
}
