//! What all clones of a storage share, and the ways to have work done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Lookup, StorageError, StorageErrorKind};

use super::layout::Name;
use super::queue::Queue;
use super::root::Root;
use super::shared::Shared;
use super::{error, evict, groups, lookup, remove};

#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
}

impl Handle {
    /// Reads on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        self.shared.blocking.read(move || work(&shared.root())).await?
    }

    /// Changes what is stored under one key. All of it is queued when this is first polled.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        lane: u8,
        work: impl FnOnce(&Shared, &Arc<Root>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let work = move || writing(&shared, || work(&shared, &shared.current()?));
        self.queue.submit(lane, work).get().await
    }

    /// Works on the directory as a whole, which may take its time.
    pub(super) async fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &Arc<Root>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let work = move || writing(&shared, || work(&shared, &shared.current()?));
        self.shared.blocking.maintain(work).await?
    }

    /// Looks up, and removes what is found to be broken.
    pub(super) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let name = Name::of(key);
        let (shared, owned, wanted) = (Arc::clone(&self.shared), key.clone(), name.clone());
        let work = move || lookup::lookup(&shared, &owned, &wanted);
        let looked = self.shared.blocking.quick(work).await??;
        if looked.uncounted {
            let _ = self.write(groups::LANE, |shared, root| groups::repair(shared, root)).await;
        }
        let lane = name.fan();
        for keyspace in looked.broken {
            let name = name.clone();
            let discard =
                move |shared: &Shared, root: &Arc<Root>| remove::discard(shared, root, keyspace, &name);
            // Failing leaves it to the next who finds it.
            let _ = self.write(lane, discard).await;
        }
        Ok(looked.lookup)
    }

    /// Removes a response whose body is broken or gone, if it still is the one.
    pub(super) async fn discard_entry(&self, (key, id): (CacheKey, EntryId)) {
        let (lane, shared) = (Name::of(&key).fan(), Arc::clone(&self.shared));
        let work = move || remove::remove_entry(&shared, &shared.root(), &key, id);
        // Failing leaves it to the next who finds it.
        let _ = self.queue.submit(lane, work).get().await;
    }
}

/// Does work that writes, and draws the consequences where it fails, so that the next can succeed: a lost
/// directory is made again, a full disk gets some room.
pub(super) fn writing<T>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let result = work();
    if let Err(error) = &result {
        if error::lost_directory(error) {
            shared.suspect.store(true, Ordering::Relaxed);
        }
        if error.kind() == StorageErrorKind::Full {
            // The error at hand says more than one of this.
            let _ = evict::shed(shared, &shared.root());
        }
    }
    result
}
