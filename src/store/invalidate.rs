//! Invalidating (RFC 9111 section 4.4), until the storage has confirmed it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::deadline::within;
use super::pending::{Call, Due};
use super::{Shared, Store, spawn};
use crate::clock;
use crate::entry::{GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{DynStorage, StorageError, StorageErrorKind};

/// Pauses between attempts to bring invalidations to the storage.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A point in the order of invalidations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Those of this layer.
    calls: u64,
    /// Those that the storage has counted, or fewer.
    counted: u64,
}

impl Store {
    /// Invalidates these groups, and removes everything under these keys. Returns when that is done, or the deadline
    /// has passed for all of it together.
    ///
    /// Lookups of this layer respect it at once. It goes on if the caller is dropped. What the storage does not confirm is
    /// tried again until it does.
    pub(crate) async fn invalidate(&self, groups: Vec<GroupId>, keys: Vec<CacheKey>) {
        let call = self.shared.pending.add(&groups);
        if !self.shared.health.invalidations.allows() {
            self.retry();
            return;
        }
        // What failed is pending.
        let _ = self.bring_call(groups, keys, call).await;
    }

    /// The same, for a user who wants to know whether the storage confirmed it: it is asked, whatever happened before.
    pub(super) async fn invalidate_now(&self, groups: Vec<GroupId>) -> Result<(), StorageError> {
        let call = self.shared.pending.add(&groups);
        self.bring_call(groups, Vec::new(), call).await
    }

    /// Brings one call to the storage. Goes on if the caller is dropped.
    async fn bring_call(
        &self,
        groups: Vec<GroupId>,
        keys: Vec<CacheKey>,
        call: Call,
    ) -> Result<(), StorageError> {
        let counted = self.shared.counted.load(Ordering::Acquire);
        let (done, waiting) = tokio::sync::oneshot::channel();
        let store = self.clone();
        self.run_or_spawn(async move {
            let Shared { health, counters, pending, .. } = &*store.shared;
            let storage = Arc::clone(&store.storage);
            let due = Due::Groups(groups);
            let bringing = async {
                bring(&*storage, &due).await?;
                // They are invalid already; this spares their room, and a validation.
                for key in &keys {
                    storage.remove(key).await?;
                }
                Ok(())
            };
            let brought = store.within("invalidating", Box::pin(bringing)).await;
            health.heard(&health.invalidations, &brought);
            if brought.is_ok() {
                pending.confirmed(&due, call);
                pending.counted(call);
                store.has_counted(counted.saturating_add(1));
                counters.count(|counters| &counters.invalidated);
            }
            // This one, or one that was one too many.
            if !pending.is_empty() {
                store.retry();
            }
            let _ = done.send(brought);
        });
        // Ends with the task, also if that is dropped.
        waiting.await.unwrap_or_else(|_| {
            Err(self.error(StorageErrorKind::Other, "invalidating: the runtime ended meanwhile"))
        })
    }

    /// Tries once more to bring what is pending to the storage.
    pub(super) async fn bring_pending(&self) {
        let Some((due, call)) = self.shared.pending.due() else { return };
        let brought = self.within("invalidating", Box::pin(bring(&*self.storage, &due))).await;
        self.shared.health.heard(&self.shared.health.invalidations, &brought);
        if brought.is_ok() {
            self.shared.pending.confirmed(&due, call);
        }
    }

    /// This moment in the order of invalidations. It does not ask the storage, but uses the last count that is known.
    pub(crate) fn moment(&self) -> Moment {
        let Shared { pending, counted, .. } = &*self.shared;
        // In this order: a call that is counted in between must not be taken for one that came later.
        let counted = counted.load(Ordering::Acquire);
        Moment { calls: pending.calls(), counted }
    }

    /// How many invalidations of this layer the storage has counted since then, or fewer. A lookup that begins after this
    /// has all of them in its count.
    pub(crate) fn counted_since(&self, since: Moment) -> u64 {
        self.shared.pending.counted_since(since.calls)
    }

    /// Whether more than one invalidation has concerned this head since then, by the count `as_of` of a lookup. Of those in
    /// it, `own` were made by this layer, as was known before the lookup. It is unknown what those of other processes
    /// concerned.
    pub(crate) fn invalidated_again(&self, head: &StoredHead, since: Moment, own: u64, as_of: u64) -> bool {
        let Shared { pending, counted, .. } = &*self.shared;
        let Some(all) = as_of.checked_sub(since.counted) else {
            // The storage has forgotten its count, and begun a new one.
            counted.store(as_of, Ordering::Release);
            return true;
        };
        all != own || pending.named_again(head, since.calls)
    }

    /// The storage has counted this many invalidations.
    pub(super) fn has_counted(&self, as_of: u64) {
        let counted = &self.shared.counted;
        // Usually the number is the same, and nothing is written.
        if counted.load(Ordering::Acquire) < as_of {
            counted.fetch_max(as_of, Ordering::AcqRel);
        }
    }

    /// Makes sure that pending invalidations are tried again, as long as the layer or one of its services exists.
    pub(super) fn retry(&self) {
        if !self.shared.pending.begin_retrying() {
            return;
        }
        let (storage, shared) = (Arc::downgrade(&self.storage), Arc::downgrade(&self.shared));
        let retrying = Retrying(Weak::clone(&shared));
        spawn(Box::pin(retry(storage, shared, self.deadline, retrying)));
    }
}

/// If the task is dropped, with its runtime, another one may take its place.
struct Retrying(Weak<Shared>);

impl Drop for Retrying {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.pending.end_retrying();
        }
    }
}

/// Brings what is pending to the storage, for as long as that and the layer live.
async fn retry(storage: Weak<dyn DynStorage>, shared: Weak<Shared>, deadline: Duration, _retrying: Retrying) {
    let (mut pause, mut failures) = (FIRST_PAUSE, 1);
    loop {
        tokio::time::sleep(pause).await;
        let (Some(storage), Some(shared)) = (storage.upgrade(), shared.upgrade()) else { return };
        let Some((due, call)) = shared.pending.due() else { return };
        let brought =
            within(deadline, storage.name(), "invalidating", Box::pin(bring(&*storage, &due))).await;
        shared.health.heard(&shared.health.invalidations, &brought);
        if brought.is_ok() {
            shared.pending.confirmed(&due, call);
            (pause, failures) = (Duration::ZERO, 0);
        } else {
            pause = clock::back_off(FIRST_PAUSE, failures, LONGEST_PAUSE);
            failures = failures.saturating_add(1);
        }
    }
}

async fn bring(storage: &dyn DynStorage, due: &Due) -> Result<(), StorageError> {
    match due {
        Due::Groups(groups) => storage.invalidate(groups).await,
        // Which groups they were is no longer known.
        Due::Everything => storage.clear(None).await,
    }
}
