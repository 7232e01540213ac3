//! From options to an open storage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::StorageError;

use super::FileStorage;
use super::error::Doing;
use super::handle::Handle;
use super::options::FileStorageBuilder;
use super::queue::Queue;
use super::root::Root;
use super::shared::Shared;
use super::temp;

impl FileStorageBuilder {
    /// Opens the directory, and creates it if it is missing. Blocks for a few system calls.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::storage::StorageErrorKind::Invalid) for an option with an impossible value.
    /// - [`Denied`](crate::storage::StorageErrorKind::Denied) when the directory belongs to another user, may be
    ///   written by everyone, or is a symbolic link.
    /// - [`Incompatible`](crate::storage::StorageErrorKind::Incompatible) when it holds something else than a cache,
    ///   or a cache of a newer version or of the other format.
    /// - Others as the operating system says.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<FileStorage, StorageError> {
        self.check()?;
        let dir = dir.as_ref();
        // Absolute, so that a change of the working directory changes nothing; without a slash at the end, which
        // would follow a symbolic link.
        let absolute = std::path::absolute(dir).doing(&format!("opening {}", dir.display()))?;
        let path: PathBuf = absolute.components().collect();
        let root = Root::open(&path, self.format)?;
        // What dead writers left costs only space: failing here is no reason not to open.
        let _ = temp::sweep(&root);
        let shared = Arc::new(Shared::new(&path, root, self));
        Ok(FileStorage { handle: Handle { shared, queue: Arc::new(Queue::start()?) } })
    }
}
