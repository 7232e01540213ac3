//! What the threads of one storage share: its directory, the locks, and the options.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::storage::StorageError;

use super::blocking::Blocking;
use super::lock::Locks;
use super::options::FileStorageBuilder;
use super::root::Root;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: FileStorageBuilder,
    root: RwLock<Arc<Root>>,
    /// Something was not where it should be: look at the directory again before the next write.
    pub(super) suspect: AtomicBool,
    pub(super) locks: Locks,
    /// Held by the thread that evicts.
    pub(super) evicting: Mutex<()>,
    pub(super) blocking: Blocking,
}

impl Shared {
    pub(super) fn new(path: &Path, root: Root, options: FileStorageBuilder) -> Self {
        Self {
            path: path.to_owned(),
            options,
            root: RwLock::new(Arc::new(root)),
            suspect: AtomicBool::new(false),
            locks: Locks::new(),
            evicting: Mutex::default(),
            blocking: Blocking::new(),
        }
    }

    pub(super) fn root(&self) -> Arc<Root> {
        Arc::clone(&self.root.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The root, after making sure that the path still leads to it: if the directory was deleted, it is
    /// made again; if something else is in its place, that is an error.
    pub(super) fn current(&self) -> Result<Arc<Root>, StorageError> {
        let root = self.root();
        if !self.suspect.load(Ordering::Relaxed) && root.is_current() {
            return Ok(root);
        }
        let mut place = self.root.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&place, &root) {
            *place = Arc::new(Root::open(&self.path, Some(root.format))?);
            self.suspect.store(false, Ordering::Relaxed);
        }
        Ok(Arc::clone(&place))
    }
}
